"""Compiled: graded neurons; arguments are those of ``firing``.

Sums plus offset are limited to those between the least and the largest payload, for which float32
holds all products (``golden.graded.highest_values``).
"""

from __future__ import annotations

import numpy as np

from talon_sim.golden.fast.compiled import compiled
from talon_sim.golden.fast.llvm import LANES
from talon_sim.golden.fast.registers import largest_and_count
from talon_sim.golden.fast.sending import (
    largest_columns,
    record,
    room_for,
    send,
    turn,
)

_LANES = np.uint64(LANES)
_HALF = np.float32(0.5)
ZERO, LEAST = np.int32(0), np.int32(-(1 << 31))


@compiled
def grade(acc, t0, t1, b0, b1, base, multiplier, highest, shape, pool, out):
    """Turn sums into payloads of 8 bits, and those into windows; return how many are not zero."""
    own, sent = out
    n = np.uint64(acc.shape[2])
    payloads = np.empty(n, np.uint8)
    room = room_for(shape, pool)
    total = 0
    for b in range(b0, b1):
        given = base[b - b0 if len(base) > 1 else 0]
        for t in range(t0, t1):
            sums = acc[t - t0, b - b0]
            for i in range(n):
                x = min(max(np.int32(sums[i] + given[i]), ZERO), highest[i])
                payloads[i] = np.int32(np.float32(x) * multiplier[i] + _HALF)
            count = np.int32(0)
            for i in range(n):
                count = np.int32(count + np.int32(payloads[i] != 0))
            total += count
            if own.size:
                record(payloads, shape, own[t, b])
            if sent.size:
                send(payloads, shape, pool, room, sent[t, b])
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
    n_p, length = np.uint64(n_rows // height), np.uint64(n_columns * n_channels)
    payloads = np.empty(sent.shape[2], np.uint8)
    best = np.empty(length, np.int32)
    total = 0
    for b in range(b0, b1):
        for t in range(t0, t1):
            sums = acc[t - t0, b - b0]
            for p in range(n_p):
                total += grade_row(
                    sums, p * np.uint64(height) * length, p, offset, multiplier, highest, lowest,
                    n_columns, n_channels, height, width, best, payloads,
                )  # fmt: skip
            turn(payloads, n_p * np.uint64(n_columns // width), np.uint64(n_channels), sent[t, b])
    return total


@compiled
def grade_row(
    sums, first, p, offset, multiplier, highest, lowest, n_columns, n_channels, height, width,
    best, payloads,
):  # fmt: skip
    """Write the payloads of row ``p`` of windows, whose sums are ``sums[first:]``.

    ``best`` has room for a row of neurons; ``payloads`` is (P, Q, O). Returns how many neurons have
    a payload that is not zero.
    """
    n, n_q = np.uint64(n_channels), np.uint64(n_columns // width)
    length, n_sent = np.uint64(n_columns) * n, n_q * n
    n_blocks = length // _LANES
    total = np.int32(0)
    if n_blocks:
        total = largest_and_count(
            sums, first, length, np.uint64(height), lowest, p * length, best, n_blocks
        )
    for i in range(n_blocks * _LANES, length):  # what is no whole block
        best[i] = LEAST
        for row in range(np.uint64(height)):
            x = sums[first + row * length + i]
            best[i] = max(best[i], x)
            total = np.int32(total + np.int32(x >= lowest[p * length + i]))
    largest_columns(best, n, n_q, width, best)
    part = slice(p * n_sent, (p + np.uint64(1)) * n_sent)
    given, factor, high, out = offset[part], multiplier[part], highest[part], payloads[part]
    for i in range(n_sent):
        x = min(max(np.int32(best[i] + given[i]), ZERO), high[i])
        out[i] = np.int32(np.float32(x) * factor[i] + _HALF)
    return total
