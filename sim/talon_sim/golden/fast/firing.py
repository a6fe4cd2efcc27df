"""Compiled: neurons with a state, in the order of ``talon.arch.numerics``.

Sums and what is stored are int32; the leak is a float64 product, which is exact. All take ``acc``
(steps, samples, n), ranges of timesteps and samples, ``base`` (1 or samples, n), which is added to
the sums after their scaling by ``2 ** frac``, the state ``v`` (samples, n), parameters (n,), and
``out``: the neurons' own bytes (T, B, n) and what is sent (T, B, n_sent), each empty if not wanted.
"""

from __future__ import annotations

import numpy as np

from talon.arch import numerics
from talon_sim.golden.fast.compiled import compiled
from talon_sim.golden.fast.sending import record, room_for, send

V_MIN, V_MAX = float(numerics.V_MIN), float(numerics.V_MAX)
LOWEST, HIGHEST = np.int32(numerics.V_MIN), np.int32(numerics.V_MAX)
COUNT_BITS = numerics.COUNT_BITS

NONE, ZERO, SUBTRACT, HOLD, DOUBLE = range(5)
"""Kinds of reset."""


@compiled
def fire(
    acc, t0, t1, b0, b1, base, v, level, threshold, factor, v_reset, rule, shape, pool, out,
    recorded,
):  # fmt: skip
    """Advance neurons that reset at once; return how many spikes there were, and saturations.

    ``rule`` is the reset, whether each parameter is one number and nothing can saturate, and
    ``frac``. ``recorded`` receives potentials, if it is not empty.
    """
    reset, is_easy, frac = rule
    own, sent = out
    n = np.uint64(v.shape[1])
    fired = np.empty(n, np.uint8)
    room = room_for(shape, pool)
    n_spikes, n_clamped = 0, 0
    for b in range(b0, b1):
        state, given = v[b - b0], base[b - b0 if len(base) > 1 else 0]
        for t in range(t0, t1):
            sums = acc[t - t0, b - b0]
            if is_easy:
                _fire_alike(
                    sums, given, state, fired, level[0], threshold[0], factor[0], v_reset[0],
                    reset, frac,
                )  # fmt: skip
            else:
                n_clamped += _fire_each(
                    sums, given, state, fired, level, threshold, factor, v_reset, reset, frac
                )
            count = np.int32(0)
            for i in range(n):
                count = np.int32(count + np.int32(fired[i]))
            n_spikes += count
            if recorded.size:
                record(state, shape, recorded[t, b])
            if own.size:
                record(fired, shape, own[t, b])
            if sent.size:
                send(fired, shape, pool, room, sent[t, b])
    return n_spikes, n_clamped


@compiled
def _fire_alike(
    sums, given, state, fired, level, threshold, factor, v_reset, reset, frac
):  # fmt: skip
    """Advance neurons of one threshold, leak and reset value, which cannot saturate."""
    n, f = np.uint64(len(state)), np.float64(factor)
    if reset == SUBTRACT:
        for i in range(n):
            leaked = np.int32(np.float64(state[i]) * f)
            x = np.int32(leaked + (sums[i] << frac) + given[i])
            is_over = x > level
            state[i] = np.int32(x - threshold) if is_over else x
            fired[i] = is_over
    else:
        for i in range(n):
            leaked = np.int32(np.float64(state[i]) * f)
            x = np.int32(leaked + (sums[i] << frac) + given[i])
            is_over = x > level
            state[i] = v_reset if is_over else x
            fired[i] = is_over


@compiled
def _fire_each(
    sums, given, state, fired, level, threshold, factor, v_reset, reset, frac
):  # fmt: skip
    """Advance neurons, each with its own parameters; return saturations.

    A sum has 23 bits and at most 7 fractional ones, so 32 bits hold it with all that it meets.
    """
    n = np.uint64(len(state))
    n_clamped = np.int32(0)
    for i in range(n):
        leaked = np.int32(np.float64(state[i]) * np.float64(factor[i]))
        x = np.int32(leaked + (sums[i] << frac) + given[i])
        y = np.int32(min(max(x, LOWEST), HIGHEST))
        is_over = y > level[i]
        after = np.int32(y - threshold[i]) if reset == SUBTRACT else v_reset[i]
        z = np.int32(after) if is_over else y
        state[i] = min(max(z, LOWEST), HIGHEST)
        n_clamped = np.int32(n_clamped + np.int32((y != x) | (state[i] != z)))
        fired[i] = is_over
    return n_clamped


