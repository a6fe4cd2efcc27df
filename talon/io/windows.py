"""A stream of events cut into timesteps, as it comes and with bounded memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from talon.io.events import EVENT_DTYPE, Events, check_events


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """The events of one timestep.

    Attributes
    ----------
    index
        Number of the timestep, from 0.
    t_start, t_end
        Its span in microseconds of the events' clock, the end exclusive.
    events
        Its events, in the order of time.
    n_waiting
        Events that have come already and are of later timesteps.
    n_late, n_ahead, n_full
        Events that were dropped since the window before: they came when their timestep was over;
        they were further ahead than is plausible; there was no room.
    """

    index: int
    t_start: int
    t_end: int
    events: Events
    n_waiting: int
    n_late: int
    n_ahead: int
    n_full: int


class TimeWindows:
    """Cuts a stream into windows of equal length; iterate over it once.

    A window ends when an event comes that is later, when the source ends, or, with ``wait_us``,
    when the clock says so: then a timestep without events takes no longer than any other.

    Parameters
    ----------
    source
        Arrays of events, roughly in the order of time; an empty one tells that nothing is there,
        and is a look at the clock.
    length_us
        Length of a window in microseconds, at least 1.
    start_us
        Time of the first window; by default that of the first event.
    delay_us
        Time by which events may come late: a window ends when one comes that is so much later.
    wait_us
        Microseconds of the clock after which a window ends, counted from its own end; the clock
        starts with the first event, and is set back when events come late. None waits for events.
    max_waiting
        Events that are held at most; what comes when there is no room is dropped.
    max_ahead_us
        Time by which an event may be ahead of all others; what is further is damaged, and dropped.
        By default a million windows.
    clock
        Seconds of a clock that does not go back.

    Raises
    ------
    EventError
        While iterating: the source gives something else than events.
    """

    def __init__(
        self,
        source: Iterable[Any],
        length_us: int,
        *,
        start_us: int | None = None,
        delay_us: int = 0,
        wait_us: float | None = None,
        max_waiting: int = 1 << 20,
        max_ahead_us: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        ahead = 1_000_000 * length_us if max_ahead_us is None else max_ahead_us
        for name, value, least in (
            ("length_us", length_us, 1),
            ("start_us", start_us or 0, 0),
            ("delay_us", delay_us, 0),
            ("wait_us", wait_us or 0, 0),
            ("max_waiting", max_waiting, 1),
            ("max_ahead_us", ahead, 1),
        ):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        self._source, self._length, self._delay = source, int(length_us), int(delay_us)
        self._wait_us, self._max_waiting, self._ahead = wait_us, max_waiting, ahead
        self._clock = clock
        self._start = start_us
        self._index = 0
        self._newest = -1
        self._began: float | None = None
        self._waiting: Events = np.empty(0, EVENT_DTYPE)
        self._dropped = {"n_late": 0, "n_ahead": 0, "n_full": 0}

    @property
    def began(self) -> float | None:
        """What the clock said at the start of the first window, as it is set now."""
        return self._began

    def __iter__(self) -> Iterator[Window]:
        """Give the windows, one after the other, empty ones between events among them."""
        for chunk in self._source:
            events = check_events(chunk)
            # One look at the clock a chunk: whoever is slow with windows must still read. And only
            # a source that has nothing to give is one that nothing has come to.
            now = self._clock()
            if events.size:
                self._take(events, now)
            while self._is_over(None if events.size else now):
                yield self._cut()
        while self._waiting.size:
            yield self._cut()

    def _take(self, events: Events, now: float) -> None:
        t = events["t"]
        if self._start is None:
            self._start = int(t.min())
        if self._began is None:
            self._began = now
        late = t < np.uint64(min(self._begin(), 2**64 - 1))
        limit = max(self._newest, self._begin()) + self._ahead
        ahead = t > np.uint64(min(limit, 2**64 - 1))
        self._dropped["n_late"] += int(np.count_nonzero(late))
        self._dropped["n_ahead"] += int(np.count_nonzero(ahead))
        if late.any():
            self._set_back(int(t[~ahead].max(initial=0)), now)
        if late.any() or ahead.any():
            events = events[~(late | ahead)]
        room = self._max_waiting - self._waiting.size
        if events.size > room:
            self._dropped["n_full"] += events.size - room
            events = events[:room]
        if not events.size:
            return
        joined = np.concatenate([self._waiting, events]) if self._waiting.size else events.copy()
        t = joined["t"]
        if np.any(t[1:] < t[:-1]):
            joined = joined[np.argsort(t, kind="stable")]
        self._waiting = joined
        self._newest = int(joined["t"][-1])

    def _begin(self) -> int:
        assert self._start is not None
        return self._start + self._index * self._length

    def _set_back(self, newest: int, now: float) -> None:
        """Let the clock say the time of the newest event: the source is later than it was.

        Otherwise all that it sends from now on would be late as well.
        """
        assert self._start is not None and self._began is not None
        self._began = max(self._began, now - (newest - self._start) / 1e6)

    def _is_over(self, now: float | None) -> bool:
        if self._start is None or self._began is None:
            return False
        end = self._begin() + self._length
        if self._newest >= end + self._delay:
            return True
        if self._wait_us is None or now is None:
            return False
        passed = 1e6 * (now - self._began)
        return passed >= (self._index + 1) * self._length + self._wait_us

    def _cut(self) -> Window:
        begin = self._begin()
        end = begin + self._length
        t = self._waiting["t"]
        n = self._waiting.size if end > 2**64 - 1 else int(np.searchsorted(t, np.uint64(end)))
        events, self._waiting = self._waiting[:n], self._waiting[n:]
        window = Window(
            index=self._index,
            t_start=begin,
            t_end=end,
            events=events,
            n_waiting=self._waiting.size,
            **self._dropped,
        )
        self._index += 1
        self._dropped = dict.fromkeys(self._dropped, 0)
        return window
