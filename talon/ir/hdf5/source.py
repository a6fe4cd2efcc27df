"""Bytes of a file that may be damaged or made to harm: every access is bounded and counted."""

import struct
from typing import Any

from talon.errors import T1CFormatError

N_READS = 16
"""How often a byte may be read on average; a sound file needs about three."""
FREE_BYTES = 1 << 20
_ENDLESS = "its parts point to each other without end"


class ByteSource:
    """A file's content, with limits on where and how much can be read.

    Structures of a file may lie over each other or point in circles. Each read is paid for from a
    budget in proportion to the file's size, so that reading comes to an end whatever the file says.
    """

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = memoryview(data)
        self._n_bytes_left = FREE_BYTES + N_READS * len(data)

    def __len__(self) -> int:
        return len(self._data)

    def spend(self, n_bytes: int) -> None:
        """Pay for the work of reading some bytes."""
        self._n_bytes_left -= n_bytes + 1
        if self._n_bytes_left < 0:
            raise T1CFormatError(_ENDLESS)

    def take(self, offset: int, n_bytes: int, what: str) -> memoryview:
        """Return some bytes."""
        self._visit(offset, n_bytes, what)
        return self._data[offset : offset + n_bytes]

    def unpack(self, layout: struct.Struct, offset: int, what: str) -> tuple[Any, ...]:
        """Return the fields at an offset."""
        self._visit(offset, layout.size, what)
        return layout.unpack_from(self._data, offset)

    def _visit(self, offset: int, n_bytes: int, what: str) -> None:
        """Pay for some bytes, which must be there."""
        if offset < 0 or n_bytes < 0 or offset + n_bytes > len(self._data):
            raise T1CFormatError(
                f"{what} of {n_bytes} bytes at {offset:#x} lies outside the {len(self._data)} "
                "bytes of the file"
            )
        self._n_bytes_left -= n_bytes + 1  # as spend(), without the call: this is the inner loop
        if self._n_bytes_left < 0:
            raise T1CFormatError(_ENDLESS)

    def expect(self, signature: bytes, offset: int, what: str) -> None:
        """Raise unless a signature is at an offset."""
        if self.take(offset, len(signature), what) != signature:
            raise T1CFormatError(f"there is no {what} at {offset:#x}")


def unpack_from(layout: struct.Struct, body: memoryview, offset: int, what: str) -> tuple[Any, ...]:
    """Return the fields at an offset of a message."""
    if offset + layout.size > len(body):
        raise T1CFormatError(f"{what} is cut short")
    return layout.unpack_from(body, offset)


def cut(body: memoryview, offset: int, n_bytes: int, what: str) -> memoryview:
    """Return some bytes of a message."""
    if offset < 0 or n_bytes < 0 or offset + n_bytes > len(body):
        raise T1CFormatError(f"{what} is cut short")
    return body[offset : offset + n_bytes]
