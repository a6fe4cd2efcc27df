"""DAT of Prophesee: records of 8 bytes, little-endian, behind a header of lines that begin with %.

Two bytes follow the header: the type of the events, 0 (2D) or 12 (CD), and their size, 8. A record
is the time in microseconds, 32 bits, and a word: column in bits 13-0, row in 27-14, polarity in
bit 28. Files of version 1 and older ones without one have the column in bits 8-0, the row in 16-9,
polarity in bit 17. Time starts again after 2^32 us.

Source: https://docs.prophesee.ai/stable/data/file_formats/dat.html; the older layout from the
``load_atis_data`` that Prophesee published with its data sets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from talon.io.events import Events
from talon.io.formats.common import Bytes, Size, check_fits, check_steps, unwrapped

EVENT_TYPES = (0, 12)
FIELDS = {1: (9, 8), 2: (14, 14)}
"""Bits of column and row by version; polarity follows them."""


class DatDecoder:
    """NumPy's decoder of DAT.

    Parameters
    ----------
    version
        1 or 2.
    """

    record = 8
    extent: Sequence[int] | None = None

    def __init__(self, version: int) -> None:
        self._bits_x, self._bits_y = FIELDS[version]
        self._last = -1

    def most(self, n_bytes: int) -> int:
        """Return how many events so many bytes may hold."""
        return n_bytes // 8

    def decode(self, block: Bytes, out: Events) -> int:
        """Write the events of a block to ``out``; return how many there are."""
        words = block.view("<u4").reshape(-1, 2)
        found = out[: len(words)]
        times, self._last = unwrapped(words[:, 0].copy(), self._last, 32)
        word = words[:, 1].copy()  # next to each other, numbers are worked on faster
        found["t"] = times
        found["x"] = word & ((1 << self._bits_x) - 1)
        found["y"] = (word >> self._bits_x) & ((1 << self._bits_y) - 1)
        found["p"] = (word >> (self._bits_x + self._bits_y)) & 1
        return len(words)


class DatEncoder:
    """Encoder of DAT, version 2, events of type CD.

    Parameters
    ----------
    sensor_size
        Width and height for the header, or None.
    """

    needs_order = True

    def __init__(self, sensor_size: Size | None) -> None:
        self._size, self._last = sensor_size, 0

    def begin(self) -> bytes:
        """Return the header."""
        lines = ["Data file containing CD events", "Version 2"]
        if self._size is not None:
            lines += [f"Width {self._size[0]}", f"Height {self._size[1]}"]
        return "".join(f"% {line}\n" for line in lines).encode() + bytes((EVENT_TYPES[1], 8))

    def encode(self, events: Events) -> bytes:
        """Return the bytes of some events."""
        check_fits("dat", events, x=1 << 14, y=1 << 14)
        self._last = check_steps("dat", events["t"], self._last, 32)
        words = np.empty((len(events), 2), "<u4")
        words[:, 0] = events["t"] & 0xFFFFFFFF
        x, y, p = (events[name].astype(np.uint32) for name in "xyp")
        words[:, 1] = x | y << 14 | p << 28
        return words.tobytes()
