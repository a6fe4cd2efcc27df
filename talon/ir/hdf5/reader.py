"""Read a HDF5 file into memory without trusting it.

The C library follows corrupt files into endless loops and out of its memory, so what ``.t1c``
needs of the format is read here: superblock version 0 or 1, groups with symbol tables, and the
datasets that :mod:`talon.ir.hdf5.storage` knows. That is what HDF5 writes with its oldest settings,
which are those of h5py's ``libver="earliest"``. Links to other places are refused.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from talon.errors import T1CFormatError
from talon.ir.hdf5.header import WAY_OUT, Data, HeaderReader
from talon.ir.hdf5.source import ByteSource
from talon.ir.hdf5.storage import Storage, decode_text, read_tree_node
from talon.ir.hdf5.write import MAX_DEPTH

SIGNATURE = b"\x89HDF\r\n\x1a\n"

_SIZES = struct.Struct("<13xBB")
_SUPERBLOCK = struct.Struct("<QQQQQQ")
_ADDRESSES = struct.Struct("<QQ")
_LOCAL_HEAP = struct.Struct("<4sB3xQQQ")
_SYMBOLS = struct.Struct("<4sBxH")
_SYMBOL = struct.Struct("<QQI20x")
_MAX_KNOWN, _MAX_KNOWN_BYTES = 4096, 1024


@dataclass(slots=True, eq=False)  # not frozen: there are thousands, which would take twice as long
class Dataset:
    """An array, a NumPy scalar, a text or an array of texts, with attributes.

    Attributes are shared with other objects, and not to be written to.
    """

    path: str
    value: Any
    attributes: Mapping[str, Any]


@dataclass(slots=True, eq=False)
class Group:
    """Named objects, with attributes, which are shared as those of a dataset are."""

    path: str
    children: "dict[str, Group | Dataset]"
    attributes: Mapping[str, Any]


def read_tree(data: bytes | bytearray | memoryview, max_bytes: int | None = None) -> Group:
    """Return everything in a file.

    Parameters
    ----------
    data
        The content. If it can be written to, large arrays are views of it, else copies.
    max_bytes
        What all data may unpack to; a multiple of the file's size if it is not given.

    Raises
    ------
    T1CFormatError
        If the file is damaged or uses more of HDF5 than is supported.
    """
    return _Reader(data, max_bytes).read()


class _Reader:
    def __init__(self, data: bytes | bytearray | memoryview, max_bytes: int | None) -> None:
        self._source = ByteSource(data)
        self._storage = Storage(self._source, max_bytes)
        self._seen: set[int] = set()
        self._headers = HeaderReader(self._source, self._storage)
        self._known_names: dict[tuple[bytes, tuple[int, ...]], Sequence[str]] = {}

    def read(self) -> Group:
        source = self._source
        source.expect(SIGNATURE, 0, "HDF5 signature")
        version = source.take(8, 1, "superblock")[0]
        if version > 1:
            raise T1CFormatError(f"superblock version {version} is not supported; {WAY_OUT}")
        if source.unpack(_SIZES, 0, "superblock") != (8, 8):
            raise T1CFormatError("addresses and lengths must have 8 bytes")
        start = 24 if version == 0 else 28
        base, _, end, _, _, root = source.unpack(_SUPERBLOCK, start, "superblock")
        if base != 0 or end > len(source):
            raise T1CFormatError(f"the file should have {end} bytes, but has {len(source)}")
        found = self._read_object("/", root, depth=0)
        if not isinstance(found, Group):
            raise T1CFormatError("the root is not a group")
        return found

    def _read_object(self, path: str, address: int, depth: int) -> Group | Dataset:
        if address in self._seen:
            raise T1CFormatError(f"{path} is a second link to an object that was already read")
        if depth > MAX_DEPTH:
            raise T1CFormatError(f"{path}: groups are nested deeper than {MAX_DEPTH}")
        self._seen.add(address)
        try:
            header, holes = self._headers.read(address)
            attributes = header.attributes
            if header.varying:
                decode = self._storage.decode
                values = {name: decode(holes[k], (), kind) for name, kind, k in header.varying}
                attributes = {**attributes, **values}
            place = None if header.place is None else holes[header.place]
            if header.data is not None:
                return Dataset(path, self._value(header.data, place), attributes)
            assert place is not None
        except T1CFormatError as exc:
            raise T1CFormatError(f"{path}: {exc}") from exc
        above = path.rstrip("/")
        children = {
            name: self._read_object(f"{above}/{name}", child, depth + 1)
            for name, child in self._links(path, place)
        }
        return Group(path, children, attributes)

    def _value(self, data: Data, place: bytes | None) -> Any:
        if place is None:
            raw = self._storage.read_raw(data.layout, data.filters, data.dims, data.kind)
        else:
            raw = self._storage.read_contiguous(place, data.n_bytes)
        return self._storage.decode(raw, data.dims, data.kind)

    def _links(self, path: str, place: bytes) -> Iterator[tuple[str, int]]:
        """Give names and addresses of the objects in a group."""
        tree, heap_at = _ADDRESSES.unpack(place)
        signature, _, n_bytes, _, start = self._source.unpack(_LOCAL_HEAP, heap_at, "local heap")
        if signature != b"HEAP":
            raise T1CFormatError(f"{path}: there is no local heap at {heap_at:#x}")
        heap = bytes(self._source.take(start, n_bytes, "names"))
        symbols: list[tuple[int, int, int]] = []
        for _, node in read_tree_node(self._source, tree, 0, 8):
            signature, _, n_symbols = self._source.unpack(_SYMBOLS, node, "symbols")
            if signature != b"SNOD":
                raise T1CFormatError(f"{path}: there are no symbols at {node:#x}")
            n_bytes = n_symbols * _SYMBOL.size
            listed = self._source.take(node + _SYMBOLS.size, n_bytes, "symbols")
            symbols += _SYMBOL.iter_unpack(listed)
        names = self._names(path, heap, tuple([symbol[0] for symbol in symbols]))
        for name, (_, address, cache) in zip(names, symbols, strict=True):
            if cache not in (0, 1):
                raise T1CFormatError(f"{path}: {name!r} is a link to another place")
            yield name, address

    def _names(self, path: str, heap: bytes, places: tuple[int, ...]) -> Sequence[str]:
        """Return the names at some places of a heap; those of most nodes are the same."""
        known = self._known_names.get((heap, places))
        if known is not None:
            return known
        names = [self._name(path, heap, start) for start in places]
        seen: set[str] = set()
        for name in names:
            if name in seen:
                raise T1CFormatError(f"{path} has two objects called {name!r}")
            seen.add(name)
        if len(heap) <= _MAX_KNOWN_BYTES and len(self._known_names) < _MAX_KNOWN:
            self._known_names[heap, places] = names
        return names

    def _name(self, path: str, names: bytes, start: int) -> str:
        end = names.find(b"\0", start)
        if start >= len(names) or end <= start:
            raise T1CFormatError(f"{path}: an object has no name")
        self._source.spend(end - start)
        return decode_text(names[start:end], f"{path}: the name of an object")
