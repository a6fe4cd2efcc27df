"""From the array to the host: packets become words; CREDITs are kept back and counted."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.packet import OP_OFFSET, Kind, OutOp, PacketLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.axi.signatures import AxiStreamSignature
from talon_hdl.shapes import view

DEPTH = 32
"""Words that wait for the host: what a row of LUT memory holds anyway."""


class Egress(wiring.Component):
    """Queue the packets for the host, and the answers DONE between them.

    Members
    -------
    i : :py:`In(stream)`
        Packets out of the west port of router (0, 0).
    axis : :py:`Out(AxiStreamSignature(64))`
        Words to the host; TLAST stands at a DONE after which nothing follows.
    credit, credit_slot : :py:`Out`
        A CREDIT is taken off the stream in this cycle.
    word : :py:`Out(1)`
        A packet is queued for the host in this cycle.
    done, done_data, done_more : :py:`In`
        Queue an answer DONE; only while no packet comes. It has no TLAST if more follow.
    done_ready : :py:`Out(1)`
        It is queued in this cycle.
    level : :py:`Out`
        Words that are held here.
    empty : :py:`Out(1)`
        No word is held here.
    """

    i: stream.Interface
    axis: Any
    credit: Signal
    credit_slot: Signal
    word: Signal
    done: Signal
    done_data: Signal
    done_more: Signal
    done_ready: Signal
    level: Signal
    empty: Signal

    def __init__(self, params: ArrayParams) -> None:
        self._layouts = PacketLayouts(params)
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(self._layouts.width))),
                "axis": Out(AxiStreamSignature(64)),
                "credit": Out(1),
                "credit_slot": Out(bits_for(params.n_slots)),
                "word": Out(1),
                "done": In(1),
                "done_data": In(32),
                "done_more": In(1),
                "done_ready": Out(1),
                "level": Out(range(DEPTH + 1)),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        width = max(self._layouts.width, 32)
        m.submodules.queue = queue = fifo.SyncFIFO(width=width + 2, depth=DEPTH)

        packet = self.i.payload
        answer = Cat(self.done_data, Const(0, width - 32), Const(1, 1))
        token = view(self._layouts.host_token, packet)
        is_credit = (token.kind == Kind.HOST_TOKEN) & token.credit
        m.d.comb += [
            self.i.ready.eq(queue.w_rdy),
            self.credit.eq(self.i.valid & self.i.ready & is_credit),
            self.credit_slot.eq(token.slot),
            self.word.eq(self.i.valid & self.i.ready & ~is_credit),
            self.done_ready.eq(queue.w_rdy & ~self.i.valid),
            queue.w_en.eq(self.word | (self.done & self.done_ready)),
            queue.w_data.eq(Mux(self.word, packet, Cat(answer, ~self.done_more))),
        ]

        data, is_done, is_last = queue.r_data[:width], queue.r_data[width], queue.r_data[-1]
        m.d.comb += [
            self.axis.tvalid.eq(queue.r_rdy),
            self.axis.tlast.eq(is_last),
            self.axis.tdata.eq(data),
            self.axis.tdata[OP_OFFSET:].eq(Mux(is_done, OutOp.DONE, OutOp.PACKET)),
            queue.r_en.eq(self.axis.tready),
            self.level.eq(queue.r_level),
            self.empty.eq(~queue.r_rdy),
        ]
        return m
