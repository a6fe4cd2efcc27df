"""What each format's words mean, one by one, and what is skipped."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon.io.events import EVENT_DTYPE
from talon.io.formats.aedat2 import Aedat2Decoder
from talon.io.formats.common import Decoder
from talon.io.formats.dat import DatDecoder
from talon.io.formats.evt2 import Evt2Decoder
from talon.io.formats.evt3 import Evt3Decoder
from talon.io.formats.fast import fast_decoder
from talon.io.formats.nmnist import NmnistDecoder
from talon.jit import has_numba

Found = list[tuple[int, int, int, int]]


def decoded(decoder: Decoder, data: bytes, cuts: tuple[int, ...] = ()) -> Found:
    """Return events as tuples (t, x, y, p), of blocks that end at some records."""
    found: Found = []
    bounds = [0, *sorted(cut * decoder.record for cut in cuts), len(data)]
    for start, stop in pairwise(bounds):
        block = np.frombuffer(data[start:stop], np.uint8)
        out = np.empty(decoder.most(block.size), EVENT_DTYPE)
        found += [tuple(map(int, event)) for event in out[: decoder.decode(block, out)]]
    return found


def words16(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}H", *words)


def words32(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}I", *words)


def evt2(kind: int, low: int, x: int, y: int) -> int:
    return kind << 28 | low << 22 | x << 11 | y


def evt2_decoders() -> list[Callable[[], Decoder]]:
    return [Evt2Decoder, *([lambda: fast_decoder("evt2")] if has_numba() else [])]


def evt3_decoders() -> list[Callable[[], Decoder]]:
    return [Evt3Decoder, *([lambda: fast_decoder("evt3")] if has_numba() else [])]


@pytest.mark.parametrize("make", evt2_decoders())
def test_evt2(make: Callable[[], Decoder]) -> None:
    data = words32(
        evt2(1, 5, 9, 9),  # before any time
        0x8000_0002,
        evt2(1, 63, 2047, 1023),
        evt2(10, 1, 0, 3),  # trigger
        evt2(0, 0, 1, 2047),
        0x8000_0002,  # told again
        evt2(1, 1, 3, 4),
        0x8000_0001,  # a step back
        evt2(0, 2, 5, 6),
        evt2(14, 0, 0, 0),  # others, continued and reserved
        evt2(15, 0, 0, 0),
        evt2(7, 0, 0, 0),
    )
    expected = [(191, 2047, 1023, 1), (128, 1, 2047, 0), (129, 3, 4, 1), (66, 5, 6, 0)]
    assert decoded(make(), data) == expected
    assert decoded(make(), data, tuple(range(1, 12))) == expected


@pytest.mark.parametrize("make", evt2_decoders())
def test_time_of_evt2_starts_again(make: Callable[[], Decoder]) -> None:
    last = 0x8FFF_FFFF
    data = words32(last, evt2(1, 63, 0, 0), 0x8000_0000, evt2(1, 0, 0, 0), last, 0x8000_0001)
    data += words32(evt2(0, 1, 0, 0))
    assert [t for t, *_ in decoded(make(), data)] == [2**34 - 1, 2**34, 2 * 2**34 + 65]
    assert decoded(make(), data, (2, 4, 5)) == decoded(make(), data)


@pytest.mark.parametrize("make", evt3_decoders())
def test_evt3(make: Callable[[], Decoder]) -> None:
    data = words16(
        0x0007,  # row, base, lower time and event before any upper time
        0x3805,
        0x6001,
        0x2801,
        0x8001,  # upper time 1
        0x2001,  # column 1, polarity 0, in row 0 at 4096
        0x6FFF,
        0x0003,
        0x2FFF,  # column 2047, polarity 1
        0xA101,  # trigger
        0x8001,  # told again: lower time stays
        0x2802,
        0x8002,  # upper time 2: lower time is 0
        0x2803,
        0xE123,  # others, continued, reserved
        0x7123,
        0xF123,
        0x1123,
        0x9123,
    )
    expected = [(4096, 1, 0, 0), (8191, 2047, 3, 1), (8191, 2, 3, 1), (8192, 3, 3, 1)]
    assert decoded(make(), data) == expected
    assert decoded(make(), data, tuple(range(1, 19))) == expected


@pytest.mark.parametrize("make", evt3_decoders())
def test_vectors_of_evt3(make: Callable[[], Decoder]) -> None:
    data = words16(
        0x8000,
        0x0002,
        0x380A,  # brighter, from column 10
        0x4801,  # columns 10 and 21; then from 22
        0x20FF,  # an event between vectors does not move them
        0x5F81,  # upper four bits of a vector of 8 are nothing: columns 22 and 29; then from 30
        0x4000,  # none; then from 42
        0x5001,  # column 42
        0x37FC,  # darker, from column 2044
        0x4011,  # columns 2044 and, eleven bits on, 0
        0x4001,  # from column 8
    )
    expected = [(10, 1), (21, 1), (255, 0), (22, 1), (29, 1), (42, 1), (2044, 0), (0, 0), (8, 0)]
    assert decoded(make(), data) == [(0, x, 2, p) for x, p in expected]
    assert decoded(make(), data, tuple(range(1, 11))) == [(0, x, 2, p) for x, p in expected]


@pytest.mark.parametrize("make", evt3_decoders())
def test_time_of_evt3_starts_again(make: Callable[[], Decoder]) -> None:
    data = words16(0x8FFF, 0x6FFF, 0x2000, 0x8000, 0x2000, 0x8800, 0x2000, 0x8000, 0x6001, 0x2000)
    expected = [2**24 - 1, 2**24, 2**24 + 2**23, 2**25 + 1]
    assert [t for t, *_ in decoded(make(), data)] == expected
    assert [t for t, *_ in decoded(make(), data, (1, 3, 4, 6))] == expected
    back = words16(0x8802, 0x2000, 0x8003, 0x2000)  # 2047 down is a step back
    assert [t for t, *_ in decoded(make(), back)] == [0x802 << 12, 3 << 12]


def scalar_evt3(words: list[int]) -> Found:
    """Decode word by word, by the tables of the format."""
    found: Found = []
    started = False
    turns = high = low = row = base = polarity = 0
    for word in words:
        kind, value = divmod(word, 4096)
        if kind == 8:
            if started and value + 2048 <= high:
                turns += 1
            if not started or value != high:
                low = 0
            started, high = True, value
        elif not started:
            continue
        time = turns * 2**24 + high * 4096 + low
        if kind == 0:
            row = value % 2048
        elif kind == 2:
            found.append((time, value % 2048, row, value // 2048))
        elif kind == 3:
            polarity, base = divmod(value, 2048)
        elif kind in (4, 5):
            width = 12 if kind == 4 else 8
            bits = [k for k in range(width) if value & 2**k]
            found += [(time, (base + k) % 2048, row, polarity) for k in bits]
            base = (base + width) % 2048
        elif kind == 6:
            low = value
    return found


def scalar_evt2(words: list[int]) -> Found:
    found: Found = []
    turns, high = 0, -1
    for word in words:
        kind, value = word >> 28, word & 0x0FFF_FFFF
        if kind == 8:
            turns += high - value >= 2**27
            high = value
        elif kind < 2 and high >= 0:
            time = (turns * 2**28 + high) * 64 + (value >> 22)
            found.append((time, value >> 11 & 0x7FF, value & 0x7FF, kind))
    return found


@given(
    words=st.lists(
        st.builds(
            lambda kind, value: kind << 12 | value,
            st.sampled_from([0, 2, 2, 3, 4, 4, 5, 6, 8, 8, 10, 14, 1, 7]),
            st.integers(0, 4095) | st.sampled_from([0, 1, 2047, 2048, 4095]),
        ),
        max_size=60,
    ),
    data=st.data(),
)
def test_any_words_of_evt3(words: list[int], data: st.DataObject) -> None:
    cuts = tuple(data.draw(st.lists(st.integers(0, len(words)), max_size=4)))
    expected = scalar_evt3(words)
    for make in evt3_decoders():
        assert decoded(make(), words16(*words), cuts) == expected


@given(
    words=st.lists(
        st.builds(
            lambda kind, value: kind << 28 | value,
            st.sampled_from([0, 1, 0, 1, 8, 8, 10, 15]),
            st.integers(0, 2**28 - 1) | st.sampled_from([0, 2**27 - 1, 2**27, 2**28 - 1]),
        ),
        max_size=60,
    ),
    data=st.data(),
)
def test_any_words_of_evt2(words: list[int], data: st.DataObject) -> None:
    cuts = tuple(data.draw(st.lists(st.integers(0, len(words)), max_size=4)))
    expected = scalar_evt2(words)
    for make in evt2_decoders():
        assert decoded(make(), words32(*words), cuts) == expected


@pytest.mark.parametrize(
    "fast",
    [
        False,
        pytest.param(
            True,
            marks=pytest.mark.skipif(not has_numba(), reason="the extra [fast] is not installed"),
        ),
    ],
)
def test_dat(fast: bool) -> None:
    def make(version: int) -> Decoder:
        return fast_decoder("dat", version) if fast else DatDecoder(version)

    new = words32(5, 1 << 28 | 16383 << 14 | 3, 4, 0xE000_0000 | 1 << 14, 2**32 - 1, 0, 2, 7)
    assert decoded(make(2), new) == [
        (5, 3, 16383, 1),
        (4, 0, 1, 0),  # a step back; bits 31-29 are nothing
        (2**32 - 1, 0, 0, 0),
        (2**32 + 2, 7, 0, 0),
    ]
    assert decoded(make(2), new, (1, 2, 3)) == decoded(make(2), new)
    old = words32(9, 1 << 17 | 255 << 9 | 511)
    assert decoded(make(1), old) == [(9, 511, 255, 1)]


def test_nmnist() -> None:
    data = bytes([33, 1, 0x80 | 1, 2, 3]) + bytes([7, 240, 0, 0, 0]) + bytes([2, 3, 0x7F, 255, 255])
    expected = [(1 << 16 | 2 << 8 | 3, 33, 1, 1), (2**23 - 1 + 2**13, 2, 3, 0)]
    assert decoded(NmnistDecoder(), data) == expected
    assert decoded(NmnistDecoder(), data, (1, 2)) == expected


def test_aedat2_of_a_dvs128() -> None:
    def address(x: int, y: int, bit: int) -> int:
        return y << 8 | x << 1 | bit

    records = [
        (address(0, 0, 0), 1),
        (address(127, 100, 1), 2),
        (0x8000 | address(1, 1, 0), 3),  # external event
        (0x8000_0000, 4),
        (address(5, 6, 0), 2**32 - 1),
        (address(5, 6, 0), 0),
    ]
    data = b"".join(struct.pack(">II", *record) for record in records)
    assert decoded(Aedat2Decoder("dvs128"), data) == [
        (1, 127, 127, 1),  # bit 0 is 0 where it got brighter
        (2, 0, 27, 0),
        (2**32 - 1, 122, 121, 1),
        (2**32, 122, 121, 1),
    ]


def test_aedat2_of_a_davis() -> None:
    def address(x: int, y: int, p: int) -> int:
        return y << 22 | x << 12 | p << 11

    records = [
        (address(0, 0, 1), 1),
        (address(345, 259, 0), 2),
        (0x8000_0000 | address(1, 1, 0), 3),  # sample of a frame
        (0x8000_0C00, 3),  # sample of the IMU
        (1 << 10 | 3, 4),  # external event
        (address(1, 2, 1) | 0x3FF, 5),  # the low bits are nothing
    ]
    data = b"".join(struct.pack(">II", *record) for record in records)
    assert decoded(Aedat2Decoder("davis346"), data, (1, 3)) == [
        (1, 345, 259, 1),
        (2, 0, 0, 0),
        (5, 344, 257, 1),
    ]
