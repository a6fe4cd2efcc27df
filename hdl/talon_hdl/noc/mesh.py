"""The mesh: columns x rows instances of one tile module."""

from amaranth.hdl import ClockSignal, Const, Instance, Module, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.packet import PacketLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.noc.route import Port
from talon_hdl.noc.tile import NEIGHBOURS

TILE = "talon_tile"
"""Verilog module of a tile. It is written once and placed often, which keeps text, simulators and
synthesis small: Amaranth alone would write one module for each place."""

SETTLE = 8
"""Cycles after which ``idle`` surely tells of a packet that entered the mesh or of a state reset:
one for the strobe to reach the cores, one for a core to look busy, two for what it reports to
arrive here; doubled."""

_OPPOSITE = {
    Port.NORTH: Port.SOUTH,
    Port.SOUTH: Port.NORTH,
    Port.EAST: Port.WEST,
    Port.WEST: Port.EAST,
}
_STEP = {Port.NORTH: (0, -1), Port.SOUTH: (0, 1), Port.EAST: (1, 0), Port.WEST: (-1, 0)}


class Mesh(wiring.Component):
    """Place and join the tiles.

    *Idle.* Every tile derives ``idle`` from the registers that hold its packets. A packet that
    moves from one tile to another leaves the first and enters the second at the same clock edge,
    so at each instant one of them holds it. All tiles are sampled at the same edge and their
    answers travel through the same number of registers: what comes out here is true of all of the
    mesh at one instant, and no packet can slip through between two samples.

    Members
    -------
    i, o : :py:`In(stream), Out(stream)`
        The west port of router (0, 0).
    state_reset : :py:`In(1)`
        Strobe: reset the state of every core.
    reset : :py:`In(1)`
        Hold every tile in reset.
    idle, error : :py:`Out(1)`
        All tiles were idle at one instant two cycles ago; a core reports an error.
    """

    i: stream.Interface
    o: stream.Interface
    state_reset: Signal
    reset: Signal
    idle: Signal
    error: Signal

    def __init__(self, params: ArrayParams) -> None:
        self._params = params
        self._packets = stream.Signature(unsigned(PacketLayouts(params).width))
        super().__init__(
            {
                "i": In(self._packets),
                "o": Out(self._packets),
                "state_reset": In(1),
                "reset": In(1),
                "idle": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        # A stage of its own: the strobe reaches every corner of the device.
        state_reset, reset = Signal(), Signal(init=1)
        m.d.sync += [state_reset.eq(self.state_reset), reset.eq(self.reset)]

        tiles = [self._params.position(number) for number in range(self._params.n_cores)]
        leaving = {
            (x, y, port): self._packets.create(path=(f"from_{x}_{y}_{port.name.lower()}",))
            for x, y in tiles
            for port in NEIGHBOURS
        }
        # The other ports at the edges stay without a neighbour: no route leads there.
        outside = (0, 0, Port.WEST)
        m.d.comb += [
            self.o.payload.eq(leaving[outside].payload),
            self.o.valid.eq(leaving[outside].valid),
            leaving[outside].ready.eq(self.o.ready),
        ]

        idle, error = Signal(len(tiles)), Signal(len(tiles))
        for number, (x, y) in enumerate(tiles):
            tile_idle, tile_error = Signal(name=f"idle_{x}_{y}"), Signal(name=f"error_{x}_{y}")
            links = {}
            for port in NEIGHBOURS:
                entering = self._entering(leaving, x, y, port)
                links |= _connections("i", port, entering) | _connections(
                    "o", port, leaving[x, y, port]
                )
            m.submodules[f"tile_{x}_{y}"] = Instance(
                TILE,
                i_clk=ClockSignal(),
                i_rst=reset,
                i_x=Const(x, bits_for(self._params.columns)),
                i_y=Const(y, bits_for(self._params.rows)),
                i_state_reset=state_reset,
                o_idle=tile_idle,
                o_error=tile_error,
                **links,
            )
            m.d.sync += [idle[number].eq(tile_idle), error[number].eq(tile_error)]
        m.d.sync += [self.idle.eq(idle.all()), self.error.eq(error.any())]
        return m

    def _entering(self, leaving, x: int, y: int, port: Port) -> stream.Interface:
        """Return the stream that enters tile (x, y) by ``port``."""
        if (x, y, port) == (0, 0, Port.WEST):
            return self.i
        dx, dy = _STEP[port]
        nothing = self._packets.create(path=(f"none_{x}_{y}_{port.name.lower()}",))
        return leaving.get((x + dx, y + dy, _OPPOSITE[port]), nothing)


def _connections(side: str, port: Port, packets: stream.Interface) -> dict[str, Value]:
    """Return the instance arguments that join ``packets`` to port ``side`` of a tile."""
    forward, back = ("i", "o") if side == "i" else ("o", "i")
    name = f"{side}_{port.value}"
    return {
        f"{forward}_{name}_payload": packets.payload,
        f"{forward}_{name}_valid": packets.valid,
        f"{back}_{name}_ready": packets.ready,
    }
