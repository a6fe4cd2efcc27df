"""EVT 2.0 of Prophesee: words of 32 bits, little-endian, in a RAW file.

Bits 31-28 are the type: 0 an event that got darker, 1 one that got brighter (bits 27-22 the low six
bits of the time in microseconds, 21-11 the column, 10-0 the row), 8 the upper 28 bits of the time.
Triggers (10) and all other types are skipped. Time starts again after 2^34 us.
Words before the first time are skipped as well, as Prophesee's decoder does.

Source: https://docs.prophesee.ai/stable/data/encoding_formats/evt2.html
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from talon.io.events import Events
from talon.io.formats.common import Bytes, Size, check_fits, raw_head, unwrapped, upper_times

TIME_HIGH = 8
_FIRST_OTHER = 2 << 28
_BITS_HIGH, _BITS_LOW = 28, 6


class Evt2Decoder:
    """NumPy's decoder of EVT 2.0."""

    record = 4
    extent: Sequence[int] | None = None

    def __init__(self) -> None:
        self._high = -1
        """Upper bits of the time, turns included; -1 before the first."""

    def most(self, n_bytes: int) -> int:
        """Return how many events so many bytes may hold."""
        return n_bytes // 4

    def decode(self, block: Bytes, out: Events) -> int:
        """Write the events of a block to ``out``; return how many there are."""
        words = block.view("<u4")
        is_event = words < _FIRST_OTHER
        others = np.flatnonzero(~is_event)
        at = others[words.take(others) >> 28 == TIME_HIGH]
        if self._high < 0:
            if not at.size:
                return 0
            is_event[: at[0]] = False
        events = words[is_event]
        n = len(events)
        base = np.empty(len(at) + 1, np.int64)
        base[0] = self._high
        base[1:], self._high = unwrapped(words.take(at) & 0x0FFFFFFF, self._high, _BITS_HIGH)
        # How many events there are before each time: as a rule all words but the times themselves.
        if n + len(at) == len(words):
            ends = at - np.arange(len(at))
        else:
            ends = np.cumsum(is_event, dtype=np.int32).take(at)
        counts = np.empty(len(base), np.intp)
        counts[:-1], counts[-1] = ends, n
        counts[1:] -= ends
        t = np.repeat(base << _BITS_LOW, counts)
        t += (events >> 22) & 0x3F
        found = out[:n]
        found["t"] = t
        found["x"] = (events >> 11) & 0x7FF
        found["y"] = events & 0x7FF
        found["p"] = events >> 28
        return n


class Evt2Encoder:
    """Encoder of EVT 2.0.

    Parameters
    ----------
    sensor_size
        Width and height for the header, or None.
    """

    needs_order = True

    def __init__(self, sensor_size: Size | None) -> None:
        self._size, self._high = sensor_size, -1

    def begin(self) -> bytes:
        """Return the header."""
        return raw_head("2.0", "EVT2", self._size)

    def encode(self, events: Events) -> bytes:
        """Return the bytes of some events."""
        check_fits("evt2", events, x=1 << 11, y=1 << 11, t=1 << 48)
        t = events["t"].astype(np.int64)
        before, highs = upper_times(t >> _BITS_LOW, self._high, _BITS_HIGH)
        ends = np.cumsum(before + 1)
        words = np.empty(len(events) + len(highs), "<u4")
        is_event = np.zeros(len(words), bool)
        is_event[ends - 1] = True
        words[~is_event] = highs | TIME_HIGH << 28
        x, y, p = (events[name].astype(np.uint32) for name in "xyp")
        words[is_event] = p << 28 | (t & 0x3F).astype(np.uint32) << 22 | x << 11 | y
        self._high = int(t[-1]) >> _BITS_LOW
        return words.tobytes()
