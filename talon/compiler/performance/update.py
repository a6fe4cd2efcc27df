"""Updates of groups: when rows are fetched, and when the packets of their neurons are ready.

It follows ``docs/hardware/neuron_engine.md``: rows wait for the serializer, which has a neuron, an
item on its way and a packet on offer, each no further than there is room.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import Emit
from talon.arch.params import ArrayParams, bits_for
from talon.compiler.performance.emission import READ_OUT, Packet
from talon.compiler.performance.rows import Fetch, Later, RowPace, Rows
from talon.compiler.performance.senders import Group

Lanes = NDArray[np.int64]

Update = Callable[[int], Generator[tuple[int, Packet], int, int]]
"""Given when the last packet was taken, gives those of an update, and when a token may follow."""

TO_FETCH = 1
"""Cycles from a start to the first row of accumulators."""

TO_BEAT = 24
"""Cycles from a fetch to the first packet, if the first neuron sends one."""

SKIPPED = 3
"""Cycles from the start of a group that updates once to its first token, in a later timestep."""

CURRENT = 4
"""Further cycles of an update where cores have synaptic currents."""

SCAN = 1
"""Further cycles to the first fetch where cores have feature maps: the scan loads."""

WINDOWS = 1
"""Further cycles behind a fetch there: windows take a stage."""

LOOKUP = 1
"""The same where graded groups may have tables."""

ROW_LATENCY = 24
"""On arrays with feature maps, cycles of a row from which follows how many may be under way."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Cycles of an update: those to its first fetch, and those of its rows."""

    rows: RowPace
    to_fetch: int
    skipped: int = SKIPPED

    def silent(self, n_rows: int) -> int:
        """Return the cycles from a start to the first token, if nothing but tokens is sent."""
        rows = self.rows
        return self.to_fetch + (n_rows - 1) * rows.per_row + rows.to_end

    def update(
        self, group: Group, lanes: Lanes, time: int, *, fetch: Fetch, later: Later
    ) -> Update:
        """Update a group from its start on: fetch its rows, as far as no packet is in the way.

        What is returned gives the packets of the lanes, and fetches the other rows.
        """
        beats = group.beat[lanes].tolist()
        first = time + self.to_fetch
        rows = Rows(self.rows, group.n_rows, first, beats, fetch=fetch, later=later)
        rows.follow(time)
        items = _items(group, lanes, time, rows)
        # The first neuron moves up even if the packets of another group wait before it.
        return partial(_packets, rows, items, next(items))


def _packets(
    rows: Rows, items: Items, following: tuple[int, Packet | None], taken: int
) -> Generator[tuple[int, Packet], int, int]:
    ready, packet = following
    while packet is not None:
        offered = max(ready, taken + 1)
        # Neurons move up while a packet waits, so what they leave is known before it is taken.
        following = items.send((offered, taken))
        taken = yield offered, packet
        ready, packet = following
    return max(rows.end(), ready + 1)


Items = Generator[tuple[int, "Packet | None"], tuple[int, int], None]
"""Gives packets and when they are ready, and gets when they are offered, and what is now."""


def _items(group: Group, lanes: Lanes, time: int, rows: Rows) -> Items:
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
    ready = gone = now = time

    def leave(k: int) -> int:
        left = max(rows.time(k), ready + 1)
        rows.left(k, left, now)
        return left

    following = leave(0) if n else time
    for k, lane in enumerate(lanes.tolist()):
        left = following
        for j, (way, takes_it) in enumerate(takes, 1):
            ready = gone = max(left, gone + 1)
            if j == len(takes) and k + 1 < n:
                following = leave(k + 1)
            if takes_it[k]:
                gone, taken = yield ready, Packet(way, lane)
                now = max(now, taken)
    yield gone, None


def pace_of(params: ArrayParams) -> Pace:
    """Return the pace of the cores of an array."""
    n_beats = params.lanes // params.update_lanes
    if not params.has_maps:
        to_beat = TO_BEAT + CURRENT * params.synaptic_current
        return Pace(
            rows=RowPace(per_row=n_beats, n_beats=n_beats, to_beat=to_beat), to_fetch=TO_FETCH
        )
    per_row = max(2, n_beats)
    return Pace(
        rows=RowPace(
            per_row=per_row,
            n_beats=n_beats,
            to_beat=TO_BEAT + WINDOWS + LOOKUP * params.table_activation,
            n_ahead=(1 << bits_for(ROW_LATENCY // per_row + 2)) - 1,
        ),
        to_fetch=TO_FETCH + SCAN,
    )
