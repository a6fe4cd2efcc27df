"""Where a packet goes: dimension-order product multicast, as `docs/hardware/array.md` states it."""

from enum import IntEnum

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from talon.arch.packet import PacketLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.shapes import view


class Port(IntEnum):
    """Ports of a router; a packet that enters by one moves away from it."""

    NORTH = 0
    EAST = 1
    SOUTH = 2
    WEST = 3
    LOCAL = 4


SOURCES: dict[Port, tuple[Port, ...]] = {
    Port.NORTH: (Port.EAST, Port.SOUTH, Port.WEST, Port.LOCAL),
    Port.EAST: (Port.WEST, Port.LOCAL),
    Port.SOUTH: (Port.NORTH, Port.EAST, Port.WEST, Port.LOCAL),
    # From the south only what leaves the mesh for the host at router (0, 0).
    Port.WEST: (Port.EAST, Port.SOUTH, Port.LOCAL),
    Port.LOCAL: (Port.NORTH, Port.EAST, Port.SOUTH, Port.WEST, Port.LOCAL),
}
"""Ports that can send to each output; the turns that dimension order forbids are not built."""


class Route(wiring.Component):
    """Find the outputs of a packet that entered a router by ``port``, combinationally.

    Kinds for the host never enter by the west or north port: the host bridge refuses to send them
    and they move west, then north. There they would have no output, and be discarded.

    Members
    -------
    packet : :py:`In(width)`
        The packet.
    x, y : :py:`In(bits)`
        Position of the router.
    outputs : :py:`Out(5)`
        One bit a :class:`Port`.
    """

    packet: Signal
    x: Signal
    y: Signal
    outputs: Signal

    def __init__(self, params: ArrayParams, port: Port) -> None:
        self._layout = PacketLayouts(params)
        self._port = port
        super().__init__(
            {
                "packet": In(unsigned(self._layout.width)),
                "x": In(bits_for(params.columns)),
                "y": In(bits_for(params.rows)),
                "outputs": Out(5),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        west, here_x, east = self._split("xmask", self.x)
        north, here_y, south = self._split("ymask", self.y)
        along_row = self._port in (Port.EAST, Port.WEST, Port.LOCAL)
        turn = here_x if along_row else 1

        core_bound = {
            Port.NORTH: turn & north if self._port is not Port.NORTH else 0,
            Port.EAST: east if along_row and self._port is not Port.EAST else 0,
            Port.SOUTH: turn & south if self._port is not Port.SOUTH else 0,
            Port.WEST: west if along_row and self._port is not Port.WEST else 0,
            Port.LOCAL: turn & here_y,
        }
        go_north = (self.x == 0) & (self.y != 0)
        host_bound = dict.fromkeys(Port, 0)
        if self._port in (Port.EAST, Port.SOUTH, Port.LOCAL):
            host_bound |= {Port.NORTH: go_north, Port.WEST: ~go_north}

        is_host = self.packet[2]  # kinds from HOST_SPIKE on
        m.d.comb += self.outputs.eq(
            Cat(Mux(is_host, host_bound[port], core_bound[port]) for port in Port)
        )
        return m

    def _split(self, mask: str, position: Value) -> tuple[Value, Value, Value]:
        """Return whether bits of ``mask`` are set below, at and above ``position``."""
        bits = view(self._layout.spike, self.packet)[mask]
        # The last position has nothing beyond it; comparing with it would be constant.
        before = [position > i for i in range(len(bits) - 1)]
        at = Cat(position == i for i in range(len(bits)))
        below = Cat(*before, Const(0, 1))
        return (bits & below).any(), (bits & at).any(), (bits & ~(below | at)).any()
