"""Raw files of events in chunks, a buffer, and events that are made up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from talon.io.events import EVENT_DTYPE, EventError, Events, check_events

__all__ = ["EVENT_DTYPE", "BufferedEventReader", "EventBuffer", "generate_random_events"]


class BufferedEventReader:
    """Read a file of nothing but events of 13 bytes, as ``events.tofile`` writes it, in chunks.

    Parameters
    ----------
    path
        The file.
    chunk_size
        Events that an iteration gives at a time, and holds.

    Attributes
    ----------
    n_events
        Number of whole events.
    n_trailing
        Bytes behind the last whole event: the file was cut, or is none of events.
    """

    def __init__(self, path: str | os.PathLike[str], chunk_size: int = 10_000) -> None:
        if chunk_size < 1:
            raise ValueError(f"chunk_size must be at least 1, got {chunk_size}")
        self._path, self._chunk_size = Path(path), chunk_size
        if not self._path.is_file():
            raise FileNotFoundError(f"Event file not found: {self._path}")
        size = self._path.stat().st_size
        self.n_events, self.n_trailing = divmod(size, EVENT_DTYPE.itemsize)

    def __len__(self) -> int:
        """Return the number of whole events."""
        return self.n_events

    def __iter__(self) -> Iterator[Events]:
        """Give the events in chunks; an error follows if bytes are left behind them."""
        with self._path.open("rb") as file:
            for start in range(0, self.n_events, self._chunk_size):
                yield np.fromfile(file, EVENT_DTYPE, min(self._chunk_size, self.n_events - start))
        if self.n_trailing:
            raise EventError(
                f"{self._path} has {self.n_trailing} bytes behind its {self.n_events} events of "
                f"{EVENT_DTYPE.itemsize}; it was cut, or is no raw file of events"
            )


class EventBuffer:
    """Gathers events in one array, which doubles when it is full.

    Parameters
    ----------
    capacity
        Events for which there is room at first.
    """

    def __init__(self, capacity: int = 50_000) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self._room: Events = np.empty(capacity, EVENT_DTYPE)
        self._size = 0

    def __len__(self) -> int:
        """Return the number of events."""
        return self._size

    def append(self, events: Any) -> None:
        """Add events behind those that are there."""
        array = check_events(events)
        stop = self._size + array.size
        if stop > self._room.size:
            grown = np.empty(max(stop, 2 * self._room.size), EVENT_DTYPE)
            grown[: self._size] = self.events
            self._room = grown
        self._room[self._size : stop] = array
        self._size = stop

    @property
    def events(self) -> Events:
        """The events, a view that is valid until the next call."""
        return self._room[: self._size]

    def flush(self) -> Events:
        """Return the events and begin anew."""
        taken = self.events.copy()
        self._size = 0
        return taken


def generate_random_events(
    n_events: int,
    sensor_size: tuple[int, int] = (640, 480),
    duration_us: int = 1_000_000,
    *,
    seed: int | None = None,
) -> Events:
    """Return events spread evenly over sensor and time, sorted by time.

    Parameters
    ----------
    n_events
        Number of events.
    sensor_size
        Width and height.
    duration_us
        Times are from 0 up to this, exclusive.
    seed
        Makes the result repeatable.
    """
    if n_events < 0:
        raise ValueError(f"n_events must not be negative, got {n_events}")
    width, height = sensor_size
    for name, value, limit in (
        ("width", width, 1 << 16),
        ("height", height, 1 << 16),
        ("duration_us", duration_us, 1 << 63),
    ):
        if not 1 <= value <= limit:
            raise ValueError(f"{name} must be from 1 to {limit}, got {value}")
    rng = np.random.default_rng(seed)
    events = np.empty(n_events, EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(0, duration_us, n_events))
    events["x"] = rng.integers(0, width, n_events)
    events["y"] = rng.integers(0, height, n_events)
    events["p"] = rng.integers(0, 2, n_events)
    return events
