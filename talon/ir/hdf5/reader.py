"""Read a HDF5 file into memory without trusting it.

The C library follows corrupt files into endless loops and out of its memory, so what ``.t1c``
needs of the format is read here: superblock version 0 or 1, groups with symbol tables, and the
datasets that :mod:`talon.ir.hdf5.storage` knows. That is what HDF5 writes with its oldest settings,
which are those of h5py's ``libver="earliest"``. Links to other places are refused.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from talon.errors import T1CFormatError
from talon.ir.hdf5.datatype import Datatype, parse_dataspace, parse_datatype
from talon.ir.hdf5.source import ByteSource, cut, unpack_from
from talon.ir.hdf5.storage import LENT_BYTES, Storage, read_tree_node
from talon.ir.hdf5.write import MAX_DEPTH

SIGNATURE = b"\x89HDF\r\n\x1a\n"

_SIZES = struct.Struct("<13xBB")
_SUPERBLOCK = struct.Struct("<QQQQQQ")
_HEADER = struct.Struct("<BxHII")
_MESSAGE = struct.Struct("<HHB3x")
_ADDRESS_SIZE = struct.Struct("<QQ")
_LOCAL_HEAP = struct.Struct("<4sB3xQQQ")
_SYMBOLS = struct.Struct("<4sBxH")
_SYMBOL = struct.Struct("<QQI")
_SYMBOL_BYTES = 40
_ATTRIBUTE = struct.Struct("<BBHHH")

_SPACE, _TYPE, _LINK_INFO, _LINK, _EXTERNAL, _LAYOUT = 0x1, 0x3, 0x2, 0x6, 0x7, 0x8
_FILTERS, _ATTRIBUTE_KIND, _CONTINUATION, _SYMBOL_TABLE = 0xB, 0xC, 0x10, 0x11
_SHARED = 2
_WAY_OUT = 'write it with h5py.File(path, "w", libver="earliest")'

Messages: TypeAlias = list[tuple[int, memoryview]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """An array, a NumPy scalar, a text or an array of texts, with attributes."""

    path: str
    value: Any
    attributes: dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Named objects, with attributes."""

    path: str
    children: "dict[str, Group | Dataset]"
    attributes: dict[str, Any]


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
        self._attributes_seen: dict[bytes, tuple[str, Any]] = {}

    def read(self) -> Group:
        source = self._source
        source.expect(SIGNATURE, 0, "HDF5 signature")
        version = source.take(8, 1, "superblock")[0]
        if version > 1:
            raise T1CFormatError(f"superblock version {version} is not supported; {_WAY_OUT}")
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
            messages = self._messages(address)
            attributes = dict(self._attributes(messages))
            first = dict(reversed(messages))
            if _LINK in first or _LINK_INFO in first:
                raise T1CFormatError(f"groups of newer versions are not supported; {_WAY_OUT}")
            table = first.get(_SYMBOL_TABLE)
            if table is None:
                return Dataset(path=path, value=self._value(first), attributes=attributes)
        except T1CFormatError as exc:
            raise T1CFormatError(f"{path}: {exc}") from exc
        children = {
            name: self._read_object(f"{path.rstrip('/')}/{name}", child, depth + 1)
            for name, child in self._links(path, table)
        }
        return Group(path=path, children=children, attributes=attributes)

    def _messages(self, address: int) -> Messages:
        version, n_messages, _, n_bytes = self._source.unpack(_HEADER, address, "object header")
        if version != 1:
            raise T1CFormatError(f"there is no object header of version 1; {_WAY_OUT}")
        found: Messages = []
        blocks = [(address + 16, n_bytes)]
        for start, size in blocks:
            body = self._source.take(start, size, "object header")
            offset, end = 0, len(body)
            while offset + _MESSAGE.size <= end and len(found) < n_messages:
                kind, length, flags = _MESSAGE.unpack_from(body, offset)
                at = offset + _MESSAGE.size
                offset = at + length
                if offset > end:
                    raise T1CFormatError("message is cut short")
                message = body[at:offset]
                if flags & _SHARED and kind in (_SPACE, _TYPE, _LAYOUT, _FILTERS, _ATTRIBUTE_KIND):
                    raise T1CFormatError("shared messages are not supported")
                if kind == _CONTINUATION:
                    blocks.append(unpack_from(_ADDRESS_SIZE, message, 0, "continuation"))
                found.append((kind, message))
        return found

    def _links(self, path: str, table: memoryview) -> Iterator[tuple[str, int]]:
        """Give names and addresses of the objects in a group."""
        tree, heap = unpack_from(_ADDRESS_SIZE, table, 0, "symbol table")
        signature, _, n_bytes, _, start = self._source.unpack(_LOCAL_HEAP, heap, "local heap")
        if signature != b"HEAP":
            raise T1CFormatError(f"{path}: there is no local heap at {heap:#x}")
        names = bytes(self._source.take(start, n_bytes, "names"))
        seen: set[str] = set()
        for _, node in read_tree_node(self._source, tree, 0, 8):
            signature, _, n_symbols = self._source.unpack(_SYMBOLS, node, "symbols")
            if signature != b"SNOD":
                raise T1CFormatError(f"{path}: there are no symbols at {node:#x}")
            for k in range(n_symbols):
                offset = node + _SYMBOLS.size + k * _SYMBOL_BYTES
                name_at, address, cache = self._source.unpack(_SYMBOL, offset, "symbol")
                name = self._name(path, names, name_at)
                if cache not in (0, 1):
                    raise T1CFormatError(f"{path}: {name!r} is a link to another place")
                if name in seen:
                    raise T1CFormatError(f"{path} has two objects called {name!r}")
                seen.add(name)
                yield name, address

    def _name(self, path: str, names: bytes, start: int) -> str:
        end = names.find(b"\0", start)
        if start >= len(names) or end <= start:
            raise T1CFormatError(f"{path}: an object has no name")
        self._source.spend(end - start)
        return _decode(names[start:end], f"{path}: the name of an object")

    def _attributes(self, messages: Messages) -> list[tuple[str, Any]]:
        return [self._known_attribute(body) for kind, body in messages if kind == _ATTRIBUTE_KIND]

    def _known_attribute(self, body: memoryview) -> tuple[str, Any]:
        """Return an attribute; the nodes of a network have many of the same bytes."""
        raw = bytes(body)
        found = self._attributes_seen.get(raw)
        if found is None:
            found = self._attributes_seen[raw] = self._attribute(body)
        name, value = found
        return name, value.copy() if isinstance(value, np.ndarray) else value

    def _attribute(self, body: memoryview) -> tuple[str, Any]:
        version, _, *sizes = unpack_from(_ATTRIBUTE, body, 0, "attribute")
        if version not in (1, 2, 3):
            raise T1CFormatError(f"attributes of version {version} are not supported")
        offset = _ATTRIBUTE.size + (version == 3)
        parts: list[memoryview] = []
        for size in sizes:
            parts.append(cut(body, offset, size, "attribute"))
            offset += -(-size // 8) * 8 if version == 1 else size
        kind, dims = parse_datatype(bytes(parts[1])), parse_dataspace(bytes(parts[2]))
        n_bytes = kind.n_bytes * math.prod(dims)
        name = _decode(bytes(parts[0]).rstrip(b"\0"), "the name of an attribute")
        return name, self._decode_elements(cut(body, offset, n_bytes, "attribute"), dims, kind)

    def _value(self, messages: dict[int, memoryview]) -> Any:
        if _EXTERNAL in messages:
            raise T1CFormatError("its data is in another file")
        datatype, dataspace, layout = map(messages.get, (_TYPE, _SPACE, _LAYOUT))
        if datatype is None or dataspace is None or layout is None:
            raise T1CFormatError("it is neither a group nor a complete dataset")
        kind, dims = parse_datatype(bytes(datatype)), parse_dataspace(bytes(dataspace))
        raw = self._storage.read_raw(layout, messages.get(_FILTERS), dims, kind)
        return self._decode_elements(raw, dims, kind)

    def _decode_elements(
        self, raw: bytes | memoryview, dims: tuple[int, ...], kind: Datatype
    ) -> Any:
        if kind.form == "number":
            array = np.frombuffer(raw, kind.dtype).reshape(dims)
            if array.nbytes >= LENT_BYTES and array.flags.writeable and array.flags.aligned:
                return array
            return array.copy()[()]
        if kind.form == "bool":
            return (np.frombuffer(raw, np.uint8).reshape(dims) != 0)[()]
        view = memoryview(raw)
        size = kind.n_bytes
        elements = [view[k : k + size] for k in range(0, len(view), size)]
        if kind.form == "variable_text":
            texts = [_decode(self._storage.read_text(element), "a text") for element in elements]
        else:
            texts = [_decode(bytes(element).rstrip(b"\0"), "a text") for element in elements]
        return np.array(texts, object).reshape(dims)[()]


def _decode(raw: bytes, what: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as exc:
        raise T1CFormatError(f"{what} is not UTF-8") from exc
