"""The host bridge: everything between AXI and router (0, 0)."""

from typing import Any

from amaranth.hdl import Module, ResetInserter, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch import registers
from talon.arch.packet import PacketLayouts
from talon.arch.params import FORMAT_VERSION, ArrayParams
from talon_hdl.axi.signatures import AxiLiteSignature, AxiStreamSignature
from talon_hdl.bridge.transfer import Transfer
from talon_hdl.csr.bank import RegisterBank
from talon_hdl.shapes import packed


class HostBridge(wiring.Component):
    """Join registers, streams and timesteps to the array; see `docs/hardware/host_bridge.md`.

    ``settle`` is that of :class:`talon_hdl.bridge.transfer.Transfer`; ``build`` the value of the
    register BUILD.

    Members
    -------
    s_axil : :py:`In(AxiLiteSignature)`
        Registers.
    s_axis, m_axis : :py:`In(AxiStreamSignature(64)), Out(...)`
        Words from and to the host.
    irq : :py:`Out(1)`
        High while a core reports an error or a bad word has not been cleared.
    o, i : :py:`Out(stream), In(stream)`
        Packets into and out of the west port of router (0, 0).
    state_reset : :py:`Out(1)`
        Strobe: every core resets its state.
    array_reset : :py:`Out(1)`
        Hold everything but the registers in reset.
    array_idle, array_error : :py:`In(1)`
        Seen over all routers and cores, at one instant ``settle`` cycles ago at most.
    """

    s_axil: Any
    s_axis: Any
    m_axis: Any
    irq: Signal
    o: stream.Interface
    i: stream.Interface
    state_reset: Signal
    array_reset: Signal
    array_idle: Signal
    array_error: Signal

    def __init__(self, params: ArrayParams, *, settle: int, build: int = 0) -> None:
        self._params, self._settle, self._build = params, settle, build
        packets = stream.Signature(unsigned(PacketLayouts(params).width))
        super().__init__(
            {
                "s_axil": In(AxiLiteSignature(registers.ADDRESS_WIDTH)),
                "s_axis": In(AxiStreamSignature(64)),
                "m_axis": Out(AxiStreamSignature(64)),
                "irq": Out(1),
                "o": Out(packets),
                "i": In(packets),
                "state_reset": Out(1),
                "array_reset": Out(1),
                "array_idle": In(1),
                "array_error": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        bank: Any = RegisterBank()
        transfer = Transfer(self._params, settle=self._settle)
        m.submodules.bank = bank
        m.submodules.transfer = ResetInserter(self.array_reset)(transfer)
        wiring.connect(m, wiring.flipped(self.s_axil), bank.bus)
        wiring.connect(m, wiring.flipped(self.s_axis), transfer.s_axis)
        wiring.connect(m, transfer.m_axis, wiring.flipped(self.m_axis))
        wiring.connect(m, transfer.o, wiring.flipped(self.o))
        wiring.connect(m, wiring.flipped(self.i), transfer.i)
        control = registers.BY_NAME["CONTROL"].layout
        reset, array_reset = (bank.control[control.offset_of(n)] for n in ("reset", "array_reset"))
        m.d.comb += [
            transfer.n_dests.eq(bank.n_dests),
            transfer.reset.eq(reset),
            transfer.array_idle.eq(self.array_idle),
            self.state_reset.eq(transfer.state_reset),
        ]
        for slot, init in enumerate(transfer.permit_init):
            m.d.comb += init.eq(bank.permit_init[slot])
        self._hold(m, array_reset)
        self._identity(m, bank)
        self._status(m, bank, transfer, clear=reset | array_reset)
        self._counters(m, bank, transfer)
        return m

    def _hold(self, m: Module, start: Signal) -> None:
        """Hold the array in reset for a while from a strobe on."""
        left = Signal(range(registers.ARRAY_RESET_CYCLES))
        with m.If(start):
            m.d.sync += [self.array_reset.eq(1), left.eq(registers.ARRAY_RESET_CYCLES - 1)]
        with m.Elif(left.any()):
            m.d.sync += left.eq(left - 1)
        with m.Else():
            m.d.sync += self.array_reset.eq(0)

    def _identity(self, m: Module, bank: Any) -> None:
        """Drive the registers that never change."""
        params = self._params
        has = {name: getattr(params, name, False) for name in _OPTIONS} | {"maps": params.has_maps}
        layouts = {name: registers.BY_NAME[name.upper()].layout for name in ("mesh", "core")}
        m.d.comb += [
            bank.id.eq(registers.ID),
            bank.version.eq(FORMAT_VERSION),
            bank.hardware_hash.eq(params.hardware_hash),
            bank.capabilities.eq(packed(_CAPABILITIES, has)),
            bank.build.eq(self._build),
        ]
        for name, layout in layouts.items():
            value = layout.pack({f.name: getattr(params, f.name) for f in layout.fields})
            m.d.comb += getattr(bank, name).eq(value)

    def _status(self, m: Module, bank: Any, transfer: Transfer, *, clear: Signal) -> None:
        bad_word = Signal()
        with m.If(transfer.bad):
            m.d.sync += bad_word.eq(1)
        with m.Elif(clear):
            m.d.sync += bad_word.eq(0)
        status = {
            "idle": transfer.idle,
            "error": self.array_error,
            "bad_word": bad_word,
            "in_valid": self.s_axis.tvalid | transfer.in_words.any(),
            "out_valid": self.m_axis.tvalid,
            "waiting": transfer.waiting,
        }
        levels = {"in_words": transfer.in_words, "out_words": transfer.out_words}
        m.d.comb += [
            bank.status.eq(packed(registers.BY_NAME["STATUS"].layout, status)),
            bank.fifo.eq(packed(registers.BY_NAME["FIFO"].layout, levels)),
            self.irq.eq(self.array_error | bad_word),
        ]

    def _counters(self, m: Module, bank: Any, transfer: Transfer) -> None:
        cycles, in_words, out_words, last_latency = (
            Signal(32, name=n) for n in ("cycles", "in_words", "out_words", "last_latency")
        )
        m.d.sync += cycles.eq(cycles + 1)
        with m.If(self.s_axis.tvalid & self.s_axis.tready):
            m.d.sync += in_words.eq(in_words + 1)
        with m.If(self.m_axis.tvalid & self.m_axis.tready):
            m.d.sync += out_words.eq(out_words + 1)
        with m.If(transfer.done):
            m.d.sync += last_latency.eq(transfer.latency)
        m.d.comb += [
            bank.cycles.eq(cycles),
            bank.in_words.eq(in_words),
            bank.out_words.eq(out_words),
            bank.latency.eq(last_latency),
            bank.step.eq(transfer.step),
        ]


_CAPABILITIES = registers.BY_NAME["CAPABILITIES"].layout
_OPTIONS = tuple(field.name for field in _CAPABILITIES.fields if field.name != "maps")
