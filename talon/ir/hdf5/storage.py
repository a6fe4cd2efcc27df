"""Where the bytes of a dataset are: in its header, in one piece, in chunks, or in a heap."""

import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from talon.errors import T1CFormatError
from talon.ir.hdf5.datatype import Datatype, n_elements
from talon.ir.hdf5.source import ByteSource, cut, unpack_from
from talon.ir.types import Array

FREE_BYTES = 64 << 20
"""What even a small file may unpack to; compressed zeros are legitimate."""
EXPANSION = 8
"""How many times its own size a file may unpack to beyond that."""

LENT_BYTES = 1 << 20
"""Arrays of this size and more are views of the file's content, where that can be written to."""

_ADDRESS_SIZE = struct.Struct("<QQ")
_COUNT = struct.Struct("<H")
_FILTER = struct.Struct("<HHHH")
_TREE = struct.Struct("<4sBBHQQ")
_ADDRESS = struct.Struct("<Q")
_HEAP = struct.Struct("<4sB3xQ")
_HEAP_OBJECT = struct.Struct("<HHIQ")
_REFERENCE = struct.Struct("<IQI")
_DEFLATE, _SHUFFLE = 1, 2
MAX_LEVEL = 32


def read_tree_node(
    source: ByteSource, address: int, kind: int, key_bytes: int, level: int | None = None
) -> Iterator[tuple[int, int]]:
    """Give the offset of the key and the child's address of every leaf of a B-tree.

    Parameters
    ----------
    source, address
        Where the tree is.
    kind
        0 for a group, 1 for chunks.
    key_bytes
        Size of a key.
    level
        The level that the node must have; it falls by one from node to child.
    """
    signature, found_kind, found_level, n_entries, _, _ = source.unpack(_TREE, address, "B-tree")
    if signature != b"TREE" or found_kind != kind or found_level > MAX_LEVEL:
        raise T1CFormatError(f"there is no B-tree of kind {kind} at {address:#x}")
    if level is not None and found_level != level:
        raise T1CFormatError(f"the B-tree at {address:#x} has level {found_level}, not {level}")
    start, step = address + _TREE.size, key_bytes + _ADDRESS.size
    entries = source.take(start, n_entries * step, "B-tree")
    for offset in range(0, n_entries * step, step):
        (child,) = _ADDRESS.unpack_from(entries, offset + key_bytes)
        if found_level:
            yield from read_tree_node(source, child, kind, key_bytes, found_level - 1)
        else:
            yield start + offset, child


@dataclass(frozen=True, kw_only=True)
class _Chunking:
    dims: tuple[int, ...]
    chunk: tuple[int, ...]
    element_bytes: int
    filters: Sequence[int]

    @property
    def chunk_bytes(self) -> int:
        return math.prod(self.chunk) * self.element_bytes


