"""Token synchronisation, proved: nobody runs ahead of what permits it, and nobody waits for ever.

The schedulers of the cores and the permits of the host are the gateware's own, loaded and reset as
a driver does it. Between them stand channels that hold a token for as long as they like, and
engines that take for a timestep as long as they like.
"""

from dataclasses import dataclass
from functools import partial

import pytest
from amaranth.hdl import Assert, Assume, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from talon.arch.memories import MemoryLayouts
from talon.arch.params import ArrayParams
from talon_hdl.bridge.permits import Permits
from talon_hdl.neuron.scheduler import GroupScheduler
from talon_hdl.shapes import packed
from talon_hdl.testing import prove

pytestmark = pytest.mark.cosim

HOST = 0
"""Number of the host among the nodes; the groups follow."""
PATIENCE = 6
"""Cycles within which a core begins a timestep that it may begin, or says that it waits."""


@dataclass(frozen=True, kw_only=True)
class Edge:
    """``source`` feeds ``target``, ``delay`` timesteps later."""

    source: int
    target: int
    delay: int = 0


ONE = (Edge(source=HOST, target=1),)
CHAIN = (*ONE, Edge(source=1, target=2))
JOIN = (*CHAIN, Edge(source=HOST, target=2))
LOOP = (*CHAIN, Edge(source=2, target=1, delay=1))
SELF = (*ONE, Edge(source=1, target=1, delay=2))


class SmallCounts(ArrayParams):
    """Counts of tokens have two bits."""

    count_width = 2


class Node:
    """What host and groups have in common: they begin a timestep, send its tokens, and end it."""

    def __init__(self, number, modulus):
        def signal(name, shape=1):
            return Signal(shape, name=f"{name}_{number}")

        self.begun = signal("begun", range(modulus))
        self.sent = signal("sent", range(modulus))
        self.begins, self.waits, self.ends = signal("begins"), signal("waits"), signal("ends")
        self.busy, self.has_sent = signal("busy"), signal("has_sent")

    def connect(self, m, sends, finishes):
        now = self.busy & ~self.has_sent & sends
        m.d.comb += self.ends.eq(self.busy & (self.has_sent | now) & finishes)
        with m.If(now):
            m.d.sync += [self.has_sent.eq(1), self.sent.eq(self.sent + 1)]
        with m.If(self.begins):
            m.d.sync += [self.busy.eq(1), self.has_sent.eq(0), self.begun.eq(self.begun + 1)]
        with m.Elif(self.ends):
            m.d.sync += self.busy.eq(0)


