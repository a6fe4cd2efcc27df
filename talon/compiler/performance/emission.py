"""What senders send: packets one by one, no earlier than they are ready, and not past who waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import Emit
from talon.arch.params import ArrayParams, bits_for
from talon.compiler.performance.clock import Clock
from talon.compiler.performance.mesh import Input
from talon.compiler.performance.senders import Group, HostPort, TokenWay, Way

Lanes = NDArray[np.int64]

TO_FETCH = 2
"""Cycles from a start to the first row of accumulators."""

TO_PACKET = 26
"""Cycles from a start to the first packet, if the first neuron sends one."""

TO_TOKEN = 24
"""Cycles of a group without packets, from its start to its first token, besides those of beats."""

SKIPPED = 3
"""The same of a group that updates once, in a later timestep."""

CURRENT = 4
"""Further cycles of an update where cores have synaptic currents."""

LOOKUP = 1
"""The same where graded groups may have tables."""

MAPS = 1
"""Further cycles from a start to packets and tokens where cores have feature maps."""

BEATS = 32
"""Beats of an update that may be under way."""

ROW_LATENCY = 24
"""On arrays with feature maps, cycles of a row from which follows how many may be under way."""

FETCH_TO_TAKEN = 23
"""Cycles from the fetch of a row to the next fetch that its first beat, once taken, allows."""

IN_SERIALIZER = 3
"""Packets that a neuron can be taken from its beat ahead of its own."""


class _ReadOut:
    """What values of read-outs take: the way to the host, of all lanes."""

    masks = (0, 0)
    work: Mapping[int, tuple[int, int, list[int]]] = {}


READ_OUT = _ReadOut()


class Packet:
    """A packet of one lane of a route."""

    __slots__ = ("lane", "masks", "way")

    is_token = False

    def __init__(self, way: Way | _ReadOut, lane: int) -> None:
        self.way, self.lane, self.masks = way, lane, way.masks

    def work(self, core: int) -> tuple[int, int, int]:
        """Return cycles of decoder, lag and streamer at a core."""
        decode, lag, stream = self.way.work[core]
        return decode, lag, stream[self.lane]


class TokenPacket:
    """A token for a slot, sent after a timestep."""

    __slots__ = ("masks", "slot", "step", "way")

    is_token = True

    def __init__(self, way: TokenWay, slot: int, step: int) -> None:
        self.way, self.slot, self.step = way, slot, step
        self.masks = (0, 0) if way.host else (way.xmask, way.ymask)

    def work(self, core: int) -> tuple[int, int, int]:
        """Return cycles of decoder, lag and streamer at a core."""
        return 1, 0, 1


Emission = Generator[tuple[int, "Packet | TokenPacket"], int, None]
"""Gives when a packet may be offered, and gets when it was taken."""


class Source:
    """A sender at its entrance to the mesh: one packet a cycle, each until it is taken."""

    __slots__ = ("_clock", "_entrance", "_free", "_message", "_next", "_now")

    def __init__(self, clock: Clock, entrance: Input) -> None:
        self._clock, self._entrance = clock, entrance
        self._next: deque[Emission] = deque()
        self._now: Emission | None = None
        self._message: Packet | TokenPacket | None = None
        self._free = 0

    def send(self, emission: Emission) -> None:
        """Send what an emission gives, behind those before it."""
        self._next.append(emission)
        if self._now is None:
            self._begin()

    def taken(self, time: int) -> None:
        """Note that the packet on offer was taken, and prepare the next."""
        self._free = time + 1
        assert self._now is not None
        try:
            offered, self._message = self._now.send(time)
        except StopIteration:
            self._now = None
            self._begin()
        else:
            self._clock.late(max(offered, self._free), self._offer)

    def _begin(self) -> None:
        while self._next:
            emission = self._next.popleft()
            try:
                offered, self._message = next(emission)
            except StopIteration:
                continue
            self._now = emission
            self._clock.late(max(offered, self._free), self._offer)
            return

    def _offer(self, time: int) -> None:
        if self._entrance.offer(self._message, time, self):
            self.taken(time)


def host_packets(ports: Iterable[HostPort], active: Mapping[str, Lanes]) -> Iterator[Packet]:
    """Give the packets of a step of the host: the k-th event of every route, then the k+1-th."""
    parts = [
        (way, active[port.name][way.taken[active[port.name]]])
        for port in ports
        for way in port.ways
    ]
    if not parts:
        return
    ranks = np.concatenate([np.arange(lines.size) for _, lines in parts])
    number = np.repeat(np.arange(len(parts)), [lines.size for _, lines in parts])
    lanes = np.concatenate([lines for _, lines in parts])
    for i in np.argsort(ranks, kind="stable").tolist():
        yield Packet(parts[number[i]][0], int(lanes[i]))


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Cycles of an update: a row each ``per_row``, no more than ``n_ahead`` rows ahead."""

    per_row: int
    n_ahead: int
    to_packet: int
    to_token: int
    skipped: int = SKIPPED

    def update(
        self,
        group: Group,
        lanes: Lanes,
        time: int,
        fetch: Callable[[Iterable[int]], None],
    ) -> Generator[tuple[int, Packet], int, int]:
        """Update a group from its start on: fetch its rows and give the packets of its lanes.

        Rows wait where the serializer is behind: a row may be fetched when the last neuron of the
        row ``n_ahead`` before it was taken from its beat.

        Returns
        -------
        int
            When the first token may be offered.
        """
        n = lanes.size
        takes = [(way, way.taken[lanes].tolist()) for way in group.ways]
        if group.emit is Emit.READOUT:
            takes = [(READ_OUT, [True] * n)]
        takes = takes or [(READ_OUT, [False] * n)]
        rows = _Rows(self, group.n_rows, time + TO_FETCH)
        first = time + self.to_packet
        step, taken = time, time
        before = deque([time] * IN_SERIALIZER)  # when the last packets were taken
        beats = group.beat[lanes]
        row_of = [*(beats // self.per_row).tolist(), group.n_rows]
        fetch(rows.fetches(row_of[0] + self.n_ahead, time))
        for k, (lane, beat) in enumerate(zip(lanes.tolist(), beats.tolist(), strict=True)):
            row = row_of[k]
            ready = first + beat + rows.late(row)
            step = max(ready, step + 1)
            for j, (way, takes_it) in enumerate(takes):
                if j:
                    step += 1
                if takes_it[k]:
                    step = max(step, taken + 1)
                if not j:
                    # It leaves its beat as soon as there is room in the serializer.
                    left = min(step, max(ready, before[0] + IN_SERIALIZER))
                    rows.left(row, left - first)
                    fetch(rows.fetches(row_of[k + 1] + self.n_ahead, taken))
                if takes_it[k]:
                    taken = yield step, Packet(way, lane)
                    before.append(taken)
                    before.popleft()
        token = time + self.to_token + group.n_rows * self.per_row + rows.late(group.n_rows - 1)
        return max(token, step + 1) if n else token


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
    extra = (CURRENT if params.synaptic_current else 0) + LOOKUP * params.table_activation
    if not params.has_maps:
        return Pace(
            per_row=beats,
            n_ahead=BEATS // beats,
            to_packet=TO_PACKET + extra,
            to_token=TO_TOKEN + extra,
        )
    per_row = max(2, beats)
    return Pace(
        per_row=per_row,
        n_ahead=(1 << bits_for(ROW_LATENCY // per_row + 2)) - 1,
        to_packet=TO_PACKET + extra + MAPS,
        to_token=TO_TOKEN + extra + MAPS,
    )
