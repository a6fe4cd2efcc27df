"""Frames between gateware and `talon_serial.frames`: whole ones arrive, others do nothing."""

import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from talon.arch.serial import ESCAPE, FLAG, HEADER
from talon_hdl.serial.receiver import FrameReceiver
from talon_hdl.serial.sender import FrameSender
from talon_serial.frames import Damaged, Frame, FrameReader, encode

EDGES = [0, FLAG, ESCAPE, FLAG ^ 0x20, ESCAPE ^ 0x20, 255]


def random_words(rng, n):
    raw = bytes(
        rng.choice(EDGES) if rng.random() < 0.3 else rng.randrange(256) for _ in range(8 * n)
    )
    return np.frombuffer(raw, "<u8").astype(np.uint64)


def random_frame(rng, n_max=5):
    words = random_words(rng, rng.randrange(n_max + 1))
    header = {
        "op": 4,
        "seq": rng.choice(EDGES),
        "arg": rng.randrange(1 << 16),
        "last": rng.random() < 0.5,
    }
    return header, words, encode(words, **header)


class Receiving:
    """A receiver under test: what it held, what was kept, and how often it threw a frame away."""

    def __init__(self, data, *, seed=1, room=1.0, hold=0, errors=()):
        """Feed the bytes of ``data``; those at ``errors`` come as errors of the UART."""
        self.frames, self.n_bad, self._words = [], 0, []
        self.last_words = []  # what `word` is when a request is taken
        rng = random.Random(seed)
        dut = FrameReceiver()

        async def feed(ctx):
            for i, byte in enumerate(data):
                ctx.set(dut.i_data, byte)
                ctx.set(dut.i_error if i in errors else dut.i_valid, 1)
                await ctx.tick()
                ctx.set(dut.i_error, 0)
                ctx.set(dut.i_valid, 0)
                await ctx.tick().repeat(rng.randrange(2, 6))
            await ctx.tick().repeat(hold + 8)

        async def watch(ctx):
            held = 0
            while True:
                ctx.set(dut.word_ready, rng.random() < room)
                ctx.set(dut.ready, ctx.get(dut.valid) and held >= hold)
                held = held + 1 if ctx.get(dut.valid) else 0
                _, _, *seen = await ctx.tick().sample(
                    *(dut.word_valid, dut.word_ready, dut.word, dut.word_last),
                    *(dut.bad, dut.drop, dut.valid, dut.ready, dut.header.as_value()),
                )
                self._look(*seen)

        sim = Simulator(dut)
        sim.add_clock(1)
        sim.add_testbench(watch, background=True)
        sim.add_testbench(feed)
        sim.run()

    def _look(self, word_valid, word_ready, word, word_last, bad, drop, valid, ready, header):
        """Take note of what one cycle showed."""
        if word_valid and word_ready:
            self._words.append((word, word_last))
        self.n_bad += bad
        if drop:
            self._words = []
        if valid and ready:
            self.frames.append((HEADER.unpack(header), self._words))
            self.last_words.append(word)
            self._words = []


def expected(header, words):
    lasts = [0] * words.size
    if words.size:
        lasts[-1] = int(header["last"])
    fields = {**dict.fromkeys((f.name for f in HEADER.fields), 0), **header, "count": words.size}
    return {k: int(v) for k, v in fields.items()}, list(zip(map(int, words), lasts, strict=True))


def judged(data):
    """Return the good frames that `talon_serial.frames` finds, and the number of others."""
    found = list(FrameReader().feed(data))
    good = [each for each in found if isinstance(each, Frame)]
    return [expected(f.header, f.words) for f in good], len(found) - len(good)


@pytest.mark.parametrize("seed", range(4))
def test_whole_frames_arrive(seed):
    rng = random.Random(seed)
    sent = [random_frame(rng) for _ in range(8)]
    got = Receiving(b"".join(data for *_, data in sent), seed=seed)
    assert got.frames == [expected(header, words) for header, words, _ in sent]
    assert got.n_bad == 0


def damage(rng, data):
    """Return the bytes of a frame after one accident."""
    at = rng.randrange(len(data))
    kind = rng.choice(["flip", "lose", "add", "cut", "double"])
    if kind == "flip":
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if kind == "lose":
        return data[:at] + data[at + 1 :]
    if kind == "add":
        return data[:at] + bytes([rng.choice([*EDGES, rng.randrange(256)])]) + data[at:]
    return data[:at] if kind == "cut" else data[: at + 1] + data[at:]


