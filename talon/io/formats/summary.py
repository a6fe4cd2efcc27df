"""What is in an event file, and files made of others: chunk by chunk, so of any size."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talon.io.events import EventError, Events
from talon.io.formats.common import Size
from talon.io.formats.reader import EventReader
from talon.io.formats.writer import EventWriter, format_to_write


@dataclass(frozen=True, kw_only=True)
class EventFileInfo:
    """What is in an event file.

    Parameters
    ----------
    path, format, n_bytes
        The file, its format and its size.
    sensor_size
        Width and height as the file tells them, or None.
    n_events
        Events on the sensor.
    n_outside
        Events that lie outside of it, and are left out.
    t_first, t_last
        Earliest and latest time, in microseconds; None without events.
    x_max, y_max
        Largest column and row; None without events.
    n_brighter
        Events of polarity 1.
    is_sorted
        Whether times never fall.
    """

    path: str
    format: str
    n_bytes: int
    sensor_size: Size | None
    n_events: int
    n_outside: int
    t_first: int | None
    t_last: int | None
    x_max: int | None
    y_max: int | None
    n_brighter: int
    is_sorted: bool

    @property
    def duration_us(self) -> int:
        """Time from the earliest to the latest event."""
        return 0 if self.t_first is None or self.t_last is None else self.t_last - self.t_first

    @property
    def events_per_second(self) -> float | None:
        """Mean rate; None if all events are at one time."""
        return self.n_events / self.duration_us * 1e6 if self.duration_us else None

    @property
    def share_brighter(self) -> float | None:
        """Share of events of polarity 1; None without events."""
        return self.n_brighter / self.n_events if self.n_events else None


def info(
    path: str | os.PathLike[str], format: str | None = None, *, fast: bool | None = None
) -> EventFileInfo:
    """Read a file chunk by chunk, and return what is in it.

    Parameters and errors are those of :class:`EventReader`.
    """
    reader = EventReader(path, format, fast=fast)
    total = _Total()
    for chunk in reader:
        total.add(chunk)
    return EventFileInfo(
        path=str(path),
        format=reader.format,
        n_bytes=Path(path).stat().st_size,
        sensor_size=reader.sensor_size,
        n_outside=reader.n_outside,
        **vars(total),
    )


class _Total:
    def __init__(self) -> None:
        self.n_events = self.n_brighter = 0
        self.t_first: int | None = None
        self.t_last: int | None = None
        self.x_max: int | None = None
        self.y_max: int | None = None
        self.is_sorted = True

    def add(self, events: Events) -> None:
        """Add a chunk, which is not empty."""
        t = events["t"]
        if self.is_sorted:
            self.is_sorted = int(t[0]) >= (self.t_last or 0) and bool(np.all(t[1:] >= t[:-1]))
        self.t_first = min(_known(self.t_first, int(t.min())))
        self.t_last = max(_known(self.t_last, int(t.max())))
        self.x_max = max(_known(self.x_max, int(events["x"].max())))
        self.y_max = max(_known(self.y_max, int(events["y"].max())))
        self.n_events += len(events)
        self.n_brighter += int(np.count_nonzero(events["p"]))


def _known(before: int | None, now: int) -> Iterable[int]:
    return (now,) if before is None else (before, now)


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    format: str | None = None,
    *,
    source_format: str | None = None,
    sensor_size: Size | None = None,
    sort: bool = False,
    from_zero: bool = False,
    fast: bool | None = None,
) -> int:
    """Write the events of a file to another, chunk by chunk; return how many there are.

    Parameters
    ----------
    source, target
        The files; the latter is replaced, as a whole.
    format, source_format
        Their formats; None for what :class:`EventWriter` and :class:`EventReader` make of them.
    sensor_size
        Width and height; None for what the source says.
    sort
        Sort events by time, which takes all of them into memory.
    from_zero
        Subtract the time of the first event.
    fast
        Whether compiled kernels decode.
    """
    if Path(source).resolve() == Path(target).resolve():
        raise EventError(f"{target} is the file that is read; write another")
    reader = EventReader(source, source_format, fast=fast)
    format = format_to_write(Path(target), format)
    chunks: Iterable[Events] = reader
    if sort:
        events = reader.read()
        chunks = [events[np.argsort(events["t"], kind="stable")]] if events.size else []
    start: int | None = None
    with EventWriter(target, format, sensor_size=sensor_size or reader.sensor_size) as writer:
        for chunk in chunks:
            if from_zero:
                start = int(chunk["t"][0]) if start is None else start
                if chunk["t"].min() < start:
                    raise EventError(
                        f"{source} has events before its first one, at {start}; sort them as well"
                    )
                chunk["t"] -= np.uint64(start)
            writer.write(chunk)
    return writer.n_events
