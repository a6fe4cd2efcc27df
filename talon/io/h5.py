"""Events in HDF5 files: columns ``t``, ``x``, ``y`` and ``p`` that grow, sorted by time.

The group ``events`` holds one dataset a field, and tells in attributes ``format``, ``n_events``,
``t_start``, ``t_end``, ``sensor_width`` and ``sensor_height``. A window of time is found by a
binary search of the file; nothing else is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from talon.io.events import EVENT_DTYPE, EventError, Events, check_events, check_sorted

if TYPE_CHECKING:
    import h5py
    from typing_extensions import Self

__all__ = [
    "COMPACT_H5_CONFIG",
    "DEFAULT_H5_CONFIG",
    "EVENT_DTYPE",
    "H5Config",
    "H5EventReader",
    "H5EventWriter",
    "read_h5",
    "write_h5",
]

FORMAT = "t1c_events_v1"
_CHUNK = 100_000


@dataclass(frozen=True, kw_only=True)
class H5Config:
    """Where in a file the columns are.

    Parameters
    ----------
    events_group
        Path of the group; empty for the root.
    timestamp_key, x_key, y_key, polarity_key
        Names of the columns.
    compound_key
        Name of one dataset of structured events instead, for reading.
    """

    events_group: str = "events"
    timestamp_key: str = "t"
    x_key: str = "x"
    y_key: str = "y"
    polarity_key: str = "p"
    compound_key: str | None = None

    @property
    def keys(self) -> dict[str, str]:
        """Names of the columns by field."""
        names = (self.timestamp_key, self.x_key, self.y_key, self.polarity_key)
        return dict(zip("txyp", names, strict=True))


DEFAULT_H5_CONFIG = H5Config()
COMPACT_H5_CONFIG = H5Config(events_group="", compound_key="events")


class H5EventWriter:
    """Write events to a file as they come.

    A context manager. The file appears at its place when it is closed without an error; until then
    it is beside it, so that there is never half a file of that name.

    Parameters
    ----------
    path
        The file, which is replaced.
    config
        Where the columns go.
    buffer_capacity
        Events that are gathered before they are written.
    sensor_size
        Width and height, if known; events outside are refused.
    compression
        A filter of h5py: ``"gzip"``, ``"lzf"`` or None.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: H5Config = DEFAULT_H5_CONFIG,
        buffer_capacity: int = _CHUNK,
        sensor_size: tuple[int, int] | None = None,
        compression: str | None = "gzip",
    ) -> None:
        import h5py

        if buffer_capacity < 1:
            raise ValueError(f"buffer_capacity must be at least 1, got {buffer_capacity}")
        self._path = Path(path)
        self._partial = self._path.with_name(f".{self._path.name}.part")
        self._config, self._capacity, self._sensor_size = config, buffer_capacity, sensor_size
        self._buffer: list[Events] = []
        self.n_buffered = 0
        self.n_events_written = 0
        self._first: int | None = None
        self._last = 0
        self._file: h5py.File | None = h5py.File(self._partial, "w")
        group = self._file.require_group(config.events_group or "/")
        self._columns = {
            field: group.create_dataset(
                name,
                shape=(0,),
                maxshape=(None,),
                dtype=EVENT_DTYPE[field],
                chunks=(_CHUNK,),
                compression=compression,
                shuffle=compression is not None,
            )
            for field, name in config.keys.items()
        }
        self._group = group

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file, or take it away if there was an error."""
        if kind is None:
            self.close()
        else:
            self._discard()

    def write(self, events: Any) -> None:
        """Append events, which must not be earlier than those before."""
        self._open()
        array = check_events(events)
        if not array.size:
            return
        t = array["t"]
        check_sorted(t, "events")
        if self._first is not None and t[0] < self._last:
            raise EventError(
                f"events must not go back in time: {t[0]} follows {self._last}; sort them first"
            )
        if self._sensor_size is not None:
            width, height = self._sensor_size
            if array["x"].max() >= width or array["y"].max() >= height:
                raise EventError(
                    f"events must be inside the sensor of {width} x {height}, got x up to "
                    f"{array['x'].max()} and y up to {array['y'].max()}"
                )
        if self._first is None:
            self._first = int(t[0])
        self._last = int(t[-1])
        self._buffer.append(array.copy())
        self.n_buffered += array.size
        if self.n_buffered >= self._capacity:
            self.flush()

    def flush(self) -> None:
        """Write what is gathered."""
        file = self._open()
        if self._buffer:
            block = np.concatenate(self._buffer)
            start = self.n_events_written
            for field, column in self._columns.items():
                column.resize((start + block.size,))
                column[start:] = block[field]
            self.n_events_written += block.size
            self._buffer, self.n_buffered = [], 0
        file.flush()

    def close(self) -> None:
        """Write everything, and put the file in its place."""
        if self._file is None:
            return
        self.flush()
        attributes = self._group.attrs
        attributes["format"] = FORMAT
        attributes["n_events"] = self.n_events_written
        attributes["t_start"] = self._first or 0
        attributes["t_end"] = self._last
        if self._sensor_size is not None:
            attributes["sensor_width"], attributes["sensor_height"] = self._sensor_size
        self._file.close()
        self._file = None
        self._partial.replace(self._path)

    def _discard(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._partial.unlink(missing_ok=True)

    def _open(self) -> h5py.File:
        if self._file is None:
            raise EventError(f"{self._path} is closed; open another writer")
        return self._file


class H5EventReader:
    """Read events from a file, all of them, in chunks, or those of a window of time.

    Parameters
    ----------
    path
        The file.
    chunk_size
        Events that an iteration gives at a time.
    config
        Where the columns are.
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
        with self._opened() as file:
            self.n_events = len(self._columns(file)["t"])

    def __len__(self) -> int:
        """Return the number of events."""
        return self.n_events

    def __iter__(self) -> Iterator[Events]:
        """Give the events in chunks."""
        with self._opened() as file:
            columns = self._columns(file)
            for start in range(0, self.n_events, self._chunk_size):
                yield self._read(columns, start, min(start + self._chunk_size, self.n_events))

    def read_all(self) -> Events:
        """Return all events."""
        with self._opened() as file:
            return self._read(self._columns(file), 0, self.n_events)

    def read_time_window(self, t_start: int, t_end: int) -> Events:
        """Return the events with ``t_start <= t < t_end``, in microseconds.

        Only what the search touches and the window itself are read.
        """
        if t_end < t_start:
            raise ValueError(f"t_end must not be before t_start={t_start}, got {t_end}")
        with self._opened() as file:
            columns = self._columns(file)
            start = self._search(columns["t"], t_start)
            stop = self._search(columns["t"], t_end)
            if start > stop:
                raise EventError(f"{self._path} is not sorted by time; use read_all and sort")
            events = self._read(columns, start, stop)
        check_sorted(events["t"], str(self._path))
        return events

    def _search(self, times: Any, t: int) -> int:
        """Return the first index whose time is not before ``t``."""
        low, high = 0, self.n_events
        while high - low > _CHUNK:
            middle = (low + high) // 2
            if times[middle] < t:
                low = middle + 1
            else:
                high = middle
        return low + int(np.searchsorted(times[low:high], t, side="left"))

    def _opened(self) -> h5py.File:
        import h5py

        if not self._path.is_file():
            raise FileNotFoundError(f"Event file not found: {self._path}")
        try:
            return h5py.File(self._path, "r")
        except OSError as error:
            raise EventError(f"{self._path} cannot be read as HDF5: {error}") from error

    def _columns(self, file: h5py.File) -> dict[str, Any]:
        """Return the datasets by field, or the fields of the one compound dataset."""
        import h5py

        config = self._config
        group = file.get(config.events_group or "/")
        if not isinstance(group, h5py.Group):
            raise EventError(f"{self._path} has no group {config.events_group!r}")
        compound = group.get(config.compound_key) if config.compound_key else None
        if isinstance(compound, h5py.Dataset):
            if not set(config.keys.values()) <= set(compound.dtype.names or ()):
                raise EventError(
                    f"{self._path}: {config.compound_key} must have the fields "
                    f"{', '.join(config.keys.values())}, got {compound.dtype}"
                )
            return {field: compound.fields(name) for field, name in config.keys.items()}
        columns: dict[str, Any] = {field: group.get(name) for field, name in config.keys.items()}
        for field, column in columns.items():
            if not isinstance(column, h5py.Dataset) or column.ndim != 1:
                raise EventError(
                    f"{self._path} has no column {config.keys[field]!r} in "
                    f"{config.events_group or '/'!r}"
                )
        sizes = {field: len(column) for field, column in columns.items()}
        if len(set(sizes.values())) != 1:
            raise EventError(f"{self._path}: columns must be of one length, got {sizes}")
        return columns

    def _read(self, columns: dict[str, Any], start: int, stop: int) -> Events:
        events = np.empty(stop - start, EVENT_DTYPE)
        for field, column in columns.items():
            events[field] = column[start:stop]
        return events


def write_h5(
    path: str | os.PathLike[str],
    events: Any,
    config: H5Config = DEFAULT_H5_CONFIG,
    sensor_size: tuple[int, int] | None = None,
    compression: str | None = "gzip",
) -> None:
    """Write events, sorted by time, to a file in one go."""
    with H5EventWriter(path, config, sensor_size=sensor_size, compression=compression) as writer:
        writer.write(events)


def read_h5(path: str | os.PathLike[str], config: H5Config = DEFAULT_H5_CONFIG) -> Events:
    """Return all events of a file, sorted by time."""
    events = H5EventReader(path, config=config).read_all()
    t = events["t"]
    if np.any(t[1:] < t[:-1]):
        return events[np.argsort(t, kind="stable")]
    return events
