"""A core's input: packets wait for a place in its queue, the decoder, then the row streamer."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.number[Any]]

PIPELINE = 5
"""Cycles from a packet that the decoder takes to its first row."""

JOBS = 16
"""Packets between the decoder and the streamer."""

_SIDES = 5
_NONE = np.zeros(0)
_NOTHING = np.zeros((5, 0))
_ARRIVAL, _DECODE, _STREAM, _LAG, _TOKEN = range(5)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pass:
    """What becomes of all that waits: columns of items in the order of their entry, and times.

    ``entry`` is when they get a place in the queue, ``left`` when they leave it, ``starts`` when
    their rows begin.
    """

    items: Times
    ports: NDArray[np.int64]
    entry: Times
    left: Times
    starts: Times


class SynapseQueue:
    """Packets of one core, taken in as time goes on.

    Where the queue is full, the ports of the router take turns, and at a port those who send.
    The decoder takes a packet every
    ``decode`` cycles, the streamer spends ``stream`` cycles on it; fetches of updates go before
    rows, and so push them back.

    Parameters
    ----------
    depth
        Places in the queue.
    sides
        Of each sender, by which port of the core's router its packets come.
    """

    def __init__(self, depth: int, sides: tuple[int, ...]) -> None:
        self._depth = depth
        self._n_ports = n_ports = len(sides)
        self._sides = sides
        self._ports: list[list[Times]] = [[] for _ in range(n_ports)]
        self._earliest = np.inf
        self._decoder_free = 0.0
        self._streamer_free = 0.0
        self._side = 0  # whose turn it is
        self._turns = [0] * _SIDES
        self._fetches = _NONE
        self._left = np.full(depth, -np.inf)  # of the last packets that were taken in
        self._starts = np.full(JOBS, -np.inf)
        self._through: dict[int, float] = {}  # tokens that were taken in

    def add(self, port: int, arrival: Times, decode: Times, stream: Times, lag: Times) -> None:
        """Let packets come to a port at ascending times."""
        if arrival.size:
            token = np.full(arrival.size, -1.0)
            self._ports[port].append(np.stack([arrival, decode, stream, lag, token]))
            self._earliest = min(self._earliest, float(arrival[0]))

    def add_token(self, port: int, arrival: float, number: int) -> float | None:
        """Let a token come to a port; return when it is through if nothing is before it."""
        if self._earliest == np.inf and self._left[0] <= arrival:
            taken = max(arrival, self._decoder_free, float(self._starts[0]))
            self._decoder_free = taken + 1
            start = max(taken + PIPELINE, self._streamer_free)
            fetches = self._fetches
            if fetches.size and fetches[-1] >= taken:
                start = float(self._streamed(np.array([taken + PIPELINE]), np.ones(1))[0])
            self._streamer_free = start + 1
            self._took(port)
            self._left = np.append(self._left[1:], taken)
            self._starts = np.append(self._starts[1:], start)
            self._through[number] = start
            return start
        self._ports[port].append(np.array([[arrival], [1.0], [1.0], [0.0], [float(number)]]))
        self._earliest = min(self._earliest, arrival)
        return None

    def add_fetches(self, times: Times) -> None:
        """Let an update fetch rows; what came before its start must have been taken in."""
        if not times.size:
            return
        self._fetches = np.concatenate([self._fetches[self._fetches >= times[0] - 64], times])
        self._streamer_free = _pushed(self._streamer_free, times)
        for number, at in self._through.items():
            self._through[number] = _pushed(at, times)

    def take_in(self, until: float) -> tuple[dict[int, float], float]:
        """Take in what gets a place by a time.

        Returns
        -------
        tuple
            Tokens among it, with the times when they are through, which :meth:`token_time` may put
            off; and when the next token that has come gets its place, infinite if none waits.
        """
        if self._earliest > until:
            return {}, np.inf
        found = self._pass(until)
        n = int(np.searchsorted(found.entry, until, side="right"))
        tokens = found.items[_TOKEN]
        waiting = np.flatnonzero(tokens[n:] >= 0)
        again = float(found.entry[n + waiting[0]]) if waiting.size else np.inf
        if not n:
            return {}, again
        self._left = np.concatenate([self._left, found.left[:n]])[-self._depth :]
        self._starts = np.concatenate([self._starts, found.starts[:n]])[-JOBS:]
        items = found.items[:, :n]
        taken = found.left[n - 1]
        self._decoder_free = float(taken + items[_DECODE, -1])
        self._streamer_free = self._ended(found.starts[n - 1], items[_STREAM, -1])
        for port in found.ports[max(0, n - self._n_ports) : n].tolist():
            self._took(port)
        self._drop(found.ports[:n])
        here = np.flatnonzero(items[_TOKEN] >= 0)
        came = {int(items[_TOKEN, i]): float(found.starts[i]) for i in here}
        self._through |= came
        return came, again

    def token_time(self, number: int) -> float:
        """Return when a token that was taken in is through, as far as known."""
        return self._through[number]

    def drop_token(self, number: int) -> None:
        """Forget a token that is through."""
        del self._through[number]

    def room_at(self, time: float, port: int, capacity: int) -> float:
        """Return when no more than ``capacity`` packets that have come to a port wait for a place.

        Those count that have come by ``time``.
        """
        waiting = sum(items.shape[1] for parts in self._ports for items in parts)
        if not waiting or self._earliest > time:
            return time
        if waiting <= self._depth and self._left[waiting - 1] <= time:  # all have a place
            return time
        found = self._pass(time)
        entry = found.entry[found.ports == port]
        if entry.size <= capacity:
            return time
        return max(time, float(entry[entry.size - 1 - capacity]))

    def _took(self, port: int) -> None:
        """Give the turn to those who come next."""
        side = self._sides[port]
        self._side = (side + 1) % _SIDES
        self._turns[side] = (port + 1) % self._n_ports

    def _waiting(self, port: int) -> Times:
        """Return the items at a port in the order of their arrival."""
        parts = self._ports[port]
        if not parts:
            return _NOTHING
        if len(parts) > 1:
            items = np.concatenate(parts, axis=1)
            self._ports[port] = parts = [items[:, np.argsort(items[_ARRIVAL], kind="stable")]]
        return parts[0]

    def _drop(self, ports: NDArray[np.int64]) -> None:
        """Drop what was taken in from each port."""
        self._earliest = np.inf
        for port, n in enumerate(np.bincount(ports, minlength=self._n_ports).tolist()):
            if not self._ports[port]:
                continue
            items = self._waiting(port)[:, n:]
            self._ports[port] = [items] if items.shape[1] else []
            if items.shape[1]:
                self._earliest = min(self._earliest, float(items[_ARRIVAL, 0]))

    def _pass(self, until: float) -> _Pass:
        """Return what becomes of all that has come by a time."""
        parts: list[Times] = []
        numbers: list[int] = []
        for port, held in enumerate(self._ports):
            if not held:
                continue
            items = self._waiting(port)
            n = int(np.searchsorted(items[_ARRIVAL], until, side="right"))
            if n:
                parts.append(items[:, :n])
                numbers.append(port)
        if not parts:
            parts, numbers = [_NOTHING], [0]
        is_shared = len(parts) > 1
        items = np.concatenate(parts, axis=1) if is_shared else parts[0]
        ports = np.repeat(numbers, [part.shape[1] for part in parts])
        if is_shared:
            order = np.argsort(items[_ARRIVAL], kind="stable")
            items, ports = items[:, order], ports[order]
        found = self._in_order(items, ports)
        if is_shared and (found.entry > items[_ARRIVAL]).any():
            return self._in_turn(parts, numbers)
        return found

    def _in_order(self, items: Times, ports: NDArray[np.int64]) -> _Pass:
        """Take items in as they stand."""
        n = items.shape[1]
        taken = _served(items[_ARRIVAL], items[_DECODE], self._decoder_free)
        ready = taken + (PIPELINE - 1) + items[_DECODE] + items[_LAG]
        starts = self._streamed(ready, items[_STREAM])
        left = np.maximum(taken, np.concatenate([self._starts, starts])[:n])
        entry = np.maximum(items[_ARRIVAL], np.concatenate([self._left, left])[:n])
        return _Pass(
            items=items,
            ports=ports,
            entry=np.maximum.accumulate(entry) if n else entry,
            left=left,
            starts=starts,
        )

    def _streamed(self, ready: Times, stream: Times) -> Times:
        """Return when rows begin, in the cycles that no fetch takes."""
        fetches, free = self._fetches, self._streamer_free
        if not fetches.size:
            return _served(ready, stream, free)
        starts = _served(
            ready - np.searchsorted(fetches, ready),
            stream,
            free - float(np.searchsorted(fetches, free)),
        )
        gaps = fetches - np.arange(fetches.size)
        return starts + np.searchsorted(gaps, starts, side="right")

    def _ended(self, start: float, stream: float) -> float:
        """Return when rows that begin at a time end."""
        fetches = self._fetches
        if not fetches.size:
            return float(start + stream)
        end = start - float(np.searchsorted(fetches, start)) + stream
        gaps = fetches - np.arange(fetches.size)
        return float(end + np.searchsorted(gaps, end, side="left"))

    def _in_turn(self, parts: list[Times], numbers: list[int]) -> _Pass:
        """Take items in one by one; ports that wait take turns."""
        columns = [part.T.tolist() for part in parts]
        at = [0] * len(parts)
        fetches = self._fetches.tolist()
        gaps = [time - i for i, time in enumerate(fetches)]
        left, starts = self._left.tolist(), self._starts.tolist()
        decoder, now = self._decoder_free, -np.inf
        side, turns, n_ports = self._side, list(self._turns), self._n_ports
        sides = [self._sides[port] for port in numbers]
        streamer = self._streamer_free - bisect_left(fetches, self._streamer_free)
        order: list[list[float]] = []
        ports: list[int] = []
        entries: list[float] = []
        for k in range(sum(map(len, columns))):
            now = max(now, left[k])
            heads = [
                (
                    max(columns[i][at[i]][0], now),
                    (sides[i] - side) % _SIDES,
                    (port - turns[sides[i]]) % n_ports,
                    i,
                )
                for i, port in enumerate(numbers)
                if at[i] < len(columns[i])
            ]
            now, _, _, i = min(heads)
            item, port = columns[i][at[i]], numbers[i]
            at[i] += 1
            side, turns[sides[i]] = (sides[i] + 1) % _SIDES, (port + 1) % n_ports
            taken = max(now, decoder, starts[k])
            decoder = taken + item[_DECODE]
            ready = decoder + (PIPELINE - 1) + item[_LAG]
            start = max(ready - bisect_left(fetches, ready), streamer)
            streamer = start + item[_STREAM]
            order.append(item)
            ports.append(port)
            entries.append(now)
            left.append(taken)
            starts.append(start + bisect_right(gaps, start))
        return _Pass(
            items=np.array(order).T,
            ports=np.array(ports),
            entry=np.array(entries),
            left=np.array(left[self._depth :]),
            starts=np.array(starts[JOBS:]),
        )


def _served(arrival: Times, service: Times, free: float) -> Times:
    """Return the start of service of each that comes, one after the other."""
    before = np.cumsum(service) - service
    return before + np.maximum(np.maximum.accumulate(arrival - before), free)


def _pushed(time: float, fetches: Times) -> float:
    """Return a time of the streamer after the fetches that come before it."""
    gaps = fetches - np.arange(fetches.size)
    return time + float(np.searchsorted(gaps, time, side="left"))
