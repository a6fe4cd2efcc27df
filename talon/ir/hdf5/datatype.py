"""Datatype and dataspace messages: what the elements are and how many there are."""

import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from talon.errors import T1CFormatError
from talon.ir.hdf5.source import cut, unpack_from

_TYPE_HEAD = struct.Struct("<BBBBI")
_INTEGER = struct.Struct("<HH")
_FLOAT = struct.Struct("<HHBBBBI")
_DIMENSION = struct.Struct("<Q")
_MAX_RANK = 32
_CLASS_INTEGER, _CLASS_FLOAT, _CLASS_STRING, _CLASS_ENUM, _CLASS_VARIABLE = 0, 1, 3, 8, 9
_IEEE = {
    2: (0, 16, 10, 5, 0, 10, 15),
    4: (0, 32, 23, 8, 0, 23, 127),
    8: (0, 64, 52, 11, 0, 52, 1023),
}


@dataclass(frozen=True, kw_only=True)
class Datatype:
    """Type of an element.

    Parameters
    ----------
    form
        How the bytes become a value.
    n_bytes
        Size of an element in the file.
    dtype
        NumPy's type of a number.
    """

    form: Literal["number", "bool", "fixed_text", "variable_text"]
    n_bytes: int
    dtype: np.dtype | None = None


@lru_cache(256)
def parse_datatype(raw: bytes) -> Datatype:
    """Return the type that a message describes."""
    body = memoryview(raw)
    kind, low, middle, _, n_bytes = unpack_from(_TYPE_HEAD, body, 0, "datatype")
    properties = body[_TYPE_HEAD.size :]
    match kind & 15:
        case 0 | 1 as number:
            parse = _integer if number == _CLASS_INTEGER else _float
            return Datatype(form="number", n_bytes=n_bytes, dtype=parse(low, n_bytes, properties))
        case 3 if n_bytes > 0:
            return Datatype(form="fixed_text", n_bytes=n_bytes)
        case 8 if n_bytes == 1 and low + 256 * middle == 2:
            names = bytes(properties)
            if b"FALSE\0" in names and b"TRUE\0" in names:
                return Datatype(form="bool", n_bytes=1)
        case 9 if low & 15 == 1 and n_bytes == 16:
            return Datatype(form="variable_text", n_bytes=16)
    raise T1CFormatError(f"datatypes of class {kind & 15} and {n_bytes} bytes are not supported")


def _integer(low: int, n_bytes: int, properties: memoryview) -> np.dtype:
    layout = unpack_from(_INTEGER, properties, 0, "datatype")
    if n_bytes not in (1, 2, 4, 8) or layout != (0, 8 * n_bytes):
        raise T1CFormatError(f"integers of {n_bytes} bytes with bits {layout} are not supported")
    return np.dtype(f"{'>' if low & 1 else '<'}{'i' if low & 8 else 'u'}{n_bytes}")


def _float(low: int, n_bytes: int, properties: memoryview) -> np.dtype:
    layout = unpack_from(_FLOAT, properties, 0, "datatype")
    if _IEEE.get(n_bytes) != layout or low & 64:
        raise T1CFormatError(f"floats of {n_bytes} bytes with bits {layout} are not supported")
    return np.dtype(f"{'>' if low & 1 else '<'}f{n_bytes}")


@lru_cache(256)
def parse_dataspace(raw: bytes) -> tuple[int, ...]:
    """Return the dimensions that a message describes, none for a scalar."""
    body = memoryview(raw)
    head = bytes(cut(body, 0, 4, "dataspace"))
    version, rank = head[0], head[1]
    if version not in (1, 2) or rank > _MAX_RANK or (version == 2 and head[3] == 2):
        raise T1CFormatError(f"dataspaces of version {version} and rank {rank} are not supported")
    start = 8 if version == 1 else 4
    offsets = range(start, start + 8 * rank, 8)
    return tuple(unpack_from(_DIMENSION, body, offset, "dataspace")[0] for offset in offsets)


def n_elements(dims: tuple[int, ...]) -> int:
    """Return the number of elements."""
    return math.prod(dims)
