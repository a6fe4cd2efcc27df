"""Testbench of the datapath of currents: a random current in every cycle against the contract."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from talon.arch.memories import MemoryLayouts
from talon.arch.numerics import DECAY_ONE, FRAC_MAX, V_MAX, V_MIN, CurrentParams, update_current
from talon.arch.params import ArrayParams
from talon_hdl.neuron.current import FRAC_LATENCY, LATENCY
from talon_sim.cosim.coverage import Coverage
from talon_sim.cosim.testbench import parameters, record_coverage

PARAMS = ArrayParams(**parameters()["params"])
RECORD = MemoryLayouts(PARAMS).current
MASK = (1 << 24) - 1
LIMITS = [V_MIN, V_MIN + 1, V_MAX - 1, V_MAX, 0, 1, -1]
BINS = (
    *(f"{what} x frac {frac}" for what in ("current", "none") for frac in range(FRAC_MAX + 1)),
    *(f"total {how} the {end}" for how in ("at", "beyond") for end in ("top", "bottom")),
    "factor 1",
    "product truncated",
    "none, and its current would saturate",
)


def random_value(rng):
    """Return 24 bits: the ends, small, or any."""
    return rng.choice([rng.choice(LIMITS), rng.randint(-200, 200), rng.randint(V_MIN, V_MAX)])


def random_case(rng, frac, coverage):
    """Return inputs of one neuron, and what must come out."""
    i = random_value(rng)
    acc = rng.choice([0, rng.randint(-5000, 5000), random_value(rng)])
    fields = {
        "i_bias": rng.choice([0, random_value(rng)]),
        "i_decay": rng.choice([0, 1, 0x8000, 0xFFFF, rng.getrandbits(16)]),
        "i_no_leak": int(rng.random() < 0.3),
        "has_current": rng.getrandbits(1),
    }
    decay = DECAY_ONE if fields["i_no_leak"] else fields["i_decay"]
    if rng.random() < 0.2:  # exactly at an end, or one beyond
        free = update_current(i, acc, CurrentParams(decay=decay), frac=frac)[0]
        end = rng.choice([V_MIN, V_MAX]) + rng.choice([-1, 0, 1])
        fields["i_bias"] = max(V_MIN, min(V_MAX, end - free))
    current = CurrentParams(decay=decay, bias=fields["i_bias"])
    after, saturated = update_current(i, acc, current, frac=frac)
    has = fields["has_current"]
    coverage.cross("current" if has else "none", f"frac {frac}")
    coverage.hit("factor 1", has and fields["i_no_leak"])
    coverage.hit("product truncated", has and i < 0 and i * decay % DECAY_ONE != 0)
    coverage.hit("none, and its current would saturate", not has and saturated)
    for end, name in ((V_MAX, "top"), (V_MIN, "bottom")):
        how = "beyond" if saturated else "at"
        coverage.hit(f"total {how} the {name}", has and after == end)
    inputs = {"i": i & MASK, "acc": acc & MASK, "record": RECORD.pack(fields)}
    return inputs, (after, saturated, 0) if has else (acc, False, frac)


@cocotb.test()
async def currents_are_the_numeric_contract(dut):
    """Send a neuron in every cycle, with each number of fractional bits in turn."""
    rng = random.Random(cocotb.RANDOM_SEED)
    coverage = Coverage(BINS)
    cocotb.start_soon(Clock(dut.clk, 4, "ns").start())
    dut.rst.value, dut.clear.value = 1, 0
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    for frac in range(FRAC_MAX + 1):
        dut.frac.value = frac
        pending = []
        for cycle in range(parameters()["cases"] + LATENCY):
            if cycle >= FRAC_LATENCY:
                _, (_, _, sum_frac) = pending[cycle - FRAC_LATENCY]
                assert dut.sum_frac.value == sum_frac
            if cycle >= LATENCY:
                inputs, (after, saturated, _) = pending[cycle - LATENCY]
                found = dut.sum.value.to_signed(), bool(dut.saturated.value)
                assert found == (after, saturated), f"frac {frac}, {inputs}"
            pending.append(random_case(rng, frac, coverage))
            for name, value in pending[-1][0].items():
                getattr(dut, name).value = int(value)
            await FallingEdge(dut.clk)
    dut.clear.value = 1
    await FallingEdge(dut.clk)
    dut.clear.value = 0
    assert dut.sum.value == 0
    record_coverage(coverage)
