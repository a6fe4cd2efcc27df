"""The host bridge: everything between AXI and router (0, 0)."""

from typing import Any

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch import registers
from talon.arch.packet import PacketLayouts
from talon.arch.params import FORMAT_VERSION, ArrayParams
from talon_hdl.axi.signatures import AxiLiteSignature, AxiStreamSignature
from talon_hdl.bridge.egress import Egress
from talon_hdl.bridge.ingress import Ingress
from talon_hdl.bridge.permits import Permits
from talon_hdl.csr.bank import RegisterBank
from talon_hdl.shapes import packed


class HostBridge(wiring.Component):
    """Join registers, streams and timesteps to the array; see `docs/hardware/host_bridge.md`.

    ``settle`` is the number of cycles after which ``array_idle`` surely tells of a packet that has
    been sent, or of a state reset that has been asked for.

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
    array_idle: Signal
    array_error: Signal

    def __init__(self, params: ArrayParams, *, settle: int) -> None:
        self._params = params
        self._settle = settle
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
                "array_idle": In(1),
                "array_error": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        bank: Any = RegisterBank()
        m.submodules.bank = bank
        m.submodules.ingress = ingress = Ingress(self._params)
        m.submodules.egress = egress = Egress(self._params)
        m.submodules.permits = permits = Permits(self._params)
        wiring.connect(m, wiring.flipped(self.s_axil), bank.bus)
        wiring.connect(m, wiring.flipped(self.s_axis), ingress.axis)
        wiring.connect(m, egress.axis, wiring.flipped(self.m_axis))
        wiring.connect(m, ingress.o, wiring.flipped(self.o))
        wiring.connect(m, wiring.flipped(self.i), egress.i)

        m.d.comb += [
            permits.reset.eq(self.state_reset),
            permits.n_dests.eq(bank.n_dests),
            permits.credit.eq(egress.credit),
            permits.credit_slot.eq(egress.credit_slot),
            permits.slot.eq(ingress.step),
            permits.take.eq(ingress.take),
            ingress.granted.eq(permits.granted),
            ingress.reset.eq(self.state_reset),
        ]
        for i, init in enumerate(permits.init):
            m.d.comb += init.eq(bank.permit_init[i])

        quiet = self._quiet(m, ingress)
        latency = self._latency(m, ingress, egress)
        reset = self._sync(m, ingress, egress, quiet)
        m.d.comb += egress.done_data.eq(latency)
        m.d.sync += self.state_reset.eq(reset | bank.control[0])
        self._identity(m, bank)
        self._status(m, bank, ingress, egress, quiet)
        self._counters(m, bank, ingress, egress, latency)
        return m

    def _quiet(self, m: Module, ingress: Ingress) -> Signal:
        """Return whether the array is idle, and has been told of all that was sent to it."""
        count = Signal(range(self._settle + 1))
        quiet = Signal()
        busy = ingress.sending | self.state_reset
        with m.If(busy):
            m.d.sync += count.eq(0)
        with m.Elif(count != self._settle):
            m.d.sync += count.eq(count + 1)
        m.d.comb += quiet.eq((count == self._settle) & self.array_idle & ~busy)
        return quiet

    def _sync(self, m: Module, ingress: Ingress, egress: Egress, quiet: Signal) -> Signal:
        """Carry out SYNC; return the strobe that asks for a state reset."""
        reset = Signal()
        with m.FSM():
            with m.State("DRAIN"), m.If(ingress.sync & quiet):
                m.d.comb += reset.eq(ingress.sync_reset)
                with m.If(ingress.sync_reset):
                    m.next = "RESET"
                with m.Else():
                    m.next = "ANSWER"
            with m.State("RESET"), m.If(quiet):
                m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += egress.done.eq(1)
                with m.If(egress.done_ready):
                    m.d.comb += ingress.sync_done.eq(1)
                    m.next = "DRAIN"
        return reset

    def _latency(self, m: Module, ingress: Ingress, egress: Egress) -> Signal:
        """Return the cycles from the first EVENT since the last DONE to the last word out."""
        running = Signal()
        elapsed = Signal(32)
        latency = Signal(32)
        m.d.sync += elapsed.eq(elapsed + 1)
        with m.If(egress.word & running):
            m.d.sync += latency.eq(elapsed)
        with m.If(ingress.event & ~running):
            m.d.sync += [running.eq(1), elapsed.eq(1), latency.eq(0)]
        with m.If(ingress.sync_done | self.state_reset):
            m.d.sync += running.eq(0)
        with m.If(ingress.sync_done):
            m.d.sync += latency.eq(0)
        return latency

    def _identity(self, m: Module, bank: Any) -> None:
        """Drive the registers that never change."""
        params = self._params
        mesh = registers.BY_NAME["MESH"].layout
        core = registers.BY_NAME["CORE"].layout
        m.d.comb += [
            bank.id.eq(registers.ID),
            bank.version.eq(FORMAT_VERSION),
            bank.hardware_hash.eq(params.hardware_hash),
            bank.mesh.eq(mesh.pack({f.name: getattr(params, f.name) for f in mesh.fields})),
            bank.core.eq(core.pack({f.name: getattr(params, f.name) for f in core.fields})),
        ]

    def _status(
        self, m: Module, bank: Any, ingress: Ingress, egress: Egress, quiet: Signal
    ) -> None:
        bad_word = Signal()
        with m.If(ingress.bad):
            m.d.sync += bad_word.eq(1)
        with m.Elif(bank.control[0]):
            m.d.sync += bad_word.eq(0)
        status = {
            "idle": quiet & ingress.empty & egress.empty,
            "error": self.array_error,
            "bad_word": bad_word,
            "in_valid": self.s_axis.tvalid | ~ingress.empty,
            "out_valid": self.m_axis.tvalid,
            "waiting": ingress.waiting,
        }
        m.d.comb += [
            bank.status.eq(packed(registers.BY_NAME["STATUS"].layout, status)),
            self.irq.eq(self.array_error | bad_word),
        ]

    def _counters(
        self, m: Module, bank: Any, ingress: Ingress, egress: Egress, latency: Signal
    ) -> None:
        cycles, in_words, out_words, last_latency = (
            Signal(32, name=n) for n in ("cycles", "in_words", "out_words", "last_latency")
        )
        m.d.sync += cycles.eq(cycles + 1)
        with m.If(self.s_axis.tvalid & self.s_axis.tready):
            m.d.sync += in_words.eq(in_words + 1)
        with m.If(self.m_axis.tvalid & self.m_axis.tready):
            m.d.sync += out_words.eq(out_words + 1)
        with m.If(ingress.sync_done):
            m.d.sync += last_latency.eq(latency)
        m.d.comb += [
            bank.cycles.eq(cycles),
            bank.in_words.eq(in_words),
            bank.out_words.eq(out_words),
            bank.latency.eq(last_latency),
            bank.step.eq(ingress.step),
        ]
