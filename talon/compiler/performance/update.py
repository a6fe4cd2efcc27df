"""Updates of groups: when rows are fetched, and when the packets of their neurons are ready.

It follows ``docs/hardware/neuron_engine.md``: rows wait for the serializer, which has a neuron, an
item on its way and a packet on offer, each no further than there is room.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import Emit
from talon.arch.params import ArrayParams, bits_for
from talon.compiler.performance.emission import READ_OUT, Packet
from talon.compiler.performance.senders import Group

Lanes = NDArray[np.int64]
Fetch = Callable[[Iterable[int]], None]

Update = Callable[[int], Generator[tuple[int, Packet], int, int]]
"""Given when the last packet was taken, gives those of an update, and when a token may follow."""

TO_FETCH = 1
"""Cycles from a start to the first row of accumulators."""

TO_PACKET = 25
"""Cycles from a start to the first packet, if the first neuron sends one."""

TO_TOKEN = 23
"""Cycles of a group without packets, from its start to its first token, besides those of beats."""

SKIPPED = 3
"""The same of a group that updates once, in a later timestep."""

CURRENT = 4
"""Further cycles of an update where cores have synaptic currents."""

SCAN = 1
"""Further cycles of an update where cores have feature maps: the scan loads."""

WINDOWS = 1
"""The same behind its fetches: windows take a stage."""

LOOKUP = 1
"""The same where graded groups may have tables."""

BEATS = 32
"""Beats of an update that may be under way."""

ROW_LATENCY = 24
"""On arrays with feature maps, cycles of a row from which follows how many may be under way."""

FETCH_TO_TAKEN = 23
"""Cycles from the fetch of a row to the next fetch that its first beat, once taken, allows."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Cycles of an update: a row each ``per_row``, no more than ``n_ahead`` rows ahead."""

    per_row: int
    n_ahead: int
    to_fetch: int
    to_packet: int
    to_token: int
    skipped: int = SKIPPED

    def update(self, group: Group, lanes: Lanes, time: int, fetch: Fetch) -> Update:
        """Update a group from its start on: fetch its rows, as far as no packet is in the way.

        Rows wait where the serializer is behind: a row may be fetched when the last neuron of the
        row ``n_ahead`` before it was taken from its beat. What is returned gives the packets of
        the lanes, and fetches the other rows.
        """
        row_of = [*(group.beat[lanes] // self.per_row).tolist(), group.n_rows]
        rows = _Rows(self, group.n_rows, time + self.to_fetch)
        fetch(rows.fetches(row_of[0] + self.n_ahead, time))
        return partial(self._packets, group, lanes, time, fetch, rows, row_of)

    def _packets(
        self,
        group: Group,
        lanes: Lanes,
        time: int,
        fetch: Fetch,
        rows: _Rows,
        row_of: list[int],
        taken: int,
    ) -> Generator[tuple[int, Packet], int, int]:
        items = self._items(group, lanes, time, fetch, rows, row_of, taken)
        ready, packet = next(items)
        while packet is not None:
            offered = max(ready, taken + 1)
            # Neurons move up while a packet waits, so what they leave is known before it is taken.
            following = items.send((offered, taken))
            taken = yield offered, packet
            ready, packet = following
        token = time + self.to_token + group.n_rows * self.per_row + rows.late(group.n_rows - 1)
        return max(token, ready + 1)

    def _items(
        self,
        group: Group,
        lanes: Lanes,
        time: int,
        fetch: Fetch,
        rows: _Rows,
        row_of: list[int],
        taken: int,
    ) -> Generator[tuple[int, Packet | None], tuple[int, int], None]:
        """Give each packet with when it is ready, and get when it is offered, and what is now.

        Of a neuron each route is an item, whether it holds the neuron or not: it is ready when the
        one before it is offered, or dropped. When the last item of a neuron is ready, the next
        neuron leaves its beat. All times are those of packets that nothing holds up. Nothing with
        the last time of all follows in the end.
        """
        n = lanes.size
        takes = [(way, way.taken[lanes].tolist()) for way in group.ways]
        if group.emit is Emit.READOUT:
            takes = [(READ_OUT, [True] * n)]
        takes = takes or [(READ_OUT, [False] * n)]
        first, beats = time + self.to_packet, group.beat[lanes].tolist()
        ready = gone = time
        now = max(time, taken)

        def leave(k: int) -> int:
            row = row_of[k]
            left = max(first + beats[k] + rows.late(row), ready + 1)
            rows.left(row, left - first)
            fetch(rows.fetches(row_of[k + 1] + self.n_ahead, now))
            return left

        following = leave(0) if n else time
        for k, lane in enumerate(lanes.tolist()):
            left = following
            for j, (way, takes_it) in enumerate(takes, 1):
                ready = gone = max(left, gone + 1)
                if j == len(takes) and k + 1 < n:
                    following = leave(k + 1)
                if takes_it[k]:
                    gone, now = yield ready, Packet(way, lane)
        yield gone, None


class _Rows:
    """Which rows of an update wait, and for how long: a row whose beats are late holds others."""

    def __init__(self, pace: Pace, n_rows: int, first: int) -> None:
        self._pace, self._n_rows, self._first = pace, n_rows, first
        self._slack = pace.n_ahead * pace.per_row - FETCH_TO_TAKEN
        self._stalls: list[tuple[int, int]] = []  # from a row on, by so many cycles
        self._fetched = 0
        self._fetch_stall = self._late = 0
        self._at = self._fetch_at = 0

    def left(self, row: int, time: int) -> None:
        """Note when a neuron of a row left its beat, counted from the first packet there can be."""
        late = time - row * self._pace.per_row - self._slack
        if late > (self._stalls[-1][1] if self._stalls else 0):
            self._stalls.append((row + self._pace.n_ahead, late))

    def late(self, row: int) -> int:
        """Return by how much a row is late; rows must be asked for in order."""
        while self._at < len(self._stalls) and self._stalls[self._at][0] <= row:
            self._late = self._stalls[self._at][1]
            self._at += 1
        return self._late

    def fetches(self, end: int, now: int) -> list[int]:
        """Return when the rows before ``end`` are fetched that were not told yet, from now on."""
        found: list[int] = []
        for row in range(self._fetched, min(end, self._n_rows)):
            while self._fetch_at < len(self._stalls) and self._stalls[self._fetch_at][0] <= row:
                self._fetch_stall = self._stalls[self._fetch_at][1]
                self._fetch_at += 1
            found.append(max(now, self._first + row * self._pace.per_row + self._fetch_stall))
            now = found[-1] + 1
        self._fetched = max(self._fetched, min(end, self._n_rows))
        return found


def pace_of(params: ArrayParams) -> Pace:
    """Return the pace of the cores of an array."""
    beats = max(1, params.lanes // params.update_lanes)
    extra = CURRENT if params.synaptic_current else 0
    if not params.has_maps:
        return Pace(
            per_row=beats,
            n_ahead=BEATS // beats,
            to_fetch=TO_FETCH,
            to_packet=TO_PACKET + extra,
            to_token=TO_TOKEN + extra,
        )
    per_row = max(2, beats)
    extra += SCAN + WINDOWS + LOOKUP * params.table_activation
    return Pace(
        per_row=per_row,
        n_ahead=(1 << bits_for(ROW_LATENCY // per_row + 2)) - 1,
        to_fetch=TO_FETCH + SCAN,
        to_packet=TO_PACKET + extra,
        to_token=TO_TOKEN + extra,
    )
