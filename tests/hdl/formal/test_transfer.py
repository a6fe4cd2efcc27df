"""The host bridge with an array behind it, proved: answers, permits, and that DONE means done."""

from dataclasses import replace
from functools import partial

import pytest
from amaranth.hdl import Assert, Assume, Cat, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from talon.arch.packet import OP_OFFSET, InOp, Kind, OutOp, PacketLayouts
from talon.arch.params import preset
from talon_hdl.bridge import egress, ingress
from talon_hdl.bridge.host_bridge import HostBridge
from talon_hdl.bridge.transfer import Transfer
from talon_hdl.properties import Ledger, held
from talon_hdl.shapes import view
from talon_hdl.testing import prove

pytestmark = pytest.mark.cosim
N_SLOTS = 2
PARAMS = replace(preset("tiny_1x1"), n_slots=N_SLOTS, max_delay=0)
LAYOUTS = PacketLayouts(PARAMS)
SETTLE = 2


class Host(wiring.Component):
    """A transfer between free streams; what is said of it is added by :meth:`say`."""

    def __init__(self):
        names = ("valid", "ready", "packet_valid", "packet_ready", "idle", "choose")
        packets = {"word": In(64), "packet": In(LAYOUTS.width)}
        super().__init__({**packets, **{name: In(1) for name in names}})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = Transfer(PARAMS, settle=SETTLE)
        m.d.comb += [
            dut.s_axis.tdata.eq(self.word),
            dut.s_axis.tvalid.eq(self.valid),
            dut.m_axis.tready.eq(self.ready),
            dut.i.payload.eq(self.packet),
            dut.i.valid.eq(self.packet_valid),
            dut.o.ready.eq(self.packet_ready),
            dut.array_idle.eq(self.idle),
            Assume(~ResetSignal()),
        ]
        self.say(m, dut)
        return m


class AnswerProof(Host):
    """Each SYNC is answered by one DONE, in order, with TLAST unless more follow."""

    def __init__(self, *, tlast_for_more=False):
        self._tlast_for_more = tlast_for_more
        super().__init__()

    def say(self, m, dut):
        axis = dut.m_axis
        op = self.word[OP_OFFSET:]
        Ledger(
            m,
            depth=ingress.DEPTH + egress.DEPTH,
            enters=self.valid & dut.s_axis.tready & (op == InOp.SYNC),
            entry=~self.word[1] | self._tlast_for_more,
            leaves=axis.tvalid & self.ready & (axis.tdata[OP_OFFSET:] == OutOp.DONE),
            first=axis.tlast,
            choose=self.choose,
        )
        payload = Cat(axis.tdata[:4], axis.tlast, axis.tdata[OP_OFFSET:])
        held(m, valid=axis.tvalid, ready=self.ready, payload=payload)
        m.d.comb += dut.n_dests.eq(0)


class EmptyProof(Host):
    """At DONE, and when a SYNC resets the state, nothing is left in the array.

    The array takes packets, holds some, gives some back, and works on a reset of its state for a
    while; it says that it is idle ``late`` cycles after it is.
    """

    def __init__(self, *, late=SETTLE):
        self._late = late
        super().__init__()

    def say(self, m, dut):
        inside, resetting = Signal(2), Signal()
        enters, leaves = dut.o.valid & self.packet_ready, dut.i.valid & dut.i.ready
        m.d.sync += inside.eq(inside + enters - leaves)
        with m.If(dut.state_reset):
            m.d.sync += resetting.eq(1)
        with m.Elif(self.choose):
            m.d.sync += resetting.eq(0)
        idle = ~inside.any() & ~resetting
        for _ in range(self._late):
            earlier, idle = idle, Signal()
            m.d.sync += idle.eq(earlier)
        offered = Signal()
        m.d.sync += offered.eq(dut.i.valid & ~dut.i.ready)
        m.d.comb += [
            dut.n_dests.eq(0),
            Assume(self.idle == idle),
            Assume(~enters | (inside < 3)),
            Assume(~dut.i.valid | inside.any()),
            Assume(~offered | dut.i.valid),
            Assert(~dut.done | (~inside.any() & ~resetting)),
            Assert(~dut.state_reset | ~inside.any()),
            Assert(~dut.idle | (~inside.any() & ~resetting)),
        ]


