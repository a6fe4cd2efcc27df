"""Compiled: what a map sends, from values that are kept channel last, (P, Q, O)."""

from __future__ import annotations

import numpy as np

from talon.arch import numerics
from talon_sim.golden.fast.compiled import compiled
from talon_sim.golden.fast.llvm import LANES
from talon_sim.golden.fast.vectors import take_larger, transpose

_LANES = np.uint64(LANES)
PAYLOAD_MAX = numerics.PAYLOAD_MAX

MAX, SUM = 1, 2
"""Kinds of pool; 0 is none."""


@compiled
def send(values, shape, pool, room, out):
    """Write what windows of bytes send, in the order (O, P, Q).

    ``room`` is for a row of neurons, and behind it for all that is sent.
    """
    n_rows, n_columns, n_channels = shape
    kind, height, width = pool
    n, n_p, n_q = np.uint64(n_channels), np.uint64(n_rows // height), np.uint64(n_columns // width)
    length = np.uint64(n_columns) * n
    line, sent = room[:length], room[length:]
    for p in range(n_p):
        first, to = p * np.uint64(height) * length, p * n_q * n
        if kind == SUM:
            for q in range(n_q):
                for o in range(n):
                    at = first + q * np.uint64(width) * n + o
                    total = _sum_of(values, at, length, n, height, width)
                    sent[to + q * n + o] = min(total, PAYLOAD_MAX)
        else:
            largest_rows(values, first, length, height, line)
            largest_columns(line, n, n_q, width, sent[to : to + n_q * n])
    turn(sent, n_p * n_q, n, out)


@compiled
def room_for(shape, pool):
    """Return the room that ``send`` needs: a row of neurons, and all that is sent."""
    n_rows, n_columns, n_channels = shape
    _, height, width = pool
    return np.empty(
        n_columns * n_channels + (n_rows // height) * (n_columns // width) * n_channels, np.uint8
    )


@compiled
def _sum_of(values, at, length, n, height, width):
    """Return the sum of a window."""
    total = np.int32(0)
    for i in range(np.uint64(height)):
        for j in range(np.uint64(width)):
            total += values[at + i * length + j * n]
    return total


@compiled
def largest_rows(values, first, length, height, best):
    """Write the largest of ``height`` rows from ``values[first:]`` on to ``best``."""
    above = values[first : first + length]
    if height == 1:
        for i in range(length):
            best[i] = above[i]
        return
    below = values[first + length : first + np.uint64(2) * length]
    for i in range(length):
        best[i] = max(above[i], below[i])
    for row in range(np.uint64(2), np.uint64(height)):
        below = values[first + row * length : first + (row + np.uint64(1)) * length]
        for i in range(length):
            best[i] = max(best[i], below[i])


@compiled
def largest_columns(line, n, n_q, width, best):
    """Write the largest of every ``width`` columns of a row (Q, n) to ``best``.

    ``best`` may be the row: what is written has been read before.
    """
    size = np.uint64(width) * n
    n_blocks = n // _LANES
    if width == 1 or n % _LANES != np.uint64(0):
        for q in range(n_q):
            for o in range(n):
                largest = line[q * size + o]
                for j in range(np.uint64(1), np.uint64(width)):
                    largest = max(largest, line[q * size + j * n + o])
                best[q * n + o] = largest
        return
    for q in range(n_q):
        take_larger(best, q * n, line, q * size, line, q * size + n, n_blocks)
        for j in range(np.uint64(2), np.uint64(width)):
            take_larger(best, q * n, best, q * n, line, q * size + j * n, n_blocks)


@compiled
def record(values, shape, out):
    """Write values of a map in the order (O, P, Q)."""
    turn(values, np.uint64(shape[0] * shape[1]), np.uint64(shape[2]), out)


@compiled
def turn(values, n_places, n, out):
    """Write values (places, n) to ``out`` (n, places); of bytes, in squares of 16 if they fit."""
    if n_places == np.uint64(1):
        for o in range(n):
            out[o] = values[o]
    elif values.itemsize == 1 and n >= _LANES and n_places >= _LANES:
        for o in range(np.uint64(0), n, _LANES):
            channel = min(o, n - _LANES)  # the last square may overlap the one before
            for k in range(np.uint64(0), n_places, _LANES):
                place = min(k, n_places - _LANES)
                to = channel * n_places + place
                transpose(values, place * n + channel, n, out, to, n_places)
    else:
        for o in range(n):
            for place in range(n_places):
                out[o * n_places + place] = values[place * n + o]
