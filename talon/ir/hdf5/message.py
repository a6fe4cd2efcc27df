"""The messages of object headers as they are written: types, dimensions, layouts, attributes.

Source: the HDF5 File Format Specification, version 3.0, object headers 1.
"""

import struct
from functools import lru_cache

import numpy as np

from talon.ir.types import Array, Dims

TEXT = np.dtype(object)
"""Type of the elements of a dataset of texts."""

_HEADER = struct.Struct("<BxHII4x")
_MESSAGE = struct.Struct("<HHB3x")
_LAYOUT = struct.Struct("<HHB3xBBQQ6x")
_ATTRIBUTE = struct.Struct("<BxHHH")
_MAX_MESSAGE = (1 << 16) - 8
_FILL = b"\x02\x02\x02\x01\0\0\0\0"  # version 2, allocated late, written if set, the default
_TEXT_TYPE = bytes.fromhex("19010100 10000000 10000000 01000000 00000800")
_BOOL_TYPE = bytes.fromhex("18020000 01000000 10080000 01000000 00000800") + (
    b"FALSE\0\0\0TRUE\0\0\0\0\0\1"
)
_FLOATS = {2: (15, 10, 5, 10, 15), 4: (31, 23, 8, 23, 127), 8: (63, 52, 11, 52, 1023)}


def pack_attribute(name: str, value: int | str | Array) -> bytes:
    """Return the message of an attribute: an integer, a short text, or integers."""
    if isinstance(value, str):
        data = value.encode()
        kind = struct.pack("<BBHI", 0x13, 0x11, 0, len(data))
        return _attribute_head(name, kind, (), len(data)) + padded(data)
    array = np.asarray(value, _INT64)
    return _attribute_head(name, _INTEGER_TYPE, array.shape, array.nbytes) + array.tobytes()


@lru_cache(256)
def _attribute_head(name: str, kind: bytes, dims: Dims, n_bytes: int) -> bytes:
    """Return the message of an attribute up to its data of ``n_bytes`` bytes."""
    label, space = name.encode() + b"\0", _dataspace(dims)
    body = _ATTRIBUTE.pack(1, len(label), len(kind), len(space))
    body += b"".join(map(padded, (label, kind, space)))
    length = len(body) + n_bytes + -n_bytes % 8
    if length > _MAX_MESSAGE:
        raise ValueError(f"Attribute {name[:40]!r}... has {length} bytes, {_MAX_MESSAGE} fit")
    return _MESSAGE.pack(0xC, length, 0) + body


@lru_cache(1024)
def dataset_head(dtype: np.dtype, dims: Dims, n_attributes: int, n_bytes: int) -> bytes:
    """Return the header of a contiguous dataset up to its layout.

    ``n_attributes`` attributes of together ``n_bytes`` bytes will follow the layout.
    """
    prefix = dataset_prefix(dtype, dims)
    length = len(prefix) + _LAYOUT.size + n_bytes
    return _HEADER.pack(1, 4 + n_attributes, 1, length) + prefix


def dataset_prefix(dtype: np.dtype, dims: Dims) -> bytes:
    """Return the messages that tell what the elements are; objects are texts."""
    special = {"O": _TEXT_TYPE, "b": _BOOL_TYPE}
    kind = special.get(dtype.kind) or _number_type(dtype.str)
    return message(1, _dataspace(dims)) + message(3, kind) + message(5, _FILL)


def _number_type(dtype: str) -> bytes:
    n_bytes, is_big = int(dtype[2:]), dtype[0] == ">"
    if dtype[1] in "iu":
        flags = is_big | (8 if dtype[1] == "i" else 0)
        return struct.pack("<BBHIHH", 0x10, flags, 0, n_bytes, 0, 8 * n_bytes)
    sign, exponent, n_exponent, n_mantissa, bias = _FLOATS[n_bytes]
    return struct.pack(
        "<BBBxIHHBBBBI", 0x11, 0x20 | is_big, sign, n_bytes,
        0, 8 * n_bytes, exponent, n_exponent, 0, n_mantissa, bias,
    )  # fmt: skip


def _dataspace(dims: Dims) -> bytes:
    return struct.pack(f"<BB6x{len(dims)}Q", 1, len(dims), *dims)


def layout_message(at: int, n_bytes: int) -> bytes:
    """Return the message of data in one piece at an address."""
    return _LAYOUT.pack(8, 24, 0, 3, 1, at, n_bytes)


def message(kind: int, body: bytes) -> bytes:
    """Return a message of a kind."""
    raw = padded(body)
    return _MESSAGE.pack(kind, len(raw), 0) + raw


def padded(raw: bytes) -> bytes:
    """Return bytes filled up to a multiple of eight."""
    return raw + bytes(-len(raw) % 8)


_INT64 = np.dtype("<i8")
_INTEGER_TYPE = _number_type("<i8")
