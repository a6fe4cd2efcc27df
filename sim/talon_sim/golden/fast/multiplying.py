"""Compiled: sums of many events as products with matrices, four places at a time.

A place is a frame of a matrix's sources, or where a window of a map begins. What it sees are pairs
of neighbours at given offsets from there; ``panels`` (panels, pairs, targets, 2), flat, have their
weights for 16 targets each. Events and ``acc`` are those of ``adding``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon_sim.golden.fast.compiled import compiled
from talon_sim.golden.fast.vectors import LANES, multiply_4

_FRAMES = 32
"""Frames of a matrix at a time, which are then near, while one panel after the other is read."""

_PLACES = 4
_FOUR, _LANES = np.uint64(_PLACES), np.uint64(LANES)


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
    x = np.zeros((_FRAMES + _PLACES) * width, np.int16)
    n_samples = b1 - b0
    n_frames = (t1 - t0) * n_samples
    for start in range(0, n_frames, _FRAMES):
        count = min(_FRAMES, n_frames - start)
        for k in range(count):
            row = events[t0 + (start + k) // n_samples, b0 + (start + k) % n_samples]
            at = np.uint64(k * width)
            for i in range(np.uint64(n_source)):
                x[at + i] = row[i]
        _multiply(acc, start * n, n, x, 0, width, count, offsets, panels, n_panels)


@compiled
def multiply_windows(
    events, t0, t1, b0, b1, inside, padded, steps, target, offsets, panels, n_panels, acc
):
    """Add products with a kernel whose windows lie evenly.

    ``inside`` are the slices of rows and columns of a source map that windows see, as (from, to,
    count) each; ``padded`` is the shape (C, H, W) of the map with what is around it, ``steps`` are
    those of a window, and ``target`` is the shape (rows, columns, channels).
    """
    (from_y, to_y, n_y), (from_x, to_x, n_x), (height, width) = inside
    n_channels, rows, columns = padded
    n_rows, n_columns, n_out = target
    x = np.zeros(n_channels * rows * columns + _PLACES * steps[1] + LANES, np.int16)
    frame = 0
    for t in range(t0, t1):
        for b in range(b0, b1):
            row = events[t, b]
            for c in range(n_channels):
                for y in range(n_y):
                    read = np.uint64((c * height + from_y + y) * width + from_x)
                    write = np.uint64((c * rows + to_y + y) * columns + to_x)
                    for i in range(np.uint64(n_x)):
                        x[write + i] = row[read + i]
            for p in range(n_rows):
                to = frame + p * n_columns * n_out
                at = p * steps[0] * columns
                _multiply(acc, to, n_out, x, at, steps[1], n_columns, offsets, panels, n_panels)
            frame += n_rows * n_columns * n_out


@compiled
def _multiply(acc, to, step, x, at, x_step, n_places, offsets, panels, n_panels):
    """Add the products of some places; each is ``x_step`` further in ``x``, ``step`` in ``acc``.

    The last panel may reach past its place's targets, with weights of zero: places are written in
    order, so what it leaves there is what was there, or what the next place writes. Places that are
    no four come with others, whose products nobody wants: ``x`` has room for those.
    """
    n, n_pairs = np.uint64(n_places), np.uint64(len(offsets))
    step, x_step, begin = np.uint64(step), np.uint64(x_step), np.uint64(at)
    whole = n - n % _FOUR
    rest = np.empty(_PLACES * LANES, np.int32)
    for panel in range(np.uint64(n_panels)):
        first = panel * n_pairs * np.uint64(2 * LANES)
        out = np.uint64(to) + panel * _LANES
        for k in range(np.uint64(0), whole, _FOUR):
            multiply_4(
                acc, out + k * step, step, x, begin + k * x_step, x_step, offsets, n_pairs,
                panels, first,
            )  # fmt: skip
        if whole < n:
            rest[:] = 0
            multiply_4(
                rest, np.uint64(0), _LANES, x, begin + whole * x_step, x_step, offsets, n_pairs,
                panels, first,
            )  # fmt: skip
            for k in range(whole, n):
                for i in range(_LANES):
                    acc[out + k * step + i] += rest[(k - whole) * _LANES + i]
