"""The serial link between host and array: what frames look like, declared once for both ends.

A frame on the wire is ``FLAG``, the stuffed bytes of its words and of their CRC-32, ``FLAG``. Words
have 64 bits and travel lowest byte first; the first is the header, ``count`` more follow. The CRC
is that of ``zlib.crc32``, lowest byte first too. See ``docs/hardware/serial_link.md``.
"""

from __future__ import annotations

from enum import IntEnum

from talon.arch.layout import Field, Layout

PROTOCOL_VERSION = 1
"""Version of the link; RESET answers with it."""

FLAG = 0x7E
"""Byte that stands between frames and nowhere inside one."""

ESCAPE = 0x7D
"""Byte before one that would be FLAG or ESCAPE, which follows exclusive-ored by ``STUFFING``."""

STUFFING = 0x20

WORD_BYTES = 8
CRC_BYTES = 4

DEPTH = 512
"""Words that wait in each direction: two block RAMs of an ECP5."""


class Request(IntEnum):
    """What the host asks for."""

    RESET = 1  # reset the array, empty both queues, begin to count requests from this one
    READ = 2  # the register at byte address `arg`
    WRITE = 3  # the low 32 bits of the word that follows to the register at byte address `arg`
    MOVE = 4  # the words that follow to the array; give up to `arg` words that it has sent


HEADER = Layout(
    "header",
    (
        Field("op", 4, doc="a Request"),
        Field("last", 1, doc="the last word of the frame has TLAST"),
        Field("refused", 1, doc="of an answer: nothing was carried out"),
        Field("answer", 1, doc="from the array to the host"),
        Field("reserved", 1, doc="0"),
        Field("seq", 8, doc="number of the request, and of its answer; modulo 256"),
        Field("count", 16, doc="words that follow"),
        Field(
            "arg", 16, doc="see Request; of an answer: words that the queue to the array can take"
        ),
        Field("bad", 16, doc="of an answer: frames thrown away since RESET; modulo 65536"),
    ),
)

LIMITS = Layout(
    "limits",
    (
        Field("version", 16, doc="PROTOCOL_VERSION"),
        Field("depth_in", 16, doc="words of the queue to the array"),
        Field("depth_out", 16, doc="words of the queue to the host"),
    ),
)
"""The word that answers RESET."""