class Storage:
    """The datasets' bytes of one file."""

    def __init__(self, source: ByteSource, max_bytes: int | None = None) -> None:
        self._source = source
        self._max_bytes = max_bytes
        default = FREE_BYTES + EXPANSION * len(source)
        self._n_bytes_left = default if max_bytes is None else max_bytes
        self._lent: list[tuple[int, int]] = []
        self._heaps: dict[int, dict[int, tuple[int, int]]] = {}

    def read_raw(
        self, layout: memoryview, filters: memoryview | None, dims: tuple[int, ...], kind: Datatype
    ) -> bytes | memoryview:
        """Return the elements of a dataset, in chunks or in its header, in row-major order."""
        n_bytes = n_elements(dims) * kind.n_bytes
        self._allow(n_bytes)
        version, form = bytes(cut(layout, 0, 2, "data layout"))
        if version != 3 or form not in (0, 2):
            raise T1CFormatError(f"data layouts of version {version}, class {form} are unsupported")
        if form == 2:
            return self._read_chunks(layout, filters, dims, kind)
        if filters is not None:
            raise T1CFormatError("filters need chunks")
        (size,) = unpack_from(_COUNT, layout, 2, "data layout")
        return cut(cut(layout, 4, size, "compact data"), 0, n_bytes, "compact data")

    def read_contiguous(self, place: bytes, n_bytes: int) -> bytes | memoryview:
        """Return the elements of a dataset that are in one piece; ``place`` is where."""
        self._allow(n_bytes)
        address, size = _ADDRESS_SIZE.unpack(place)
        if size < n_bytes:
            raise T1CFormatError(f"{n_bytes} bytes are declared, but {size} are stored")
        if not n_bytes:
            return b""
        data = self._source.take(address, n_bytes, "data")
        return data if n_bytes < LENT_BYTES or self._lend(address, n_bytes) else bytes(data)

    def decode(self, raw: bytes | memoryview, dims: tuple[int, ...], kind: Datatype) -> Any:
        """Return elements as an array of their own memory, or as a scalar of no dimensions.

        An array of ``LENT_BYTES`` and more is a view of ``raw``, if that can be written to.
        """
        if kind.form == "number":
            array: Array = np.ndarray(dims, kind.dtype, raw)
            if array.nbytes >= LENT_BYTES and array.flags.writeable and array.flags.aligned:
                return array
            return array.copy() if dims else array[()]
        if kind.form == "bool":
            return (np.frombuffer(raw, np.uint8).reshape(dims) != 0)[()]
        if kind.form == "variable_text":
            references = _REFERENCE.iter_unpack(raw)
            texts = [decode_text(self._read_text(*one), "a text") for one in references]
        else:
            texts = [decode_text(text, "a text") for text in _fixed_texts(raw, kind.n_bytes)]
        return np.array(texts, object).reshape(dims) if dims else texts[0]

    def _lend(self, start: int, n_bytes: int) -> bool:
        """Tell whether nobody else has a view of these bytes, which then are lent."""
        end = start + n_bytes
        if any(start < other_end and other < end for other, other_end in self._lent):
            return False
        self._lent.append((start, end))
        return True

    def _allow(self, n_bytes: int) -> None:
        self._n_bytes_left -= n_bytes
        if self._n_bytes_left < 0 and self._max_bytes is not None:
            raise T1CFormatError(
                f"{n_bytes} bytes are declared; all data may have max_bytes={self._max_bytes} "
                "together"
            )
        if self._n_bytes_left < 0:
            raise T1CFormatError(
                f"{n_bytes} bytes are declared; all data may have {FREE_BYTES} plus {EXPANSION} "
                f"times the file's {len(self._source)} bytes together; "
                "max_bytes sets another limit"
            )

    def _read_chunks(
        self, layout: memoryview, filters: memoryview | None, dims: tuple[int, ...], kind: Datatype
    ) -> bytes:
        rank = len(dims)
        sizes = struct.Struct(f"<BQ{rank + 1}I")
        n_sizes, tree, *chunk, element_bytes = unpack_from(sizes, layout, 2, "data layout")
        if n_sizes != rank + 1 or element_bytes != kind.n_bytes or not rank or 0 in chunk:
            raise T1CFormatError(f"chunks {chunk} do not fit the dimensions {dims}")
        chunking = _Chunking(
            dims=dims,
            chunk=tuple(chunk),
            element_bytes=element_bytes,
            filters=_parse_filters(filters) if filters is not None else (),
        )
        return self._assemble(chunking, tree)

    def _assemble(self, chunking: _Chunking, tree: int) -> bytes:
        n_missing = math.prod(
            -(-d // c) for d, c in zip(chunking.dims, chunking.chunk, strict=True)
        )
        # Each chunk has an entry in the tree, so a file can hold no more of them than this.
        if n_missing > len(self._source):
            raise T1CFormatError(f"the file cannot hold {n_missing} chunks")
        whole = np.zeros((*chunking.dims, chunking.element_bytes), np.uint8)
        rank = len(chunking.dims)
        key_layout = struct.Struct(f"<II{rank + 1}Q")
        seen: set[tuple[int, ...]] = set()
        if not n_missing:
            return b""
        for key, address in read_tree_node(self._source, tree, 1, key_layout.size):
            n_bytes, mask, *offsets = self._source.unpack(key_layout, key, "chunk")
            place = tuple(offsets[:rank])
            if place in seen or any(o % c for o, c in zip(place, chunking.chunk, strict=True)):
                raise T1CFormatError(f"a chunk at {place} is out of place")
            seen.add(place)
            if any(o >= d for o, d in zip(place, chunking.dims, strict=True)):
                continue
            n_missing -= 1
            data = self._unfilter(self._source.take(address, n_bytes, "chunk"), mask, chunking)
            block = np.frombuffer(data, np.uint8).reshape(*chunking.chunk, -1)
            target = whole[
                tuple(map(slice, place, map(sum, zip(place, chunking.chunk, strict=True))))
            ]
            target[...] = block[tuple(map(slice, target.shape))]
        if n_missing:
            raise T1CFormatError(f"{n_missing} chunks are missing")
        return whole.tobytes()

    def _unfilter(self, data: memoryview, mask: int, chunking: _Chunking) -> bytes:
        self._source.spend(chunking.chunk_bytes // 256)
        raw = bytes(data)
        for index, identity in reversed(list(enumerate(chunking.filters))):
            if mask >> index & 1:
                continue
            if identity == _DEFLATE:
                raw = zlib.decompressobj().decompress(raw, chunking.chunk_bytes)
            else:
                lanes = np.frombuffer(raw, np.uint8).reshape(chunking.element_bytes, -1)
                raw = lanes.T.tobytes()
        if len(raw) != chunking.chunk_bytes:
            raise T1CFormatError(f"a chunk has {len(raw)} bytes, not {chunking.chunk_bytes}")
        return raw

    def _read_text(self, n_bytes: int, address: int, index: int) -> memoryview | bytes:
        """Return the bytes of one text of variable length."""
        if n_bytes == 0:
            return b""
        objects = self._heaps.get(address)
        if objects is None:
            objects = self._heaps[address] = dict(self._heap_objects(address))
        offset, size = objects.get(index, (0, -1))
        if n_bytes > size:
            raise T1CFormatError(f"there is no text {index} of {n_bytes} bytes at {address:#x}")
        self._allow(n_bytes)
        return self._source.take(offset, n_bytes, "text")

    def _heap_objects(self, address: int) -> Iterator[tuple[int, tuple[int, int]]]:
        signature, version, size = self._source.unpack(_HEAP, address, "global heap")
        if signature != b"GCOL" or version != 1:
            raise T1CFormatError(f"there is no global heap at {address:#x}")
        heap = self._source.take(address, size, "global heap")
        offset = _HEAP.size
        while offset + _HEAP_OBJECT.size <= size:
            index, _, _, n_bytes = _HEAP_OBJECT.unpack_from(heap, offset)
            if index == 0:
                return
            offset += _HEAP_OBJECT.size
            yield index, (address + offset, n_bytes)
            offset += n_bytes + -n_bytes % 8


def decode_text(raw: bytes | memoryview, what: str) -> str:
    """Return UTF-8 as text; ``what`` names it in an error."""
    try:
        return str(raw, "utf-8")
    except UnicodeDecodeError as exc:
        raise T1CFormatError(f"{what} is not UTF-8") from exc


def _fixed_texts(raw: bytes | memoryview, n_bytes: int) -> Iterator[bytes]:
    for start in range(0, len(raw), n_bytes):
        yield bytes(raw[start : start + n_bytes]).rstrip(b"\0")


def _parse_filters(body: memoryview) -> list[int]:
    version, n_filters = bytes(cut(body, 0, 2, "filters"))
    if version != 1:
        raise T1CFormatError(f"filters of version {version} are not supported")
    found: list[int] = []
    offset = 8
    for _ in range(n_filters):
        identity, name_bytes, _, n_values = unpack_from(_FILTER, body, offset, "filters")
        if identity not in (_DEFLATE, _SHUFFLE):
            raise T1CFormatError(f"the filter {identity} is not supported; use gzip or none")
        found.append(identity)
        offset += _FILTER.size + -(-name_bytes // 8) * 8 + 4 * (n_values + n_values % 2)
    return found
