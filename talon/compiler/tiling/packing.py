"""Packing: several pixels of a narrow map in one row of lanes, by another layout of the weights.

A map of C channels takes a row of lanes a pixel, however few C are. Where neighbouring pixels share
a row, the lanes are channels of a map that is narrower by their number, and a kernel to it has as
taps the sets of taps with which one source reaches the pixels of a row. What the map sends is
counted as before, because pixels of ``C`` channels side by side are what an index counts.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from talon.compiler.kernel import Kernel
from talon.compiler.network import Population
from talon.compiler.tiling.tile import Code, Packing, Shape


def packings(population: Population, shape: Shape, code: Code, lanes: int) -> list[Packing]:
    """Return the ways to pack a map, the fewest pixels a row first; none if there is no room.

    Parameters
    ----------
    population, shape, code
        The map (C, H, W), and how its events name it: pixels must follow one another without a gap.
    lanes
        Lanes of a row.
    """
    channels, window = shape[0], 1 if population.pool is None else population.pool.size[1]
    n_sent, most = shape[2] // window, lanes // channels
    if code.x_stride != channels:
        return []
    even = [n for n in range(2, min(most, n_sent) + 1) if n_sent % n == 0]
    # Rows of a line count on in the index by their lanes, so only full ones may be followed.
    ragged = [most] if 1 < most < n_sent and n_sent % most and most * channels == lanes else []
    return [Packing(pixels=n, window=window) for n in (*even, *ragged)]


def packed(kernel: Kernel, packing: Packing) -> Kernel:
    """Return a kernel to the places of a map instead of its columns.

    Its taps have the channels of all pixels of a place.
    """
    n_columns, n_sources = kernel.columns.shape
    place, pixel = packing.place(np.arange(n_columns))
    taps = np.full((int(place.max()) + 1, packing.pixels, n_sources), -1, np.int64)
    taps[place, pixel] = kernel.columns
    known: dict[tuple[int, ...], int] = {}
    columns = np.full((len(taps), n_sources), -1, np.int16)
    for at, source in np.argwhere(_reached(taps)).tolist():
        met = tuple(taps[at, :, source].tolist())
        columns[at, source] = known.setdefault(met, len(known))
    n_rows, _, n_in, n_out = kernel.taps.shape
    found = np.zeros((n_rows, max(1, len(known)), n_in, packing.pixels, n_out), kernel.taps.dtype)
    for met, tap in known.items():
        for i, one in enumerate(met):
            if one >= 0:
                found[:, tap, :, i] = kernel.taps[:, one]
    shape = (*found.shape[:3], packing.pixels * n_out)
    return Kernel(taps=found.reshape(shape), rows=kernel.rows, columns=columns)


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
