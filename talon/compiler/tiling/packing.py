"""Packing: pixels of a map that share rows of lanes, by another layout of the weights.

A map of C channels takes whole rows of lanes a pixel, however few are left for the last. Where
neighbouring pixels share rows, these are the columns of a map whose channels are lanes, and a
kernel to it has as taps the sets of taps with which one source reaches the lanes of a row. What the
map sends is counted as before, because pixels of ``C`` channels side by side are what an index
counts; where C is no power of two, with no bits between them
(:meth:`talon.compiler.tiling.layout.Layout.code`).
"""

from __future__ import annotations

from itertools import pairwise
from math import gcd

import numpy as np
from numpy.typing import NDArray

from talon.compiler.kernel import Kernel
from talon.compiler.network import Population
from talon.compiler.tiling.tile import Packing, Shape


def packings(population: Population, shape: Shape, lanes: int) -> list[Packing]:
    """Return the ways to pack a map (C, H, W), the fewest pixels first.

    Pixels share rows of so many lanes, or lie across the ends of several full rows. There are none
    where channels are a multiple of the lanes.
    """
    channels, window = shape[0], 1 if population.pool is None else population.pool.size[1]
    n_sent, most = shape[2] // window, lanes // channels
    even = [n for n in range(2, min(most, n_sent) + 1) if n_sent % n == 0]
    # Rows of a line count on in the index by their lanes, so only full ones may be followed.
    ragged = [most] if 1 < most < n_sent and n_sent % most and most * channels == lanes else []
    found = [Packing(pixels=n, window=window) for n in (*even, *ragged)]
    across = lanes // gcd(channels, lanes)
    rows = across * channels // lanes
    if across > 1 and rows > 1 and -(-n_sent * channels // lanes) < n_sent * -(-channels // lanes):
        found.append(Packing(pixels=across, rows=rows, window=window))
    return found


def packed(kernel: Kernel, packing: Packing) -> Kernel:
    """Return a kernel to the rows of lanes of a line instead of its columns.

    Its taps have lanes in place of channels.
    """
    n_columns, n_sources = kernel.columns.shape
    n_rows, _, n_in, n_out = kernel.taps.shape
    column, channel = np.arange(n_columns)[:, None], np.arange(n_out)
    place, lane = packing.place(column, channel, n_out)
    shape = (int(place.max()) + 1, packing.lanes_of(n_out))
    taps, channels = np.full((*shape, n_sources), -1, np.int64), np.zeros(shape, np.int64)
    taps[place, lane] = kernel.columns[:, None]
    channels[place, lane] = channel
    known: dict[bytes, int] = {}
    made: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []  # taps and channels by lane
    columns = np.full((len(taps), n_sources), -1, np.int16)
    for at, source in np.argwhere(_reached(taps)).tolist():
        met = taps[at, :, source], channels[at]
        key = b"".join(part.tobytes() for part in met)
        if key not in known:
            known[key] = len(made)
            made.append(met)
        columns[at, source] = known[key]
    found = np.zeros((n_rows, max(1, len(made)), n_in, shape[1]), kernel.taps.dtype)
    for tap, (one, which) in enumerate(made):
        (used,) = np.nonzero(one >= 0)
        found[:, tap][:, :, used] = kernel.taps[:, one[used], :, which[used]].transpose(1, 2, 0)
    return Kernel(taps=found, rows=kernel.rows, columns=columns)


def _reached(taps: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which sources (second axis) each place is to be reached by, as the array can step.

    All places between the first and the last of a source, if the steps differ.
    """
    reached: NDArray[np.bool_] = np.any(taps >= 0, axis=1)
    runs = [np.flatnonzero(column).tolist() for column in reached.T]
    if len({b - a for run in runs for a, b in pairwise(run)}) < 2:
        return reached
    filled = np.zeros_like(reached)
    for source, run in enumerate(runs):
        if run:
            filled[run[0] : run[-1] + 1, source] = True
    return filled
