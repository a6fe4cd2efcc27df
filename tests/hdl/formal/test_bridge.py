"""The two directions of the host bridge, proved: words and packets, once, in order, in time."""

from dataclasses import replace
from functools import partial

import pytest
from amaranth.hdl import Assert, Assume, Cat, Const, Module, Mux, ResetSignal, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from talon.arch.packet import OP_OFFSET, InOp, Kind, OutOp, PacketLayouts
from talon.arch.params import preset
from talon_hdl.bridge import egress, ingress
from talon_hdl.bridge.egress import Egress
from talon_hdl.bridge.ingress import Ingress
from talon_hdl.properties import Ledger, held
from talon_hdl.shapes import view
from talon_hdl.testing import prove

pytestmark = pytest.mark.cosim
PARAMS = replace(preset("tiny_1x1"), n_slots=4, max_delay=2)
LAYOUTS = PacketLayouts(PARAMS)
MARK = 4
"""Low bits of a packet that are compared: its kind, and one more."""
CLASSES = data.StructLayout(
    {
        **dict.fromkeys(("is_packet", "is_event", "is_last", "is_sync"), 1),
        "sync_bits": 2,
        "mark": MARK,
        "slot": 2,
    }
)


class IngressProof(wiring.Component):
    """Each word does what its operation says, when it is at the front, once; none stays there.

    One word is watched, chosen freely, and its place in the queue followed by the level alone.
    ``step_offset`` is by how much the slot of an event is said to be off; ``bad_waits`` says that a
    bad word waits for the packet before it.
    """

    def __init__(self, *, step_offset=0, bad_waits=False):
        self._step_offset, self._bad_waits = step_offset, bad_waits
        names = ("valid", "ready", "granted", "sync_done", "choose")
        super().__init__({"word": In(64), **{name: In(1) for name in names}})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = Ingress(PARAMS)
        m.d.comb += [
            dut.axis.tdata.eq(self.word),
            dut.axis.tvalid.eq(self.valid),
            dut.o.ready.eq(self.ready),
            dut.granted.eq(self.granted),
            dut.sync_done.eq(self.sync_done & dut.sync),
            Assume(~ResetSignal()),
            Assert(dut.axis.tready == (dut.level < ingress.DEPTH)),
            Assert(dut.empty == (~dut.level.any() & ~dut.o.valid)),
        ]
        packet = Cat(dut.o.payload[:MARK], view(LAYOUTS.spike, dut.o.payload).slot)
        held(m, valid=dut.o.valid, ready=self.ready, payload=packet)
        enters = self.valid & dut.axis.tready

        # Of the cycle before: what happened in it shows in the level now.
        entered, level, held_before, step = (
            Signal.like(value) for value in (enters, dut.level, dut.o.valid, dut.step[:2])
        )
        moves = Signal(1)
        m.d.sync += [entered.eq(enters), level.eq(dut.level), step.eq(dut.step)]
        m.d.sync += held_before.eq(dut.o.valid & ~self.ready)
        gone = level + entered - dut.level
        m.d.comb += [moves.eq(gone != 0), Assert(gone <= 1)]

        word = self._classify(m)
        watched, place, inside, chosen = Signal.like(word), Signal.like(level), Signal(), Signal()
        left, is_front = inside & ~place.any() & moves, Signal()
        m.d.comb += is_front.eq(inside & ~left & (place == moves))
        m.d.sync += [place.eq(place - moves), inside.eq(inside & ~left)]
        with m.If(enters & self.choose & ~chosen):
            m.d.sync += [watched.eq(word), place.eq(dut.level), inside.eq(1), chosen.eq(1)]
        begun = self._begun(m, dut)
        due = self._at_front(m, dut, watched, is_front, begun)
        self._afterwards(m, dut, watched, left, moves, held_before, step, packet, due)
        return m

    def _classify(self, m):
        """Return what a word is, independently of the gateware, and what of it is compared."""
        op, kind = self.word[OP_OFFSET:], self.word[:3]
        word = Signal(CLASSES)
        m.d.comb += [
            word.is_event.eq(((op == InOp.EVENT) | (op == InOp.EVENT_LAST)) & (kind < 3)),
            word.is_last.eq(op == InOp.EVENT_LAST),
            word.is_packet.eq((op == InOp.PACKET) & (kind < 4)),
            word.is_sync.eq(op == InOp.SYNC),
            word.sync_bits.eq(self.word[:2]),
            word.mark.eq(self.word[:MARK]),
            word.slot.eq(view(LAYOUTS.spike, self.word).slot),
        ]
        return word

    def _begun(self, m, dut):
        """Return whether the CREDITs of the present step are taken; they are only when granted."""
        taken = Signal(2)
        begun = (taken - dut.step[:2])[:2]
        m.d.sync += taken.eq(taken + dut.take)
        m.d.comb += [Assert(begun <= 1), Assert(~dut.take | (self.granted & (begun == 0)))]
        return begun[0]

    def _at_front(self, m, dut, word, is_front, begun):
        """State what the watched word does at the front; return whether it leaves the queue."""
        is_bad = ~(word.is_event | word.is_packet | word.is_sync)
        room = ~dut.o.valid | self.ready
        leaves = Mux(
            word.is_sync,
            dut.sync_done,
            Mux(is_bad, room | (not self._bad_waits), room & (word.is_packet | begun)),
        )
        said = Cat(dut.event, dut.bad, dut.sync, dut.take, dut.waiting)
        begins = word.is_event & ~begun
        sync = word.is_sync & ~dut.o.valid
        meant = Cat(word.is_event, is_bad, sync, begins & self.granted, begins & ~self.granted)
        bits = Cat(dut.sync_reset, dut.sync_more)
        m.d.comb += Assert(~is_front | (said == meant))
        m.d.comb += Assert(~is_front | ~word.is_sync | (bits == word.sync_bits))
        due = Signal()
        m.d.sync += due.eq(is_front & leaves)
        with m.If(~dut.level.any()):
            m.d.comb += Assert(~said.any())
        return due

    def _afterwards(self, m, dut, word, left, moves, held_before, step, packet, due):
        """State what has become of it in the cycle after."""
        is_sent = word.is_packet | word.is_event
        slot = (word.slot + Mux(word.is_event, step + self._step_offset, 0))[:2]
        m.d.comb += [
            Assert(left == due),
            Assert(moves | (dut.o.valid == held_before)),
            Assert(moves | (dut.step[:2] == step)),
        ]
        with m.If(left):
            m.d.comb += [
                Assert(dut.o.valid == (held_before | is_sent)),
                Assert(~is_sent | ~held_before),
                Assert(~is_sent | (packet == Cat(word.mark, slot))),
                Assert(dut.step[:2] == (step + (word.is_event & word.is_last))[:2]),
            ]


