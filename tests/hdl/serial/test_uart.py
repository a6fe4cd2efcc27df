"""Bytes survive the line, at rates that are not quite the same, and nothing else becomes a byte."""

import random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from talon_hdl.serial.uart import UartReceiver, UartTransmitter, phase_step

RATES = [6, 8, 40 / 3, 50 / 3]  # clock cycles a bit


def levels(data, cycles_a_bit, *, pause=0.0, seed=1):
    """Return the level of the line in each cycle: idle, the bytes, idle."""
    rng = random.Random(seed)
    bits = [1] * 3
    for byte in data:
        bits += [0, *(byte >> i & 1 for i in range(8)), 1]
        bits += [1] * rng.randrange(4) * (rng.random() < pause)
    bits += [1] * 12
    return [bits[int(i / cycles_a_bit)] for i in range(int(len(bits) * cycles_a_bit))]


def receive(line, cycles_a_bit):
    """Return what a receiver takes from the line: bytes, and None for an error."""
    dut = UartReceiver(clock_hz=cycles_a_bit, baud=1)
    got = []

    async def watch(ctx):
        for level in line:
            ctx.set(dut.line, level)
            await ctx.tick()
            if ctx.get(dut.valid):
                got.append(ctx.get(dut.data))
            if ctx.get(dut.error):
                got.append(None)

    sim = Simulator(dut)
    sim.add_clock(1)
    sim.add_testbench(watch)
    sim.run()
    return got


def some_bytes(n, seed=1):
    return [0, 255, 0x55, 0xAA, *random.Random(seed).randbytes(n)]


@pytest.mark.parametrize("cycles_a_bit", RATES[1:])
@pytest.mark.parametrize("off", [-0.02, -0.01, 0, 0.01, 0.02])
def test_bytes_arrive_from_a_sender_two_percent_off(cycles_a_bit, off):
    data = some_bytes(20)
    assert receive(levels(data, cycles_a_bit * (1 + off), pause=0.3), cycles_a_bit) == data


def test_bytes_arrive_at_the_lowest_rate():
    data = some_bytes(20)
    assert receive(levels(data, RATES[0]), RATES[0]) == data


def test_a_sender_far_off_is_noticed():
    got = receive(levels([0] * 8, 16 * 1.12), 16)
    assert None in got


@pytest.mark.parametrize("at", [4, 5, 30, 31])
def test_a_glitch_of_one_cycle_is_nothing(at):
    line = [1] * 80
    line[at] = 0
    assert receive(line, 16) == []


def test_a_start_that_is_too_short_is_nothing():
    assert receive([1] * 20 + [0] * 6 + [1] * 200, 16) == []


def test_a_low_stop_bit_is_an_error_and_the_next_byte_is_good():
    line = [1] * 40 + [0] * 16 * 30 + [1] * 40 + levels([0x42], 16)
    assert receive(line, 16) == [None, 0x42]


class Loop(wiring.Component):
    """A transmitter before a receiver."""

    def __init__(self, cycles_a_bit):
        self._rates = {"clock_hz": cycles_a_bit, "baud": 1}
        super().__init__(
            {"data": In(8), "valid": In(1), "ready": Out(1), "o": Out(8), "o_valid": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.tx = tx = UartTransmitter(**self._rates)
        m.submodules.rx = rx = UartReceiver(**self._rates)
        self.line = Signal()
        m.d.comb += [
            tx.i.payload.eq(self.data),
            tx.i.valid.eq(self.valid),
            self.ready.eq(tx.i.ready),
            rx.line.eq(tx.line),
            self.line.eq(tx.line),
            self.o.eq(rx.data),
            self.o_valid.eq(rx.valid),
        ]
        return m


@pytest.mark.parametrize("cycles_a_bit", RATES)
@pytest.mark.parametrize("pause", [0, 30])
def test_what_is_sent_is_received(cycles_a_bit, pause):
    data, rng, got, n_cycles = some_bytes(20), random.Random(2), [], 0
    dut = Loop(cycles_a_bit)

    async def send(ctx):
        nonlocal n_cycles
        for byte in data:
            ctx.set(dut.data, byte)
            ctx.set(dut.valid, 1)
            await ctx.tick().until(dut.ready)
            ctx.set(dut.valid, 0)
            if pause:
                await ctx.tick().repeat(rng.randrange(pause) + 1)
        await ctx.tick().repeat(int(12 * cycles_a_bit))

    async def watch(ctx):
        async for _, _, valid, byte in ctx.tick().sample(dut.o_valid, dut.o):
            if valid:
                got.append(byte)

    sim = Simulator(dut)
    sim.add_clock(1)
    sim.add_testbench(send)
    sim.add_testbench(watch, background=True)
    sim.run()
    assert got == data


def test_bits_are_as_long_as_they_should_be():
    cycles_a_bit, edges, cycle = 50 / 3, [], 0
    dut = UartTransmitter(clock_hz=cycles_a_bit, baud=1)

    async def watch(ctx):
        nonlocal cycle
        ctx.set(dut.i.payload, 0x55)
        ctx.set(dut.i.valid, 1)
        before = 1
        while len(edges) < 200:
            await ctx.tick()
            cycle += 1
            if (level := ctx.get(dut.line)) != before:
                edges.append(cycle)
                before = level

    sim = Simulator(dut)
    sim.add_clock(1)
    sim.add_testbench(watch)
    sim.run()
    for i, edge in enumerate(edges):
        assert abs(edge - edges[0] - i * cycles_a_bit) <= 1.01


def test_a_clock_too_slow_is_refused():
    with pytest.raises(ValueError, match=r"clock of at least 6 x 3e\+06 baud, not 1\.7e\+07 Hz$"):
        phase_step(17e6, 3e6)
