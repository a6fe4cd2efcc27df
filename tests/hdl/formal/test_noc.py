"""The halves of a router, proved: nothing lost, doubled, overtaken, misled or starved.

A packet may be marked A, and a later one B; as the circuit does not look at the mark, what is true
of these two is true of any two. That an input does right by any route, and that the route is right,
are proved apart.
"""

from functools import partial

import pytest
from amaranth.hdl import Array, Assert, Assume, Cat, Const, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from talon.arch.packet import PacketLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.noc.ports import InputPort, OutputPort
from talon_hdl.noc.route import SOURCES, Port, Route
from talon_hdl.shapes import view
from talon_hdl.testing import prove

pytestmark = pytest.mark.cosim

PARAMS = ArrayParams(columns=3, rows=2, n_neurons=16, lanes=4, update_lanes=1)
LAYOUTS = PacketLayouts(PARAMS)
A, B = 1, 2


def mark_of(packet):
    """Return the two bits that mark a packet: bits of the index, which routers do not look at."""
    return view(LAYOUTS.spike, packet).index[:2]


def steps(m, packet, port, x, y):
    """Return the outputs of a packet: one step on the way to each core that it is for."""
    fields = view(LAYOUTS.spike, packet)
    found = {output: Const(0) for output in Port}
    for column in range(PARAMS.columns):
        ahead_x = {Port.WEST: column >= x, Port.EAST: column <= x, Port.LOCAL: 1}
        column_on = fields.xmask[column] & ahead_x.get(port, x == column)
        found[Port.EAST] |= column_on & (x < column)
        found[Port.WEST] |= column_on & (x > column)
        for row in range(PARAMS.rows):
            ahead_y = {Port.NORTH: row >= y, Port.SOUTH: row <= y}.get(port, 1)
            here = column_on & (x == column) & fields.ymask[row] & ahead_y
            found[Port.NORTH] |= here & (y > row)
            found[Port.SOUTH] |= here & (y < row)
            found[Port.LOCAL] |= here & (y == row)
    may_be_host = port in (Port.EAST, Port.SOUTH, Port.LOCAL)
    north = (x == 0) & (y != 0)
    to_host = {Port.NORTH: north, Port.WEST: ~north} if may_be_host else {}
    is_host = packet[2]
    outputs = Signal(len(Port))
    m.d.comb += outputs.eq(
        Cat(Mux(is_host, to_host.get(output, 0), found[output]) for output in Port)
    )
    return outputs


