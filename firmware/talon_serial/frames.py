"""Frames of the serial link as bytes; the layout is that of `talon.arch.serial`."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talon.arch.serial import CRC_BYTES, ESCAPE, FLAG, HEADER, STUFFING, WORD_BYTES

Words = NDArray[np.uint64]

_FLAG, _ESCAPE = bytes([FLAG]), bytes([ESCAPE])
_STUFFED = {bytes([each]): bytes([ESCAPE, each ^ STUFFING]) for each in (ESCAPE, FLAG)}
_LONGEST = 2 * (WORD_BYTES * ((1 << 16) + 1) + CRC_BYTES)


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """A frame that is whole: the fields of its header, and the words behind it (uint64)."""

    header: dict[str, int]
    words: Words


@dataclass(frozen=True, kw_only=True)
class Damaged:
    """Something came between two FLAGs that is no frame; ``why`` says what is wrong with it."""

    why: str


def encode(words: Words, **header: int) -> bytes:
    """Return the bytes of a frame: a header with the given fields, ``words``, CRC, FLAGs.

    ``count`` is that of ``words``; fields that are not given are zero.
    """
    first = HEADER.pack({**header, "count": words.size})
    body = first.to_bytes(WORD_BYTES, "little") + words.astype("<u8").tobytes()
    body += zlib.crc32(body).to_bytes(CRC_BYTES, "little")
    for plain, stuffed in _STUFFED.items():  # ESCAPE first: it comes into what follows
        body = body.replace(plain, stuffed)
    return _FLAG + body + _FLAG


class FrameReader:
    """Finds frames in bytes that come in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Frame | Damaged]:
        """Take bytes; yield what they complete, in order."""
        *pieces, self._rest = (self._rest + data).split(_FLAG)
        for piece in pieces:
            if piece:
                yield decode(piece)
        if len(self._rest) > _LONGEST:
            self._rest = b""
            yield Damaged(why=f"more than {_LONGEST} bytes without an end")

    def clear(self) -> None:
        """Forget the frame under way."""
        self._rest = b""


def decode(piece: bytes) -> Frame | Damaged:
    """Return what stands between two FLAGs."""
    first, *others = piece.split(_ESCAPE)
    plain = {stuffed[1:]: each for each, stuffed in _STUFFED.items()}
    parts = [first]
    for part in others:
        if part[:1] not in plain:
            return Damaged(why="an ESCAPE before a byte that needs none")
        parts += [plain[part[:1]], part[1:]]
    body = b"".join(parts)
    if len(body) < WORD_BYTES + CRC_BYTES:
        return Damaged(why=f"{len(body)} bytes, fewer than header and CRC")
    if zlib.crc32(body[:-CRC_BYTES]) != int.from_bytes(body[-CRC_BYTES:], "little"):
        return Damaged(why="a CRC that does not match")
    header = HEADER.unpack(int.from_bytes(body[:WORD_BYTES], "little"))
    data = body[WORD_BYTES:-CRC_BYTES]
    if len(data) != WORD_BYTES * header["count"]:
        return Damaged(why=f"{len(data)} bytes where the header counts {header['count']} words")
    return Frame(header=header, words=np.frombuffer(data, "<u8").astype(np.uint64))
