"""The registers of `talon.arch.registers` behind AXI4-Lite."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from talon.arch.registers import ADDRESS_WIDTH, REGISTERS, Register
from talon_hdl.axi.lite import AxiLiteSubordinate
from talon_hdl.axi.signatures import AxiLiteSignature


class RegisterBank(wiring.Component):
    """A table of registers behind AXI4-Lite; unmapped words read as zero and ignore writes.

    Members
    -------
    bus : :py:`In(AxiLiteSignature)`
        The bus.

    Every register has a member of its name in lower case: a ``ro`` register an input with its
    value, a ``rw`` register an output with what was written (zero at first; an array if it counts
    more than one), a ``wo`` register an output that holds the written bits for one cycle.
    """

    bus: Any

    def __init__(self, registers: Sequence[Register] = REGISTERS) -> None:
        self._registers = tuple(registers)
        members: dict[str, wiring.Member] = {"bus": In(AxiLiteSignature(ADDRESS_WIDTH))}
        for register in self._registers:
            shape = unsigned(register.layout.width)
            member = In(shape) if register.access == "ro" else Out(shape)
            name = register.name.lower()
            members[name] = member.array(register.count) if register.count > 1 else member
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.axi = axi = AxiLiteSubordinate(ADDRESS_WIDTH)
        wiring.connect(m, wiring.flipped(self.bus), axi.bus)

        with m.Switch(axi.read_address):
            for register, offset, value in self._words():
                if register.access != "wo":
                    with m.Case(offset // 4):
                        m.d.comb += axi.read_data.eq(value)
        for register, offset, value in self._words():
            written = axi.write & (axi.write_address == offset // 4)
            if register.access == "wo":
                # The wider write data is cut to the bits that the register has.
                enabled = axi.write_data & _by_bytes(axi.write_strobe)
                with m.If(written):
                    m.d.comb += value.eq(enabled[: len(value)])
            elif register.access == "rw":
                for i in range(0, len(value), 8):
                    part = value[i : i + 8]
                    with m.If(written & axi.write_strobe[i // 8]):
                        m.d.sync += part.eq(axi.write_data[i : i + len(part)])
        return m

    def _words(self) -> list[tuple[Register, int, Value]]:
        """Return each 32-bit word: its register, byte offset and value."""
        words = []
        for register in self._registers:
            member = getattr(self, register.name.lower())
            values = member if register.count > 1 else [member]
            words += [(register, register.offset + 4 * i, value) for i, value in enumerate(values)]
        return words


def _by_bytes(strobe: Value) -> Value:
    return Cat(bit.replicate(8) for bit in strobe)
