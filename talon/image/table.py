"""Blobs behind a header and a table, every byte under a CRC-32: the frame of a program's file.

NumPy and the standard library only: this travels to the board.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from talon.errors import ImageError

_HEADER = struct.Struct("<8sHHI32sIIQ")  # magic version reserved hardware graph count flags size
_ENTRY = struct.Struct("<HHIQQII")  # kind memory core offset length crc reserved
_CRC = struct.Struct("<I")
_ALIGN = 8
_MAX_SECTIONS = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Blob:
    """The bytes of one section: ``kind``, ``memory`` and ``core`` stand in its table entry."""

    kind: int
    memory: int = 0
    core: int = 0
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What kind of file it is: its first bytes, its version, and how messages call it."""

    magic: bytes
    version: int
    noun: str
    file: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """What a file holds."""

    hardware_hash: int
    graph_hash: bytes
    blobs: Sequence[Blob]


def write_table(frame: Frame, table: Table) -> bytes:
    """Return the bytes of a file; equal tables give equal bytes."""
    blobs = table.blobs
    offset = _padded(_HEADER.size + len(blobs) * _ENTRY.size + _CRC.size)
    start = offset
    entries = bytearray()
    body = bytearray()
    for blob in blobs:
        data = blob.data
        entries += _ENTRY.pack(
            blob.kind, blob.memory, blob.core, offset, len(data), zlib.crc32(data), 0
        )
        body += data.ljust(_padded(len(data)), b"\0")
        offset = start + len(body)
    head = _HEADER.pack(
        frame.magic,
        frame.version,
        0,
        table.hardware_hash,
        table.graph_hash,
        len(blobs),
        0,
        offset,
    )
    head += bytes(entries)
    head += _CRC.pack(zlib.crc32(head))
    return head.ljust(start, b"\0") + bytes(body)


def read_table(frame: Frame, data: bytes, name_of: Callable[[int, int, int], str]) -> Table:
    """Return what a file holds, with every check of its bytes done.

    Parameters
    ----------
    frame
        What it must be.
    data
        The whole file.
    name_of
        Gives the name of a section from kind, memory and core, or raises an ImageError.

    Raises
    ------
    ImageError
        The data is none of that kind, of another version, truncated or corrupt.
    """
    noun = frame.noun
    entries, hardware, graph_hash = _read_head(frame, data)
    blobs: list[Blob] = []
    position = _padded(_HEADER.size + len(entries) * _ENTRY.size + _CRC.size)
    for kind, memory, core, offset, length, crc, _ in entries:
        name = name_of(kind, memory, core)
        if offset != position or offset + length > len(data):
            raise ImageError(
                f"{noun} section {name} must lie at byte {position} within {len(data)} bytes, "
                f"not at {offset} with {length} bytes"
            )
        blob = data[offset : offset + length]
        position = offset + _padded(length)
        if zlib.crc32(blob) != crc:
            raise ImageError(
                f"{noun} section {name} is corrupt: its CRC-32 is {zlib.crc32(blob):#010x}, "
                f"the table says {crc:#010x}; compile again or copy the file again"
            )
        if any(data[offset + length : position]):
            raise ImageError(f"{noun} padding after section {name} is corrupt: it must be zero")
        blobs.append(Blob(kind=kind, memory=memory, core=core, data=blob))
    if position != len(data):
        raise ImageError(f"{noun} must end at byte {position}, not at {len(data)}")
    return Table(hardware_hash=hardware, graph_hash=graph_hash, blobs=blobs)


def _read_head(frame: Frame, data: bytes) -> tuple[list[tuple[int, ...]], int, bytes]:
    noun, magic = frame.noun, frame.magic
    if len(data) < len(magic) or data[: len(magic)] != magic:
        raise ImageError(
            f"Data is not a TALON {frame.file}: it must start with {magic!r}, "
            f"not {data[: len(magic)]!r}"
        )
    if len(data) < _HEADER.size + _CRC.size:
        raise ImageError(f"{noun} header is truncated: {len(data)} bytes")
    _, version, _, hardware, graph_hash, count, _, size = _HEADER.unpack_from(data)
    end = _HEADER.size + count * _ENTRY.size
    # A corrupt header may name any version or count: its CRC is what tells corrupt from foreign.
    intact = (
        count <= _MAX_SECTIONS
        and end + _CRC.size <= len(data)
        and zlib.crc32(data[:end]) == _CRC.unpack_from(data, end)[0]
    )
    if intact and version != frame.version:
        raise ImageError(
            f"{noun} version must be {frame.version}, not {version}; compile the model again"
        )
    if not intact and size == len(data):
        raise ImageError(f"{noun} header is corrupt: its CRC-32 does not match")
    if size != len(data):
        raise ImageError(f"{noun} is truncated or too long: {len(data)} bytes, its header {size}")
    start = _padded(end + _CRC.size)
    if any(data[end + _CRC.size : start]):
        raise ImageError(f"{noun} padding after section header is corrupt: it must be zero")
    entries = [_ENTRY.unpack_from(data, _HEADER.size + i * _ENTRY.size) for i in range(count)]
    return entries, hardware, graph_hash


def _padded(length: int) -> int:
    return -(-length // _ALIGN) * _ALIGN


def to_json(value: dict[str, Any]) -> bytes:
    """Return the bytes of a JSON object; equal objects give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def from_json(blob: bytes, where: str) -> dict[str, Any]:
    """Return a JSON object; ``where`` says in messages what it is."""
    try:
        value = json.loads(blob)
    except (ValueError, RecursionError) as exc:
        raise ImageError(f"{where} is not JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise ImageError(f"{where} must be a JSON object, not {type(value).__name__}")
    return value
