"""Testbench of the neuron datapath: a random neuron in every cycle against the contract."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from talon.arch.memories import MemoryLayouts, Reset, resets
from talon.arch.numerics import (
    COUNT_BITS,
    COUNT_ONE,
    DECAY_ONE,
    FRAC_MAX,
    GAIN_MAX,
    PAYLOAD_MAX,
    V_MAX,
    V_MIN,
    CountingParams,
    GradedParams,
    NeuronParams,
    fires,
    graded,
    leak,
    update,
    update_counting,
)
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
        for r in resets(PARAMS)
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
    *(
        f"doubles, {began} x {where} x {how}"
        for began in ("below", "above")
        for where in ("the threshold", "twice the threshold")
        for how in ("<", "=", ">")
        if PARAMS.double_threshold
    ),
)
PAYLOADS = [(1 << k) - 1 for k in range(1, PAYLOAD_MAX.bit_length() + 1)]
GRADED_BINS = (
    *(
        f"payload {how} of {top}"
        for top in PAYLOADS
        for how in ("negative", "zero", "below the top", "at the top", "just above", "far above")
        if (top, how) != (1, "below the top")
    ),
    "exactly a half",
    "just below a half",
    "multiplier 1",
    "multiplier 0",
    "sum beyond 24 bits, at the top",
    "sum beyond 24 bits, at the bottom",
    "fires as a neuron with a potential",
)
COUNTING = (Reset.NONE, Reset.ZERO, Reset.SUBTRACT)
COUNTING_BINS = (
    *(
        f"{reset.name} {how}{where}"
        for reset in COUNTING
        for how in ("never", "once", "several times", "at the most", "beyond the most")
        for where in ("", ", at a multiple", ", strict, at a multiple")
        if (how, where) != ("never", ", at a multiple")
    ),
    "negative",
    "at the most of one",
    "at the most of all",
    "clamped at the top",
    "clamped at the bottom",
    "product beyond 32 bits, at the top",
    "product beyond 32 bits, at the bottom",
    "gain 0",
    "gain at its largest",
    "product truncated",
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
        "reset": int(rng.choice(resets(PARAMS))),
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
    if fields["reset"] == Reset.DOUBLE and rng.random() < 0.4:
        fields["threshold"] = max(V_MIN, min(V_MAX, sure // 2 + rng.randint(-1, 1)))
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
    if PARAMS.double_threshold:
        doubles = neuron.reset is Reset.DOUBLE and not neuron.reset_next
        expected = (*expected, fires(expected[0], neuron) if doubles else expected[1])
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
    if neuron.reset is Reset.DOUBLE and not neuron.reset_next:
        began = "above" if fires(v, neuron) else "below"
        for where, level in (("the", neuron.threshold), ("twice the", 2 * neuron.threshold)):
            order = "<" if sure < level else ">" if sure > level else "="
            coverage.cross(f"doubles, {began}", f"{where} threshold", order)
    total = (acc << frac) + neuron.bias
    coverage.hit("clamped at the top", total > 2 * V_MAX)
    coverage.hit("clamped at the bottom", total < 2 * V_MIN)
    coverage.hit("difference clamped", sure - neuron.threshold > V_MAX)
    coverage.hit("product truncated", v < 0 and v * neuron.decay % DECAY_ONE != 0)
    coverage.hit("fresh and fires" if fires(v, neuron) else "fresh and does not", fresh)
    coverage.hit("fires by strict alone", sure == neuron.threshold and neuron.strict)


def random_graded(rng, coverage):
    """Return inputs of one graded neuron, and what must come out."""
    acc, offset = random_value(rng), random_value(rng)
    top = rng.choice(PAYLOADS)
    fields = {
        "threshold": top,
        "v_reset": offset,
        "decay": rng.choice([0, 1, 2, 0x8000, 0xFFFF, rng.getrandbits(16), rng.getrandbits(8)]),
        "no_leak": int(rng.random() < 0.3),
    }
    multiplier = DECAY_ONE if fields["no_leak"] else fields["decay"]
    if multiplier and rng.random() < 0.7:  # around a payload of interest, or half of one
        near = rng.choice([0, 1, top - 1, top, top + 1, rng.randint(-3, top)])
        want = near * DECAY_ONE + rng.choice([0, DECAY_ONE // 2, -DECAY_ONE // 2])
        acc = want // multiplier - offset + rng.randint(-1, 1)
        acc = max(V_MIN, min(V_MAX, acc))
    payload = graded(acc, GradedParams(multiplier=multiplier, offset=offset, payload_max=top))
    _cover_graded(coverage, acc, offset, multiplier, top)
    v = random_value(rng)
    stale = NeuronParams(threshold=top, v_reset=offset, decay=multiplier)
    coverage.hit("fires as a neuron with a potential", update(v, acc, stale, frac=0)[1])
    inputs = {
        "v": v & MASK,
        "acc": acc & MASK,
        "fired": rng.getrandbits(1),
        "fresh": rng.getrandbits(1),
        "record": RECORD.pack(fields),
    }
    return inputs, (payload, False)


def _cover_graded(coverage, acc, offset, multiplier, top):
    product = (acc + offset) * multiplier
    value = (product + DECAY_ONE // 2) >> 16
    how = (
        "negative"
        if value < 0
        else "zero"
        if value == 0
        else "below the top"
        if value < top
        else "at the top"
        if value == top
        else "just above"
        if value == top + 1
        else "far above"
    )
    coverage.hit(f"payload {how} of {top}")
    inside = 0 <= value <= top
    coverage.hit("exactly a half", inside and product % DECAY_ONE == DECAY_ONE // 2)
    coverage.hit("just below a half", inside and product % DECAY_ONE == DECAY_ONE // 2 - 1)
    coverage.hit("multiplier 1", multiplier == DECAY_ONE)
    coverage.hit("multiplier 0", multiplier == 0)
    coverage.hit("sum beyond 24 bits, at the top", value > V_MAX)
    coverage.hit("sum beyond 24 bits, at the bottom", value < V_MIN)


def random_counting(rng, coverage):
    """Return inputs of one neuron that counts, and what must come out."""
    v, bias = random_value(rng), rng.choice([0, random_value(rng)])
    gain = rng.choice([0, 1, GAIN_MAX, rng.getrandbits(COUNT_BITS), rng.randint(1, 300)])
    most = rng.choice([1, 2, 3, PAYLOAD_MAX, rng.randint(1, PAYLOAD_MAX)])
    fields = {
        "threshold": most << COUNT_BITS | gain,
        "bias": bias,
        "v_reset": random_value(rng),
        "decay": rng.choice([0, 1, 0xFFFF, rng.getrandbits(16)]),
        "no_leak": rng.getrandbits(1),
        "reset": int(rng.choice(COUNTING)),
        "strict": rng.getrandbits(1),
    }
    decay = DECAY_ONE if fields["no_leak"] else fields["decay"]
    acc = rng.choice([0, rng.randint(-5000, 5000), random_value(rng)])
    if rng.random() < 0.7:  # around a multiple of the threshold
        near = rng.choice([0, 1, 2, most - 1, most, most + 1, rng.randint(-2, 256)])
        want = near * COUNT_ONE + rng.randint(-1, 1) - leak(v, decay) - acc * gain
        fields["bias"] = max(V_MIN, min(V_MAX, want))
    neuron = CountingParams(
        gain=gain,
        max_spikes=most,
        bias=fields["bias"],
        v_reset=fields["v_reset"],
        decay=decay,
        reset=Reset(fields["reset"]),
        strict=bool(fields["strict"]),
    )
    after, count, saturated = update_counting(v, acc, neuron)
    _cover_counting(coverage, v, acc, neuron)
    inputs = {
        "v": v & MASK,
        "acc": acc & MASK,
        "fired": rng.getrandbits(1),
        "fresh": rng.getrandbits(1),
        "record": RECORD.pack(fields),
    }
    return inputs, (after, count > 0, saturated, count)


def _cover_counting(coverage, v, acc, neuron):
    product = acc * neuron.gain
    total = leak(v, neuron.decay) + product + neuron.bias
    at = max(V_MIN, min(V_MAX, total))
    whole, most = (at - neuron.strict) >> COUNT_BITS, neuron.max_spikes
    how = (
        "beyond the most"
        if whole > most
        else "at the most"
        if whole == most
        else "several times"
        if whole > 1
        else "once"
        if whole == 1
        else "never"
    )
    multiple = at % COUNT_ONE == 0 and at > 0
    where = ", strict, at a multiple" if neuron.strict and multiple else ""
    coverage.hit(f"{neuron.reset.name} {how}{where}")
    if multiple and not neuron.strict:
        coverage.hit(f"{neuron.reset.name} {how}, at a multiple")
    coverage.hit("negative", at < 0)
    coverage.hit("at the most of one", whole >= most == 1)
    coverage.hit("at the most of all", whole >= most == PAYLOAD_MAX)
    coverage.hit("clamped at the top", total > V_MAX)
    coverage.hit("clamped at the bottom", total < V_MIN)
    coverage.hit("product beyond 32 bits, at the top", product >= 1 << 32)
    coverage.hit("product beyond 32 bits, at the bottom", product < -(1 << 32))
    coverage.hit("gain 0", neuron.gain == 0)
    coverage.hit("gain at its largest", neuron.gain == GAIN_MAX)
    coverage.hit("product truncated", v < 0 and v * neuron.decay % DECAY_ONE != 0)


async def start(dut):
    """Start the clock and reset the datapath."""
    cocotb.start_soon(Clock(dut.clk, 4, "ns").start())
    dut.rst.value, dut.clear.value = 1, 0
    if PARAMS.has_maps:
        dut.graded.value = 0
    if PARAMS.multi_spike:
        dut.counting.value = 0
    await FallingEdge(dut.clk)
    dut.rst.value = 0


async def run_batch(dut, make_case, found):
    """Send a neuron in every cycle, and compare what comes out of each."""
    pending = []
    for cycle in range(parameters()["cases"] + LATENCY):
        if cycle >= LATENCY:
            inputs, expected = pending.pop(0)
            assert found() == expected, inputs
            assert not dut.fresh_next.value
        pending.append(make_case())
        for name, value in pending[-1][0].items():
            getattr(dut, name).value = int(value)
        await FallingEdge(dut.clk)


def updated(dut):
    """Return potential, spike, saturation, and where thresholds double what comes of it."""
    found = dut.v_next.value.to_signed(), bool(dut.spike.value), bool(dut.saturated.value)
    return (*found, bool(dut.fired_next.value)) if PARAMS.double_threshold else found


@cocotb.test()
async def datapath_is_the_numeric_contract(dut):
    """Send a neuron in every cycle, with each number of fractional bits in turn."""
    rng = random.Random(cocotb.RANDOM_SEED)
    coverage = Coverage(BINS)
    await start(dut)
    for frac in range(FRAC_MAX + 1):
        dut.frac.value = frac
        await run_batch(dut, lambda f=frac: random_case(rng, f, coverage), lambda: updated(dut))
    dut.clear.value = 1
    await FallingEdge(dut.clk)
    dut.clear.value = 0
    assert (dut.v_next.value, dut.spike.value, dut.fresh_next.value) == (0, 0, 1)
    record_coverage(coverage)


@cocotb.test(skip=not PARAMS.has_maps)
async def graded_neurons_are_the_numeric_contract(dut):
    """Batches of graded neurons; the number of fractional bits must not matter."""
    rng = random.Random(cocotb.RANDOM_SEED)
    coverage = Coverage(GRADED_BINS)
    await start(dut)
    dut.graded.value = 1
    for frac in range(FRAC_MAX + 1):
        dut.frac.value = frac
        await run_batch(
            dut,
            lambda: random_graded(rng, coverage),
            lambda: (dut.v_next.value.to_signed(), bool(dut.saturated.value)),
        )
        if PARAMS.multi_spike:
            assert dut.count.value == 0
    # Nothing of it is left when neurons with a potential follow.
    dut.graded.value = 0
    others = Coverage(BINS)
    await run_batch(dut, lambda: random_case(rng, FRAC_MAX, others), lambda: updated(dut))
    record_coverage(coverage)


@cocotb.test(skip=not PARAMS.multi_spike)
async def counting_neurons_are_the_numeric_contract(dut):
    """Batches of neurons that count; the number of fractional bits must not matter."""
    rng = random.Random(cocotb.RANDOM_SEED)
    coverage = Coverage(COUNTING_BINS)
    await start(dut)
    dut.counting.value = 1
    for frac in range(FRAC_MAX + 1):
        dut.frac.value = frac
        await run_batch(
            dut,
            lambda: random_counting(rng, coverage),
            lambda: (*updated(dut)[:3], int(dut.count.value)),
        )
    # Nothing of it is left when others follow, which fire once.
    dut.counting.value = 0
    others = Coverage(BINS)

    def once():
        found = updated(dut)
        assert dut.count.value == found[1]
        return found

    await run_batch(dut, lambda: random_case(rng, FRAC_MAX, others), once)
    dut.counting.value, dut.clear.value = 1, 1
    await FallingEdge(dut.clk)
    assert (dut.v_next.value, dut.count.value) == (0, 0)
    record_coverage(coverage)
