"""The mesh for tokens: routers whose inputs and outputs take one packet a cycle."""

from __future__ import annotations

from typing import NamedTuple

from talon.arch.params import ArrayParams

ROUTER = 2
"""Cycles of a packet in a router, and from its arrival at an input to the head of it."""

_EAST, _WEST, _NORTH, _SOUTH, _CORE = range(5)
_OPPOSITE = {_EAST: _WEST, _WEST: _EAST, _NORTH: _SOUTH, _SOUTH: _NORTH}
_STEP = {_EAST: (1, 0), _WEST: (-1, 0), _NORTH: (0, -1), _SOUTH: (0, 1)}


class Place(NamedTuple):
    """An input of a router: its column and row, and the port."""

    x: int
    y: int
    port: int


class Mesh:
    """When each input and output of the routers is free, by the rules of dimension order.

    Packets must be passed on in the order of time. One holds its input until all branches of a
    fork have taken it.
    """

    def __init__(self, params: ArrayParams) -> None:
        self._columns = params.columns
        self._inputs: dict[Place, float] = {}
        self._outputs: dict[Place, float] = {}

    def entrance(self, sender: int) -> Place:
        """Return where packets of a core, or of the host (-1), enter."""
        core = max(sender, 0)
        port = _WEST if sender < 0 else _CORE
        return Place(core % self._columns, core // self._columns, port)

    def pass_on(
        self, place: Place, xmask: int, ymask: int, time: float
    ) -> list[tuple[float, Place | None]]:
        """Return when and where a packet that comes to an input comes next; None: to its end.

        Without masks it goes to the host.
        """
        if xmask:
            outs = self._branches(place, xmask, ymask)
        else:
            outs = [_WEST if place.x else _NORTH if place.y else _WEST]
        head = max(time + ROUTER, self._inputs.get(place, 0.0))
        found: list[tuple[float, Place | None]] = []
        for out in outs:
            key = Place(place.x, place.y, out)
            at = max(head, self._outputs.get(key, 0.0))
            self._outputs[key] = at + 1
            is_end = out == _CORE or (not xmask and not place.x and not place.y)
            found.append((at, None if is_end else _next(place, out)))
        self._inputs[place] = max((at for at, _ in found), default=head) + 1
        return found

    def _branches(self, place: Place, xmask: int, ymask: int) -> list[int]:
        """Return the outputs that a multicast takes, by ``docs/hardware/array.md``, "The mesh"."""
        x, y, port = place
        outs: list[int] = []
        if port not in (_NORTH, _SOUTH):
            if port != _EAST and xmask >> (x + 1):
                outs.append(_EAST)
            if port != _WEST and xmask & ((1 << x) - 1):
                outs.append(_WEST)
            if not xmask >> x & 1:
                return outs
        if port != _NORTH and ymask & ((1 << y) - 1):
            outs.append(_NORTH)
        if port != _SOUTH and ymask >> (y + 1):
            outs.append(_SOUTH)
        if ymask >> y & 1:
            outs.append(_CORE)
        return outs


def _next(place: Place, out: int) -> Place:
    """Return the input that an output leads to."""
    dx, dy = _STEP[out]
    return Place(place.x + dx, place.y + dy, _OPPOSITE[out])
