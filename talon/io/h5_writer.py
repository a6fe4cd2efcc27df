"""Writing events to HDF5 as they come, so that a writer that is killed loses little.

The file is written beside its place in a way that others can read at any time (single writer,
multiple readers), and moved there when it is complete.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from talon.io.events import EVENT_DTYPE, EventError, Events, check_events, check_sorted
from talon.io.h5_layout import (
    CHUNK,
    DEFAULT_H5_CONFIG,
    FORMAT,
    INDEX,
    Compression,
    H5Config,
    filters_of,
)
from talon.io.h5_reader import H5EventReader
from talon.io.locks import Lock, locked

if TYPE_CHECKING:
    import h5py
    from typing_extensions import Self

_BLOCK = 4 * CHUNK
"""Events that are taken apart at a time: their columns stay in the cache."""


class H5EventWriter:
    """Write events to a file as they come.

    A context manager. The file appears at its place when it is closed without an error; until then
    it is beside it as ``.NAME.part``, so that there is never half a file of that name. A writer
    that is killed leaves the part, with all events that were flushed: :func:`recover_h5` puts it in
    its place.

    Parameters
    ----------
    path
        The file.
    config
        Where the columns go.
    buffer_capacity
        Events that are gathered before they are written and flushed.
    sensor_size
        Width and height, if known; events outside are refused.
    compression
        ``"pack"``, as many bits as the values of a chunk need, which is the fastest that is small;
        ``"gzip"``, ``"lzf"``, None, or options of h5py, such as ``hdf5plugin.LZ4()``.
    mode
        ``"w"`` replaces a file that is there, ``"a"`` goes on where it ends: the old events are
        copied, so that the old file stays whole until the new one is.

    Raises
    ------
    EventError
        Another writer is at work on the file, or one was killed and its part is still there.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: H5Config = DEFAULT_H5_CONFIG,
        buffer_capacity: int = CHUNK,
        sensor_size: tuple[int, int] | None = None,
        compression: Compression = "pack",
        *,
        mode: Literal["w", "a"] = "w",
    ) -> None:
        if buffer_capacity < 1:
            raise ValueError(f"buffer_capacity must be at least 1, got {buffer_capacity}")
        if mode not in ("w", "a"):
            raise ValueError(f"mode must be 'w' or 'a', got {mode!r}")
        filters = filters_of(compression)
        self._path = Path(path)
        self._capacity = buffer_capacity
        old = H5EventReader(self._path, 16 * CHUNK, config) if _is_old(self._path, mode) else None
        self._sensor_size = sensor_size or (old.sensor_size if old else None)
        self._buffer: list[Events] = []
        self.n_buffered = 0
        self.n_events_written = 0
        self._first: int | None = None
        self._last = 0
        self._lock: Lock = locked(part_of(self._path))
        self._file: h5py.File | None = None
        try:
            self._create(config, filters)
            for events in old or ():
                self.write(events)
        except BaseException:
            self._discard()
            raise

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
        self._check(array)
        if self._first is None:
            self._first = int(array["t"][0])
        self._last = int(array["t"][-1])
        if self.n_buffered or array.size < self._capacity:
            self._buffer.append(array.copy())
            self.n_buffered += array.size
            if self.n_buffered < self._capacity:
                return
            array, self._buffer = np.concatenate(self._buffer), []
        # Whole chunks are compressed once; what is left over waits for others.
        n = array.size
        whole = n - (self.n_events_written + n) % CHUNK if self._capacity >= CHUNK else n
        whole = whole if whole > 0 else n
        self._append(array[:whole])
        self._buffer = [array[whole:].copy()] if whole < n else []
        self.n_buffered = n - whole
        self._open().flush()

    def flush(self) -> None:
        """Write what is gathered: it survives if the process is killed."""
        file = self._open()
        if self._buffer:
            block = np.concatenate(self._buffer)
            self._buffer, self.n_buffered = [], 0
            self._append(block)
        file.flush()

    def close(self) -> None:
        """Write everything, and put the file in its place."""
        if self._file is None:
            return
        self.flush()
        file, attributes = self._file, self._group.attrs
        attributes["n_events"] = np.uint64(self.n_events_written)
        attributes["t_start"] = np.uint64(self._first or 0)
        attributes["t_end"] = np.uint64(self._last)
        self._file = None
        file.close()
        part_of(self._path).replace(self._path)
        self._lock.release()

    def _create(self, config: H5Config, filters: dict[str, Any]) -> None:
        import h5py

        part = part_of(self._path)
        self._file = file = h5py.File(part, "w", libver="latest", locking=False)
        group = self._group = file.require_group(config.events_group or "/")
        options: dict[str, Any] = {"shape": (0,), "maxshape": (None,), "chunks": (CHUNK,)}
        self._columns = {
            field: group.create_dataset(name, dtype=EVENT_DTYPE[field], **options, **filters)
            for field, name in config.keys.items()
        }
        self._index = file.create_dataset(
            INDEX, shape=(0,), maxshape=(None,), chunks=(1 << 10,), dtype="<u8"
        )
        self._index.attrs["chunk"] = CHUNK
        group.attrs["format"] = FORMAT
        for name in ("n_events", "t_start", "t_end"):
            group.attrs[name] = np.uint64(0)
        if self._sensor_size is not None:
            group.attrs["sensor_width"], group.attrs["sensor_height"] = self._sensor_size
        file.swmr_mode = True  # from here on nothing new may be made, only written

    def _check(self, array: Events) -> None:
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

    def _append(self, events: Events) -> None:
        for first in range(0, events.size, _BLOCK):
            block = events[first : first + _BLOCK]
            start = self.n_events_written
            stop = start + block.size
            for field, column in self._columns.items():
                column.resize((stop,))
                column[start:stop] = np.ascontiguousarray(block[field])
            starts = np.arange(-(-start // CHUNK) * CHUNK, stop, CHUNK)
            if starts.size:
                n = len(self._index)
                self._index.resize((n + starts.size,))
                self._index[n:] = block["t"][starts - start]
            self.n_events_written = stop

    def _discard(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        part_of(self._path).unlink(missing_ok=True)
        self._lock.release()

    def _open(self) -> h5py.File:
        if self._file is None:
            raise EventError(f"{self._path} is closed; open another writer")
        return self._file


def part_of(path: Path) -> Path:
    """Return where a file is written before it is complete."""
    return path.with_name(f".{path.name}.part")


def write_h5(
    path: str | os.PathLike[str],
    events: Any,
    config: H5Config = DEFAULT_H5_CONFIG,
    sensor_size: tuple[int, int] | None = None,
    compression: Compression = "pack",
) -> None:
    """Write events, sorted by time, to a file in one go."""
    with H5EventWriter(path, config, sensor_size=sensor_size, compression=compression) as writer:
        writer.write(events)


def recover_h5(path: str | os.PathLike[str], config: H5Config = DEFAULT_H5_CONFIG) -> int:
    """Put what a writer that was killed has left in its place, and return the number of events.

    All that it had flushed is there, in whole events.

    Parameters
    ----------
    path
        The file that it was to write; one of that name is replaced.
    config
        Where the columns are.

    Raises
    ------
    FileNotFoundError, EventError
        Nothing was left, the writer is still at work, or it was killed before it flushed anything
        that can be read.
    """
    place = Path(path)
    part = part_of(place)
    if not part.is_file():
        raise FileNotFoundError(f"No part of a killed writer beside {place}: {part.name}")
    left = place.with_name(f".{place.name}.left")
    with locked(part, keeps=True):
        part.rename(left)
    try:
        reader = H5EventReader(left, 16 * CHUNK, config)
        with H5EventWriter(place, config, sensor_size=reader.sensor_size) as writer:
            for events in reader:
                writer.write(events)
    except BaseException:
        left.replace(part)
        raise
    left.unlink()
    return reader.n_events


def _is_old(path: Path, mode: str) -> bool:
    return mode == "a" and path.is_file()
