"""A tile: one router and one neuron core."""

from typing import Protocol

from amaranth.hdl import Module, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.packet import PacketLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.noc.route import Port
from talon_hdl.noc.router import Router

NEIGHBOURS = (Port.NORTH, Port.EAST, Port.SOUTH, Port.WEST)


class Core(Protocol):
    """What a tile asks of a core; `talon_hdl.core.core.NeuronCore` tells what the members mean."""

    i: stream.Interface
    o: stream.Interface
    x: Signal
    y: Signal
    state_reset: Signal
    idle: Signal
    error: Signal

    def elaborate(self, platform) -> Module: ...


class Tile(wiring.Component):
    """Join a core to the local port of a router.

    Members
    -------
    i, o : :py:`In(stream).array(4), Out(...)`
        Packets from and to the neighbours, by :class:`talon_hdl.noc.route.Port`.
    x, y : :py:`In(bits)`
        Column and row.
    state_reset : :py:`In(1)`
        Strobe: reset the state of the core.
    idle, error : :py:`Out(1)`
        No packet and no work is held here; the core reports an error.
    """

    i: list[stream.Interface]
    o: list[stream.Interface]
    x: Signal
    y: Signal
    state_reset: Signal
    idle: Signal
    error: Signal

    def __init__(self, params: ArrayParams, core: Core) -> None:
        self._params = params
        self._core = core
        packets = stream.Signature(unsigned(PacketLayouts(params).width))
        super().__init__(
            {
                "i": In(packets).array(len(NEIGHBOURS)),
                "o": Out(packets).array(len(NEIGHBOURS)),
                "x": In(bits_for(params.columns)),
                "y": In(bits_for(params.rows)),
                "state_reset": In(1),
                "idle": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.router = router = Router(self._params)
        m.submodules.neurons = core = self._core
        for port in NEIGHBOURS:
            wiring.connect(m, wiring.flipped(self.i[port]), router.i[port])
            wiring.connect(m, router.o[port], wiring.flipped(self.o[port]))
        local_i, local_o = router.i[Port.LOCAL], router.o[Port.LOCAL]
        m.d.comb += [
            # By value: the core may see a packet as a structure.
            Value.cast(core.i.payload).eq(local_o.payload),
            core.i.valid.eq(local_o.valid),
            local_o.ready.eq(core.i.ready),
            local_i.payload.eq(Value.cast(core.o.payload)),
            local_i.valid.eq(core.o.valid),
            core.o.ready.eq(local_i.ready),
            router.x.eq(self.x),
            router.y.eq(self.y),
            core.x.eq(self.x),
            core.y.eq(self.y),
            core.state_reset.eq(self.state_reset),
            self.idle.eq(router.idle & core.idle),
            self.error.eq(core.error),
        ]
        return m
