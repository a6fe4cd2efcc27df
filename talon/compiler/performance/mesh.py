"""The mesh for tokens: routers whose inputs and outputs take one packet a cycle."""

from __future__ import annotations

from talon.arch.params import ArrayParams

ROUTER = 2
"""Cycles of a packet in a router, and from its arrival at an input to the head of it."""

_EAST, _WEST, _NORTH, _SOUTH, _CORE = range(5)
_OPPOSITE = {_EAST: _WEST, _WEST: _EAST, _NORTH: _SOUTH, _SOUTH: _NORTH}
_STEP = {_EAST: (1, 0), _WEST: (-1, 0), _NORTH: (0, -1), _SOUTH: (0, 1)}


class Mesh:
    """When each input and output of the routers is free, by the rules of dimension order.

    A packet holds its input until all branches of a fork have taken it.
    """

    def __init__(self, params: ArrayParams) -> None:
        self._columns, self._rows = params.columns, params.rows
        self._inputs: dict[tuple[int, int, int], float] = {}
        self._outputs: dict[tuple[int, int, int], float] = {}

    def multicast(self, sender: int, xmask: int, ymask: int, time: float) -> dict[int, float]:
        """Return when a packet that a core (or the host, -1) offers comes to each core."""
        x, y = max(sender, 0) % self._columns, max(sender, 0) // self._columns
        found: dict[int, float] = {}
        self._pass(x, y, _WEST if sender < 0 else _CORE, time, xmask, ymask, found)
        return found

    def to_host(self, sender: int, time: float) -> float:
        """Return when a packet that a core offers comes to the host bridge."""
        x, y, port = sender % self._columns, sender // self._columns, _CORE
        while True:
            out = _WEST if x else _NORTH if y else _WEST
            time = self._take((x, y, port), [out], time)[0]
            if not x and not y:
                return time
            dx, dy = _STEP[out]
            x, y, port = x + dx, y + dy, _OPPOSITE[out]

    def _pass(
        self, x: int, y: int, port: int, time: float, xmask: int, ymask: int, found: dict[int, float]
    ) -> None:
        outs = self._branches(x, y, port, xmask, ymask)
        for out, at in zip(outs, self._take((x, y, port), outs, time), strict=True):
            if out == _CORE:
                found[y * self._columns + x] = at
                continue
            dx, dy = _STEP[out]
            self._pass(x + dx, y + dy, _OPPOSITE[out], at, xmask, ymask, found)

    def _branches(self, x: int, y: int, port: int, xmask: int, ymask: int) -> list[int]:
        """Return the outputs that a multicast takes, by ``docs/hardware/array.md``, "The mesh"."""
        outs: list[int] = []
        if port not in (_NORTH, _SOUTH):
            if port != _EAST and xmask >> (x + 1):
                outs.append(_EAST)
            if (port != _WEST) and xmask & ((1 << x) - 1):
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

    def _take(self, place: tuple[int, int, int], outs: list[int], time: float) -> list[float]:
        """Return when a packet that came to an input at a time has left by some outputs."""
        head = max(time + ROUTER, self._inputs.get(place, 0.0))
        left: list[float] = []
        for out in outs:
            key = (place[0], place[1], out)
            at = max(head, self._outputs.get(key, 0.0))
            self._outputs[key] = at + 1
            left.append(at)
        self._inputs[place] = max(left, default=head) + 1
        return left