@pytest.mark.parametrize("seed", range(12))
def test_damaged_frames_are_thrown_away_and_counted(seed):
    rng = random.Random(seed)
    data = b""
    for _ in range(12):
        one = random_frame(rng)[2]
        data += damage(rng, one) if rng.random() < 0.6 else one
    data += bytes([FLAG])
    frames, n_bad = judged(data)
    got = Receiving(data, seed=seed)
    assert (got.frames, got.n_bad) == (frames, n_bad)


def test_a_frame_longer_or_shorter_than_its_header_says_is_thrown_away():
    rng = random.Random(1)
    words = random_words(rng, 4)
    longer = FrameReader()
    good = encode(words, op=4, seq=1)
    for count in (0, 3, 5, 65535):
        fake = HEADER.pack({"op": 4, "seq": 1, "count": count}).to_bytes(8, "little")
        body = encode_raw(fake + words.tobytes())
        assert isinstance(next(longer.feed(body)), Damaged)
        got = Receiving(body + good)
        assert (len(got.frames), got.n_bad) == (1, 1)


def encode_raw(body):
    """Return the frame of any bytes, with their CRC."""
    import zlib

    whole = body + zlib.crc32(body).to_bytes(4, "little")
    stuffed = b"".join(
        bytes([ESCAPE, b ^ 0x20]) if b in (FLAG, ESCAPE) else bytes([b]) for b in whole
    )
    return bytes([FLAG]) + stuffed + bytes([FLAG])


def test_an_escape_that_nobody_needs_spoils_a_frame():
    plain = encode(some := np.full(2, 0x4141, np.uint64), op=4, seq=1)
    assert isinstance(next(FrameReader().feed(plain)), Frame)
    escaped = plain.replace(b"A", bytes([ESCAPE, 0x61]), 1)
    assert isinstance(next(FrameReader().feed(escaped)), Damaged)
    got = Receiving(escaped + encode(some, op=4, seq=2))
    assert ([header["seq"] for header, _ in got.frames], got.n_bad) == ([2], 1)


def test_an_error_of_the_uart_spoils_its_frame_alone():
    rng = random.Random(3)
    a, b = random_frame(rng), random_frame(rng)
    data = a[2] + b[2]
    for at in (0, 3, len(a[2]) - 2):
        got = Receiving(data[: at + 1] + data[at:], errors={at})
        assert got.n_bad == 1
        assert got.frames[-1] == expected(*b[:2])


def test_no_room_spoils_a_frame():
    rng = random.Random(5)
    words = random_words(rng, 40)
    got = Receiving(encode(words, op=4, seq=1), room=0.5)
    assert (got.frames, got.n_bad) == ([], 1)


def test_frames_are_lost_and_counted_while_one_is_held():
    rng = random.Random(7)
    one = random_words(rng, 1)
    sent = [
        ({"op": 3, "seq": s, "last": 0}, one + s, encode(one + s, op=3, seq=s)) for s in range(5)
    ]
    got = Receiving(b"".join(data for *_, data in sent), hold=100)
    assert got.last_words[0] == one[0]
    assert got.frames[0] == expected(*sent[0][:2])
    assert len(got.frames) + got.n_bad == len(sent)
    assert all(frame in [expected(h, w) for h, w, _ in sent] for frame in got.frames)
    assert got.n_bad >= 2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_answers_are_frames(seed, rate):
    rng = random.Random(seed)
    sent = [random_frame(rng)[:2] for _ in range(6)]
    dut, data = FrameSender(), bytearray()

    async def ask(ctx):
        for header, words in sent:
            fields = {**header, "count": words.size}
            ctx.set(dut.header.as_value(), HEADER.pack(fields))
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            ctx.set(dut.header.as_value(), 0)
            while ctx.get(dut.busy):
                i = ctx.get(dut.index)
                await ctx.tick()
                ctx.set(dut.word, int(words[i]) if i < words.size else 0)

    async def take(ctx):
        while True:
            ctx.set(dut.o.ready, rng.random() < rate)
            if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                data.append(ctx.get(dut.o.payload))
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1)
    sim.add_testbench(take, background=True)
    sim.add_testbench(ask)
    sim.run()
    assert bytes(data) == b"".join(encode(words, **header) for header, words in sent)
