"""Reading events from HDF5: all of them, in chunks, or those of a window of time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from talon.io.events import EVENT_DTYPE, EventError, Events, check_sorted, first_fall
from talon.io.h5_layout import (
    CHUNK,
    DEFAULT_H5_CONFIG,
    INDEX,
    H5Config,
    columns_of,
    length_of,
    opened,
)

if TYPE_CHECKING:
    import h5py
    from typing_extensions import Self

_LAST_TIME = 2**64 - 1

_BLOCK = 4 * CHUNK
"""Events that are put together at a time: their columns stay in the cache."""


class H5EventReader:
    """Read events from a file, all of them, in chunks, or those of a window of time.

    A reader opens the file for each call, or once if it is used as a context manager, which many
    windows are faster with. A file that is still written to, or whose writer was killed, is read as
    far as it was flushed when the reader was made.

    Parameters
    ----------
    path
        The file.
    chunk_size
        Events that an iteration gives at a time.
    config
        Where the columns are.

    Attributes
    ----------
    n_events
        Number of events.
    sensor_size
        Width and height, if the file tells.

    Raises
    ------
    FileNotFoundError, EventError
        There is no such file, or none of events in this layout.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        chunk_size: int = 50_000,
        config: H5Config = DEFAULT_H5_CONFIG,
    ) -> None:
        if chunk_size < 1:
            raise ValueError(f"chunk_size must be at least 1, got {chunk_size}")
        self._path, self._chunk_size, self._config = Path(path), chunk_size, config
        self._file: h5py.File | None = None
        self._index: NDArray[np.uint64] | None = None
        with self._columns() as columns:
            self.n_events = length_of(columns)
        self.sensor_size = self._facts()

    def __len__(self) -> int:
        """Return the number of events."""
        return self.n_events

    def __enter__(self) -> Self:
        """Keep the file open."""
        self._file = opened(self._path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file, if it was kept open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __iter__(self) -> Iterator[Events]:
        """Give the events in chunks."""
        with self._columns() as columns:
            for start in range(0, self.n_events, self._chunk_size):
                yield _read(columns, start, min(start + self._chunk_size, self.n_events))

    def read_all(self) -> Events:
        """Return all events."""
        return self.read_range(0, self.n_events)

    def read_range(self, start: int, stop: int) -> Events:
        """Return the events number ``start`` to ``stop``, exclusive."""
        if not 0 <= start <= stop <= self.n_events:
            raise ValueError(
                f"start and stop must be ascending, from 0 to {self.n_events}, "
                f"got {start} and {stop}"
            )
        with self._columns() as columns:
            return _read(columns, start, stop)

    def read_columns(self, start: int = 0, stop: int | None = None) -> dict[str, NDArray[Any]]:
        """Return the events number ``start`` to ``stop`` as four arrays ``t``, ``x``, ``y``, ``p``.

        This is the fastest way to read: structured events have to be put together.
        """
        with self._columns() as columns:
            return {
                field: column[start : self.n_events if stop is None else stop]
                for field, column in columns.items()
            }

    def read_time_window(self, t_start: int, t_end: int) -> Events:
        """Return the events with ``t_start <= t < t_end``, in microseconds.

        The time index of the file tells which chunks hold the ends of the window; files without
        one are searched. Nothing but these and the window itself is read.

        Raises
        ------
        EventError
            The file is not sorted by time, as far as it was looked at.
        """
        if t_end < t_start:
            raise ValueError(f"t_end must not be before t_start={t_start}, got {t_end}")
        with self._columns() as columns:
            start, stop = self._search(columns, t_start), self._search(columns, t_end)
            if start > stop:
                raise EventError(f"{self._path} is not sorted by time; use read_all and sort")
            events = _read(columns, start, stop)
        t = events["t"]
        check_sorted(t, str(self._path))
        if t.size and not (t[0] >= t_start and t[-1] < t_end):
            raise EventError(f"{self._path} is not sorted by time; use read_all and sort")
        return events

    def _search(self, columns: dict[str, Any], t: int) -> int:
        """Return the first number whose time is not before ``t``."""
        if t <= 0 or t > _LAST_TIME:
            return 0 if t <= 0 else self.n_events
        times = columns["t"]
        low, high = 0, self.n_events
        if self._index is not None:
            # The first chunk that begins at t or later ends the search.
            k = int(np.searchsorted(self._index, np.uint64(t)))
            low, high = max(k - 1, 0) * CHUNK, min(k * CHUNK, self.n_events)
        while high - low > CHUNK:
            middle = (low + high) // 2
            if int(times[middle]) < t:
                low = middle + 1
            else:
                high = middle
        part = _fitting(times[low:high], "t")
        return low + int(np.searchsorted(part, np.uint64(t)))

    @contextmanager
    def _columns(self) -> Iterator[dict[str, Any]]:
        """Give the columns, of the open file or of one that is opened for a while."""
        if self._file is not None:
            yield columns_of(self._file, self._path, self._config)
            return
        with opened(self._path) as file:
            yield columns_of(file, self._path, self._config)

    def _facts(self) -> tuple[int, int] | None:
        """Read the time index, and return the size of the sensor, if the file has them."""
        import h5py

        with opened(self._path) as file:
            found = file.get(INDEX)
            n_chunks = -(-self.n_events // CHUNK)
            if (
                isinstance(found, h5py.Dataset)
                and found.attrs.get("chunk") == CHUNK
                and len(found) >= n_chunks
            ):
                self._index = found[:n_chunks]
            attributes = file[self._config.events_group or "/"].attrs
            size = tuple(int(attributes.get(f"sensor_{name}", 0)) for name in ("width", "height"))
        return (size[0], size[1]) if all(size) else None


def _read(columns: dict[str, Any], start: int, stop: int) -> Events:
    events = np.empty(stop - start, EVENT_DTYPE)
    for first in range(start, stop, _BLOCK):
        last = min(first + _BLOCK, stop)
        part = events[first - start : last - start]
        for field, column in columns.items():
            part[field] = _fitting(column[first:last], field)
    return events


def _fitting(values: NDArray[Any], field: str) -> NDArray[Any]:
    """Return the values of a column in the type of its field, if that holds them all."""
    wanted = EVENT_DTYPE[field]
    if values.dtype != wanted and not np.can_cast(values.dtype, wanted) and values.size:
        low, high, limit = values.min(), values.max(), np.iinfo(wanted).max
        if low < 0 or high > limit:
            raise EventError(f"Column {field} must be from 0 to {limit}, got {low} to {high}")
    return values.astype(wanted, copy=False)


def read_h5(path: str | os.PathLike[str], config: H5Config = DEFAULT_H5_CONFIG) -> Events:
    """Return all events of a file, sorted by time."""
    events = H5EventReader(path, config=config).read_all()
    if first_fall(events["t"]) is not None:
        return events[np.argsort(events["t"], kind="stable")]
    return events
