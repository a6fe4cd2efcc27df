"""Rows of an update: when each is fetched, as there is room for its beats, and a number for it.

It follows ``docs/hardware/neuron_engine.md``. The time of a beat is that of the first packet that
its neurons could give, if nothing is in its way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heappop, heappush, nsmallest

BEATS = 32
"""Beats of an update that may be under way, those included that wait to be sent."""

TAKEN_TO_FETCH = 2
"""Cycles from a fetch that a beat makes room for to the time at which its last neuron leaves."""

SILENT_TO_FETCH = 3
"""The same of a beat with nothing to send: to its own time."""

Fetch = Callable[[Iterable[int]], None]
"""Told ascending times of fetches, none of them past."""

Later = Callable[[int, Callable[[int], None]], None]
"""Calls something at a time."""


@dataclass(frozen=True, kw_only=True)
class RowPace:
    """What rows take: one each ``per_row`` cycles, of ``n_beats`` beats.

    A beat's time is ``to_beat`` after the fetch of its row, besides its place there. Of ``n_ahead``
    rows behind one another the last waits until no neuron of the first is left, if rows have
    numbers; where they have none it is None.
    """

    per_row: int
    n_beats: int
    to_beat: int
    n_ahead: int | None = None

    @property
    def to_end(self) -> int:
        """Cycles from the fetch of the last row to the first token, if it sends nothing."""
        return self.to_beat + self.n_beats - 2

    @property
    def counts_beats(self) -> bool:
        """Tell whether rows may wait for room: not where numbers let too few go for that."""
        return self.n_ahead is None or self.n_ahead * self.n_beats > BEATS


class Rows:
    """The rows of one update: fetched as soon as it is certain when.

    Neurons leave in order. Each fetch is told when nothing that is still unknown can change it, or
    just before it happens.

    Parameters
    ----------
    pace
        What they take.
    n_rows
        How many there are.
    first
        When the first is fetched.
    beats
        Beat of each neuron that has something to send, counted in cycles of ``pace.per_row`` a row.
    fetch, later
        See :data:`Fetch` and :data:`Later`.
    """

    def __init__(
        self,
        pace: RowPace,
        n_rows: int,
        first: int,
        beats: list[int],
        *,
        fetch: Fetch,
        later: Later,
    ) -> None:
        self._pace, self._n_rows, self._fetch, self._later = pace, n_rows, fetch, later
        self._beats = beats
        self._row_of = [*(beat // pace.per_row for beat in beats), n_rows]
        self._times: list[int] = []
        self._next = first
        self._gone = 0  # neurons that left
        self._left = 0  # when the last of them did
        self._ends: deque[tuple[int, int]] = deque()  # rows, and when a neuron of them left
        self._wanted: dict[int, set[int]] = {}
        if pace.counts_beats:
            for row, beat in zip(self._row_of, beats, strict=False):
                self._wanted.setdefault(row, set()).add(beat - row * pace.per_row)
        self._free: list[int] = []  # a heap: when places become free, of those not counted yet
        self._n_free = BEATS
        self._due = -1

    def time(self, k: int) -> int:
        """Return the time of the beat of a neuron, which is the next one to leave."""
        row = self._row_of[k]
        return self._times[row] + self._pace.to_beat + self._beats[k] - row * self._pace.per_row

    def left(self, k: int, time: int, now: int) -> None:
        """Note when a neuron leaves its beat."""
        self._gone, self._left = k + 1, time
        row = self._row_of[k]
        is_last = k + 1 == len(self._beats) or self._beats[k + 1] != self._beats[k]
        if is_last and self._pace.counts_beats:
            heappush(self._free, time - TAKEN_TO_FETCH)
        if self._row_of[k + 1] != row and self._pace.n_ahead is not None:
            self._ends.append((row, time - TAKEN_TO_FETCH))
        self.follow(now)

    def end(self) -> int:
        """Return when all beats are gone, once all neurons are."""
        return max(self._left, self._times[-1] + self._pace.to_end)

    def follow(self, now: int) -> None:
        """Fetch what is certain at a time."""
        told: list[int] = []
        while len(self._times) < self._n_rows:
            time = self._certain(len(self._times), now)
            if time is None:
                break
            self._note(len(self._times), time)
            told.append(time)
        if told:
            self._fetch(told)

    def _note(self, row: int, time: int) -> None:
        pace = self._pace
        self._times.append(time)
        self._next = time + pace.per_row
        if pace.counts_beats:
            self._n_free -= pace.n_beats
            wanted = self._wanted.get(row, ())
            free = time + pace.to_beat - SILENT_TO_FETCH
            for i in range(pace.n_beats):
                if i not in wanted:
                    heappush(self._free, free + i)

    def _certain(self, row: int, now: int) -> int | None:
        """Return when a row is fetched, or None if that is not known yet."""
        pace, holding, time = self._pace, self._row_of[self._gone], self._next
        if pace.n_ahead is not None:
            last = row - pace.n_ahead
            if holding <= last:
                return None
            while self._ends and self._ends[0][0] <= last:
                time = max(time, self._ends.popleft()[1])
            self._next = time
        if not pace.counts_beats:
            return time
        free = self._free
        while free and free[0] <= time:
            heappop(free)
            self._n_free += 1
        missing = pace.n_beats - self._n_free
        if missing <= 0:
            return time
        if missing > len(free):
            return None
        time = nsmallest(missing, free)[-1]
        # A neuron that has not left yet may make room before that; it leaves when a packet is
        # taken, in this cycle at the earliest.
        if holding < row and time > now + 1:
            if time != self._due:
                self._due = time
                self._later(time - 1, self.follow)
            return None
        return time
