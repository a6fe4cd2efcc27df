"""Compiled loops of the golden model: sums of events, neurons, windows.

Sums are float32, which holds each of them exactly (``talon_sim.golden.synapses``), so their order
is free. Neurons are float64, in the order of ``talon.arch.numerics``; what they store are integers
of 24 bits, for which float32 is room enough. Maps are channel last: (row, column, channel).

All kernels take whole arrays (T, B, ...) and ranges of timesteps and samples, and none allocates
more than a frame. Everything that they call stands in this file: Numba's cache looks at its date.
"""

from __future__ import annotations

import math

import numpy as np

from talon.arch import numerics
from talon_sim.golden.fast.compiled import compiled

V_MIN, V_MAX = float(numerics.V_MIN), float(numerics.V_MAX)
PAYLOAD_MAX, COUNT_BITS = numerics.PAYLOAD_MAX, numerics.COUNT_BITS

NONE, ZERO, SUBTRACT, HOLD, DOUBLE = range(5)
"""Kinds of reset."""


@compiled
def add_lists(events, t0, t1, b0, b1, start, target, value, scale, acc):
    """Add the listed synapses of each event of (T, B, n_source) to ``acc`` (steps, samples, n)."""
    for t in range(t0, t1):
        for b in range(b0, b1):
            row = events[t, b]
            sums = acc[t - t0, b - b0]
            for source in range(len(row)):
                if row[source] != 0:
                    payload = np.float32(row[source]) * scale
                    for k in range(np.uint64(start[source]), np.uint64(start[source + 1])):
                        sums[target[k]] += payload * np.float32(value[k])


@compiled
def add_picked(events, t0, t1, b0, b1, source, weight, acc):
    """Add the event of one source to each target (n,), times its weight."""
    n = np.uint64(len(weight))
    is_diagonal = len(source) == 0
    for t in range(t0, t1):
        for b in range(b0, b1):
            row = events[t, b]
            sums = acc[t - t0, b - b0]
            if is_diagonal:
                for i in range(n):
                    sums[i] += np.float32(row[i]) * weight[i]
            else:
                for i in range(n):
                    sums[i] += np.float32(row[source[i]]) * weight[i]


@compiled
def add_rows(events, t0, t1, b0, b1, matrix, active, acc):
    """Add the row of ``matrix`` (n_source, n) of each event; ``active`` has room for sources."""
    n = np.uint64(matrix.shape[1])
    weights = matrix.reshape(-1)
    for t in range(t0, t1):
        for b in range(b0, b1):
            row = events[t, b]
            count = np.uint64(0)
            for source in range(np.uint64(len(row))):
                active[count] = source
                count += np.uint64(row[source] != 0)
            sums = acc[t - t0, b - b0]
            whole = count - count % np.uint64(4)
            for k in range(np.uint64(0), whole, np.uint64(4)):
                s0, s1 = active[k], active[k + np.uint64(1)]
                s2, s3 = active[k + np.uint64(2)], active[k + np.uint64(3)]
                p0, p1 = np.float32(row[s0]), np.float32(row[s1])
                p2, p3 = np.float32(row[s2]), np.float32(row[s3])
                a0, a1, a2, a3 = s0 * n, s1 * n, s2 * n, s3 * n
                for i in range(n):
                    sums[i] += (p0 * weights[a0 + i] + p1 * weights[a1 + i]) + (
                        p2 * weights[a2 + i] + p3 * weights[a3 + i]
                    )
            for k in range(whole, count):
                p0, a0 = np.float32(row[active[k]]), active[k] * n
                for i in range(n):
                    sums[i] += p0 * weights[a0 + i]


