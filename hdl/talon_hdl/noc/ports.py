"""The two halves of a router: what holds packets, and what chooses between them."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.packet import PacketLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.noc.route import Route

DEPTH = 4
"""Packets that an input holds besides the one at its head."""


class InputPort(wiring.Component):
    """Queue the packets of one input and offer the first to the outputs it still has to reach.

    The route is found while a packet moves from the queue to the head, so that arbitration starts
    from registers. The branches of a fork are taken one by one, in any order; the head makes
    room in the cycle that takes the last, so a packet can leave every cycle.

    ``route``, a :class:`talon_hdl.noc.route.Route` or like it, becomes a part of this.

    Members
    -------
    i : :py:`In(stream)`
        Packets from the neighbour.
    x, y : :py:`In(bits)`
        Position of the router.
    packet : :py:`Out(width)`
        The packet at the head.
    pending : :py:`Out(5)`
        Outputs, one bit a :class:`talon_hdl.noc.route.Port`, that have not taken it yet.
    taken : :py:`In(5)`
        Outputs that take it in this cycle.
    busy : :py:`Out(1)`
        A packet is held here: a function of registers alone.
    """

    i: stream.Interface
    x: Signal
    y: Signal
    packet: Signal
    pending: Signal
    taken: Signal
    busy: Signal

    def __init__(self, params: ArrayParams, route: Route) -> None:
        width = PacketLayouts(params).width
        self._route = route
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(width))),
                "x": In(bits_for(params.columns)),
                "y": In(bits_for(params.rows)),
                "packet": Out(unsigned(width)),
                "pending": Out(5),
                "taken": In(5),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.queue = queue = fifo.SyncFIFO(width=len(self.packet), depth=DEPTH)
        m.submodules.route = route = self._route
        m.d.comb += [
            queue.w_data.eq(self.i.payload),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            route.packet.eq(queue.r_data),
            route.x.eq(self.x),
            route.y.eq(self.y),
            self.busy.eq((queue.r_level != 0) | self.pending.any()),
        ]

        left = self.pending & ~self.taken
        m.d.comb += queue.r_en.eq(~left.any())
        with m.If(queue.r_en):
            m.d.sync += [
                self.packet.eq(queue.r_data),
                self.pending.eq(Mux(queue.r_rdy, route.outputs, 0)),
            ]
        with m.Else():
            m.d.sync += self.pending.eq(left)
        return m


class OutputPort(wiring.Component):
    """Send the packets of several inputs to one output, in turn.

    A packet that has been offered stays until it is taken, as the rules of streams demand; after
    that the input next in the circle has the first choice.

    Members
    -------
    packet : :py:`In(width).array(n_sources)`
        Packets at the heads of the inputs.
    request : :py:`In(n_sources)`
        Inputs whose packet has to go to this output.
    taken : :py:`Out(n_sources)`
        The input whose packet is accepted in this cycle.
    o : :py:`Out(stream)`
        To the neighbour.
    """

    packet: list[Signal]
    request: Signal
    taken: Signal
    o: stream.Interface

    def __init__(self, params: ArrayParams, n_sources: int) -> None:
        width = PacketLayouts(params).width
        self._n = n_sources
        super().__init__(
            {
                "packet": In(unsigned(width)).array(n_sources),
                "request": In(n_sources),
                "taken": Out(n_sources),
                "o": Out(stream.Signature(unsigned(width))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        last = Signal(range(self._n))
        choice = Signal.like(last)
        held = Signal()

        with m.Switch(last):
            for current in range(self._n):
                with m.Case(current):
                    # Later assignments win: the successor of `current` comes last.
                    for step in range(self._n, 0, -1):
                        source = (current + step) % self._n
                        with m.If(self.request[source]):
                            m.d.comb += choice.eq(source)
        with m.If(held):
            m.d.comb += choice.eq(last)

        with m.If(self.o.valid):
            m.d.sync += last.eq(choice)
        m.d.sync += held.eq(self.o.valid & ~self.o.ready)
        m.d.comb += [
            self.o.valid.eq(self.request.any()),
            self.o.payload.eq(Array(self.packet)[choice]),
            self.taken.eq(Cat(self.o.valid & self.o.ready & (choice == i) for i in range(self._n))),
        ]
        return m
