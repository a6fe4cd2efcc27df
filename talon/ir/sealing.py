"""Files that end with a checksum, which a reader of plain HDF5 does not see."""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from talon.errors import T1CFormatError
from talon.ir.hdf5 import SIGNATURE
from talon.ir.hdf5.emit import Piece

_BLOCK_BYTES = 1 << 18
_TRAILER = struct.Struct("<8sQI")
_MAGIC = b"T1C\0CRC\n"


def trailer(n_bytes: int, crc: int) -> bytes:
    """Return what follows a content of a length and a CRC-32."""
    return _TRAILER.pack(_MAGIC, n_bytes, crc)


def write_sealed(path: Path, pieces: list[Piece]) -> None:
    """Write a new file, with length and CRC-32 at its end, and force it to the disk."""
    n_bytes = crc = 0
    with path.open("xb") as file:
        for piece in _joined(pieces):
            file.write(piece)
            n_bytes += len(piece)
            crc = zlib.crc32(piece, crc)
        file.write(trailer(n_bytes, crc))
        file.flush()
        os.fsync(file.fileno())


def _joined(pieces: list[Piece]) -> Iterator[Piece]:
    """Give the pieces, small ones joined to blocks, which are quicker to write one by one."""
    start = n_bytes = 0
    for k, piece in enumerate(pieces):
        if len(piece) > _BLOCK_BYTES:
            yield b"".join(pieces[start:k])
            yield piece
            start, n_bytes = k + 1, 0
            continue
        n_bytes += len(piece)
        if n_bytes > _BLOCK_BYTES:
            yield b"".join(pieces[start : k + 1])
            start, n_bytes = k + 1, 0
    yield b"".join(pieces[start:])


def read_sealed(path: Path, max_bytes: int | None = None) -> memoryview:
    """Return a file's content; if it ends with a checksum, the content must agree with it.

    It is in memory of our own and not mapped: nobody can change it between the check and its use,
    and a file that is cut off meanwhile does not end the process.
    """
    with path.open("rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            raise T1CFormatError("it does not begin as an HDF5 file")
        n_bytes = os.fstat(file.fileno()).st_size
        if max_bytes is not None and n_bytes > max_bytes:
            raise T1CFormatError(f"it has {n_bytes} bytes, more than max_bytes={max_bytes}")
        file.seek(0)
        whole = bytearray(n_bytes)
        return unsealed(memoryview(whole)[: file.readinto(whole)])


def unsealed(content: memoryview) -> memoryview:
    """Return a file's content without its checksum, if it has one; it must agree then."""
    if not content[: len(SIGNATURE)] == SIGNATURE:
        raise T1CFormatError("it does not begin as an HDF5 file")
    if len(content) < _TRAILER.size:
        return content
    magic, n_bytes, crc = _TRAILER.unpack_from(content, len(content) - _TRAILER.size)
    if magic != _MAGIC:
        return content
    content = content[: -_TRAILER.size]
    if n_bytes != len(content) or zlib.crc32(content) != crc:
        raise T1CFormatError("its checksum does not match; it was changed after it was written")
    return content