class EgressProof(wiring.Component):
    """Packets and answers leave in order, TLAST at answers alone; CREDITs are kept and counted."""

    def __init__(self, *, credits_pass=False):
        self._credits_pass = credits_pass
        names = ("valid", "ready", "done", "more", "choose")
        super().__init__({"packet": In(LAYOUTS.width), "data": In(32), **{n: In(1) for n in names}})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = Egress(PARAMS)
        axis = dut.axis
        m.d.comb += [
            dut.i.payload.eq(self.packet),
            dut.i.valid.eq(self.valid),
            dut.done.eq(self.done),
            dut.done_data.eq(self.data),
            dut.done_more.eq(self.more),
            axis.tready.eq(self.ready),
            Assume(~ResetSignal()),
        ]
        token = view(LAYOUTS.host_token, self.packet)
        is_credit = (token.kind == Kind.HOST_TOKEN) & token.credit
        accepted = self.valid & dut.i.ready
        answers = self.done & dut.done_ready
        word = Mux(
            answers,
            Cat(self.data[:MARK], ~self.more, Const(OutOp.DONE, 4)),
            Cat(self.packet[:MARK], Const(0, 1), Const(OutOp.PACKET, 4)),
        )
        ledger = Ledger(
            m,
            depth=egress.DEPTH,
            enters=(accepted & (self._credits_pass | ~is_credit)) | answers,
            entry=word,
            leaves=axis.tvalid & self.ready,
            first=Cat(axis.tdata[:MARK], axis.tlast, axis.tdata[OP_OFFSET:]),
            choose=self.choose,
        )
        has_room = ledger.level < egress.DEPTH
        m.d.comb += [
            Assert(dut.level == ledger.level),
            Assert(dut.empty == ~ledger.level.any()),
            Assert(axis.tvalid == ledger.level.any()),
            Assert(dut.i.ready == has_room),
            Assert(dut.done_ready == (has_room & ~self.valid)),
            Assert(dut.credit == (accepted & is_credit)),
            Assert(~dut.credit | (dut.credit_slot == token.slot)),
            Assert(dut.word == (accepted & ~is_credit)),
            Assert(~axis.tvalid | ~axis.tlast | (axis.tdata[OP_OFFSET:] == OutOp.DONE)),
        ]
        payload = Cat(axis.tdata[:MARK], axis.tlast, axis.tdata[OP_OFFSET:])
        held(m, valid=axis.tvalid, ready=self.ready, payload=payload)
        return m


@pytest.fixture(autouse=True)
def short_queues(monkeypatch):
    """Make the queues as short as proofs like them."""
    monkeypatch.setattr(ingress, "DEPTH", 2)
    monkeypatch.setattr(egress, "DEPTH", 4)


def test_words_of_the_host_become_packets_in_order():
    prove(IngressProof(), seconds=300)


def test_packets_become_words_of_the_host_in_order():
    prove(EgressProof(), seconds=300)


@pytest.mark.parametrize(
    "wrong",
    [
        partial(IngressProof, step_offset=1),
        partial(IngressProof, bad_waits=True),
        partial(EgressProof, credits_pass=True),
    ],
    ids=["slot", "bad word", "credits"],
)
def test_what_is_not_so_of_the_bridge_is_refuted(wrong):
    with pytest.raises(AssertionError, match="an assertion fails in cycle"):
        prove(wrong())