@compiled
def _clamped(x):
    return min(max(x, V_MIN), V_MAX)


@compiled
def advance(
    acc, t0, t1, b0, b1, base, v, current, level, threshold, factor, v_reset, bias, i_factor,
    rule, shape, pool, out, recorded,
):  # fmt: skip
    """Advance any neurons, one at a time; return spikes and saturations.

    Beside the arguments of ``fire``: ``current`` is the second state and ``i_factor`` its decay, or
    both are empty; ``bias`` adds to the potential then. ``rule`` is the reset, whether it comes at
    the next timestep, whether neurons fire at all, and ``frac``. ``recorded`` receives potentials.
    """
    reset, is_next, fires, frac = rule
    own, sent = out
    n = v.shape[1]
    has_current = len(i_factor) > 0
    fired = np.empty(n, np.uint8)
    room = room_for(shape, pool)
    n_spikes, n_clamped = 0, 0
    for b in range(b0, b1):
        given, at = base[b - b0 if len(base) > 1 else 0], b - b0
        for t in range(t0, t1):
            for i in range(n):
                drive = np.float64((np.int64(acc[t - t0, at, i]) << frac) + given[i])
                is_clamped = False
                if has_current:
                    drive += np.trunc(np.float64(current[at, i]) * np.float64(i_factor[i]))
                    held = _clamped(drive)
                    is_clamped = held != drive
                    current[at, i] = np.int32(held)
                    drive = held + np.float64(bias[i])
                old = np.float64(v[at, i])
                was_over = is_next and old > level[i]
                x = np.trunc(old * np.float64(factor[i]))
                if was_over and reset == SUBTRACT:
                    x -= threshold[i]
                elif was_over and reset == ZERO:
                    x = np.float64(v_reset[i])
                x += drive
                if was_over and reset == HOLD:
                    x = np.float64(v_reset[i])
                y = _clamped(x)
                is_clamped |= y != x
                is_doubled = reset == DOUBLE and not is_next and old > level[i]
                is_over = (y - threshold[i] if is_doubled else y) > level[i]
                if is_over and not is_next and reset in (SUBTRACT, DOUBLE):
                    x = y - threshold[i]
                    y = _clamped(x)
                    is_clamped |= y != x
                elif is_over and not is_next and reset == ZERO:
                    y = np.float64(v_reset[i])
                v[at, i] = np.int32(y)
                fired[i] = is_over
                n_spikes += is_over
                n_clamped += is_clamped
            if recorded.size:
                record(v[at], shape, recorded[t, b])
            if own.size:
                record(fired, shape, own[t, b])
            if sent.size and fires:
                send(fired, shape, pool, room, sent[t, b])
    return n_spikes, n_clamped


@compiled
def count(
    acc, t0, t1, b0, b1, base, v, gain, bias, factor, v_reset, rule, shape, pool, out, recorded
):
    """Advance neurons that count; return how many fired, and saturations.

    ``rule`` is the reset, whether a whole threshold has to be passed, and the largest count.
    """
    reset, is_strict, most = rule
    own, sent = out
    n = v.shape[1]
    counts = np.empty(n, np.uint8)
    room = room_for(shape, pool)
    n_fired, n_clamped = 0, 0
    for b in range(b0, b1):
        given, at = base[b - b0 if len(base) > 1 else 0], b - b0
        for t in range(t0, t1):
            for i in range(n):
                drive = np.float64(acc[t - t0, at, i] + given[i]) * np.float64(gain[i])
                total = np.trunc(np.float64(v[at, i]) * np.float64(factor[i])) + drive + bias[i]
                y = _clamped(total)
                n_clamped += y != total
                whole = (np.int32(y) - np.int32(is_strict)) >> COUNT_BITS
                times = min(max(whole, 0), most)
                if reset == SUBTRACT:
                    y -= np.float64(times << COUNT_BITS)
                elif reset == ZERO and times > 0:
                    y = np.float64(v_reset[i])
                v[at, i] = np.int32(y)
                counts[i] = times
                n_fired += times > 0
            if recorded.size:
                record(v[at], shape, recorded[t, b])
            if own.size:
                record(counts, shape, own[t, b])
            if sent.size:
                send(counts, shape, pool, room, sent[t, b])
    return n_fired, n_clamped
