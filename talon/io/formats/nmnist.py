"""N-MNIST and N-Caltech101: records of 5 bytes and no header (.bin, .bs2).

Column; row; polarity in bit 7 and bits 22-16 of the time in microseconds; its bits 15-8; its bits
7-0. A record in row 240 is no event: the sensor's own clock has overflowed, and 2^13 us are added
to all times from there on.

Source: https://www.garrickorchard.com/datasets/n-mnist; the overflow from the reader that its
author published (https://github.com/gorchard/event-Python).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from talon.io.events import Events
from talon.io.formats.common import Bytes, Size, check_fits

OVERFLOW_ROW = 240
_OVERFLOW_US = 1 << 13
_END_OF_TIME = 1 << 23


class NmnistDecoder:
    """Decoder of N-MNIST's records."""

    record = 5
    extent: Sequence[int] | None = None

    def __init__(self) -> None:
        self._added = 0

    def most(self, n_bytes: int) -> int:
        """Return how many events so many bytes may hold."""
        return n_bytes // 5

    def decode(self, block: Bytes, out: Events) -> int:
        """Write the events of a block to ``out``; return how many there are."""
        rows = block.reshape(-1, 5)
        upper, middle, lower = (rows[:, k].astype(np.int64) for k in (2, 3, 4))
        t = ((upper & 0x7F) << 16) + (middle << 8) + lower + self._added
        is_overflow = rows[:, 1] == OVERFLOW_ROW
        if is_overflow.any():
            added = np.cumsum(is_overflow) * _OVERFLOW_US
            self._added += int(added[-1])
            kept = np.flatnonzero(~is_overflow)
            t, rows = (t + added)[kept], rows[kept]
        found = out[: len(rows)]
        found["t"], found["x"], found["y"] = t, rows[:, 0], rows[:, 1]
        found["p"] = rows[:, 2] >> 7
        return len(rows)


class NmnistEncoder:
    """Encoder of N-MNIST's records, which have 8 bits for columns, rows below 240, 23 bits of time.

    Parameters
    ----------
    sensor_size
        Is not in the file.
    """

    needs_order = False

    def __init__(self, sensor_size: Size | None) -> None:
        del sensor_size

    def begin(self) -> bytes:
        """Return the header: nothing."""
        return b""

    def encode(self, events: Events) -> bytes:
        """Return the bytes of some events."""
        check_fits("nmnist", events, x=256, y=OVERFLOW_ROW, t=_END_OF_TIME)
        rows = np.empty((len(events), 5), np.uint8)
        t = events["t"]
        rows[:, 0], rows[:, 1] = events["x"], events["y"]
        rows[:, 2] = (events["p"] << 7) | (t >> 16).astype(np.uint8)
        rows[:, 3], rows[:, 4] = (t >> 8) & 0xFF, t & 0xFF
        return rows.tobytes()
