"""The queues, proved: all that enters leaves, unchanged, in order, once; and levels are right."""

from functools import partial

import pytest
from amaranth.hdl import Assert, Assume, Cat, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from talon_hdl.properties import Ledger, held
from talon_hdl.serial.queues import ForgettingQueue, RepeatingQueue
from talon_hdl.stream import Queue
from talon_hdl.testing import prove

pytestmark = pytest.mark.cosim
WIDTH = 2


class QueueProof(wiring.Component):
    """A queue takes while there is room, offers while it holds something, and tells how much."""

    def __init__(self, depth, *, room=None):
        self._depth, self._room = depth, depth if room is None else room
        super().__init__({"entry": In(WIDTH), "valid": In(1), "ready": In(1), "choose": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = Queue(WIDTH, depth=self._depth)
        m.d.comb += [
            dut.i.payload.eq(self.entry),
            dut.i.valid.eq(self.valid),
            dut.o.ready.eq(self.ready),
            Assume(~ResetSignal()),
        ]
        ledger = Ledger(
            m,
            depth=self._depth,
            enters=dut.i.valid & dut.i.ready,
            entry=self.entry,
            leaves=dut.o.valid & dut.o.ready,
            first=dut.o.payload,
            choose=self.choose,
        )
        m.d.comb += [
            Assert(dut.level == ledger.level),
            Assert(dut.i.ready == (ledger.level < self._room)),
            Assert(dut.o.valid == ledger.level.any()),
        ]
        held(m, valid=dut.o.valid, ready=dut.o.ready, payload=dut.o.payload)
        return m


class ForgettingProof(wiring.Component):
    """Words come out once they are kept; those that are forgotten never do, and make room."""

    def __init__(self, depth, *, counts_unkept=False):
        self._depth, self._counts_unkept = depth, counts_unkept
        names = ("valid", "ready", "keep", "forget", "choose")
        super().__init__({"word": In(WIDTH), **{name: In(1) for name in names}})

    def elaborate(self, platform):
        m = Module()
        depth = self._depth
        m.submodules.dut = dut = ForgettingQueue(depth)
        axis = dut.axis
        m.d.comb += [
            Cat(dut.w_last, dut.w_data).eq(self.word),
            dut.w_en.eq(self.valid),
            dut.keep.eq(self.keep),
            dut.forget.eq(self.forget),
            axis.tready.eq(self.ready),
            Assume(~ResetSignal()),
        ]
        enters, leaves = self.valid & dut.w_rdy, axis.tvalid & axis.tready
        forgets = self.forget & ~self.keep
        first = Cat(axis.tlast, axis.tdata)[:WIDTH]
        kept, fresh = Signal(range(depth + 1)), Signal(range(depth + 1))
        m.d.sync += [
            kept.eq(kept + Mux(self.keep, fresh, 0) - leaves),
            fresh.eq(Mux(self.forget | self.keep, 0, fresh) + (enters & ~forgets)),
        ]
        room = depth - kept - (fresh if self._counts_unkept else 0)
        m.d.comb += [
            Assert(kept + fresh <= depth),
            Assert(dut.w_rdy == (kept + fresh < depth)),
            Assert(dut.free == room),
            Assert(axis.tvalid == kept.any()),
        ]
        held(m, valid=axis.tvalid, ready=axis.tready, payload=first)

        chosen, watching, is_fresh = Signal(), Signal(), Signal()
        watched, ahead = Signal(WIDTH), Signal(range(depth + 1))
        with m.If(watching & leaves):
            m.d.comb += Assert(ahead.any() | (~is_fresh & (first == watched)))
            m.d.sync += [ahead.eq(ahead - 1), watching.eq(ahead.any())]
        with m.If(self.keep | forgets):
            m.d.sync += is_fresh.eq(0)
        with m.If(forgets & is_fresh):
            m.d.sync += watching.eq(0)
        with m.If(enters & ~forgets & self.choose & ~chosen):
            m.d.sync += [signal.eq(1) for signal in (chosen, watching, is_fresh)]
            m.d.sync += [watched.eq(self.word), ahead.eq(kept + fresh - leaves)]
        return m


class RepeatingProof(wiring.Component):
    """Words are read by number as often as is asked; nothing stands behind one with TLAST."""

    def __init__(self, depth, *, offset=0):
        self._depth, self._offset = depth, offset
        names = ("valid", "last", "pop", "choose")
        counts = {"index": In(range(depth)), "pop_count": In(range(depth + 1))}
        super().__init__({"word": In(WIDTH), **{name: In(1) for name in names}, **counts})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = RepeatingQueue(self._depth)
        axis = dut.axis
        m.d.comb += [
            axis.tdata.eq(self.word),
            axis.tvalid.eq(self.valid),
            axis.tlast.eq(self.last),
            dut.index.eq(self.index),
            dut.pop.eq(self.pop),
            dut.pop_count.eq(self.pop_count),
            Assume(~ResetSignal()),
        ]
        enters = axis.tvalid & axis.tready
        gone = Mux(self.pop, self.pop_count, 0)
        level, ends = Signal(range(self._depth + 1)), Signal()
        m.d.sync += level.eq(level + enters - gone)
        with m.If(enters):
            m.d.sync += ends.eq(self.last)
        closed = ends & level.any()
        m.d.comb += [
            Assume(gone <= level),
            Assert(dut.level == level),
            Assert(dut.closed == closed),
            Assert(axis.tready == (~closed & (level < self._depth))),
        ]

        chosen, watching, asked = Signal(), Signal(), Signal()
        watched, place = Signal(WIDTH), Signal(range(self._depth + 1))
        m.d.sync += asked.eq(watching & (self.index == place + self._offset))
        m.d.comb += Assert(~asked | (dut.data[:WIDTH] == watched))
        with m.If(watching):
            m.d.sync += [place.eq(place - gone), watching.eq(place >= gone)]
        with m.If(enters & self.choose & ~chosen):
            m.d.sync += [chosen.eq(1), watching.eq(1)]
            m.d.sync += [watched.eq(self.word), place.eq(level - gone)]
        return m


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_a_queue_gives_back_what_it_takes_in_order(depth):
    prove(QueueProof(depth))


@pytest.mark.parametrize("depth", [2, 4])
def test_a_word_is_kept_or_forgotten(depth):
    prove(ForgettingProof(depth))


@pytest.mark.parametrize("depth", [2, 4])
def test_words_can_be_read_again_until_they_are_popped(depth):
    prove(RepeatingProof(depth))


@pytest.mark.parametrize(
    "wrong",
    [
        partial(QueueProof, 4, room=3),
        partial(ForgettingProof, 2, counts_unkept=True),
        partial(RepeatingProof, 4, offset=1),
    ],
    ids=["room", "free", "index"],
)
def test_what_is_not_so_of_a_queue_is_refuted(wrong):
    with pytest.raises(AssertionError, match="an assertion fails in cycle"):
        prove(wrong())
