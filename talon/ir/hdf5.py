"""Nested dictionaries to HDF5 and back, trusting nothing that is read.

A file from elsewhere may be damaged or made to harm: what is read is bounded by the size of the
file, links are followed to ordinary objects inside it only, and each object once.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np
from h5py import h5l, h5o, h5z  # pyright: ignore[reportAttributeAccessIssue] compiled

from talon.errors import T1CFormatError

KIND = "talon_kind"
MAX_DEPTH = 16
FREE_BYTES = 64 << 20
"""What a small file may unpack to; compressed zeros are legitimate."""
EXPANSION = 8
"""How many times its own size a file may unpack to beyond that."""

_FILTERS = frozenset({h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32})
_STRING = h5py.string_dtype("utf-8")


def write_value(group: h5py.Group, name: str, value: object, *, nested: bool = False) -> None:
    """Store a value below ``group``: a dictionary as a group, all else as a dataset.

    Parameters
    ----------
    group, name
        Where to store it.
    value
        Arrays and scalars are stored as they are; what HDF5 has no form for is stored as JSON.
    nested
        Whether lists and tuples are to be told from arrays when they are read again.
    """
    if not name or "/" in name or "\0" in name or name in {".", ".."}:
        raise ValueError(f"Key {name!r} below {group.name} cannot name anything in a file")
    if isinstance(value, dict):
        child = group.create_group(name)
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"Keys below {child.name} must be strings, got {key!r}")
            write_value(child, key, item, nested=True)
        return
    data, kind = _encode(value, where=f"{group.name}/{name}")
    is_text = isinstance(data, str) or (isinstance(data, np.ndarray) and data.dtype.kind == "O")
    dataset = group.create_dataset(name, data=data, dtype=_STRING if is_text else None)
    if kind == "json" or (kind and nested):
        dataset.attrs[KIND] = kind


def _encode(value: object, *, where: str) -> tuple[Any, str | None]:
    if isinstance(value, np.ndarray) and value.dtype.kind == "U":
        return value.astype(object), None
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind not in "fiub":
            raise TypeError(f"{where}: arrays of dtype {value.dtype} cannot be stored")
        return value, None
    if isinstance(value, bool | float | str):
        return np.asarray(value)[()] if not isinstance(value, str) else _text(value, where), None
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return np.int64(value), None
    if isinstance(value, list | tuple) and value:
        kind = type(value).__name__
        if all(isinstance(item, str) for item in value):
            return np.array([_text(item, where) for item in value], object), kind
        numbers = {type(item) for item in value}
        if numbers == {int} and all(-(2**63) <= item < 2**63 for item in value):
            return np.array(value, np.int64), kind
        if numbers == {float}:
            return np.array(value, np.float64), kind
    try:
        return json.dumps(value), "json"
    except (TypeError, ValueError) as exc:
        raise TypeError(f"{where}: a {type(value).__name__} cannot be stored ({exc})") from exc


def _text(value: str, where: str) -> str:
    if "\0" in value:
        raise ValueError(f"{where}: text with a NUL character cannot be stored")
    return value


class TreeReader:
    """Read groups as dictionaries; every limit that is broken raises :class:`T1CFormatError`.

    Parameters
    ----------
    file_size
        Size of the file in bytes, which bounds what its datasets may hold together.
    """

    def __init__(self, file_size: int) -> None:
        self._file_size = file_size
        self._n_bytes_left = FREE_BYTES + EXPANSION * file_size
        self._seen: set[int] = set()

    def read_group(self, group: h5py.Group, depth: int = 0) -> dict[str, Any]:
        """Return everything below ``group``."""
        if depth > MAX_DEPTH:
            raise T1CFormatError(f"{group.name}: groups are nested deeper than {MAX_DEPTH}")
        return {name: self.read(child, depth) for name, child in self.children(group)}

    def children(self, group: h5py.Group) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
        """Give the objects below ``group``, each of which may be met once in the whole file."""
        for name in group:
            yield str(name), self.child(group, str(name))

    def child(self, group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
        """Return one object below ``group``."""
        where = f"{(group.name or '').rstrip('/')}/{name}"
        try:
            link = group.id.links.get_info(name.encode())
        except (KeyError, RuntimeError) as exc:
            raise T1CFormatError(f"{where} is missing or cannot be read: {exc}") from exc
        if link.type != h5l.TYPE_HARD:
            raise T1CFormatError(f"{where} is a link to another place; only objects are read")
        found = group[name]
        if not isinstance(found, h5py.Group | h5py.Dataset):
            raise T1CFormatError(f"{where} is neither a group nor a dataset")
        address = h5o.get_info(found.id).addr
        if address in self._seen:
            raise T1CFormatError(f"{where} is a second link to an object that was already read")
        self._seen.add(address)
        return found

    def read(self, found: h5py.Group | h5py.Dataset, depth: int) -> Any:
        """Return one object with everything below it."""
        if isinstance(found, h5py.Group):
            return self.read_group(found, depth + 1)
        return self.read_dataset(found)

    def read_dataset(self, dataset: h5py.Dataset) -> Any:
        """Return an array, a NumPy scalar, a string, or what was stored as JSON."""
        self._check_storage(dataset)
        is_text = h5py.check_string_dtype(dataset.dtype) is not None
        if not is_text and dataset.dtype.kind not in "fiub":
            raise T1CFormatError(f"{dataset.name} has the unsupported type {dataset.dtype}")
        value = dataset.asstr()[()] if is_text else dataset[()]
        return self._as_kind(dataset, value)

    def _check_storage(self, dataset: h5py.Dataset) -> None:
        plist = dataset.id.get_create_plist()
        if dataset.shape is None:
            raise T1CFormatError(f"{dataset.name} is empty")
        if plist.get_external_count() > 0 or dataset.is_virtual:
            raise T1CFormatError(f"{dataset.name} keeps its data in another file")
        used = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
        if used - _FILTERS:
            raise T1CFormatError(f"{dataset.name} uses unsupported filters {sorted(used)}")
        n_bytes = int(np.prod([int(dim) for dim in dataset.shape], dtype=object))
        n_bytes *= dataset.dtype.itemsize
        if dataset.chunks is None and n_bytes > self._file_size:
            raise T1CFormatError(
                f"{dataset.name} declares {n_bytes} bytes, the file has {self._file_size}"
            )
        chunk_bytes = int(np.prod([int(dim) for dim in dataset.chunks or ()], dtype=object))
        self._n_bytes_left -= max(n_bytes, chunk_bytes * dataset.dtype.itemsize)
        if self._n_bytes_left < 0:
            raise T1CFormatError(
                f"{dataset.name} declares {n_bytes} bytes; datasets may hold {FREE_BYTES} plus "
                f"{EXPANSION} times the file's {self._file_size} bytes together"
            )

    def _as_kind(self, dataset: h5py.Dataset, value: Any) -> Any:
        kind = dataset.attrs.get(KIND)
        if kind is None:
            return value
        if kind == "json":
            return json.loads(value)
        if kind == "list":
            return value.tolist()
        if kind == "tuple":
            return tuple(value.tolist())
        raise T1CFormatError(f"{dataset.name} has the unknown kind {kind!r}")


def plain(value: Any) -> Any:
    """Return a tree with NumPy scalars turned into Python's."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value.item() if isinstance(value, np.generic) else value
