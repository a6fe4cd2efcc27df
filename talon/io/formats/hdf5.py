"""Events in HDF5: Prophesee's ``CD/events``, the columns of DSEC, and Talon's own.

=========  ====================================================================================
Prophesee  one compound dataset ``CD/events`` with fields x, y, p, t; attribute ``geometry``;
           compressed by ECF, a filter of theirs
DSEC       columns ``events/x``, ``y``, ``p``, ``t``, with ``t_offset`` to be added to t, and
           ``ms_to_idx``; compressed by Blosc
Talon      columns ``events/t``, ``x``, ``y``, ``p``: :mod:`talon.io.h5`
=========  ====================================================================================

Sources: https://docs.prophesee.ai/stable/data/file_formats/hdf5.html,
https://dsec.ifi.uzh.ch/data-format/.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from talon.io.events import EVENT_DTYPE, EventError, Events
from talon.io.formats.common import Header, Inside, Size
from talon.io.h5 import H5EventReader

if TYPE_CHECKING:
    import h5py

ECF = 0x8ECF
"""Number of Prophesee's filter."""
_LARGEST_CHUNK = 1 << 28


def hdf5_source(path: Path) -> ColumnSource | TalonSource:
    """Return the source of events of an HDF5 file, whichever of the layouts it has.

    Raises
    ------
    EventError
        It is no HDF5, has none of the layouts, or needs a filter that is not installed.
    """
    import h5py

    with _opened(path) as file:
        compound = file.get("CD/events")
        if isinstance(compound, h5py.Dataset) and set("txyp") <= set(compound.dtype.names or ()):
            size = _geometry(file.attrs.get("geometry", ""))
            header = Header(format="prophesee-h5", sensor_size=size)
            return ColumnSource(path, header, ("CD/events",), _checked(path, file, ["CD/events"]))
        names = tuple(f"events/{name}" for name in "txyp")
        for name in names:
            _dataset(path, file, name)
        offset = file.get("t_offset")
        if offset is None and "ms_to_idx" not in file:
            told = file["events"].attrs
            size = _size(told.get("sensor_width"), told.get("sensor_height"))
            return TalonSource(path, Header(format="h5", sensor_size=size))
        added = 0
        if isinstance(offset, h5py.Dataset) and offset.shape == () and offset.dtype.kind in "iu":
            added = int(offset[()])
        return ColumnSource(path, Header(format="dsec"), names, _checked(path, file, names), added)


