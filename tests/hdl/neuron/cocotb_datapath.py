"""Testbench of the neuron datapath: a random neuron in every cycle against the contract."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from talon.arch.memories import MemoryLayouts, Reset
from talon.arch.numerics import DECAY_ONE, FRAC_MAX, V_MAX, V_MIN, NeuronParams, fires, update
from talon.arch.params import ArrayParams
from talon_hdl.neuron.datapath import LATENCY
from talon_sim.cosim.coverage import Coverage
from talon_sim.cosim.testbench import parameters, record_coverage

PARAMS = ArrayParams(**parameters()["params"])
RECORD = MemoryLayouts(PARAMS).record
MASK = (1 << 24) - 1
BINS = (
    *(
        f"{r.name} {when} x {how}"
        for r in Reset
        for when in ("late", "now")
        for how in ("<", "=", ">")
    ),
    *(f"frac {frac}" for frac in range(FRAC_MAX + 1)),
    "clamped at the top",
    "clamped at the bottom",
    "difference clamped",
    "product truncated",
    "fresh and fires",
    "fresh and does not",
    "fires by strict alone",
)


def random_value(rng, near=0):
    """Return 24 bits: the ends, around zero, around ``near``, or any."""
    return rng.choice(
        [
            rng.choice([V_MIN, V_MIN + 1, V_MAX, V_MAX - 1, 0, 1, -1]),
            rng.randint(-200, 200),
            max(V_MIN, min(V_MAX, near + rng.randint(-2, 2))),
            rng.randint(V_MIN, V_MAX),
        ]
    )


def random_case(rng, frac, coverage):
    """Return inputs of one neuron, and what must come out."""
    fresh = rng.random() < 0.2
    v = 0 if fresh else random_value(rng)
    fields = {
        "bias": rng.choice([0, random_value(rng)]),
        "v_reset": random_value(rng),
        "decay": rng.choice([0, 1, 0x8000, 0xFFFF, rng.getrandbits(16)]),
        "no_leak": rng.getrandbits(1),
        "reset": int(rng.choice(list(Reset))),
        "reset_next": rng.getrandbits(1),
        "strict": rng.getrandbits(1),
    }
    acc = rng.choice([0, rng.randint(-5000, 5000), random_value(rng)])
    # Around the outcome before the compare, so that all three cases of it are met.
    free = NeuronParams(
        bias=fields["bias"], decay=DECAY_ONE if fields["no_leak"] else fields["decay"]
    )
    sure = update(v, acc, free, frac=frac)[0]
    fields["threshold"] = random_value(rng, near=rng.choice([v, sure, sure]))
    neuron = NeuronParams(
        threshold=fields["threshold"],
        bias=fields["bias"],
        v_reset=fields["v_reset"],
        decay=free.decay,
        reset=Reset(fields["reset"]),
        reset_next=bool(fields["reset_next"]),
        strict=bool(fields["strict"]),
    )
    expected = update(v, acc, neuron, frac=frac)
    _cover(coverage, v, acc, neuron, fresh, frac, sure)
    inputs = {
        "v": v & MASK,
        "acc": acc & MASK,
        "fired": rng.getrandbits(1) if fresh else fires(v, neuron),
        "fresh": fresh,
        "record": RECORD.pack(fields),
    }
    return inputs, expected


def _cover(coverage, v, acc, neuron, fresh, frac, sure):
    when = "late" if neuron.reset_next else "now"
    at = v if neuron.reset_next else sure
    how = "<" if at < neuron.threshold else ">" if at > neuron.threshold else "="
    coverage.cross(f"{neuron.reset.name} {when}", how)
    coverage.hit(f"frac {frac}")
    total = (acc << frac) + neuron.bias
    coverage.hit("clamped at the top", total > 2 * V_MAX)
    coverage.hit("clamped at the bottom", total < 2 * V_MIN)
    coverage.hit("difference clamped", sure - neuron.threshold > V_MAX)
    coverage.hit("product truncated", v < 0 and v * neuron.decay % DECAY_ONE != 0)
    coverage.hit("fresh and fires" if fires(v, neuron) else "fresh and does not", fresh)
    coverage.hit("fires by strict alone", sure == neuron.threshold and neuron.strict)


@cocotb.test()
async def datapath_is_the_numeric_contract(dut):
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
            if cycle >= LATENCY:
                inputs, expected = pending.pop(0)
                found = (
                    dut.v_next.value.to_signed(),
                    bool(dut.spike.value),
                    bool(dut.saturated.value),
                )
                assert found == expected, f"frac {frac}, {inputs}"
                assert not dut.fresh_next.value
            pending.append(random_case(rng, frac, coverage))
            for name, value in pending[-1][0].items():
                getattr(dut, name).value = int(value)
            await FallingEdge(dut.clk)
    dut.clear.value = 1
    await FallingEdge(dut.clk)
    dut.clear.value = 0
    assert (dut.v_next.value, dut.spike.value, dut.fresh_next.value) == (0, 0, 1)
    record_coverage(coverage)
