"""The neuron update as the records of a core state it, in 64-bit integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talon.arch import numerics
from talon.arch.memories import Reset
from talon_sim.interpreter.memories import Fields

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

_HALF = 1 << 23


def wrap(values: Integers) -> Integers:
    """Return ``values`` modulo 2^24 in two's complement, as an accumulator holds them."""
    return ((values + _HALF) & (2 * _HALF - 1)) - _HALF


def update(
    v: Integers, i: Integers, acc: Integers, record: Fields, *, frac: int
) -> tuple[Integers, Integers, Flags, int]:
    """Advance neurons by one timestep.

    Returns
    -------
    tuple
        Potentials and currents to store, who fired, and how many were clamped. Currents stay as
        they are where the record tells of none.
    """
    after_i, drive, clamped = _current(i, acc << frac, record)
    decay = np.where(record["no_leak"] == 1, numerics.DECAY_ONE, record["decay"])
    leaked = _leak(v, decay)
    late = (record["reset_next"] == 1) & _fires(v, record)
    start = np.where(late & (record["reset"] == Reset.ZERO), record["v_reset"], leaked)
    start -= np.where(late & (record["reset"] == Reset.SUBTRACT), record["threshold"], 0)
    total = start + drive + record["bias"]
    total = np.where(late & (record["reset"] == Reset.HOLD), record["v_reset"], total)
    after = _saturate(total)
    clamped = clamped | (after != total)
    doubled = (record["reset"] == Reset.DOUBLE) & (record["reset_next"] == 0) & _fires(v, record)
    fired = _fires(after - np.where(doubled, record["threshold"], 0), record)
    total = _reset(after, record, fired & (record["reset_next"] == 0))
    after = _saturate(total)
    clamped |= after != total
    return after, after_i, fired, int(np.count_nonzero(clamped))


def count(v: Integers, acc: Integers, record: Fields) -> tuple[Integers, Integers, int]:
    """Advance neurons that count by one timestep.

    Returns
    -------
    tuple
        Potentials to store, how often each fired, and how many were clamped.
    """
    decay = np.where(record["no_leak"] == 1, numerics.DECAY_ONE, record["decay"])
    gain = record["threshold"] & numerics.GAIN_MAX
    total = _leak(v, decay) + acc * gain + record["bias"]
    after = _saturate(total)
    clamped = int(np.count_nonzero(after != total))
    whole = (after - record["strict"]) // numerics.COUNT_ONE
    times = np.clip(whole, 0, record["threshold"] // numerics.COUNT_ONE)
    to_value = (times > 0) & (record["reset"] == Reset.ZERO)
    taken = np.where(record["reset"] == Reset.SUBTRACT, times, 0) * numerics.COUNT_ONE
    return np.where(to_value, record["v_reset"], after - taken), times, clamped


def grade(acc: Integers, record: Fields) -> Integers:
    """Return the payloads of graded neurons, zero where there is no event."""
    factor = np.where(record["no_leak"] == 1, numerics.DECAY_ONE, record["decay"])
    scaled = (acc + record["v_reset"]) * factor
    # Half a unit up, then the floor: the arithmetic shift of a negative number is one.
    return np.clip(scaled + numerics.DECAY_ONE // 2 >> 16, 0, record["threshold"])


def _current(i: Integers, drive: Integers, record: Fields) -> tuple[Integers, Integers, Flags]:
    """Return currents to store, what drives the potentials, and which currents were clamped."""
    if "has_current" not in record:
        return i, drive, np.zeros(i.shape, np.bool_)
    has = record["has_current"] == 1
    decay = np.where(record["i_no_leak"] == 1, numerics.DECAY_ONE, record["i_decay"])
    total = _leak(i, decay) + drive + record["i_bias"]
    after = _saturate(total)
    return np.where(has, after, i), np.where(has, after, drive), has & (after != total)


def _leak(state: Integers, decay: Integers) -> Integers:
    leaked = np.abs(state) * decay >> 16
    return np.where(state < 0, -leaked, leaked)


def _fires(v: Integers, record: Fields) -> Flags:
    threshold = record["threshold"]
    return np.where(record["strict"] == 1, v > threshold, v >= threshold)


def _reset(v: Integers, record: Fields, where: Flags) -> Integers:
    to_value = where & (record["reset"] == Reset.ZERO)
    subtract = where & np.isin(record["reset"], (Reset.SUBTRACT, Reset.DOUBLE))
    return np.where(to_value, record["v_reset"], np.where(subtract, v - record["threshold"], v))


def _saturate(v: Integers) -> Integers:
    return np.clip(v, numerics.V_MIN, numerics.V_MAX)
