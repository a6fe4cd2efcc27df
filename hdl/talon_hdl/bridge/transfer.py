"""Between the streams of the host and the array: order, permits, SYNC and its answer."""

from typing import Any

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.packet import PacketLayouts
from talon.arch.params import ArrayParams
from talon_hdl.axi.signatures import AxiStreamSignature
from talon_hdl.bridge import egress as egress_module
from talon_hdl.bridge import ingress as ingress_module
from talon_hdl.bridge.egress import Egress
from talon_hdl.bridge.ingress import Ingress
from talon_hdl.bridge.permits import Permits


class Transfer(wiring.Component):
    """Carry the words of the host into the array and its packets back.

    ``settle`` is the number of cycles after which ``array_idle`` surely tells of a packet that has
    been sent, or of a state reset that has been asked for.

    Members
    -------
    s_axis, m_axis : :py:`In(AxiStreamSignature(64)), Out(...)`
        Words from and to the host.
    o, i : :py:`Out(stream), In(stream)`
        Packets into and out of the west port of router (0, 0).
    n_dests, permit_init : :py:`In`
        As the registers of these names.
    reset : :py:`In(1)`
        Strobe: reset the state of the array, whatever is under way.
    state_reset : :py:`Out(1)`
        Strobe: every core resets its state.
    array_idle : :py:`In(1)`
        Seen over all routers and cores, at one instant ``settle`` cycles ago at most.
    idle, waiting : :py:`Out(1)`
        Nothing is held here or in the array; an EVENT waits for its step to be permitted.
    bad : :py:`Out(1)`
        A word is discarded in this cycle.
    in_words, out_words : :py:`Out`
        Words in the queues.
    step : :py:`Out(32)`
        Timesteps that the host has ended.
    done, latency : :py:`Out`
        A SYNC is answered in this cycle; cycles from the first EVENT to the last word before it.
    """

    s_axis: Any
    m_axis: Any
    o: stream.Interface
    i: stream.Interface
    n_dests: Signal
    permit_init: list[Signal]
    reset: Signal
    state_reset: Signal
    array_idle: Signal
    idle: Signal
    waiting: Signal
    bad: Signal
    in_words: Signal
    out_words: Signal
    step: Signal
    done: Signal
    latency: Signal

    def __init__(self, params: ArrayParams, *, settle: int) -> None:
        self._params, self._settle = params, settle
        packets = stream.Signature(unsigned(PacketLayouts(params).width))
        super().__init__(
            {
                "s_axis": In(AxiStreamSignature(64)),
                "m_axis": Out(AxiStreamSignature(64)),
                "o": Out(packets),
                "i": In(packets),
                "n_dests": In(params.count_width),
                "permit_init": In(params.count_width).array(params.n_slots),
                "reset": In(1),
                "state_reset": Out(1),
                "array_idle": In(1),
                "idle": Out(1),
                "waiting": Out(1),
                "bad": Out(1),
                "in_words": Out(range(ingress_module.DEPTH + 1)),
                "out_words": Out(range(egress_module.DEPTH + 1)),
                "step": Out(32),
                "done": Out(1),
                "latency": Out(32),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.ingress = ingress = Ingress(self._params)
        m.submodules.egress = egress = Egress(self._params)
        m.submodules.permits = permits = Permits(self._params)
        wiring.connect(m, wiring.flipped(self.s_axis), ingress.axis)
        wiring.connect(m, egress.axis, wiring.flipped(self.m_axis))
        wiring.connect(m, ingress.o, wiring.flipped(self.o))
        wiring.connect(m, wiring.flipped(self.i), egress.i)

        m.d.comb += [
            permits.reset.eq(self.state_reset),
            permits.n_dests.eq(self.n_dests),
            permits.credit.eq(egress.credit),
            permits.credit_slot.eq(egress.credit_slot),
            permits.slot.eq(ingress.step),
            permits.take.eq(ingress.take),
            ingress.granted.eq(permits.granted),
            ingress.reset.eq(self.state_reset),
        ]
        for init, given in zip(permits.init, self.permit_init, strict=True):
            m.d.comb += init.eq(given)

        quiet = self._quiet(m, ingress)
        reset = self._sync(m, ingress, egress, quiet)
        self._latency(m, ingress, egress)
        m.d.sync += self.state_reset.eq(reset | self.reset)
        m.d.comb += [
            egress.done_data.eq(self.latency),
            egress.done_more.eq(ingress.sync_more),
            self.idle.eq(quiet & ingress.empty & egress.empty),
            self.waiting.eq(ingress.waiting),
            self.bad.eq(ingress.bad),
            self.in_words.eq(ingress.level),
            self.out_words.eq(egress.level),
            self.step.eq(ingress.step),
            self.done.eq(ingress.sync_done),
        ]
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

    def _latency(self, m: Module, ingress: Ingress, egress: Egress) -> None:
        """Count the cycles from the first EVENT since the last DONE to the last word out."""
        running = Signal()
        elapsed = Signal(32)
        latency = self.latency
        m.d.sync += elapsed.eq(elapsed + 1)
        with m.If(egress.word & running):
            m.d.sync += latency.eq(elapsed)
        with m.If(ingress.event & ~running):
            m.d.sync += [running.eq(1), elapsed.eq(1), latency.eq(0)]
        with m.If(ingress.sync_done | self.state_reset):
            m.d.sync += running.eq(0)
        with m.If(ingress.sync_done):
            m.d.sync += latency.eq(0)