class TalonSource:
    """Events of a file of :class:`talon.io.h5.H5EventWriter`."""

    def __init__(self, path: Path, header: Header) -> None:
        self.path, self.header = path, header
        self.inside = Inside(header.sensor_size)

    def read(self) -> Events:
        """Return all events."""
        with _told(self.path):
            return self.inside(H5EventReader(self.path).read_all())

    def chunks(self, chunk_bytes: int) -> Iterator[Events]:
        """Give events of about so many bytes at a time."""
        step = max(chunk_bytes // EVENT_DTYPE.itemsize, 1)
        with _told(self.path):
            for chunk in H5EventReader(self.path, chunk_size=step):
                events = self.inside(chunk)
                if events.size:
                    yield events


class ColumnSource:
    """Events of datasets of Prophesee or DSEC.

    Parameters
    ----------
    path, header
        The file, and what it says.
    names
        One compound dataset, or those of t, x, y and p.
    n_events
        How many there are.
    t_offset
        Added to all times.
    """

    def __init__(
        self, path: Path, header: Header, names: tuple[str, ...], n_events: int, t_offset: int = 0
    ) -> None:
        self.path, self.header = path, header
        self._names, self._n, self._offset = names, n_events, t_offset
        self.inside = Inside(header.sensor_size)

    def read(self) -> Events:
        """Return all events."""
        parts = list(self.chunks(1 << 26))
        return np.concatenate(parts) if parts else np.empty(0, EVENT_DTYPE)

    def chunks(self, chunk_bytes: int) -> Iterator[Events]:
        """Give events of about so many bytes at a time; none is empty."""
        step = max(chunk_bytes // EVENT_DTYPE.itemsize, 1)
        with _opened(self.path) as file:
            for start in range(0, self._n, step):
                part = slice(start, min(start + step, self._n))
                if len(self._names) == 1:
                    table = _dataset(self.path, file, self._names[0])[part]
                    columns = {name: table[name] for name in "txyp"}
                else:
                    columns = {
                        name[-1]: _dataset(self.path, file, name)[part] for name in self._names
                    }
                events = self.inside(self._events(columns))
                if events.size:
                    yield events

    def _events(self, columns: Mapping[str, np.ndarray]) -> Events:
        """Return columns, of whatever integers the file has, as events."""
        events = np.empty(len(columns["t"]), EVENT_DTYPE)
        for name, column in columns.items():
            if column.dtype.kind not in "iub":
                raise EventError(
                    f"{self.path}: {name} must be integers, got {column.dtype}; convert it first"
                )
            told = column
            if name == "t" and self._offset:
                told = column.astype(np.int64) + self._offset
            if name == "p":
                told = column > 0  # DSEC and Prophesee have 0 and 1, others -1 and 1
            limit = np.iinfo(EVENT_DTYPE[name]).max
            if told.min() < 0 or int(told.max()) > limit:
                raise EventError(
                    f"{self.path}: {name} must be from 0 to {limit}, got {told.min()} to "
                    f"{told.max()}; the file is damaged, or no events of a camera"
                )
            events[name] = told
        return events


def _checked(path: Path, file: h5py.File, names: Iterable[str]) -> int:
    """Return the number of events; raise unless their bytes are there and can be unpacked."""
    sizes = {}
    for name in names:
        dataset = _dataset(path, file, name)
        _check_filters(path, dataset)
        if dataset.ndim != 1:
            raise EventError(f"{path}: {name} must have one dimension, got shape {dataset.shape}")
        itemsize = max(dataset.dtype.itemsize, 1)
        held = dataset.id.get_storage_size() // itemsize
        if dataset.chunks is not None:
            if dataset.chunks[0] * itemsize > _LARGEST_CHUNK:
                raise EventError(
                    f"{path}: {name} has chunks of {dataset.chunks[0]} events, more than the "
                    f"{_LARGEST_CHUNK} bytes that are unpacked at a time; write it anew in smaller "
                    "ones"
                )
            held = dataset.id.get_num_chunks() * dataset.chunks[0]
        if held < len(dataset):
            raise EventError(
                f"{path}: {name} tells of {len(dataset)} events, but holds {held}; the file is cut "
                "or damaged"
            )
        sizes[name] = len(dataset)
    if len(set(sizes.values())) != 1:
        raise EventError(f"{path}: columns must be of one length, got {sizes}")
    return next(iter(sizes.values()))


def _dataset(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    """Return a dataset that must be there."""
    import h5py

    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise EventError(
            f"{path} has no {name}, but must have CD/events (Prophesee) or events/t, x, y and p "
            "(DSEC, Talon); read other columns with talon.io.H5EventReader and an H5Config"
        )
    return found


def _check_filters(path: Path, dataset: h5py.Dataset) -> None:
    """Raise unless all filters of a dataset are there."""
    import h5py

    properties = dataset.id.get_create_plist()
    for k in range(properties.get_nfilters()):
        number = properties.get_filter(k)[0]
        if not h5py.h5z.filter_avail(number):
            _load_plugins()
        if h5py.h5z.filter_avail(number):
            continue
        what = f"the filter {number} of HDF5"
        way_out = "pip install 'talon-snn[events]' brings hdf5plugin, which has most of them"
        if number == ECF:
            what = f"Prophesee's filter ECF ({ECF}) of HDF5"
            way_out = (
                "install it from https://github.com/prophesee-ai/hdf5_ecf and let HDF5_PLUGIN_PATH "
                "name its folder, or convert the file with their metavision_file_to_dat"
            )
        raise EventError(f"{path}: {what} is missing; {way_out}")


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading."""
    import h5py

    with _told(path), h5py.File(path, "r") as file:
        yield file


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Name the file in what the library finds wrong with it."""
    try:
        yield
    except EventError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise EventError(
            f"{path} cannot be read as HDF5: {error}; the file is cut or damaged: copy or record "
            "it again"
        ) from error


def _load_plugins() -> None:
    """Register the filters of hdf5plugin, where it is installed."""
    try:
        importlib.import_module("hdf5plugin")
    except ImportError:
        return


def _geometry(told: Any) -> Size | None:
    """Return the size that a text like 1280x720 tells."""
    text = told.decode("ascii", "replace") if isinstance(told, bytes) else str(told)
    width, _, height = text.partition("x")
    return _size(width, height)


def _size(width: Any, height: Any) -> Size | None:
    try:
        width, height = int(width), int(height)
    except (TypeError, ValueError):
        return None
    return (width, height) if 0 < width <= 65536 and 0 < height <= 65536 else None
