"""The register file behind AXI4-Lite, proved: every word of its address space."""

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from talon.arch.registers import ADDRESS_WIDTH, REGISTERS
from talon_hdl.axi.signatures import AxiLiteSignature
from talon_hdl.csr.bank import RegisterBank
from talon_hdl.testing import prove

pytestmark = pytest.mark.cosim


class BankProof(wiring.Component):
    """A word reads as what it is or was written; a write changes it alone, byte by byte.

    The word is chosen freely among all there are, mapped or not. Bits that a register does not
    have read as zero. ``reads_strobes`` says that a strobe can be read.
    """

    def __init__(self, *, reads_strobes=False):
        self._reads_strobes = reads_strobes
        values = {r.name.lower(): In(r.layout.width) for r in REGISTERS if r.access == "ro"}
        bus = {"bus": In(AxiLiteSignature(ADDRESS_WIDTH)), "word": In(ADDRESS_WIDTH - 2)}
        super().__init__({**bus, "value": In(32), **values})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = RegisterBank()
        wiring.connect(m, wiring.flipped(self.bus), dut.bus)
        bus, begun, word = self.bus, Signal(), Signal.like(self.word)
        m.d.sync += [begun.eq(1), word.eq(self.word)]
        m.d.comb += [Assume(~ResetSignal()), Assume(~begun | (word == self.word))]

        written = bus.awvalid & bus.awready & (bus.awaddr[2:] == self.word)
        kept = Signal(32)
        with m.If(written):
            for byte in range(4):
                with m.If(bus.wstrb[byte]):
                    m.d.sync += kept.word_select(byte, 8).eq(bus.wdata.word_select(byte, 8))
        expected = self._expected(m, dut, kept, written)

        asked = bus.arvalid & bus.arready & (bus.araddr[2:] == self.word)
        due, value = Signal(), Signal(32)
        m.d.sync += [due.eq(asked | (due & ~bus.rready)), value.eq(Mux(asked, expected, value))]
        m.d.comb += [
            Assert(~due | (bus.rvalid & (bus.rdata == value))),
            Assert((bus.rresp == 0) & (bus.bresp == 0)),
        ]
        return m

    def _expected(self, m, dut, kept, written):
        """Return what the word reads as; check what the bank gives to the design."""
        expected = Signal(32)
        for register in REGISTERS:
            name, width = register.name.lower(), register.layout.width
            member = getattr(dut, name)
            if register.access == "ro":
                m.d.comb += member.eq(getattr(self, name))
            for i, each in enumerate(member if register.count > 1 else [member]):
                here = self.word == (register.offset // 4 + i)
                with m.If(here):
                    if register.access == "ro":
                        m.d.comb += expected.eq(getattr(self, name))
                    elif register.access == "rw":
                        m.d.comb += [expected.eq(kept[:width]), Assert(each == kept[:width])]
                    else:
                        strobes = Mux(written & self.bus.wstrb[0], self.bus.wdata[:width], 0)
                        m.d.comb += Assert(each == strobes)
                        if self._reads_strobes:
                            m.d.comb += expected.eq(each)
        return expected


def test_each_word_reads_as_what_it_is():
    prove(BankProof())


def test_a_strobe_cannot_be_read():
    with pytest.raises(AssertionError, match="an assertion fails in cycle"):
        prove(BankProof(reads_strobes=True))
