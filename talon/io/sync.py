"""Several sensors on one clock: their offsets and drifts, one stream of all, windows they share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from talon.io.events import EVENT_DTYPE, EventError, Events, check_events, check_sorted
from talon.io.windows import TimeWindows


@dataclass(frozen=True, kw_only=True)
class SensorClock:
    """How the clock of a sensor runs, seen from the clock of reference.

    A sensor says ``offset_us + t * (1 + drift_ppm / 10^6)`` at the time ``t`` of the reference.

    Parameters
    ----------
    offset_us
        What it says at 0, in microseconds.
    drift_ppm
        How much it gains, in microseconds a second.
    """

    offset_us: float = 0.0
    drift_ppm: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.offset_us) and np.isfinite(self.drift_ppm)):
            raise ValueError(f"A clock must have finite offset and drift, got {self}")
        if abs(self.drift_ppm) >= 1e6:
            raise ValueError(f"drift_ppm must be between -10^6 and 10^6, got {self.drift_ppm}")

    def to_reference(self, t: NDArray[np.uint64], what: str = "events") -> NDArray[np.uint64]:
        """Return times of the sensor in those of the reference, to the nearest microsecond.

        Raises
        ------
        EventError
            A time is before 0 of the reference, or not below 2^63.
        """
        if not t.size:
            return t.copy()
        if t.max() >= 1 << 63:
            raise EventError(f"{what} must have times below 2^63 us to be aligned, got {t.max()}")
        # Whole microseconds are subtracted as integers: a float has 53 bits, and times have 63.
        whole = round(self.offset_us)
        since = t.astype(np.int64) - whole
        rate = self.drift_ppm / 1e6
        gained = (since - (self.offset_us - whole)) * (rate / (1 + rate)) + self.offset_us - whole
        found = since - np.rint(gained).astype(np.int64)
        if found.min() < 0:
            raise EventError(
                f"{what} begin {-found.min()} us before 0 of the reference; give it a clock with a "
                "smaller offset_us for all sensors"
            )
        return found.astype(np.uint64)


def fit_clock(sensor_us: ArrayLike, reference_us: ArrayLike) -> tuple[SensorClock, float]:
    """Return the clock of a sensor from moments that both have seen, such as trigger pulses.

    Parameters
    ----------
    sensor_us, reference_us
        Times of the same moments, two at least, on either clock.

    Returns
    -------
    clock
        The one that fits best, by least squares.
    residual_us
        Root of the mean square of what is left, in microseconds.
    """
    y, x = np.asarray(sensor_us, np.float64), np.asarray(reference_us, np.float64)
    if x.ndim != 1 or x.shape != y.shape or x.size < 2 or np.ptp(x) == 0:
        raise ValueError(
            "A clock is fitted to the times of two moments at least, as many of the sensor as of "
            f"the reference; got shapes {y.shape} and {x.shape}"
        )
    middle = x.mean()
    slope = float(((x - middle) * (y - y.mean())).sum() / ((x - middle) ** 2).sum())
    offset = float(y.mean() - slope * middle)
    left = y - (offset + slope * x)
    clock = SensorClock(offset_us=offset, drift_ppm=(slope - 1) * 1e6)
    return clock, float(np.sqrt(np.mean(left**2)))


def align_sensors(
    streams: Mapping[str, Any], clocks: Mapping[str, SensorClock]
) -> dict[str, Events]:
    """Return the events of all sensors with the times of the reference.

    Parameters
    ----------
    streams
        Events by sensor.
    clocks
        The clock of each; a sensor that is not here is on that of the reference.
    """
    unknown = sorted(set(clocks) - set(streams))
    if unknown:
        raise ValueError(f"Clocks must be of {sorted(streams)}, not of {unknown}")
    aligned: dict[str, Events] = {}
    for name, given in streams.items():
        events = check_events(given, name).copy()
        if name in clocks:
            events["t"] = clocks[name].to_reference(events["t"], name)
        aligned[name] = events
    return aligned


def merge_events(
    streams: Sequence[Any], labels: Sequence[int] | None = None
) -> tuple[Events, NDArray[np.uint16]]:
    """Return the events of several streams in the order of time, and which each is of.

    Parameters
    ----------
    streams
        Structured events, each in the order of time.
    labels
        Number of each stream in the result, from 0 to 65,535; by default its position.

    Returns
    -------
    events, labels
        At equal times, events stand in the order of the streams.
    """
    numbers = range(len(streams)) if labels is None else labels
    if len(numbers) != len(streams):
        raise ValueError(f"There must be {len(streams)} labels, got {len(numbers)}")
    arrays = [check_events(events, f"stream {k}") for k, events in enumerate(streams)]
    for k, array in enumerate(arrays):
        check_sorted(array["t"], f"stream {k}")
    joined = np.concatenate([np.empty(0, EVENT_DTYPE), *arrays])
    of = np.repeat(np.array(list(numbers), np.uint16), [array.size for array in arrays])
    order = np.argsort(joined["t"], kind="stable")
    return joined[order], of[order]


def merge_streams(
    sources: Sequence[Iterable[Any]],
) -> Iterator[tuple[Events, NDArray[np.uint16]]]:
    """Give the events of several sources in the order of time, holding one chunk of each.

    Parameters
    ----------
    sources
        Iterables of arrays of events, each in the order of time.

    Yields
    ------
    events, labels
        As :func:`merge_events` gives them; at equal times, what a source gives in a later chunk
        comes behind.

    Raises
    ------
    EventError
        A source goes back in time.
    """
    feeds = [_Feed(iter(source), k) for k, source in enumerate(sources)]
    while True:
        for feed in feeds:
            feed.fill()
        open_feeds = [feed for feed in feeds if not feed.is_over]
        if not open_feeds:
            return
        # No later chunk has anything before the earliest of the chunks' ends.
        limit = min(feed.last for feed in open_feeds)
        yield merge_events([feed.take(limit) for feed in feeds])


def sensor_windows(
    sources: Mapping[str, Iterable[Any]], length_us: int, *, start_us: int, **options: Any
) -> Iterator[dict[str, Events]]:
    """Give the events of each sensor in windows that all share.

    Parameters
    ----------
    sources
        Iterables of arrays of events by sensor, on one clock.
    length_us, start_us
        The windows; a sensor whose source ends has empty ones from then on.
    **options
        Of :class:`talon.io.windows.TimeWindows`.
    """
    cut = [TimeWindows(s, length_us, start_us=start_us, **options) for s in sources.values()]
    empty = np.empty(0, EVENT_DTYPE)
    for windows in zip_longest(*cut):
        found = [empty if window is None else window.events for window in windows]
        yield dict(zip(sources, found, strict=True))


class _Feed:
    """One source of a merge, and what is left of its newest chunk."""

    def __init__(self, source: Iterator[Any], number: int) -> None:
        self._source, self._what = source, f"stream {number}"
        self._left: Events = np.empty(0, EVENT_DTYPE)
        self.last = 0
        self.is_over = False

    def fill(self) -> None:
        """Take the next chunk that is not empty, if nothing is left."""
        while not (self._left.size or self.is_over):
            chunk = next(self._source, None)
            if chunk is None:
                self.is_over = True
                return
            events = check_events(chunk, self._what)
            if not events.size:
                continue
            check_sorted(events["t"], self._what)
            if events["t"][0] < self.last:
                raise EventError(
                    f"{self._what} must not go back in time: {events['t'][0]} follows {self.last}"
                )
            self._left, self.last = events, int(events["t"][-1])

    def take(self, limit: int) -> Events:
        """Return what is left up to a time, itself included."""
        n = int(np.searchsorted(self._left["t"], np.uint64(limit), side="right"))
        taken, self._left = self._left[:n], self._left[n:]
        return taken
