"""Bytes of a hardware descriptor, as JSON and as a binary file.

``JSON``: one object; arrays are ``{"dtype", "shape", "data"}`` with the data in base64.

``binary``, little-endian: ``T1CB``, u16 version 2, u16 zero, u32 length of the head, the head (the
same object, arrays as ``{"dtype", "shape"}``), the data of the arrays in the order of the head,
and the CRC-32 of all before it.
"""

import base64
import binascii
import json
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from talon.backend.errors import DescriptorError
from talon.ir.types import Array

MAGIC = b"T1CB"
VERSION = 2
_PREFIX = struct.Struct("<4sHHI")
_CRC = struct.Struct("<I")
_MAX_CORES = 1 << 16
_MAX_RANK = 8
_DTYPES = (
    *("float16", "float32", "float64"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)
_HEAD = ("metadata", "neuron_configs", "routing_tables", "execution_schedule")


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """A descriptor as plain data, and its arrays with their number formats, by core and key."""

    head: dict[str, Any]
    arrays: dict[int, dict[str, tuple[Array, str]]]


def core_number(text: object) -> int:
    """Return the number of a core that is a key in JSON."""
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 5:
        number = int(text)
        if str(number) == text and number < _MAX_CORES:
            return number
    raise DescriptorError(f"A core must be a number from 0 to {_MAX_CORES - 1}, got {text!r}")


def stored_bytes(array: Array, kind: str) -> int:
    """Return the bytes of an array in a file."""
    return _size(array.shape, kind)


def to_json(parts: Parts) -> bytes:
    """Return a JSON file."""
    tables = {
        str(core): {
            key: {**_form(array, kind), "data": base64.b64encode(_pack(key, array, kind)).decode()}
            for key, (array, kind) in table.items()
        }
        for core, table in parts.arrays.items()
    }
    return _dump({"version": f"{VERSION}.0", **parts.head, "weight_tables": tables})


def from_json(data: bytes) -> Parts:
    """Return what a JSON file holds."""
    head = _parse(data)
    version = head.get("version")
    if version != f"{VERSION}.0":
        raise DescriptorError(f"Descriptor version must be '{VERSION}.0', got {version!r}")
    arrays: dict[int, dict[str, tuple[Array, str]]] = {}
    for core, key, entry in _entries(head):
        text = entry.get("data")
        if not isinstance(text, str):
            raise DescriptorError(f"Array {key!r} has no data")
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise DescriptorError(f"Array {key!r} is no base64: {error}") from error
        arrays.setdefault(core, {})[key] = _unpack(key, entry, raw)
    return _parts(head, arrays)


def to_binary(parts: Parts) -> bytes:
    """Return a binary file."""
    tables = {
        str(core): {key: _form(array, kind) for key, (array, kind) in table.items()}
        for core, table in parts.arrays.items()
    }
    head = _dump({**parts.head, "weight_tables": tables})
    in_order = [
        (key, *parts.arrays[int(core)][key])
        for core in sorted(tables)
        for key in sorted(tables[core])
    ]
    blobs = [_pack(key, array, kind) for key, array, kind in in_order]
    data = b"".join([_PREFIX.pack(MAGIC, VERSION, 0, len(head)), head, *blobs])
    return data + _CRC.pack(zlib.crc32(data))


def from_binary(data: bytes) -> Parts:
    """Return what a binary file holds."""
    if len(data) < _PREFIX.size + _CRC.size:
        raise DescriptorError(f"A descriptor has more than {len(data)} bytes; is it truncated?")
    magic, version, zero, n_head = _PREFIX.unpack_from(data)
    if magic != MAGIC:
        raise DescriptorError(f"A descriptor begins with {MAGIC!r}, got {magic!r}")
    if version != VERSION:
        raise DescriptorError(
            f"Descriptor version must be {VERSION}, got {version}; version 1 holds no weights"
        )
    end = len(data) - _CRC.size
    if zlib.crc32(data[:end]) != _CRC.unpack_from(data, end)[0] or zero:
        raise DescriptorError("The checksum is wrong; the file is damaged")
    at = _PREFIX.size + n_head
    if at > end:
        raise DescriptorError(f"The head has {n_head} bytes, more than the file")
    head = _parse(data[_PREFIX.size : at])
    arrays: dict[int, dict[str, tuple[Array, str]]] = {}
    for core, key, entry in _entries(head):
        n = _declared_size(key, entry)
        if n > end - at:
            raise DescriptorError(f"Array {key!r} has {n} bytes, {end - at} are left")
        arrays.setdefault(core, {})[key] = _unpack(key, entry, data[at : at + n])
        at += n
    if at != end:
        raise DescriptorError(f"{end - at} bytes follow the last array")
    return _parts(head, arrays)


def _dump(value: object) -> bytes:
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DescriptorError(f"The descriptor holds what JSON cannot: {error}") from error
    return text.encode()


def _parse(data: bytes) -> dict[str, Any]:
    try:
        head = json.loads(data.decode(), parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        if isinstance(error, DescriptorError):
            raise
        raise DescriptorError(f"The descriptor is no JSON: {error}") from error
    if not isinstance(head, dict):
        raise DescriptorError(f"The descriptor must be an object, got {type(head).__name__}")
    missing = [name for name in (*_HEAD, "weight_tables") if name not in head]
    if missing:
        raise DescriptorError(f"The descriptor has no {missing}")
    return head


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise DescriptorError(f"The descriptor holds the number {text}")
    return number


def _entries(head: Mapping[str, Any]) -> list[tuple[int, str, dict[str, Any]]]:
    tables = head["weight_tables"]
    if not isinstance(tables, dict):
        raise DescriptorError("weight_tables must be an object")
    found: list[tuple[int, str, dict[str, Any]]] = []
    for core, table in tables.items():
        if not isinstance(table, dict):
            raise DescriptorError(f"The weight table of core {core!r} must be an object")
        for key, entry in table.items():
            if not isinstance(entry, dict):
                raise DescriptorError(f"Array {key!r} must be an object")
            found.append((core_number(core), key, entry))
    return found


def _parts(head: dict[str, Any], arrays: dict[int, dict[str, tuple[Array, str]]]) -> Parts:
    for core in head["weight_tables"]:
        arrays.setdefault(core_number(core), {})
    return Parts(head={name: head[name] for name in _HEAD}, arrays=arrays)


def _form(array: Array, kind: str) -> dict[str, Any]:
    return {"dtype": kind, "shape": list(array.shape)}


def _size(shape: tuple[int, ...], kind: str) -> int:
    n = math.prod(shape)
    return (n + 1) // 2 if kind == "int4" else n * np.dtype(kind).itemsize


def _declared_size(key: str, entry: Mapping[str, Any]) -> int:
    kind, shape = entry.get("dtype"), entry.get("shape")
    if kind not in (*_DTYPES, "int4"):
        raise DescriptorError(f"Array {key!r} has the unknown dtype {kind!r}")
    if not isinstance(shape, list) or len(shape) > _MAX_RANK:
        raise DescriptorError(f"Array {key!r} has the shape {shape!r}")
    if not all(type(n) is int and 0 <= n < 1 << 32 for n in shape):
        raise DescriptorError(f"Array {key!r} has the shape {shape!r}")
    return _size(tuple(shape), kind)


def _pack(key: str, array: Array, kind: str) -> bytes:
    if kind != "int4":
        if array.dtype != np.dtype(kind):
            raise DescriptorError(f"Array {key!r} must be {kind}, got {array.dtype}")
        return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    if array.dtype != np.int8 or np.any((array < -8) | (array > 7)):
        raise DescriptorError(f"Array {key!r} must be int8 with values from -8 to 7")
    flat = array.ravel()
    pairs = np.zeros((flat.size + 1) // 2 * 2, np.int8)
    pairs[: flat.size] = flat
    nibbles = pairs.view(np.uint8) & 15
    return (nibbles[::2] | nibbles[1::2] << 4).tobytes()


def _unpack(key: str, entry: Mapping[str, Any], raw: bytes) -> tuple[Array, str]:
    n, kind = _declared_size(key, entry), entry["dtype"]
    if len(raw) != n:
        raise DescriptorError(f"Array {key!r} takes {n} bytes, got {len(raw)}")
    shape = tuple(entry["shape"])
    if kind != "int4":
        found = np.frombuffer(raw, np.dtype(kind).newbyteorder("<")).reshape(shape)
        return found.astype(kind), kind
    packed = np.frombuffer(raw, np.uint8)
    pairs = np.stack([packed & 15, packed >> 4], axis=1).ravel().astype(np.int8)
    signed = np.where(pairs > 7, pairs - 16, pairs).astype(np.int8)
    return signed[: math.prod(shape)].reshape(shape), kind