class TokenProof(wiring.Component):
    """Host and groups with the tokens of ``edges``.

    A core starts nothing without its tokens, starts all that it may within a few cycles, and never
    do all wait: nobody begins a timestep, nothing is under way, no token is in flight.

    ``cores`` tells which groups share a core; by default each has one of its own.
    ``ahead`` is by how many timesteps it is said that a sender may be before its receiver;
    ``granted`` tells for how many a CREDIT is there at start.
    """

    def __init__(self, edges, *, n_slots, cores=None, ahead=None, granted=None):
        self._edges, self._n_slots = edges, n_slots
        self._ahead = n_slots if ahead is None else ahead
        self._granted = n_slots if granted is None else granted
        self._n_nodes = 1 + max(edge.target for edge in edges)
        groups = range(1, self._n_nodes)
        self._cores = tuple((group,) for group in groups) if cores is None else cores
        self._params = SmallCounts(
            n_groups=max(map(len, self._cores)),
            **dict.fromkeys(("columns", "rows", "weight_words", "n_edges"), 1),
            **dict.fromkeys(("n_routes", "n_tokens"), 1),
            **dict.fromkeys(("n_neurons", "lanes", "update_lanes"), 4),
            n_slots=n_slots,
            max_delay=0,
        )
        self._modulus = 2 * n_slots
        picks = In(range(2 * len(edges))).array(1 + len(self._cores))
        free = {name: In(self._n_nodes) for name in ("begin", "send", "finish")}
        super().__init__({"pick": picks, **free})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += Assume(~ResetSignal())
        self._nodes = [Node(number, self._modulus) for number in range(self._n_nodes)]
        self._came = {
            (i, credit): Signal(range(self._modulus), name=f"came_{i}_{credit}")
            for i in range(len(self._edges))
            for credit in (0, 1)
        }
        n_entries = self._params.n_groups * (1 + self._n_slots)
        boot = Signal(range(n_entries + 2))
        up = boot == n_entries + 1
        with m.If(~up):
            m.d.sync += boot.eq(boot + 1)
        self._host(m, up)
        for number, groups in enumerate(self._cores, 1):
            self._core(m, number, groups, boot, up, reset=boot == n_entries)
        for node, sends, finishes in zip(self._nodes, self.send, self.finish, strict=True):
            node.connect(m, sends, finishes)
        self._limits(m)
        in_flight = [self._open(*key).any() for key in self._came]
        stuck = up
        for node in self._nodes:
            stuck &= node.waits
        for each in in_flight:
            stuck &= ~each
        m.d.comb += Assert(~stuck)
        return m

    def _open(self, i, credit):
        """Return how many tokens of an edge are on their way."""
        edge = self._edges[i]
        sent = self._nodes[edge.target if credit else edge.source].sent
        return (sent - self._came[i, credit])[: len(sent)]

    def _tokens(self, m, pick, nodes, up, ready):
        """Let one token come to one of ``nodes``; return whether it does, its node and contents."""
        valid, credit, slot = Signal(), Signal(), Signal(range(self._n_slots))
        index = Signal(range(max(2, len(nodes))))
        for (i, is_credit), came in self._came.items():
            edge = self._edges[i]
            node = edge.source if is_credit else edge.target
            first = -edge.delay if is_credit else edge.delay
            if node in nodes:
                with m.If(up & (pick == 2 * i + is_credit) & self._open(i, is_credit).any()):
                    m.d.comb += [valid.eq(1), credit.eq(is_credit), slot.eq(came + first)]
                    m.d.comb += index.eq(nodes.index(node))
                    m.d.sync += came.eq(came + ready)
        return valid, index, slot, credit

    def _at_start(self, number, slot):
        """Return the counts of a slot that are granted at start: END_OF_STEPs and CREDITs."""
        ends = [edge.delay > slot for edge in self._edges if edge.target == number]
        credits = [
            slot < self._granted - edge.delay for edge in self._edges if edge.source == number
        ]
        return sum(ends), sum(credits)

    def _host(self, m, up):
        m.submodules.permits = permits = Permits(self._params)
        node = self._nodes[HOST]
        comes, _, slot, _ = self._tokens(m, self.pick[HOST], (HOST,), up, 1)
        m.d.comb += [
            permits.reset.eq(~up),
            permits.n_dests.eq(sum(edge.source == HOST for edge in self._edges)),
            permits.slot.eq(node.begun),
            permits.credit.eq(comes),
            permits.credit_slot.eq(slot),
            permits.take.eq(node.begins),
            node.begins.eq(up & ~node.busy & permits.granted & self.begin[HOST]),
            node.waits.eq(~node.busy & ~permits.granted),
        ]
        for slot, init in enumerate(permits.init):
            m.d.comb += init.eq(self._at_start(HOST, slot)[1])

    def _core(self, m, number, groups, boot, up, *, reset):
        m.submodules[f"core_{number}"] = core = GroupScheduler(self._params)
        self._load(m, core, groups, boot)
        nodes = [self._nodes[node] for node in groups]
        comes, group, slot, credit = self._tokens(
            m, self.pick[number], groups, up, core.token.ready
        )
        busy, ends = Signal(), Signal()
        for each in nodes:
            m.d.comb += each.waits.eq(core.quiet)
            with m.If(each.busy):
                m.d.comb += busy.eq(1)
            with m.If(each.ends):
                m.d.comb += ends.eq(1)
        for index, each in enumerate(nodes):
            begun = each.begun[: len(core.run.slot)]
            m.d.comb += [
                each.begins.eq(core.start & (core.run.group == index)),
                Assert(~each.begins | (~busy & (core.run.slot == begun))),
            ]
        m.d.comb += [
            core.sweep_rows.eq(len(groups)),
            core.reset.eq(reset),
            core.enable.eq(up),
            core.done.eq(ends),
            core.token.valid.eq(comes),
            core.token.payload.group.eq(group),
            core.token.payload.slot.eq(slot),
            core.token.payload.credit.eq(credit),
        ]
        patience = Signal(range(PATIENCE + 2))
        with m.If(comes | busy | core.start | core.quiet | core.closed | ~up):
            m.d.sync += patience.eq(0)
        with m.Else():
            m.d.sync += patience.eq(patience + 1)
        m.d.comb += Assert(patience <= PATIENCE)

    def _load(self, m, core, groups, boot):
        """Write the descriptors of all groups, and what is granted to them at start."""
        layouts, n_groups = MemoryLayouts(self._params), self._params.n_groups
        for index, number in enumerate(groups):
            group = {
                "n_neurons": 1,
                "n_sources": sum(edge.target == number for edge in self._edges),
                "n_dests": sum(edge.source == number for edge in self._edges),
            }
            _entry(m, core.groups, boot == index, index, packed(layouts.group, group))
            for slot in range(self._n_slots):
                counts = dict(zip(("sources", "dests"), self._at_start(number, slot), strict=True))
                entry = index * self._n_slots + slot
                _entry(
                    m, core.grants, boot == n_groups + entry, entry, packed(layouts.init, counts)
                )

    def _limits(self, m):
        """Let a timestep begin only when its inputs have come and its receivers gave room for it.

        The counts between the two say what has been sent, and come, and been used: all of them
        between nothing and the slots.
        """
        for i, edge in enumerate(self._edges):
            source, target = self._nodes[edge.source], self._nodes[edge.target]
            ahead = self._ahead - edge.delay
            inputs, inputs_here, room, room_here = (Signal(range(self._modulus)) for _ in range(4))
            m.d.comb += [
                inputs.eq(source.sent + edge.delay - target.begun),
                inputs_here.eq(self._came[i, 0] + edge.delay - target.begun),
                room.eq(target.sent + ahead - source.begun),
                room_here.eq(self._came[i, 1] + ahead - source.begun),
                Assert(inputs_here <= inputs),
                Assert(inputs <= self._n_slots),
                Assert(room_here <= room),
                Assert(room <= self._n_slots),
                Assert(~target.begins | inputs_here.any()),
                Assert(~source.begins | room_here.any()),
            ]
        for node in self._nodes:
            under_way = (node.begun - node.sent)[: len(node.begun)]
            m.d.comb += Assert(under_way == (node.busy & ~node.has_sent))


