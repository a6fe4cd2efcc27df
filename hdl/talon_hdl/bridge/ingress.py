"""From the host into the array: words become packets, in order, as their steps are permitted."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.packet import OP_OFFSET, SYNC_MORE, SYNC_RESET, InOp, Kind, PacketLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.axi.signatures import AxiStreamSignature

DEPTH = 4
"""Words that wait at the entrance: enough for one every cycle."""


class Ingress(wiring.Component):
    """Carry out the words of the host, one a cycle; TLAST means nothing here.

    A word that no sender may send is discarded and reported by ``bad``: an unknown operation, a
    packet of a kind for the host (the mesh has no way for it), an EVENT that carries a CONFIG
    packet (which has no slot).

    Members
    -------
    axis : :py:`In(AxiStreamSignature(64))`
        Words from the host.
    o : :py:`Out(stream)`
        Packets into the west port of router (0, 0).
    reset : :py:`In(1)`
        Go to step 0, none of whose CREDITs are taken.
    step : :py:`Out(32)`
        Timesteps that the host has ended.
    granted, take : :py:`In(1), Out(1)`
        The CREDITs of the present step are there; take them. It happens at its first EVENT, in a
        cycle of its own, so that counting them is not on the path of every packet.
    waiting : :py:`Out(1)`
        An EVENT waits for CREDITs.
    event : :py:`Out(1)`
        An EVENT stands at the front.
    sync, sync_reset, sync_more : :py:`Out(1)`
        A SYNC stands at the front and all before it has left; with its bits.
    sync_done : :py:`In(1)`
        It is carried out.
    bad : :py:`Out(1)`
        A word is discarded in this cycle.
    level : :py:`Out`
        Words that are held here.
    empty : :py:`Out(1)`
        No word and no packet is held here.
    sending : :py:`Out(1)`
        A packet is held for the array.
    """

    axis: Any
    o: stream.Interface
    reset: Signal
    step: Signal
    granted: Signal
    take: Signal
    waiting: Signal
    event: Signal
    sync: Signal
    sync_reset: Signal
    sync_more: Signal
    sync_done: Signal
    bad: Signal
    level: Signal
    empty: Signal
    sending: Signal

    def __init__(self, params: ArrayParams) -> None:
        self._layouts = PacketLayouts(params)
        self._slot_width = bits_for(params.n_slots)
        super().__init__(
            {
                "axis": In(AxiStreamSignature(64)),
                "o": Out(stream.Signature(unsigned(self._layouts.width))),
                "reset": In(1),
                "step": Out(32),
                "granted": In(1),
                "take": Out(1),
                "waiting": Out(1),
                "event": Out(1),
                "sync": Out(1),
                "sync_reset": Out(1),
                "sync_more": Out(1),
                "sync_done": In(1),
                "bad": Out(1),
                "level": Out(range(DEPTH + 1)),
                "empty": Out(1),
                "sending": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.queue = queue = fifo.SyncFIFO(width=64, depth=DEPTH)
        m.d.comb += [
            queue.w_data.eq(self.axis.tdata),
            queue.w_en.eq(self.axis.tvalid),
            self.axis.tready.eq(queue.w_rdy),
        ]
        word, valid = queue.r_data, queue.r_rdy

        op = word[OP_OFFSET:]
        kind = word[:3]
        is_packet, is_event, is_last, is_sync, is_bad = (Signal(name=f"is_{n}") for n in _CLASSES)
        m.d.comb += [
            is_packet.eq(valid & (op == InOp.PACKET) & (kind < Kind.HOST_SPIKE)),
            is_last.eq(op == InOp.EVENT_LAST),
            is_event.eq(valid & ((op == InOp.EVENT) | is_last) & (kind < Kind.CONFIG)),
            is_sync.eq(valid & (op == InOp.SYNC)),
            is_bad.eq(valid & ~(is_packet | is_event | is_sync)),
        ]

        begun = Signal()  # the CREDITs of this step are taken
        room = ~self.o.valid | self.o.ready
        send = (is_packet | (is_event & begun)) & room
        m.d.comb += [
            self.take.eq(is_event & ~begun & self.granted),
            self.waiting.eq(is_event & ~begun & ~self.granted),
            self.event.eq(is_event),
            self.sync.eq(is_sync & ~self.o.valid),
            self.sync_reset.eq((word & SYNC_RESET).any()),
            self.sync_more.eq((word & SYNC_MORE).any()),
            self.bad.eq(is_bad),
            queue.r_en.eq(send | is_bad | (is_sync & self.sync_done)),
            self.level.eq(queue.r_level),
            self.sending.eq(self.o.valid),
            self.empty.eq(~valid & ~self.o.valid),
        ]
        with m.If(room):
            m.d.sync += [
                self.o.valid.eq(send),
                self.o.payload.eq(Mux(is_event, self._in_slot(word), word)),
            ]
        with m.If(self.take):
            m.d.sync += begun.eq(1)
        with m.If(send & is_event & is_last):
            m.d.sync += [begun.eq(0), self.step.eq(self.step + 1)]
        with m.If(self.reset):
            m.d.sync += [begun.eq(0), self.step.eq(0)]
        return m

    def _in_slot(self, word):
        """Return the packet with the step added to its slot."""
        start = self._layouts.spike.offset_of("slot")
        end = start + self._slot_width
        slot = (word[start:end] + self.step[: self._slot_width])[: self._slot_width]
        return Cat(word[:start], slot, word[end:])


_CLASSES = ("packet", "event", "last", "sync", "bad")
