"""The bytes of a HDF5 file in its earliest form, without the C library.

Source: the HDF5 File Format Specification, version 3.0: superblock 0, object headers 1, groups
with symbol tables, B-trees 1, global heaps 1. Addresses are known before anything points to them,
because what is inside is laid down before what is around it; the superblock comes last.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from talon.ir.hdf5.message import TEXT, dataset_head, dataset_prefix, layout_message, message
from talon.ir.types import Array, Dims

Piece = bytes | bytearray | memoryview

_UNDEFINED = 2**64 - 1
_SUPERBLOCK = struct.Struct("<8s4xBBBxHHI4QQQII16s")
_HEADER = struct.Struct("<BxHII4x")
_SYMBOL_TABLE = struct.Struct("<HHB3xQQ")
_LOCAL_HEAP = struct.Struct("<4s4xQQQ")
_SYMBOL = struct.Struct("<QQI4x16x")
_SYMBOLS = struct.Struct("<4sBxH")
_TREE = struct.Struct("<4sBBHQQ")
_CHILD_KEY = struct.Struct("<QQ")
_HEAP = struct.Struct("<4sB3xQ")
_HEAP_OBJECT = struct.Struct("<HHIQ")
_REFERENCE = struct.Struct("<IQI")
_LEAF_K, _GROUP_K, _CHUNK_K = 4, 16, 32
_SYMBOLS_BYTES = _SYMBOLS.size + 2 * _LEAF_K * _SYMBOL.size
_GROUP_TREE_BYTES = _TREE.size + (4 * _GROUP_K + 1) * 8
_MIN_HEAP, _MAX_HEAP = 4096, 1 << 16
_MIN_COMPRESSED = 1024
_MAX_COPIED = 1 << 16


class Emitter:
    """A HDF5 file that grows in memory; arrays above 64 KiB are referred to, not copied.

    Parameters
    ----------
    level
        Level of gzip for arrays, None for no compression.
    """

    def __init__(self, level: int | None = None) -> None:
        self._level = level
        self._pieces: list[Piece] = [b""]
        self._end = _SUPERBLOCK.size
        self._texts: list[bytes] = []
        self._texts_bytes = 0
        self._references: list[tuple[bytearray, int, int]] = []

    def finish(self, root: int) -> list[Piece]:
        """Return the file in pieces; ``root`` is the address of the group at the top."""
        self._flush_texts()
        self._pieces[0] = _SUPERBLOCK.pack(
            b"\x89HDF\r\n\x1a\n", 0, 8, 8, _LEAF_K, _GROUP_K, 0,
            0, _UNDEFINED, self._end, _UNDEFINED, 0, root, 0, 0, bytes(16),
        )  # fmt: skip
        return self._pieces

    def array(self, value: Array, attributes: bytes = b"", n_attributes: int = 0) -> int:
        """Lay down an array or a scalar of NumPy and return its address."""
        array = np.asarray(value, order="C")
        n_bytes = array.nbytes
        if self._level is not None and n_bytes >= _MIN_COMPRESSED and array.ndim:
            prefix = dataset_prefix(array.dtype, array.shape)
            suffix = self._compress(array, self._level)
            return self._header(prefix + suffix + attributes, 5 + n_attributes)
        head = dataset_head(array.dtype, array.shape, n_attributes, len(attributes))
        if n_bytes > _MAX_COPIED:
            at = self._put(array.reshape(-1).view(np.uint8).data)
            return self._put(head + layout_message(at, n_bytes) + attributes)
        at, padding = self._end if n_bytes else _UNDEFINED, bytes(-n_bytes % 8)
        header_at = self._end + n_bytes + len(padding)
        self._put(
            b"".join((array.tobytes(), padding, head, layout_message(at, n_bytes), attributes))
        )
        return header_at

    def texts(
        self, values: Sequence[str], dims: Dims, attributes: bytes = b"", n_attributes: int = 0
    ) -> int:
        """Lay down texts, of no dimension for a single one, and return their address."""
        n_bytes = _REFERENCE.size * len(values)
        data, at = bytearray(n_bytes), self._end
        data += dataset_head(TEXT, dims, n_attributes, len(attributes))
        data += layout_message(at if values else _UNDEFINED, n_bytes) + attributes
        self._put(data)
        for k, value in enumerate(values):
            self._text(value.encode(), data, k * _REFERENCE.size)
        return at + n_bytes

    def group(
        self, children: Mapping[bytes, int], attributes: bytes = b"", n_attributes: int = 0
    ) -> int:
        """Lay down a group of what is at some addresses and return its address."""
        names = sorted(children)
        lay_names = _lay_names_again if len(names) <= 2 * _LEAF_K else _lay_names
        heap, places = lay_names(tuple(names))
        heap_at = self._put(_LOCAL_HEAP.pack(b"HEAP", len(heap), 1, self._end + 32) + heap)
        tree_at = self._symbols([*zip(places, map(children.__getitem__, names), strict=True)])
        table = _SYMBOL_TABLE.pack(0x11, 16, 0, tree_at, heap_at)
        return self._header(table + attributes, 1 + n_attributes)

    def _symbols(self, symbols: list[tuple[int, int]]) -> int:
        """Lay down the tree over the symbols of a group and return its address."""
        level: list[tuple[int, int]] = []
        for k in range(0, len(symbols), 2 * _LEAF_K):
            part = symbols[k : k + 2 * _LEAF_K]
            body = b"".join(_SYMBOL.pack(name, address, 0) for name, address in part)
            node = _SYMBOLS.pack(b"SNOD", 1, len(part)) + body
            level.append((part[-1][0], self._put(node.ljust(_SYMBOLS_BYTES, b"\0"))))
        depth = 0
        while True:
            level = self._tree_level(level, depth)
            if len(level) == 1:
                return level[0][1]
            depth += 1

    def _tree_level(self, children: list[tuple[int, int]], depth: int) -> list[tuple[int, int]]:
        starts = range(0, len(children), 2 * _GROUP_K) if children else range(1)
        first, last, found = self._end, starts[-1], []
        low = 0
        for k in starts:
            part = children[k : k + 2 * _GROUP_K]
            at = first + k // (2 * _GROUP_K) * _GROUP_TREE_BYTES
            left = at - _GROUP_TREE_BYTES if k else _UNDEFINED
            right = at + _GROUP_TREE_BYTES if k != last else _UNDEFINED
            body = [_TREE.pack(b"TREE", 0, depth, len(part), left, right), struct.pack("<Q", low)]
            body += [_CHILD_KEY.pack(address, high) for high, address in part]
            low = part[-1][0] if part else 0
            found.append((low, self._put(b"".join(body).ljust(_GROUP_TREE_BYTES, b"\0"))))
        return found

    def _compress(self, array: Array, level: int) -> bytes:
        """Lay down an array in chunks, at most as many as a node of a tree has; give messages."""
        rows = -(-len(array) // (2 * _CHUNK_K))
        row_bytes = array.nbytes // len(array)
        rows = min(max(rows, (1 << 20) // row_bytes, 1), len(array))
        item, dims = array.dtype.itemsize, (rows, *array.shape[1:])
        key = struct.Struct(f"<II{array.ndim + 1}Q")
        zeros = (0,) * array.ndim
        entries: list[bytes] = []
        for start in range(0, len(array), rows):
            chunk = np.zeros(dims, array.dtype)
            part = array[start : start + rows]
            chunk[: len(part)] = part
            lanes = chunk.reshape(-1).view(np.uint8).reshape(-1, item).T.tobytes()
            packed = zlib.compress(lanes, level)
            entries.append(key.pack(len(packed), 0, start, *zeros))
            entries.append(struct.pack("<Q", self._put(packed)))
        n_bytes = _TREE.size + (2 * _CHUNK_K + 1) * key.size + 2 * _CHUNK_K * 8
        head = _TREE.pack(b"TREE", 1, 0, len(entries) // 2, _UNDEFINED, _UNDEFINED)
        end = key.pack(0, 0, -(-len(array) // rows) * rows, *array.shape[1:], 0)
        tree = self._put((head + b"".join(entries) + end).ljust(n_bytes, b"\0"))
        n = array.ndim + 1
        layout = struct.pack(f"<BBBQ{n}I", 3, 2, n, tree, *dims, item)
        # Filters: shuffle with the size of an element, then gzip with its level.
        filters = struct.pack("<BB6xHHHHI4xHHHHI4x", 1, 2, 2, 0, 1, 1, item, 1, 0, 1, 1, level)
        return message(8, layout) + message(0xB, filters)

    def _text(self, raw: bytes, data: bytearray, offset: int) -> None:
        """Take a text into the open heap; ``data`` will refer to it at ``offset``."""
        if not raw:
            return
        self._texts.append(raw)
        self._texts_bytes += _HEAP_OBJECT.size + len(raw) + -len(raw) % 8
        self._references.append((data, offset, len(self._texts)))
        if self._texts_bytes >= _MAX_HEAP:
            self._flush_texts()

    def _flush_texts(self) -> None:
        """Lay down the open heap, and make what refers to its texts do so."""
        texts, at = self._texts, self._end
        for data, offset, index in self._references:
            _REFERENCE.pack_into(data, offset, len(texts[index - 1]), at, index)
        if texts:
            body: list[bytes] = []
            for index, raw in enumerate(texts, 1):
                body += _HEAP_OBJECT.pack(index, 1, 0, len(raw)), raw, bytes(-len(raw) % 8)
            used = _HEAP.size + self._texts_bytes
            n_bytes = max(_MIN_HEAP, used)
            if n_bytes - used >= _HEAP_OBJECT.size:
                body.append(_HEAP_OBJECT.pack(0, 0, 0, n_bytes - used))
            heap = _HEAP.pack(b"GCOL", 1, n_bytes) + b"".join(body)
            self._put(heap.ljust(n_bytes, b"\0"))
        self._texts, self._texts_bytes, self._references = [], 0, []

    def _header(self, messages: bytes, n_messages: int) -> int:
        return self._put(_HEADER.pack(1, n_messages, 1, len(messages)) + messages)

    def _put(self, piece: Piece) -> int:
        """Lay down some bytes at a multiple of eight and return their address."""
        at, n_bytes = self._end, len(piece)
        self._pieces.append(piece)
        self._end = at + n_bytes
        if n_bytes % 8:
            self._pieces.append(bytes(-n_bytes % 8))
            self._end += -n_bytes % 8
        return at


@lru_cache(256)
def _lay_names_again(names: tuple[bytes, ...]) -> tuple[bytes, tuple[int, ...]]:
    """Return what :func:`_lay_names` does; nodes of a type have the names of their fields alike."""
    return _lay_names(names)


def _lay_names(names: tuple[bytes, ...]) -> tuple[bytes, tuple[int, ...]]:
    """Return the bytes of a local heap of names, and where in it each of them is."""
    heap = bytearray(8)
    places: list[int] = []
    for name in names:
        places.append(len(heap))
        heap += name + bytes(8 - len(name) % 8)
    return bytes(heap), tuple(places)