class RouteProof(wiring.Component):
    """The outputs of a packet are the first steps to its cores."""

    def __init__(self, port, *, taken_for=None):
        self._port = port
        self._spec = port if taken_for is None else taken_for
        super().__init__(
            {
                "packet": In(LAYOUTS.width),
                "x": In(bits_for(PARAMS.columns)),
                "y": In(bits_for(PARAMS.rows)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = Route(PARAMS, self._port)
        fields = view(LAYOUTS.spike, self.packet)
        m.d.comb += [
            dut.packet.eq(self.packet),
            dut.x.eq(self.x),
            dut.y.eq(self.y),
            Assume(self.x < PARAMS.columns),
            Assume(self.y < PARAMS.rows),
            # With no row at all a packet still runs along its row, to be discarded at its end.
            Assume(fields.ymask.any() | self.packet[2]),
        ]
        if self._port in (Port.NORTH, Port.SOUTH):  # it turned into the column it is for
            m.d.comb += Assume(fields.xmask.bit_select(self.x, 1) | self.packet[2])
        m.d.comb += Assert(dut.outputs == steps(m, self.packet, self._spec, self.x, self.y))
        return m


class AnyRoute(wiring.Component):
    """A route that stands in the packet itself: any at all."""

    packet: In(LAYOUTS.width)
    x: In(bits_for(PARAMS.columns))
    y: In(bits_for(PARAMS.rows))
    outputs: Out(5)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.outputs.eq(route_of(self.packet))
        return m


def route_of(packet):
    return view(LAYOUTS.spike, packet).index[2:7]


class InputPortProof(wiring.Component):
    """Each packet is offered to exactly the outputs of its route, once, in order."""

    def __init__(self, output, *, fault=False):
        self._output, self._fault = output, fault
        super().__init__({"packet": In(LAYOUTS.width), "valid": In(1), "taken": In(5)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = InputPort(PARAMS, AnyRoute())
        m.d.comb += [
            dut.i.payload.eq(self.packet),
            dut.i.valid.eq(self.valid),
            dut.taken.eq(self.taken),
            Assume(~ResetSignal()),
            Assume((self.taken & ~dut.pending) == 0),
        ]
        mark, left_mark = Signal(2), Signal(2)
        m.d.comb += [mark.eq(mark_of(self.packet)), left_mark.eq(mark_of(dut.packet))]
        entered = self.valid & dut.i.ready
        wanted = route_of(self.packet)[self._output]
        left = self.taken[self._output]

        sent, due, seen = (Signal(2, name=name) for name in ("sent", "due", "seen"))
        for i, value in enumerate((A, B)):
            with m.If(entered & (mark == value)):
                m.d.sync += [sent[i].eq(1), due[i].eq(wanted ^ (i if self._fault else 0))]
            with m.If(left & (left_mark == value)):
                m.d.sync += seen[i].eq(1)
                m.d.comb += Assert(sent[i] & due[i] & ~seen[i])
            m.d.comb += [
                Assume(~(entered & (mark == value) & sent[i])),
                Assert(dut.busy | ~due[i] | seen[i]),
            ]
        m.d.comb += [Assume(~(entered & (mark == B) & ~sent[0])), Assume(mark != 3)]
        with m.If(left & (left_mark == B)):
            m.d.comb += Assert(seen[0] | ~due[0])
        self._offers_stay(m, dut)
        return m

    def _offers_stay(self, m, dut):
        waiting, packet = Signal(5), Signal(2)
        m.d.sync += [waiting.eq(dut.pending & ~self.taken), packet.eq(mark_of(dut.packet))]
        m.d.comb += Assert((waiting & ~dut.pending) == 0)
        with m.If(waiting.any()):
            m.d.comb += Assert(packet == mark_of(dut.packet))


class OutputPortProof(wiring.Component):
    """Of those who ask one is taken, whole and steadily; nobody waits for more than one round."""

    def __init__(self, n_sources, *, others=None):
        self._n = n_sources
        self._others = n_sources - 1 if others is None else others
        super().__init__(
            {
                "marks": In(n_sources),
                "request": In(n_sources),
                "ready": In(1),
                "one": In(range(n_sources)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = OutputPort(PARAMS, self._n)
        accepted = dut.o.valid & self.ready
        m.d.comb += [
            dut.request.eq(self.request),
            dut.o.ready.eq(self.ready),
            *(packet.eq(mark) for packet, mark in zip(dut.packet, self.marks, strict=True)),
            Assume(~ResetSignal()),
            Assume(self.one < self._n),
            Assert((dut.taken & ~self.request) == 0),
            Assert((dut.taken & (dut.taken - 1)[: self._n]) == 0),
            Assert(accepted == dut.taken.any()),
            Assert(dut.o.valid == self.request.any()),
            Assert(~accepted | (dut.o.payload[0] == (dut.taken & self.marks).any())),
        ]

        begun, one, marks = Signal(), Signal.like(self.one), Signal.like(self.marks)
        waiting, offered, mark = Signal(self._n), Signal(), Signal()
        m.d.sync += [
            begun.eq(1),
            one.eq(self.one),
            marks.eq(self.marks),
            waiting.eq(self.request & ~dut.taken),
            offered.eq(dut.o.valid & ~self.ready),
            mark.eq(dut.o.payload[0]),
        ]
        m.d.comb += [
            Assume(~begun | (one == self.one)),
            Assume((waiting & ~self.request) == 0),
            Assume((waiting & (marks ^ self.marks)) == 0),
            Assert(~offered | (dut.o.valid & (dut.o.payload[0] == mark))),
        ]

        others = Signal(range(2 * self._n))  # taken while `one` waits
        asks, takes = (Array(bits)[self.one] for bits in (self.request, dut.taken))
        with m.If(~asks | takes):
            m.d.sync += others.eq(0)
        with m.Elif(accepted):
            m.d.sync += others.eq(others + 1)
        m.d.comb += Assert(others <= self._others)
        return m


@pytest.mark.parametrize("port", list(Port), ids=lambda port: port.name)
def test_the_route_is_a_step_to_each_core(port):
    prove(RouteProof(port))


@pytest.mark.parametrize("output", [0, 4])
def test_an_input_offers_each_packet_to_its_route_once_in_order(output):
    prove(InputPortProof(output), seconds=300)


@pytest.mark.parametrize(
    "faulty",
    [
        partial(InputPortProof, 0, fault=True),
        partial(RouteProof, Port.WEST, taken_for=Port.LOCAL),
        partial(RouteProof, Port.NORTH, taken_for=Port.SOUTH),
        partial(OutputPortProof, 4, others=2),
    ],
    ids=["input", "route west", "route north", "output"],
)
def test_what_is_not_so_is_refuted(faulty):
    with pytest.raises(AssertionError, match="an assertion fails in cycle"):
        prove(faulty())


@pytest.mark.parametrize("n_sources", sorted({len(sources) for sources in SOURCES.values()}))
def test_an_output_takes_one_steadily_and_in_turn(n_sources):
    prove(OutputPortProof(n_sources))
