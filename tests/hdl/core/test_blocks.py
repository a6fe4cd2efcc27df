import random
import zlib

import pytest
from amaranth.hdl import Const, Module, Signal
from amaranth.sim import Simulator

from talon.arch.layout import Field, Layout
from talon.arch.memories import Counter
from talon.arch.params import preset
from talon_hdl.core.counters import CounterBank
from talon_hdl.core.crc import CRC32
from talon_hdl.shapes import combined, packed, resized, view

LAYOUT = Layout("sample", (Field("low", 3), Field("number", 6, signed=True), Field("flag", 1)))


def simulate(component, testbench):
    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("width", [8, 16, 32])
def test_crc_is_that_of_zlib(width):
    rng = random.Random(width)
    crc = CRC32(width)

    async def testbench(ctx):
        for _ in range(20):
            data = rng.randbytes(4 * rng.randint(1, 30))
            ctx.set(crc.start, 1)
            ctx.set(crc.valid, rng.getrandbits(1))  # start goes first
            await ctx.tick()
            ctx.set(crc.start, 0)
            for i in range(0, len(data), width // 8):
                while rng.random() < 0.2:
                    ctx.set(crc.valid, 0)
                    ctx.set(crc.data, rng.getrandbits(width))
                    await ctx.tick()
                ctx.set(crc.valid, 1)
                ctx.set(crc.data, int.from_bytes(data[i : i + width // 8], "little"))
                await ctx.tick()
            ctx.set(crc.valid, 0)
            assert ctx.get(crc.crc) == zlib.crc32(data)

    simulate(crc, testbench)


def test_counters_lose_nothing_at_full_rate_nor_at_a_clear():
    rng = random.Random(1)
    bank = CounterBank(preset("zynq_us_plus"))
    widths = {counter: len(bank.gains[counter.name.lower()]) for counter in Counter}
    largest = {c: {5: 16, 3: 4, 1: 1}[width] for c, width in widths.items()}

    async def testbench(ctx):
        counts = dict.fromkeys(Counter, 0)
        for cycle in range(6000):
            clear = cycle in (1, 777, 778, 2000, 2005)
            ctx.set(bank.clear, clear)
            for counter in Counter:
                top = largest[counter]
                gain = top if cycle % 3000 < 2000 else rng.randint(0, top)
                ctx.set(bank.gains[counter.name.lower()], gain)
                counts[counter] = 0 if clear else counts[counter] + gain
            await ctx.tick()
        ctx.set(bank.clear, 0)
        for counter in Counter:
            ctx.set(bank.gains[counter.name.lower()], 0)
        await ctx.tick().repeat(len(Counter))
        for counter in Counter:
            ctx.set(bank.select, counter)
            assert ctx.get(bank.value) == counts[counter], counter.name
        assert counts[Counter.SOPS] > 1 << 15

    simulate(bank, testbench)


def evaluate(value):
    """Return what a constant expression comes to."""
    m = Module()
    out = Signal(len(value))
    m.d.comb += out.eq(value)
    found = []

    async def testbench(ctx):
        found.append(ctx.get(out))

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    return found[0]


@pytest.mark.parametrize("number", [-32, -1, 0, 31])
def test_packed_agrees_with_the_layout(number):
    fields = {"low": Const(5, 3), "number": Const(number, 6).as_signed()}
    assert evaluate(packed(LAYOUT, fields)) == LAYOUT.pack({"low": 5, "number": number})


def test_packed_extends_by_the_sign_of_the_value():
    assert evaluate(packed(LAYOUT, {"number": Const(-2)})) == LAYOUT.pack({"number": -2})
    assert evaluate(packed(LAYOUT, {"number": Const(3, 2)})) == LAYOUT.pack({"number": 3})
    assert evaluate(resized(Const(0b1011, 4), 2)) == 0b11


def test_packed_refuses_a_field_that_is_not_there():
    with pytest.raises(ValueError, match=r"^Layout sample has no field 'other'$"):
        packed(LAYOUT, {"other": Const(0)})


def test_view_shows_the_fields():
    word = Const(LAYOUT.pack({"low": 6, "number": -7, "flag": 1}) | 1 << LAYOUT.width, 16)
    fields = view(LAYOUT, word)
    assert evaluate(fields.low) == 6
    assert evaluate(fields.number) & 0x3F == -7 & 0x3F
    assert evaluate(fields.flag) == 1


def test_combined_is_an_or():
    assert evaluate(combined([Const(0, 4), Const(0b0101, 4), Const(0b10, 2)])) == 0b0111
