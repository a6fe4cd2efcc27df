from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon.arch import numerics
from talon.arch.memories import Reset
from talon.arch.numerics import (
    ACC_MAX,
    COUNT_ONE,
    DECAY_ONE,
    FRAC_MAX,
    GAIN_MAX,
    PAYLOAD_MAX,
    V_MAX,
    V_MIN,
    CountingParams,
    CurrentParams,
    GradedParams,
    NeuronParams,
    looked_up,
    update,
    update_counting,
    update_current,
)

potentials = st.integers(V_MIN, V_MAX)
decays = st.integers(0, DECAY_ONE)
neurons = st.builds(
    NeuronParams,
    threshold=potentials,
    bias=potentials,
    v_reset=potentials,
    decay=decays,
    reset=st.sampled_from(Reset),
    reset_next=st.booleans(),
    strict=st.booleans(),
)
LIMITS = [V_MIN, V_MIN + 1, -65537, -65536, -65535, -1, 0, 1, 65535, 65536, V_MAX - 1, V_MAX]


def lava_decay(v, decay):
    """Decay as the bit-accurate LIF of Lava has it: sign(x) * (|x| * a >> 16)."""
    x = np.int64(v)
    return int(np.sign(x) * np.right_shift(np.abs(x) * np.int64(decay), 16))


@given(v=potentials, decay=decays)
def test_leak_is_the_rule_of_lava(v, decay):
    assert numerics.leak(v, decay) == lava_decay(v, decay)


@pytest.mark.parametrize("decay", [0, 1, 2, 32767, 32768, 32769, 58982, 65535, 65536])
@pytest.mark.parametrize("v", LIMITS)
def test_leak_at_the_limits(v, decay):
    assert numerics.leak(v, decay) == lava_decay(v, decay)


@given(v=potentials, decay=decays)
def test_leak_truncates_the_exact_product_toward_zero(v, decay):
    assert numerics.leak(v, decay) == int(Fraction(v * decay, DECAY_ONE))


@given(v=potentials, decay=st.integers(0, DECAY_ONE - 1))
def test_leak_is_odd_never_grows_and_reaches_zero(v, decay):
    leaked = numerics.leak(v, decay)
    assert numerics.leak(-v, decay) == -leaked
    assert abs(leaked) < abs(v) or v == leaked == 0


@given(v=potentials)
def test_without_leak_the_potential_stays(v):
    assert numerics.leak(v, DECAY_ONE) == v


@given(value=st.integers(-(1 << 40), 1 << 40))
def test_saturate_clamps(value):
    assert numerics.saturate(value) == min(max(value, V_MIN), V_MAX)


@given(v=potentials, params=neurons)
def test_strict_and_non_strict_differ_at_the_threshold_alone(v, params):
    strict = numerics.fires(v, replace(params, strict=True))
    loose = numerics.fires(v, replace(params, strict=False))
    assert (strict != loose) == (v == params.threshold)
    assert loose or not strict


def reference(v, acc, p, frac):
    """Follow docs/reference/numerics.md line by line, over rationals."""
    drive = acc * 2**frac + p.bias
    leaked = int(Fraction(v) * p.decay / DECAY_ONE)

    def above(x):
        return x > p.threshold if p.strict else x >= p.threshold

    def reset(x):
        less = x - p.threshold
        at_once = {} if p.reset_next else {Reset.DOUBLE: less}
        return {Reset.ZERO: p.v_reset, Reset.SUBTRACT: less, **at_once}.get(p.reset, x)

    late = p.reset_next and above(v)
    total = (reset(leaked) if late else leaked) + drive
    if late and p.reset is Reset.HOLD:
        total = p.v_reset
    first = int(np.clip(total, V_MIN, V_MAX))
    is_double = p.reset is Reset.DOUBLE and not p.reset_next
    spike = above(first - p.threshold) if is_double and above(v) else above(first)
    stored = reset(first) if spike and not p.reset_next else first
    second = int(np.clip(stored, V_MIN, V_MAX))
    return second, spike, first != total or second != stored


