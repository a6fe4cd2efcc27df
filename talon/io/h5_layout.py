"""Where columns of events are in an HDF5 file, how they are compressed, how it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talon.io.events import EventError

if TYPE_CHECKING:
    import h5py

FORMAT = "t1c_events_v1"
CHUNK = 1 << 16
"""Events of a chunk: what is read at least, and what an entry of the time index is for."""

INDEX = "talon_time_index"
"""Dataset of the root: the time of the first event of every chunk."""

Compression = str | Mapping[str, Any] | None


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


def filters_of(compression: Compression) -> dict[str, Any]:
    """Return the options of h5py for a compression.

    Parameters
    ----------
    compression
        ``"pack"``, as many bits as the values of a chunk need; ``"gzip"`` or ``"lzf"``, of shuffled
        bytes; None; or options of ``h5py.Group.create_dataset``, as the classes of ``hdf5plugin``
        are.
    """
    if compression is None:
        return {}
    if isinstance(compression, Mapping):
        return dict(compression)
    if compression == "pack":
        return {"scaleoffset": 0}
    if compression in ("gzip", "lzf"):
        return {"compression": compression, "shuffle": True}
    raise ValueError(
        "compression must be 'pack', 'gzip', 'lzf', None or options of h5py "
        f"(such as hdf5plugin.LZ4()), got {compression!r}"
    )


def opened(path: Path) -> h5py.File:
    """Open a file for reading, also one that is still written to or whose writer was killed."""
    import h5py

    if not path.is_file():
        raise FileNotFoundError(f"Event file not found: {path}")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        try:
            return h5py.File(path, "r", swmr=True, locking=False)
        except (OSError, ValueError):
            raise EventError(f"{path} cannot be read as HDF5: {error}") from error


def columns_of(file: h5py.File, path: Path, config: H5Config) -> dict[str, Any]:
    """Return the datasets by field, or the fields of the one compound dataset."""
    import h5py

    group = file.get(config.events_group or "/")
    if not isinstance(group, h5py.Group):
        raise EventError(f"{path} has no group {config.events_group!r}")
    compound = group.get(config.compound_key) if config.compound_key else None
    if isinstance(compound, h5py.Dataset):
        if not set(config.keys.values()) <= set(compound.dtype.names or ()):
            raise EventError(
                f"{path}: {config.compound_key} must have the fields "
                f"{', '.join(config.keys.values())}, got {compound.dtype}"
            )
        _need_filters(compound, path)
        return {field: compound.fields(name) for field, name in config.keys.items()}
    columns: dict[str, Any] = {field: group.get(name) for field, name in config.keys.items()}
    for field, column in columns.items():
        if not isinstance(column, h5py.Dataset) or column.ndim != 1:
            raise EventError(
                f"{path} has no column {config.keys[field]!r} in {config.events_group or '/'!r}"
            )
    sizes = {field: len(column) for field, column in columns.items()}
    if len(set(sizes.values())) != 1 and not file.swmr_mode:
        raise EventError(f"{path}: columns must be of one length, got {sizes}")
    for field, column in columns.items():
        if column.dtype.kind not in "iub":
            raise EventError(
                f"{path}: column {config.keys[field]!r} must hold whole numbers, got {column.dtype}"
            )
        _need_filters(column, path)
    return columns


def _need_filters(dataset: h5py.Dataset, path: Path) -> None:
    """Load the filters of a dataset that HDF5 has not itself: reading would fail without them."""
    import h5py

    plist = dataset.id.get_create_plist()
    numbers = [plist.get_filter(k)[0] for k in range(plist.get_nfilters())]
    if all(h5py.h5z.filter_avail(number) for number in numbers):
        return
    try:
        import hdf5plugin  # noqa: F401  # pyright: ignore[reportMissingImports]  # it registers them
    except ImportError as error:
        raise EventError(
            f"{path} is compressed by a filter that h5py has not: pip install 'talon-snn[events]'"
        ) from error


def length_of(columns: Mapping[str, Any]) -> int:
    """Return the number of whole events: a writer that was killed may not have got to all columns.

    The columns are written one after the other, and flushed together.
    """
    return min(len(column) for column in columns.values())