@compiled
def add_windows(
    events, t0, t1, b0, b1, shape, row_start, row_target, row_tap, run_start, runs, taps, acc
):
    """Add the taps of each event of a map (C, H, W), run by run of neighbouring targets.

    ``row_*`` list targets and taps of each source row; ``runs`` has, for the runs of each source
    column, the first target column times the channels, how many values follow, and where they
    stand in a row of ``taps``, which is (rows of taps, C, values), flat. ``acc`` is flat as well,
    (steps, samples, n) and some more: runs are longer than their targets, by weights of zero.
    """
    n_channels, height, width, n, stride, n_values = shape
    area = height * width
    active = np.empty(n_channels + 1, np.int64)
    for t in range(t0, t1):
        for b in range(b0, b1):
            row = events[t, b]
            frame = ((t - t0) * (b1 - b0) + b - b0) * n
            for y in range(height):
                for x in range(width):
                    place = y * width + x
                    count = 0
                    for c in range(n_channels):
                        active[count] = c
                        count += row[np.uint64(c * area + place)] != 0
                    if count == 0:
                        continue
                    for k in range(row_start[y], row_start[y + 1]):
                        line = frame + row_target[k] * stride
                        first = row_tap[k] * n_channels
                        for r in range(run_start[x], run_start[x + 1]):
                            to, length = np.uint64(line + runs[r, 0]), np.uint64(runs[r, 1])
                            m = 0
                            while m + 4 <= count:
                                c0, c1 = active[m], active[m + 1]
                                c2, c3 = active[m + 2], active[m + 3]
                                p0 = np.float32(row[np.uint64(c0 * area + place)])
                                p1 = np.float32(row[np.uint64(c1 * area + place)])
                                p2 = np.float32(row[np.uint64(c2 * area + place)])
                                p3 = np.float32(row[np.uint64(c3 * area + place)])
                                a0 = np.uint64((first + c0) * n_values + runs[r, 2])
                                a1 = np.uint64((first + c1) * n_values + runs[r, 2])
                                a2 = np.uint64((first + c2) * n_values + runs[r, 2])
                                a3 = np.uint64((first + c3) * n_values + runs[r, 2])
                                for i in range(length):
                                    acc[to + i] += (p0 * taps[a0 + i] + p1 * taps[a1 + i]) + (
                                        p2 * taps[a2 + i] + p3 * taps[a3 + i]
                                    )
                                m += 4
                            if m + 2 <= count:
                                c0, c1 = active[m], active[m + 1]
                                p0 = np.float32(row[np.uint64(c0 * area + place)])
                                p1 = np.float32(row[np.uint64(c1 * area + place)])
                                a0 = np.uint64((first + c0) * n_values + runs[r, 2])
                                a1 = np.uint64((first + c1) * n_values + runs[r, 2])
                                for i in range(length):
                                    acc[to + i] += p0 * taps[a0 + i] + p1 * taps[a1 + i]
                                m += 2
                            if m < count:
                                c0 = active[m]
                                p0 = np.float32(row[np.uint64(c0 * area + place)])
                                a0 = np.uint64((first + c0) * n_values + runs[r, 2])
                                for i in range(length):
                                    acc[to + i] += p0 * taps[a0 + i]


@compiled
def _send(values, shape, pool, best, out):
    """Write the values of a map (P, Q, O), or of its windows, in the order (O, P, Q)."""
    n_rows, n_columns, n_channels = shape
    kind, height, width = pool
    n_p, n_q = n_rows // height, n_columns // width
    n, stride = np.uint64(n_channels), np.uint64(n_p * n_q)
    for p in range(n_p):
        for q in range(n_q):
            place = np.uint64(p * n_q + q)
            for o in range(n):
                best[o] = 0
            for i in range(height):
                for j in range(width):
                    at = np.uint64(((p * height + i) * n_columns + q * width + j) * n_channels)
                    if kind == 2:
                        for o in range(n):
                            best[o] += values[at + o]
                    else:
                        for o in range(n):
                            best[o] = max(best[o], np.int32(values[at + o]))
            for o in range(n):
                out[o * stride + place] = min(best[o], PAYLOAD_MAX)


@compiled
def _record(values, shape, out):
    """Write values of a map (P, Q, O) in the order (O, P, Q)."""
    n_places, n_channels = np.uint64(shape[0] * shape[1]), np.uint64(shape[2])
    if n_places == 1:
        out[:] = values
        return
    for place in range(n_places):
        for o in range(n_channels):
            out[o * n_places + place] = values[place * n_channels + o]