@given(
    v=potentials,
    acc=st.integers(-ACC_MAX, ACC_MAX),
    params=neurons,
    frac=st.integers(0, FRAC_MAX),
)
def test_update_follows_the_reference_page(v, acc, params, frac):
    result = update(v, acc, params, frac=frac)
    assert result == reference(v, acc, params, frac)
    assert V_MIN <= result[0] <= V_MAX


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("reset_next", [True, False])
@pytest.mark.parametrize("reset", Reset)
@pytest.mark.parametrize("threshold", [V_MIN, -1, 0, 1, V_MAX])
@pytest.mark.parametrize("v", [V_MIN, -1, 0, 1, V_MAX])
def test_update_at_the_limits(v, threshold, reset, reset_next, strict):
    for decay in (0, 65535, DECAY_ONE):
        for acc in (-ACC_MAX, -1, 0, 1, ACC_MAX):
            params = NeuronParams(
                threshold=threshold,
                v_reset=-5,
                decay=decay,
                reset=reset,
                reset_next=reset_next,
                strict=strict,
            )
            for frac in (0, FRAC_MAX):
                assert update(v, acc, params, frac=frac) == reference(v, acc, params, frac)


def test_the_forms_of_the_reset_by_example():
    base = NeuronParams(threshold=10, v_reset=3)

    def run(params, currents):
        v, trace = 0, []
        for acc in currents:
            v, spike, _ = update(v, acc, params, frac=0)
            trace.append((v, spike))
        return trace

    currents = [12, 5, 5]
    assert run(base, currents) == [(12, True), (17, True), (22, True)]
    subtract = replace(base, reset=Reset.SUBTRACT)
    assert run(subtract, currents) == [(2, True), (7, False), (2, True)]
    assert run(replace(base, reset=Reset.ZERO), currents) == [(3, True), (8, False), (3, True)]
    later = replace(subtract, reset_next=True)
    assert run(later, currents) == [(12, True), (7, False), (12, True)]
    later = replace(base, reset=Reset.ZERO, reset_next=True)
    assert run(later, currents) == [(12, True), (8, False), (13, True)]
    held = replace(later, reset=Reset.HOLD, bias=1)
    assert run(held, currents) == [(13, True), (3, False), (9, False)]
    assert run(replace(held, bias=9), currents) == [(21, True), (3, False), (17, True)]


def test_a_threshold_is_twice_as_high_where_a_timestep_begins_above_it():
    double = NeuronParams(threshold=10, reset=Reset.DOUBLE)
    v, trace = 0, []
    for acc in (35, 0, -6, 0, 1):
        v, spike, _ = update(v, acc, double, frac=0)
        trace.append((v, spike))
    assert trace == [(25, True), (15, True), (9, False), (9, False), (0, True)]
    # At 19 the threshold is 20; at 20 it is met, unless that is not enough.
    assert update(19, 0, double, frac=0) == (19, False, False)
    assert update(20, 0, double, frac=0) == (10, True, False)
    assert update(20, 0, replace(double, strict=True), frac=0) == (20, False, False)
    assert update(10, 10, replace(double, strict=True), frac=0) == (10, True, False)
    assert update(20, 0, replace(double, reset_next=True), frac=0) == (20, True, False)


def test_a_reset_at_the_next_timestep_compares_the_potential_of_rest_too():
    params = NeuronParams(threshold=0, reset=Reset.SUBTRACT, reset_next=True, v_reset=9)
    assert update(0, 0, params, frac=0) == (0, True, False)
    to_value = replace(params, reset=Reset.ZERO)
    assert update(0, -4, to_value, frac=0) == (5, True, False)


def test_fractional_bits_shift_the_sum_and_not_the_bias():
    params = NeuronParams(threshold=V_MAX, bias=1)
    assert update(0, 3, params, frac=4) == (3 * 16 + 1, False, False)
    assert update(0, -3, params, frac=4) == (-3 * 16 + 1, False, False)


def test_saturation_is_reported_on_the_way_and_after_the_reset():
    params = NeuronParams(threshold=V_MAX, reset=Reset.ZERO)
    assert update(V_MAX, 1, params, frac=0) == (0, True, True)
    below = NeuronParams(threshold=-5, reset=Reset.SUBTRACT)
    assert update(V_MAX - 2, 0, below, frac=0) == (V_MAX, True, True)
    assert update(V_MAX - 2, 0, replace(below, reset=Reset.NONE), frac=0)[2] is False


