"""A kernel made ready for compiled loops: tables of its taps, and panels of its product."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.kernel import Kernel
from talon_sim.golden.axes import Axis, axis_of
from talon_sim.golden.fast.llvm import LANES
from talon_sim.golden.fast.multiplying import panels_of
from talon_sim.golden.gather import overlap


class Windows:
    """A kernel whose targets are kept channel last.

    Targets of one source that are neighbours in a row, with all their channels, are one run of
    values, whose weights stand side by side for every combination of taps that occurs.

    Attributes
    ----------
    tables
        What ``adding.add_windows`` takes between ranges and sums.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        n_in, n_out = kernel.taps.shape[2:]
        _, height, width = kernel.source_shape
        # One more channel, of zeros: it fills up groups.
        taps = np.pad(kernel.taps, [(0, 0), (0, 0), (0, 1), (0, 0)])
        run_start, runs, values = _runs_of_columns(kernel.columns, taps)
        length = values.shape[2]
        is_joined = kernel.rows.T >= 0
        _, targets = np.nonzero(is_joined)
        stride = kernel.target_shape[2] * n_out
        rows = [targets * stride, kernel.rows.T[is_joined].astype(np.intp) * (n_in + 1) * length]
        y, x = np.divmod(np.arange(height * width), width)
        self.tables: tuple[Any, ...] = (
            (n_in, height * width, kernel.n_target, length),
            np.repeat(np.arange(height * width), n_in).astype(np.uint32),
            y.astype(np.uint32),
            x.astype(np.uint32),
            _starts(is_joined.sum(axis=1)),
            np.stack(rows, axis=1).reshape(-1).astype(np.uint32),
            run_start,
            runs,
            values.reshape(-1).copy(),
        )

    @cached_property
    def product(self) -> tuple[Any, ...] | None:
        """What ``multiplying.multiply_windows`` takes between ranges and sums.

        None where windows do not lie evenly, or most source channels do not reach most targets.
        """
        kernel = self._kernel
        y, x = axis_of(kernel.rows), axis_of(kernel.columns)
        is_joined = np.asarray(kernel.taps.any(axis=(0, 1)))
        if not (_is_even(y) and _is_even(x)) or is_joined.mean() < 0.5:
            return None
        assert y.even is not None and x.even is not None
        taps = kernel.taps[np.ix_(y.taps, x.taps)]
        n_in, n_out = taps.shape[2:]
        n_rows, n_columns = y.extent, x.extent
        offsets, weights = _pairs_of(taps, y.even[2] * n_columns, x.even[2], n_rows * n_columns)
        (to_y, from_y), (to_x, from_x) = overlap(y), overlap(x)
        inside = tuple(
            (source.start, to.start, max(0, to.stop - to.start))
            for source, to in ((from_y, to_y), (from_x, to_x))
        )
        return (
            (*inside, kernel.source_shape[1:]),
            (n_in, n_rows, n_columns),
            (y.even[1], x.even[1]),
            (y.n_target, x.n_target, n_out),
            offsets,
            *panels_of(weights)[1:],
        )


def _is_even(axis: Axis) -> bool:
    return axis.even is not None and axis.merge is None and axis.repeat is None


def _pairs_of(
    taps: NDArray[np.int8], row: int, column: int, area: int
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Return where each pair of taps lies in a padded map, and weights (2 x pairs, O).

    Taps of neighbouring columns make pairs, where columns are neighbours in the map.
    """
    n_rows, n_columns, n_in, n_out = taps.shape
    size = 2 if column == 1 else 1
    offsets: list[int] = []
    weights: list[NDArray[np.int8]] = []
    nothing = np.zeros(n_out, np.int8)
    for c in range(n_in):
        for i in range(n_rows):
            for j in range(0, n_columns, size):
                offsets.append(c * area + i * row + j * column)
                has_next = size == 2 and j + 1 < n_columns
                weights += [taps[i, j, c], taps[i, j + 1, c] if has_next else nothing]
    return np.array(offsets, np.int64), np.array(weights, np.int8)


def _runs_of_columns(
    columns: NDArray[np.int16], taps: NDArray[np.int8]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.int8]]:
    """Return runs of each source column, and rows of taps (rows, C, values) that they point to."""
    n_out = taps.shape[3]
    places: dict[tuple[int, ...], int] = {}
    parts: list[NDArray[np.int8]] = [taps[:, 0, :, :0]]
    runs: list[tuple[int, int, int]] = []
    counts: list[int] = []
    for column in columns.T:
        found = _runs_of(column)
        counts.append(len(found))
        for first, tap in found:
            if tap not in places:
                places[tap] = sum(part.shape[2] for part in parts)
                parts.append(_side_by_side(taps, tap))
            runs.append((first * n_out, -(-len(tap) * n_out // LANES), places[tap]))
    table = np.array(runs, np.uint32).reshape(-1)
    return _starts(np.array(counts)), table, np.concatenate(parts, axis=2)


def _runs_of(taps: NDArray[np.int16]) -> list[tuple[int, tuple[int, ...]]]:
    """Return the first target and the taps of each run of targets that a source column has."""
    targets = np.flatnonzero(taps >= 0)
    if not len(targets):
        return []
    pieces = np.split(targets, np.flatnonzero(np.diff(targets) > 1) + 1)
    return [(int(piece[0]), tuple(taps[piece].tolist())) for piece in pieces]


def _side_by_side(taps: NDArray[np.int8], columns: tuple[int, ...]) -> NDArray[np.int8]:
    """Return the weights (rows of taps, C, columns x O) of taps of these columns."""
    chosen = taps[:, list(columns)].transpose(0, 2, 1, 3)
    values = chosen.reshape(len(taps), taps.shape[2], -1)
    return np.pad(values, [(0, 0), (0, 0), (0, -values.shape[2] % LANES)])


def _starts(counts: NDArray[Any]) -> NDArray[np.uint32]:
    return np.concatenate(([0], np.cumsum(counts))).astype(np.uint32)
