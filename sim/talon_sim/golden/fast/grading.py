"""Compiled: graded neurons; arguments are those of ``firing``.

Sums plus offset are limited to those between the least and the largest payload, for which float32
holds all products (``golden.graded.highest_values``).
"""

from __future__ import annotations

import numpy as np

from talon_sim.golden.fast.compiled import compiled
from talon_sim.golden.fast.sending import largest_columns, largest_rows, record, send, turn

_HALF = np.float32(0.5)


@compiled
def grade(acc, t0, t1, b0, b1, base, multiplier, highest, shape, pool, out):
    """Turn sums into payloads of 8 bits, and those into windows; return how many are not zero."""
    own, sent = out
    n = np.uint64(acc.shape[2])
    payloads = np.empty(n, np.uint8)
    line = np.empty(shape[1] * shape[2], np.uint8)
    total = 0
    for b in range(b0, b1):
        given = base[b - b0 if len(base) > 1 else 0]
        for t in range(t0, t1):
            sums = acc[t - t0, b - b0]
            for i in range(n):
                x = np.int32(min(max(sums[i] + given[i], 0), highest[i]))
                payloads[i] = np.int32(np.float32(x) * multiplier[i] + _HALF)
            count = np.int32(0)
            for i in range(n):
                count = np.int32(count + np.int32(payloads[i] != 0))
            total += count
            if own.size:
                record(payloads, shape, own[t, b])
            if sent.size:
                send(payloads, shape, pool, line, sent[t, b])
    return total


@compiled
def grade_windows(
    acc, t0, t1, b0, b1, base, offset, multiplier, highest, lowest, shape, pool, sent
):  # fmt: skip
    """Do so where a window's neurons share offset and multiplier, for its largest sum alone.

    These are those of windows (P, Q, O), flat; ``base`` is not looked at. ``lowest``, for
    columns of rows of windows, are the least sums whose payload is not zero.
    """
    n_rows, n_columns, n_channels = shape
    _, height, width = pool
    n, n_p, n_q = np.uint64(n_channels), np.uint64(n_rows // height), np.uint64(n_columns // width)
    length, n_sent = np.uint64(n_columns) * n, n_q * n
    best = np.empty(length, np.int32)
    largest_of = np.empty(n_sent, np.int32)
    payloads = np.empty(n_sent, np.uint8)
    total = 0
    for b in range(b0, b1):
        for t in range(t0, t1):
            sums, out = acc[t - t0, b - b0], sent[t, b]
            for p in range(n_p):
                first = p * np.uint64(height) * length
                least = lowest[p * length : (p + np.uint64(1)) * length]
                for row in range(np.uint64(height)):
                    at = first + row * length
                    total += _count_from(sums[at : at + length], least)
                largest_rows(sums, first, length, height, best)
                largest_columns(best, n, n_q, width, largest_of)
                given = offset[p * n_sent : (p + np.uint64(1)) * n_sent]
                factor = multiplier[p * n_sent : (p + np.uint64(1)) * n_sent]
                high = highest[p * n_sent : (p + np.uint64(1)) * n_sent]
                for i in range(n_sent):
                    x = np.int32(min(max(largest_of[i] + given[i], 0), high[i]))
                    payloads[i] = np.int32(np.float32(x) * factor[i] + _HALF)
                turn(payloads, n, n_q, out, p * n_q, n_p * n_q)
    return total


@compiled
def _count_from(sums, lowest):
    """Return how many sums are at least the lowest one of theirs."""
    count = np.int32(0)
    for i in range(np.uint64(len(sums))):
        count = np.int32(count + np.int32(sums[i] >= lowest[i]))
    return count