def _entry(m, port, when, number, value):
    """Write an entry of a memory."""
    with m.If(when):
        m.d.comb += [port.en.eq(1), port.w_en.eq(1), port.addr.eq(number), port.w_data.eq(value)]


def test_a_timestep_waits_for_its_tokens_and_for_no_more():
    prove(TokenProof(CHAIN, n_slots=2), seconds=300)


def test_groups_of_one_core_wait_for_their_own_tokens():
    prove(TokenProof(CHAIN, n_slots=2, cores=((1, 2),)), seconds=300)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("edges", "n_slots", "cores"),
    [
        (LOOP, 2, None),
        (CHAIN, 4, None),
        (ONE, 4, None),
        (SELF, 4, None),
        (JOIN, 2, None),
        (JOIN, 2, ((1, 2),)),
    ],
    ids=["loop", "chain", "one", "self", "join", "join in a core"],
)
def test_tokens_of_loops_and_of_more_slots_and_receivers(edges, n_slots, cores):
    prove(TokenProof(edges, n_slots=n_slots, cores=cores), seconds=3000)


@pytest.mark.parametrize(
    "wrong",
    [
        partial(TokenProof, CHAIN, n_slots=2, ahead=1),
        partial(TokenProof, CHAIN, n_slots=2, granted=0),
        partial(TokenProof, LOOP, n_slots=2, granted=3),
        partial(TokenProof, (*ONE, Edge(source=1, target=1)), n_slots=2),
    ],
    ids=["one slot ahead", "no credit", "a credit too many", "loop without delay"],
)
def test_what_is_not_so_of_tokens_is_refuted(wrong):
    with pytest.raises(AssertionError, match="an assertion fails in cycle"):
        prove(wrong())
