"""Compiled: sums of many events as products with matrices, up to twelve places at a time.

A place is a frame of a matrix's sources, or where a window of a map begins. What it sees are pairs
of neighbours at given offsets from there; ``panels`` (panels, pairs, targets, 2), flat, have their
weights for 16 targets each. Events and ``acc`` are those of ``adding``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon_sim.golden.fast.compiled import compiled
from talon_sim.golden.fast.llvm import LANES
from talon_sim.golden.fast.registers import (
    MOST_PLACES,
    multiply_4,
    multiply_4_by_2,
    multiply_6_by_2,
    multiply_8,
    multiply_12,
)

_FRAMES = 36
"""Frames of a matrix at a time, which are then near, while one panel after the other is read."""

_ONE, _TWO, _FOUR, _EIGHT, _LANES = (np.uint64(n) for n in (1, 2, 4, 8, LANES))
_MOST = np.uint64(MOST_PLACES)
_ROOM = MOST_PLACES * LANES + LANES


def panels_of(weights: NDArray[np.int8]) -> tuple[NDArray[Any], NDArray[np.int8], int]:
    """Return offsets of pairs in a row of sources, panels, and their number.

    ``weights`` (n_source, n) are filled up to whole pairs and panels with zeros.
    """
    n_source, n = weights.shape
    n_pairs, n_panels = -(-n_source // 2), -(-n // LANES)
    filled = np.zeros((2 * n_pairs, n_panels * LANES), np.int8)
    filled[:n_source, :n] = weights
    panels = filled.reshape(n_pairs, 2, n_panels, LANES).transpose(2, 0, 3, 1)
    return np.arange(0, 2 * n_pairs, 2), panels.reshape(-1).copy(), n_panels


@compiled
def multiply_rows(events, t0, t1, b0, b1, offsets, panels, n_panels, n, acc):
    """Add products with a matrix of ``n`` targets."""
    n_source = events.shape[2]
    width = n_source + n_source % 2
    x = np.zeros((_FRAMES + MOST_PLACES) * width, np.int16)
    n_samples = b1 - b0
    n_frames = (t1 - t0) * n_samples
    for start in range(0, n_frames, _FRAMES):
        count = min(_FRAMES, n_frames - start)
        for k in range(count):
            row = events[t0 + (start + k) // n_samples, b0 + (start + k) % n_samples]
            at = np.uint64(k * width)
            for i in range(np.uint64(n_source)):
                x[at + i] = row[i]
        multiply_places(acc, start * n, n, x, 0, width, count, offsets, panels, n_panels)


@compiled
def multiply_windows(
    events, t0, t1, b0, b1, inside, padded, steps, target, offsets, panels, n_panels, acc
):
    """Add products with a kernel whose windows lie evenly.

    ``inside`` are the slices of rows and columns of a source map that windows see, as (from, to,
    count) each; ``padded`` is the shape (C, H, W) of the map with what is around it, ``steps`` are
    those of a window, and ``target`` is the shape (rows, columns, channels).
    """
    n_rows, n_columns, n_out = target
    x = room_for_map(padded, steps)
    frame = 0
    for t in range(t0, t1):
        for b in range(b0, b1):
            pad_map(events[t, b], inside, padded, x)
            for p in range(n_rows):
                to = frame + p * n_columns * n_out
                at = p * steps[0] * padded[2]
                multiply_places(
                    acc, to, n_out, x, at, steps[1], n_columns, offsets, panels, n_panels
                )
            frame += n_rows * n_columns * n_out


@compiled
def room_for_map(padded, steps):
    """Return room for a padded map, zero, and for what is read behind it."""
    n_channels, rows, columns = padded
    return np.zeros(n_channels * rows * columns + MOST_PLACES * steps[1] + LANES, np.int16)


@compiled
def pad_map(frame, inside, padded, x):
    """Write a source map (C, H, W), flat, to where it lies in a padded one."""
    (from_y, to_y, n_y), (from_x, to_x, n_x), (height, width) = inside
    n_channels, rows, columns = padded
    for c in range(n_channels):
        for y in range(n_y):
            read = np.uint64((c * height + from_y + y) * width + from_x)
            write = np.uint64((c * rows + to_y + y) * columns + to_x)
            for i in range(np.uint64(n_x)):
                x[write + i] = frame[read + i]


@compiled
def multiply_places(acc, to, step, x, at, x_step, n_places, offsets, panels, n_panels):
    """Add the products of some places; each is ``x_step`` further in ``x``, ``step`` in ``acc``.

    The last panel may reach past its place's targets, with weights of zero: places are written in
    order, so what it leaves there is what was there, or what the next place writes. Places that are
    no four come with others, whose products nobody wants: ``x`` has room for those.
    """
    n, n_pairs, last = np.uint64(n_places), np.uint64(len(offsets)), np.uint64(n_panels)
    step, x_step, begin = np.uint64(step), np.uint64(x_step), np.uint64(at)
    out, panel = np.uint64(to), np.uint64(0)
    while panel < last:
        n_beside = _TWO if panel + _ONE < last and MOST_PLACES > 4 else _ONE
        most = _MOST // n_beside
        left = n % most
        if left in (_FOUR, _EIGHT):
            left = np.uint64(0)
        first = panel * n_pairs * _TWO * _LANES
        for k in range(np.uint64(0), n - left, most):
            _multiply_some(
                acc, out + k * step, step, x, begin + k * x_step, x_step, offsets, n_pairs,
                panels, first, n - left - k, n_beside,
            )  # fmt: skip
        if left:
            rest, width, whole = np.zeros(_ROOM, np.int32), n_beside * _LANES, n - left
            _multiply_some(
                rest, np.uint64(0), width, x, begin + whole * x_step, x_step, offsets, n_pairs,
                panels, first, left, n_beside,
            )  # fmt: skip
            for k in range(left):
                for i in range(width):
                    acc[out + (whole + k) * step + i] += rest[k * width + i]
        out += n_beside * _LANES
        panel += n_beside


@compiled
def _multiply_some(acc, to, step, x, at, x_step, offsets, n_pairs, panels, first, n, n_beside):
    """Add the products of ``n`` places, and of others if they are no four, up to the most."""
    if n_beside == _TWO:
        if n <= _FOUR:
            multiply_4_by_2(acc, to, step, x, at, x_step, offsets, n_pairs, panels, first)
        else:
            multiply_6_by_2(acc, to, step, x, at, x_step, offsets, n_pairs, panels, first)
    elif x_step == _ONE:  # neighbours, as of most kernels: addresses are one and constants
        if n <= _FOUR or MOST_PLACES == 4:
            multiply_4(acc, to, step, x, at, _ONE, offsets, n_pairs, panels, first)
        elif n <= _EIGHT:
            multiply_8(acc, to, step, x, at, _ONE, offsets, n_pairs, panels, first)
        else:
            multiply_12(acc, to, step, x, at, _ONE, offsets, n_pairs, panels, first)
    elif n <= _FOUR or MOST_PLACES == 4:
        multiply_4(acc, to, step, x, at, x_step, offsets, n_pairs, panels, first)
    elif n <= _EIGHT:
        multiply_8(acc, to, step, x, at, x_step, offsets, n_pairs, panels, first)
    else:
        multiply_12(acc, to, step, x, at, x_step, offsets, n_pairs, panels, first)