class PermitProof(Host):
    """No event leaves before every receiver has given the CREDIT of its step.

    The receiver permits ``n_slots`` steps at start, and one more for each that it has finished.
    """

    def __init__(self, *, n_slots=N_SLOTS):
        self._said = n_slots
        super().__init__()

    def say(self, m, dut):
        shape = range(4 * N_SLOTS)
        given, before, begun = Signal(shape), Signal(shape), Signal()
        token = view(LAYOUTS.host_token, self.packet)
        is_credit = (token.kind == Kind.HOST_TOKEN) & token.credit
        op = self.word[OP_OFFSET:]
        finished = dut.i.valid & dut.i.ready & is_credit
        is_open = (dut.step[: len(given)] - given)[: len(given)]  # steps that are not finished
        waits = Signal()
        m.d.sync += [
            begun.eq(1),
            given.eq(given + finished),
            before.eq(is_open),
            waits.eq(dut.o.valid & ~dut.o.ready),
        ]
        m.d.comb += [
            dut.reset.eq(~begun),
            dut.n_dests.eq(1),
            *(init.eq(1) for init in dut.permit_init),
            Assume(~is_credit | (token.slot == given[: len(token.slot)])),
            Assume(~finished | is_open.any()),
            # Other packets would pass at any time.
            Assume((op == InOp.EVENT) | (op == InOp.EVENT_LAST)),
            Assert(is_open <= N_SLOTS),
            # An event that is new here has left its queue in the cycle before.
            Assert(~dut.o.valid | waits | (before < self._said)),
        ]


class ResetProof(wiring.Component):
    """Behind a cycle of reset nothing is offered: no response, no word, no packet.

    ``everything`` claims of the reset of the array what holds of that of AXI alone.
    """

    def __init__(self, *, everything=False):
        self._everything = everything
        names = ("tvalid", "tready", "awvalid", "wvalid", "bready", "arvalid", "rready", "i_valid")
        buses = {"word": In(64), "data": In(32), "address": In(12), "packet": In(LAYOUTS.width)}
        super().__init__({**buses, **{name: In(1) for name in names}})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = HostBridge(PARAMS, settle=SETTLE)
        lite, out = dut.s_axil, dut.m_axis
        held_in_reset = Signal(reset_less=True)
        array_held = Signal(reset_less=True)
        m.d.sync += [held_in_reset.eq(ResetSignal()), array_held.eq(dut.array_reset)]
        m.d.comb += [
            dut.s_axis.tdata.eq(self.word),
            dut.s_axis.tvalid.eq(self.tvalid),
            out.tready.eq(self.tready),
            *(getattr(lite, n).eq(self.address) for n in ("awaddr", "araddr")),
            lite.wdata.eq(self.data),
            lite.wstrb.eq(15),
            *(getattr(lite, n).eq(getattr(self, n)) for n in _LITE),
            dut.i.payload.eq(self.packet),
            dut.i.valid.eq(self.i_valid),
            dut.array_idle.eq(1),
            Assert(~held_in_reset | ~(lite.bvalid | lite.rvalid | out.tvalid | dut.o.valid)),
            Assert(~array_held | ~(out.tvalid | dut.o.valid)),
        ]
        if self._everything:
            m.d.comb += Assert(~array_held | ~(lite.bvalid | lite.rvalid))
        return m


_LITE = ("awvalid", "wvalid", "bready", "arvalid", "rready")


@pytest.fixture(autouse=True)
def short_queues(monkeypatch):
    """Make the queues as short as proofs like them."""
    monkeypatch.setattr(ingress, "DEPTH", 2)
    monkeypatch.setattr(egress, "DEPTH", 2)


def test_each_sync_is_answered_once():
    prove(AnswerProof(), seconds=300)


def test_done_says_that_the_array_is_empty():
    prove(EmptyProof(), seconds=300)


def test_no_event_leaves_without_its_permits():
    prove(PermitProof(), seconds=300)


def test_nothing_is_offered_behind_a_reset():
    prove(ResetProof())


@pytest.mark.parametrize(
    "wrong",
    [
        partial(AnswerProof, tlast_for_more=True),
        partial(EmptyProof, late=SETTLE + 1),
        partial(PermitProof, n_slots=1),
        partial(ResetProof, everything=True),
    ],
    ids=["tlast", "settle", "permits", "reset"],
)
def test_what_is_not_so_of_a_transfer_is_refuted(wrong):
    with pytest.raises(AssertionError, match="an assertion fails in cycle"):
        prove(wrong())
