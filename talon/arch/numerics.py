"""The numeric contract: the integer rules that golden model, gateware and board all follow.

This module is normative. It is written with Python integers, one neuron at a time, so that it can
be read against ``docs/reference/numerics.md``; the golden model is the same arithmetic vectorized,
and the gateware the same arithmetic in bits. Decay truncates toward zero, as in Lava's
bit-accurate Loihi model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

WEIGHT_MIN, WEIGHT_MAX = -127, 127
"""Range of the compiler's weights: symmetric, so that a weight can be negated."""

PAYLOAD_MIN, PAYLOAD_MAX = -255, 255
"""Range of graded payloads; a spike has payload 1, and zero is never sent."""

ACC_MAX = (1 << 23) - 1
"""Largest magnitude that an accumulator may be proved to reach: it never wraps."""

V_MIN, V_MAX = -(1 << 23), (1 << 23) - 1
"""Range of membrane potential and synaptic current; updates saturate to it."""

DECAY_ONE = 1 << 16
"""The decay factor 1.0 (an integrate-and-fire neuron), stored as the ``no_leak`` bit."""

FRAC_MAX = 7
"""Largest number of fractional bits of V."""


COUNT_BITS = 15
"""Bits below the threshold of neurons that count: how often they fire is a field of V."""

COUNT_ONE = 1 << COUNT_BITS
"""The threshold of neurons that count, in units of V."""

GAIN_MAX = COUNT_ONE - 1
"""Largest gain of neurons that count: of an accumulator, in units of V."""

TABLE_ENTRIES = 256
"""Payloads in the table of a graded group: one for each unsigned byte."""


class Reset(IntEnum):
    """What a spike does to the membrane potential."""

    NONE = 0
    ZERO = 1  # to v_reset
    SUBTRACT = 2  # minus the threshold
    HOLD = 3  # to v_reset in place of the timestep's drive; at the next timestep only
    DOUBLE = 4  # minus the threshold, which counts twice where the timestep began above it


@dataclass(frozen=True, kw_only=True)
class NeuronParams:
    """Integer parameters of one neuron; ``decay`` is 0 to 65536."""

    threshold: int = 0
    bias: int = 0
    v_reset: int = 0
    decay: int = DECAY_ONE
    reset: Reset = Reset.NONE
    reset_next: bool = False
    strict: bool = False


@dataclass(frozen=True, kw_only=True)
class CurrentParams:
    """Integer parameters of a synaptic current; ``decay`` is 0 to 65536."""

    decay: int = DECAY_ONE
    bias: int = 0


def saturate(value: int) -> int:
    """Clamp ``value`` to the range of potentials and currents."""
    return max(V_MIN, min(V_MAX, value))


def leak(v: int, decay: int) -> int:
    """Return ``v * decay / 65536``, truncated toward zero; of a current as well."""
    product = abs(v) * decay >> 16
    return product if v >= 0 else -product


def fires(v: int, params: NeuronParams) -> bool:
    """Compare the membrane potential with the threshold, strictly or not."""
    return v > params.threshold if params.strict else v >= params.threshold


def update_current(i: int, acc: int, params: CurrentParams, *, frac: int) -> tuple[int, bool]:
    """Advance the synaptic current of one neuron by one timestep.

    What it returns takes the place of ``acc`` in :func:`update`, with ``frac`` 0: a current is in
    units of V.

    Parameters
    ----------
    i, acc
        Current before the timestep and sum of the neuron's synaptic operations, both 24 bits.
    frac
        Fractional bits of ``i``, those of V.

    Returns
    -------
    tuple
        ``(i, saturated)``: the current of this timestep, which is also stored for the next, and
        whether it was clamped.
    """
    total = leak(i, params.decay) + (acc << frac) + params.bias
    after = saturate(total)
    return after, after != total


