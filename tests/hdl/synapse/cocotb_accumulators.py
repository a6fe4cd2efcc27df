"""Testbench of the accumulators: rows that come back to an accumulator at every distance."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from talon.arch.params import ArrayParams, bits_for
from talon_sim.cosim.coverage import Coverage
from talon_sim.cosim.testbench import parameters, record_coverage

PARAMS = ArrayParams(**parameters()["params"])
ROW, SLOT = bits_for(PARAMS.n_rows), bits_for(PARAMS.n_slots)
ACC = PARAMS.acc_width
BINS = (
    *(
        f"{what} {n} after {on}"
        for what in ("row",)
        for n in (1, 2, 3, 4)
        for on in ("row", "clear")
    ),
    *(f"clear {n} after row" for n in (2, 3, 4)),
    "same row, other slot",
    "bubble between",
    "sum wraps",
)


def wrapped(value):
    """Return ``value`` modulo 2^24, as a signed number."""
    half = 1 << (ACC - 1)
    return (value + half) % (1 << ACC) - half


def pack(work):
    """Return the bits of a row of work."""
    word, offset = 0, 0
    fields = [
        (work["valid"], 1),
        (work["clear"], 1),
        (work["slot"], SLOT),
        (work["value"], ACC),
        *((row, ROW) for row in work["rows"]),
        *((weight, 8) for weight in work["weights"]),
    ]
    for value, width in fields:
        word |= (int(value) & ((1 << width) - 1)) << offset
        offset += width
    return word


def random_work(rng, n_rows, history):
    """Return a row of work, close to those before; a clear never directly behind its row."""
    spread = rng.random() < 0.5
    common = rng.randrange(n_rows)
    work = {
        "valid": rng.random() < 0.85,
        "clear": rng.random() < 0.2,
        "slot": rng.randrange(2),
        "value": rng.choice([1, -255, 255, rng.getrandbits(ACC)]),
        "rows": [rng.randrange(n_rows) if spread else common for _ in range(PARAMS.lanes)],
        "weights": [
            rng.choice([0, -128, 127, rng.randint(-128, 127)]) for _ in range(PARAMS.lanes)
        ],
    }
    before = history[-1] if history else None
    if work["clear"] and before and before["valid"]:
        work["valid"] = not any(a == b for a, b in zip(work["rows"], before["rows"], strict=True))
    work["clear"] = work["clear"] and work["valid"]
    return work


def cover(coverage, history):
    """Count how far back lane 0 meets its accumulator."""
    work = history[-1]
    if not work["valid"]:
        return
    for n in range(1, min(5, len(history))):
        other = history[-1 - n]
        if not other["valid"] or other["rows"][0] != work["rows"][0]:
            continue
        if other["slot"] != work["slot"]:
            coverage.hit("same row, other slot")
            continue
        what, on = ("clear" if w["clear"] else "row" for w in (work, other))
        if f"{what} {n} after {on}" in coverage.counts:
            coverage.hit(f"{what} {n} after {on}")
        coverage.hit("bubble between", any(not w["valid"] for w in history[-n:-1]))
        break


@cocotb.test()
async def accumulators_add_and_clear_in_order(dut):
    """Rows in nearly every cycle on few accumulators; every clear shows the exact sums."""
    rng = random.Random(cocotb.RANDOM_SEED)
    coverage = Coverage(BINS)
    cocotb.start_soon(Clock(dut.clk, 4, "ns").start())
    dut.rst.value, dut.i.value = 1, 0
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    state, expected, history = {}, [], []
    # First clear what the test looks at: memories come up with anything.
    first = [
        {"valid": 1, "clear": 1, "slot": s, "value": 0, "rows": [r] * PARAMS.lanes,
         "weights": [0] * PARAMS.lanes}
        for s in range(2) for r in range(4)
    ]  # fmt: skip
    for cycle in range(parameters()["cycles"]):
        if cycle % 500 == 0:
            n_rows = rng.choice([1, 2, 4])
        work = first[cycle] if cycle < len(first) else random_work(rng, n_rows, history)
        history = [*history[-6:], work]
        cover(coverage, history)
        if work["valid"]:
            keys = [(lane, work["slot"], row) for lane, row in enumerate(work["rows"])]
            if work["clear"]:
                known = cycle >= len(first)
                expected.append([state.get(key, 0) for key in keys] if known else None)
                state |= dict.fromkeys(keys, 0)
            else:
                for key, weight in zip(keys, work["weights"], strict=True):
                    total = state.get(key, 0) + wrapped(work["value"]) * weight
                    coverage.hit("sum wraps", wrapped(total) != total)
                    state[key] = wrapped(total)
        dut.i.value = pack(work)
        await FallingEdge(dut.clk)
        if dut.fetched_stb.value:
            sums = expected.pop(0)
            found = [int(dut.fetched.value) >> (ACC * lane) for lane in range(PARAMS.lanes)]
            assert sums is None or [wrapped(value) for value in found] == sums, f"cycle {cycle}"
    assert len(expected) <= 2
    record_coverage(coverage)