@compiled
def fire(acc, t0, t1, b0, b1, base, v, level, threshold, factor, v_reset, rule, shape, pool, out):
    """Advance neurons that cannot saturate and reset at once; return how many spikes there were.

    ``base`` is (1 or samples, n), ``v`` the state (samples, n), parameters are (n,), all float32;
    ``rule`` is the reset and whether each parameter is one number. ``out`` are the neurons' spikes
    (T, B, n), or an empty array, and what is sent (T, B, n_sent), or an empty array.
    """
    reset, is_uniform = rule
    own, sent = out
    n = np.uint64(v.shape[1])
    fired = np.empty(n, np.uint8)
    best = np.empty(shape[2], np.int32)
    total = 0
    for b in range(b0, b1):
        state = v[b]
        given = base[b if len(base) > 1 else 0]
        for t in range(t0, t1):
            sums = acc[t - t0, b - b0]
            if is_uniform:
                f, over, less, back = np.float64(factor[0]), level[0], threshold[0], v_reset[0]
                for i in range(n):
                    leaked = np.float32(np.int32(np.float64(state[i]) * f))
                    state[i] = leaked + (sums[i] + given[i])
                if reset == SUBTRACT:
                    for i in range(n):
                        is_over = state[i] > over
                        fired[i] = is_over
                        state[i] -= less if is_over else np.float32(0)
                else:
                    for i in range(n):
                        is_over = state[i] > over
                        fired[i] = is_over
                        state[i] = back if is_over else state[i]
            else:
                for i in range(n):
                    leaked = np.float32(np.int32(np.float64(state[i]) * np.float64(factor[i])))
                    state[i] = leaked + (sums[i] + given[i])
                if reset == SUBTRACT:
                    for i in range(n):
                        is_over = state[i] > level[i]
                        fired[i] = is_over
                        state[i] -= threshold[i] if is_over else np.float32(0)
                else:
                    for i in range(n):
                        is_over = state[i] > level[i]
                        fired[i] = is_over
                        state[i] = v_reset[i] if is_over else state[i]
            count = np.int32(0)
            for i in range(n):
                count += np.int32(fired[i])
            total += count
            if own.size:
                _record(fired, shape, own[t, b])
            if sent.size:
                _send(fired, shape, pool, best, sent[t, b])
    return total


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
    the next timestep, and whether neurons fire at all. ``recorded`` receives potentials.
    """
    reset, is_next, fires = rule
    own, sent = out
    n = v.shape[1]
    has_current = len(i_factor) > 0
    fired = np.empty(n, np.uint8)
    best = np.empty(shape[2], np.int32)
    stored = np.empty(n, np.int32)
    n_spikes, n_clamped = 0, 0
    for b in range(b0, b1):
        given = base[b if len(base) > 1 else 0]
        for t in range(t0, t1):
            for i in range(n):
                drive = np.float64(acc[t - t0, b - b0, i]) + np.float64(given[i])
                is_clamped = False
                if has_current:
                    drive += np.trunc(np.float64(current[b, i]) * np.float64(i_factor[i]))
                    held = _clamped(drive)
                    is_clamped = held != drive
                    current[b, i] = np.float32(held)
                    drive = held + np.float64(bias[i])
                old = np.float64(v[b, i])
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
                v[b, i] = np.float32(y)
                stored[i] = np.int32(y)
                fired[i] = is_over
                n_spikes += is_over
                n_clamped += is_clamped
            if recorded.size:
                _record(stored, shape, recorded[t, b])
            if own.size:
                _record(fired, shape, own[t, b])
            if sent.size and fires:
                _send(fired, shape, pool, best, sent[t, b])
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
    best = np.empty(shape[2], np.int32)
    stored = np.empty(n, np.int32)
    n_fired, n_clamped = 0, 0
    for b in range(b0, b1):
        given = base[b if len(base) > 1 else 0]
        for t in range(t0, t1):
            for i in range(n):
                drive = (np.float64(acc[t - t0, b - b0, i]) + given[i]) * np.float64(gain[i])
                total = np.trunc(np.float64(v[b, i]) * np.float64(factor[i])) + drive + bias[i]
                y = _clamped(total)
                n_clamped += y != total
                whole = (np.int32(y) - np.int32(is_strict)) >> COUNT_BITS
                times = min(max(whole, 0), most)
                if reset == SUBTRACT:
                    y -= np.float64(times << COUNT_BITS)
                elif reset == ZERO and times > 0:
                    y = np.float64(v_reset[i])
                v[b, i] = np.float32(y)
                stored[i] = np.int32(y)
                counts[i] = times
                n_fired += times > 0
            if recorded.size:
                _record(stored, shape, recorded[t, b])
            if own.size:
                _record(counts, shape, own[t, b])
            if sent.size:
                _send(counts, shape, pool, best, sent[t, b])
    return n_fired, n_clamped


@compiled
def grade(acc, t0, t1, b0, b1, base, multiplier, largest, shape, pool, out):
    """Turn sums into payloads of 8 bits, and those into windows; return how many are not zero."""
    own, sent = out
    n = acc.shape[2]
    payloads = np.empty(n, np.uint8)
    best = np.empty(shape[2], np.int32)
    total = 0
    for b in range(b0, b1):
        given = base[b if len(base) > 1 else 0]
        for t in range(t0, t1):
            sums = acc[t - t0, b - b0]
            count = 0
            for i in range(n):
                x = (np.float64(sums[i]) + np.float64(given[i])) * np.float64(multiplier[i]) + 0.5
                value = np.int32(math.floor(min(max(x, 0.0), largest)))
                payloads[i] = value
                count += value != 0
            total += count
            if own.size:
                _record(payloads, shape, own[t, b])
            if sent.size:
                _send(payloads, shape, pool, best, sent[t, b])
    return total


@compiled
def grade_windows(acc, t0, t1, b0, b1, base, multiplier, lowest, largest, shape, pool, sent):
    """Do so where a window's neurons share offset and multiplier, for their largest sum alone.

    ``lowest`` (n,) is the least sum whose payload is not zero.
    """
    n_rows, n_columns, n_channels = shape
    _, height, width = pool
    n_p, n_q = n_rows // height, n_columns // width
    line = n_columns * n_channels
    n, stride = np.uint64(n_channels), np.uint64(n_p * n_q)
    best = np.empty(n_channels, np.float32)
    payload = np.empty(n_channels, np.int32)
    total = 0
    for b in range(b0, b1):
        given = base[b if len(base) > 1 else 0]
        for t in range(t0, t1):
            sums = acc[t - t0, b - b0]
            count = np.int32(0)
            for i in range(np.uint64(len(sums))):
                count += np.int32(sums[i] >= lowest[i])
            total += count
            out = sent[t, b]
            for p in range(n_p):
                for q in range(n_q):
                    first = np.uint64(p * height * line + q * width * n_channels)
                    for o in range(n):
                        best[o] = sums[first + o]
                    for i in range(height):
                        for j in range(width):
                            at = first + np.uint64(i * line + j * n_channels)
                            for o in range(n):
                                best[o] = max(best[o], sums[at + o])
                    for o in range(n):
                        x = np.float64(best[o]) + given[first + o]
                        x = x * np.float64(multiplier[first + o]) + 0.5
                        payload[o] = np.int32(min(max(x, 0.0), largest))
                    place = np.uint64(p * n_q + q)
                    for o in range(n):
                        out[o * stride + place] = payload[o]
    return total


@compiled
def grade_planes(sums, lowest, offset, multiplier, largest, size, out):
    """Do the same for contiguous sums (m, O, H, W), with one offset and multiplier a channel."""
    n_frames, n_channels, n_rows, n_columns = sums.shape
    height, width = size
    n_p, n_q = n_rows // height, n_columns // width
    total = 0
    for frame in range(n_frames):
        for o in range(n_channels):
            plane = sums[frame, o].reshape(-1)
            least = lowest[o]
            count = np.int32(0)
            for i in range(np.uint64(len(plane))):
                count += np.int32(plane[i] >= least)
            total += count
            given, factor = offset[o], multiplier[o]
            for p in range(n_p):
                to = np.uint64((o * n_p + p) * n_q)
                line = out[frame][to : to + np.uint64(n_q)]
                first = p * height * n_columns
                if height == 2 and width == 2:
                    above = plane[first : first + n_columns]
                    below = plane[first + n_columns : first + 2 * n_columns]
                    for q in range(np.uint64(n_q)):
                        at = np.uint64(2) * q
                        right = at + np.uint64(1)
                        best = max(above[at], above[right], below[at], below[right])
                        x = (np.float64(best) + given) * factor + 0.5
                        line[q] = np.int32(min(max(x, 0.0), largest))
                    continue
                for q in range(n_q):
                    best = plane[first + q * width]
                    for i in range(height):
                        for j in range(width):
                            best = max(best, plane[first + i * n_columns + q * width + j])
                    x = (np.float64(best) + given) * factor + 0.5
                    line[q] = np.int32(min(max(x, 0.0), largest))
    return total