def update(v: int, acc: int, params: NeuronParams, *, frac: int) -> tuple[int, bool, bool]:
    """Advance one neuron by one timestep.

    Parameters
    ----------
    v, acc
        Membrane potential before the timestep and sum of its synaptic operations, both 24 bits.
    frac
        Fractional bits of ``v``: the accumulator is shifted left by as many.

    Returns
    -------
    tuple
        ``(v, spike, saturated)``: the potential stored for the next timestep, whether the neuron
        fires in this one, and whether the potential was clamped on the way.
    """
    drive = (acc << frac) + params.bias
    late = params.reset_next and fires(
        v, params
    )  # it fired a timestep ago and is reset in this one
    if late and params.reset is Reset.ZERO:
        total = params.v_reset + drive
    elif late and params.reset is Reset.HOLD:
        total = params.v_reset
    else:
        total = leak(v, params.decay) + drive
        if late and params.reset is Reset.SUBTRACT:
            total -= params.threshold
    after = saturate(total)
    saturated = after != total
    at_once = not params.reset_next
    doubled = at_once and params.reset is Reset.DOUBLE and fires(v, params)
    spike = fires(after - params.threshold if doubled else after, params)
    if spike and at_once:
        if params.reset is Reset.ZERO:
            after = params.v_reset
        elif params.reset in (Reset.SUBTRACT, Reset.DOUBLE):
            total = after - params.threshold
            after = saturate(total)
            saturated = saturated or after != total
    return after, spike, saturated


@dataclass(frozen=True, kw_only=True)
class CountingParams:
    """Integer parameters of a neuron that may fire several times in a timestep.

    Its threshold is ``COUNT_ONE``. ``gain`` is 0 to ``GAIN_MAX``, ``max_spikes`` 1 to
    ``PAYLOAD_MAX``, ``reset`` anything but ``HOLD`` and ``DOUBLE``, at once.
    """

    gain: int = 1
    max_spikes: int = PAYLOAD_MAX
    bias: int = 0
    v_reset: int = 0
    decay: int = DECAY_ONE
    reset: Reset = Reset.SUBTRACT
    strict: bool = False


def update_counting(v: int, acc: int, params: CountingParams) -> tuple[int, int, bool]:
    """Advance one neuron that counts by one timestep.

    Parameters
    ----------
    v, acc
        Membrane potential before the timestep and sum of its synaptic operations, both 24 bits.

    Returns
    -------
    tuple
        ``(v, count, saturated)``: the potential stored for the next timestep, how often the neuron
        fires in this one, and whether the potential was clamped on the way.
    """
    total = leak(v, params.decay) + acc * params.gain + params.bias
    after = saturate(total)
    saturated = after != total
    # Whole thresholds; a strict one has to be passed.
    count = max(0, min(params.max_spikes, (after - params.strict) >> COUNT_BITS))
    if count and params.reset is Reset.ZERO:
        after = params.v_reset
    elif params.reset is Reset.SUBTRACT:
        after -= count << COUNT_BITS
    return after, count, saturated


@dataclass(frozen=True, kw_only=True)
class GradedParams:
    """Integer parameters of one graded neuron.

    ``multiplier`` is 0 to 65536, ``offset`` 24 bits in units of the accumulator, and
    ``payload_max`` one less than a power of two, 1 to 255.
    """

    multiplier: int = DECAY_ONE
    offset: int = 0
    payload_max: int = PAYLOAD_MAX


def graded(acc: int, params: GradedParams) -> int:
    """Return the payload of one graded neuron: a rectified and requantized sum.

    ``((acc + offset) * multiplier + 32768) >> 16``, a floor, limited to 0 to ``payload_max``. There
    is no state, and the limits are no saturation. Zero is no event.
    """
    value = ((acc + params.offset) * params.multiplier + (DECAY_ONE >> 1)) >> 16
    return max(0, min(params.payload_max, value))


def looked_up(acc: int, params: GradedParams, table: Sequence[int]) -> int:
    """Return the payload of one graded neuron that has a table.

    What :func:`graded` gives, with ``payload_max`` 255, is not the payload but the number of the
    entry that is: the offset says which sum is entry 0, and what lies beyond the table has its
    first or last entry. Payloads are ``PAYLOAD_MIN`` to ``PAYLOAD_MAX``; zero is no event.
    """
    return table[graded(acc, params)]