@given(
    i=potentials,
    acc=st.integers(-ACC_MAX, ACC_MAX),
    decay=decays,
    bias=potentials,
    frac=st.integers(0, FRAC_MAX),
)
def test_current_follows_the_reference_page(i, acc, decay, bias, frac):
    exact = int(Fraction(i) * decay / DECAY_ONE) + acc * 2**frac + bias
    found = update_current(i, acc, CurrentParams(decay=decay, bias=bias), frac=frac)
    assert found == (min(max(exact, V_MIN), V_MAX), not V_MIN <= exact <= V_MAX)


def test_a_current_outlasts_its_event_and_acts_at_once():
    current, neuron = CurrentParams(decay=DECAY_ONE // 2), NeuronParams(threshold=V_MAX)
    i = v = 0
    trace = []
    for acc in (8, 0, 0, -20, 0):
        i, _ = update_current(i, acc, current, frac=1)
        v, _, _ = update(v, i, neuron, frac=0)
        trace.append((i, v))
    assert trace == [(16, 16), (8, 24), (4, 28), (-38, -10), (-19, -29)]


@given(
    v=potentials,
    acc=st.integers(-ACC_MAX, ACC_MAX),
    params=st.builds(
        CountingParams,
        gain=st.integers(0, GAIN_MAX),
        max_spikes=st.integers(1, PAYLOAD_MAX),
        bias=potentials,
        v_reset=potentials,
        decay=decays,
        reset=st.sampled_from([Reset.NONE, Reset.ZERO, Reset.SUBTRACT]),
        strict=st.booleans(),
    ),
)
def test_counting_follows_the_reference_page(v, acc, params):
    total = int(Fraction(v) * params.decay / DECAY_ONE) + acc * params.gain + params.bias
    base = min(max(total, V_MIN), V_MAX)
    above = (lambda n: base > n * COUNT_ONE) if params.strict else lambda n: base >= n * COUNT_ONE
    count = max(n for n in range(params.max_spikes + 1) if n == 0 or above(n))
    after = {Reset.NONE: base, Reset.SUBTRACT: base - count * COUNT_ONE}.get(
        params.reset, params.v_reset if count else base
    )
    assert update_counting(v, acc, params) == (after, count, base != total)
    assert V_MIN <= after <= V_MAX


@given(v=potentials, acc=st.integers(-200, 200), strict=st.booleans())
def test_a_count_of_one_at_most_is_the_plain_neuron(v, acc, strict):
    counting = CountingParams(gain=100, max_spikes=1, bias=7, strict=strict)
    plain = NeuronParams(threshold=COUNT_ONE, bias=7, reset=Reset.SUBTRACT, strict=strict)
    found, wanted = update_counting(v, acc, counting), update(v, acc * 100, plain, frac=0)
    assert found == (wanted[0], int(wanted[1]), wanted[2])


@given(
    acc=st.integers(-ACC_MAX, ACC_MAX),
    multiplier=st.integers(0, DECAY_ONE),
    offset=potentials,
    table=st.lists(st.integers(-255, 255), min_size=256, max_size=256),
)
def test_tables_follow_the_reference_page(acc, multiplier, offset, table):
    exact = Fraction(acc + offset) * multiplier / DECAY_ONE
    index = min(max(math.floor(exact + Fraction(1, 2)), 0), 255)
    params = GradedParams(multiplier=multiplier, offset=offset)
    assert looked_up(acc, params, table) == table[index]


def test_an_offset_is_the_zero_point_of_a_table():
    table = [i - 128 for i in range(256)]
    params = GradedParams(multiplier=DECAY_ONE // 4, offset=4 * 128)
    found = [looked_up(acc, params, table) for acc in (-1000, -512, -4, 0, 4, 508, 1000)]
    assert found == [-128, -128, -1, 0, 1, 127, 127]


def test_formats_of_the_contract():
    assert (V_MIN, V_MAX) == (-(2**23), 2**23 - 1)
    assert ACC_MAX == 2**23 - 1
    assert (numerics.WEIGHT_MIN, numerics.WEIGHT_MAX) == (-127, 127)
    assert (numerics.PAYLOAD_MIN, numerics.PAYLOAD_MAX) == (-255, 255)
