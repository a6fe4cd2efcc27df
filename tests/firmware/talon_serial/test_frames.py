"""Frames as bytes: what is encoded is decoded, whatever the pieces, and damage is seen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from talon.arch.serial import CRC_BYTES, ESCAPE, FLAG, HEADER, WORD_BYTES
from talon_serial.frames import Damaged, Frame, FrameReader, decode, encode

words = st.binary(max_size=20).map(lambda raw: np.frombuffer(raw * 8, "<u8").astype(np.uint64))
headers = st.fixed_dictionaries(
    {field.name: st.integers(0, field.maximum) for field in HEADER.fields if field.name != "count"}
)


@given(headers, words, st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_what_is_encoded_is_decoded_in_any_pieces(header, words, sizes):
    data = encode(words, **header) * 2
    reader, found, at, i = FrameReader(), [], 0, 0
    while at < len(data):
        size = sizes[i % len(sizes)]
        found += reader.feed(data[at : at + size])
        at, i = at + size, i + 1
    assert len(found) == 2
    for frame in found:
        assert isinstance(frame, Frame)
        assert frame.header == {**header, "count": words.size}
        assert_array_equal(frame.words, words)


@given(headers, words)
def test_a_flag_stands_only_at_the_ends(header, words):
    data = encode(words, **header)
    assert data[0] == data[-1] == FLAG
    assert FLAG not in data[1:-1]


@given(headers, words, st.data())
def test_any_flipped_bit_is_seen(header, words, data):
    good = encode(words, **header)
    at = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[at] ^= 1 << data.draw(st.integers(0, 7))
    frames = [f for f in FrameReader().feed(bytes(bad)) if isinstance(f, Frame)]
    assert frames == []


@pytest.mark.parametrize(
    ("piece", "why"),
    [
        (b"abc", "3 bytes, fewer than header and CRC"),
        (bytes(11), "11 bytes, fewer than header and CRC"),
        (bytes(12), "a CRC that does not match"),
        (bytes(11) + bytes([ESCAPE, 0x41]), "an ESCAPE before a byte that needs none"),
        (bytes(12) + bytes([ESCAPE]), "an ESCAPE before a byte that needs none"),
    ],
)
def test_damage_is_named(piece, why):
    assert decode(piece) == Damaged(why=why)


def test_a_count_that_is_not_that_of_the_words_is_damage():
    import zlib

    body = HEADER.pack({"op": 4, "count": 2}).to_bytes(WORD_BYTES, "little") + b"a" * 8
    found = decode(body + zlib.crc32(body).to_bytes(CRC_BYTES, "little"))
    assert found == Damaged(why="8 bytes where the header counts 2 words")


def test_noise_without_end_is_not_kept():
    reader = FrameReader()
    found = [each for _ in range(300) for each in reader.feed(b"\x00" * 4096)]
    assert found
    assert all("without an end" in each.why for each in found)
