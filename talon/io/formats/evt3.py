"""EVT 3.0 of Prophesee: words of 16 bits, little-endian, in a RAW file.

Bits 15-12 are the type, and the words set a state that the events are made of:

====  ==========================================================================================
type  meaning of bits 11-0
====  ==========================================================================================
0     row (bits 10-0)
2     an event: column (bits 10-0), polarity (bit 11)
3     column and polarity of the vectors that follow
4     vector: an event for each of 12 bits that is set, from that column on, which then moves by 12
5     the same of 8 bits, and by 8
6     lower 12 bits of the time in microseconds
8     upper 12 bits of the time; the lower ones are 0 until they are told again
====  ==========================================================================================

Triggers (10) and all other types are skipped, and so is what comes before the first upper bits.
Time starts again after 2^24 us; how that is told from a step back is Prophesee's rule, a fall of at
least half the range.

Source: https://docs.prophesee.ai/stable/data/encoding_formats/evt3.html, and the decoder of
https://github.com/prophesee-ai/openeb.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from talon.io.events import Events
from talon.io.formats.common import Bytes, Size, check_fits, raw_head, unwrapped, upper_times

ADDR_Y, ADDR_X, BASE_X, VECT_12, VECT_8, TIME_LOW, TIME_HIGH = 0, 2, 3, 4, 5, 6, 8
_MOST = 12
_WIDTH = np.array([0, 0, 0, 0, 12, 8])

BIT = (np.flatnonzero((np.arange(4096)[:, None] >> np.arange(12)) & 1) % 12).astype(np.uint16)
"""Bits that are set in 0, in 1, ... in 4095, one list after the other."""
COUNT = ((np.arange(4096)[:, None] >> np.arange(12)) & 1).sum(1)
START = np.cumsum(COUNT) - COUNT
"""How many bits are set in each of them, and where its list begins."""


class Evt3Decoder:
    """NumPy's decoder of EVT 3.0."""

    record = 2
    extent: Sequence[int] | None = None

    def __init__(self) -> None:
        self._high = -1
        """Upper bits of the time, turns included; -1 before the first."""
        self._low = self._y = self._x = 0
        """Lower bits, row, and where the next vector begins (polarity in bit 11)."""

    def most(self, n_bytes: int) -> int:
        """Return how many events so many bytes may hold."""
        return n_bytes // 2 * _MOST

    def decode(self, block: Bytes, out: Events) -> int:
        """Write the events of a block to ``out``; return how many there are."""
        words: NDArray[np.uint16] = block.view("<u2")
        kind = (words >> 12).astype(np.uint8)
        if self._high < 0:
            at = np.flatnonzero(kind == TIME_HIGH)
            if not at.size:
                return 0
            words, kind = words[at[0] :], kind[at[0] :]
        value: NDArray[np.uint16] = words & np.uint16(0xFFF)
        time, is_time = self._times(kind, value)
        is_y = kind == ADDR_Y
        rows = np.append(np.uint16(self._y), value.take(np.flatnonzero(is_y)) & np.uint16(0x7FF))
        self._y = int(rows[-1])
        is_vector = (kind == VECT_12) | (kind == VECT_8)
        has_vectors = bool(is_vector.any())
        is_base = kind == BASE_X
        at = np.flatnonzero((kind == ADDR_X) | is_vector if has_vectors else kind == ADDR_X)
        columns = value.take(at)
        t, y = time.take(_ranks(is_time, at)), rows.take(_ranks(is_y, at))
        if has_vectors or is_base.any():
            t, y, columns = self._vectors(kind, value, at, t, y)
        n = len(columns)
        found = out[:n]
        found["t"], found["y"] = t, y
        found["x"] = columns & 0x7FF
        found["p"] = columns >> 11
        return n

    def _times(
        self, kind: NDArray[np.uint8], value: NDArray[np.uint16]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the time before the block and each that is told, and which words tell one."""
        at = np.flatnonzero(kind == TIME_HIGH)
        high, last = unwrapped(value.take(at), self._high, 12)
        before = np.concatenate(([self._high], high[:-1].astype(np.int64)))
        changes = high != before
        high, at = high[changes], at[changes]
        is_time = kind == TIME_LOW
        is_time[at] = True
        where = np.flatnonzero(is_time)
        time = np.empty(len(where) + 1, np.int64)
        time[0], time[1:] = self._low, value.take(where)
        sets_high = np.searchsorted(where, at) + 1
        time[sets_high] = 0
        uppers = np.concatenate(([max(self._high, 0)], high)).astype(np.int64)
        time += np.repeat(uppers << 12, np.diff(sets_high, prepend=0, append=len(time)))
        self._high, self._low = last, int(time[-1]) & 0xFFF
        return time, is_time

    def _vectors(
        self,
        kind: NDArray[np.uint8],
        value: NDArray[np.uint16],
        at: NDArray[np.intp],
        t: NDArray[np.int64],
        y: NDArray[np.uint16],
    ) -> tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint16]]:
        """Return times, rows, and columns with polarity, of the words ``at`` and their vectors."""
        kinds, values = kind.take(at), value.take(at)
        is_vector = kinds != ADDR_X
        columns = np.where(is_vector, 0, values)
        columns[is_vector] = self._starts(kind, value)
        bits = np.where(is_vector, np.where(kinds == VECT_8, values & 0xFF, values), 1)
        counts = COUNT.take(bits)
        ends = np.cumsum(counts)
        word = np.repeat(np.arange(len(at)), counts)
        first = START.take(bits) - (ends - counts)
        bit = BIT.take(np.arange(len(word)) + first.take(word))
        start = columns.take(word)
        return t.take(word), y.take(word), (((start & 0x7FF) + bit) & 0x7FF) | (start & 0x800)

    def _starts(self, kind: NDArray[np.uint8], value: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Return the first column of each vector, polarity in bit 11."""
        at = np.flatnonzero((kind >= BASE_X) & (kind <= VECT_8))
        kinds = kind.take(at)
        is_base = kinds == BASE_X
        # A run is a base and the vectors behind it; the first goes on from the block before.
        starts = np.flatnonzero(is_base)
        lengths = np.diff(starts, prepend=0, append=len(at))
        base = np.concatenate(([self._x], value.take(at.take(starts)))).astype(np.int32)
        ends = np.cumsum(_WIDTH.take(kinds), dtype=np.int32)
        moves = base - np.concatenate(([0], ends.take(starts)))
        column = np.repeat(moves, lengths) + ends
        column = (column & 0x7FF) | np.repeat(base & 0x800, lengths)
        before = np.concatenate(([self._x], column[:-1]))
        self._x = int(column[-1])
        return before.take(np.flatnonzero(~is_base)).astype(np.uint16)


class Evt3Encoder:
    """Encoder of EVT 3.0: time and row where they change, and a word for each event.

    Parameters
    ----------
    sensor_size
        Width and height for the header, or None.
    """

    needs_order = True

    def __init__(self, sensor_size: Size | None) -> None:
        self._size, self._t, self._y = sensor_size, -1, -1

    def begin(self) -> bytes:
        """Return the header."""
        return raw_head("3.0", "EVT3", self._size)

    def encode(self, events: Events) -> bytes:
        """Return the bytes of some events."""
        check_fits("evt3", events, x=1 << 11, y=1 << 11, t=1 << 40)
        t, y = events["t"].astype(np.int64), events["y"]
        before, highs = upper_times(t >> 12, self._t >> 12, 12)
        new_t = np.diff(t, prepend=self._t) != 0
        new_y = np.diff(y.astype(np.int64), prepend=self._y) != 0
        ends = np.cumsum(before + new_t + new_y + 1)
        words = np.empty(int(ends[-1]), "<u2")
        is_high = np.ones(len(words), bool)
        for back, chosen, kind, value in (
            (0, slice(None), ADDR_X, events["p"].astype(np.uint16) << 11 | events["x"]),
            (1, new_y, ADDR_Y, y),
            (1 + new_y, new_t, TIME_LOW, (t & 0xFFF).astype(np.uint16)),
        ):
            at = (ends - 1 - back)[chosen]
            words[at] = value[chosen] | np.uint16(kind << 12)
            is_high[at] = False
        words[is_high] = highs | TIME_HIGH << 12
        self._t, self._y = int(t[-1]), int(y[-1])
        return words.tobytes()


def _ranks(mask: NDArray[np.bool_], at: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return how often a mask is true up to each of some places, these included.

    Eight flags are added up by one product: byte k of ``flags * 0x0101010101010101`` is the sum of
    bytes 0 to k of ``flags``. That is twice as fast as a running sum.
    """
    flags = np.zeros(-(-len(mask) // 8) * 8, np.uint8)
    flags[: len(mask)] = mask
    sums = np.multiply(flags.view("<u8"), 0x0101010101010101, dtype="<u8")
    ends = np.cumsum(sums >> 56, dtype=np.intp)
    before = np.concatenate(([0], ends[:-1])).take(at >> 3)
    return before + sums.view(np.uint8).take(at).astype(np.intp)
