"""Synapses for the compiled kernels; targets are in the order in which neurons are kept."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.kernel import Kernel
from talon.compiler.network import Population, Projection
from talon.compiler.sparse import SparseMatrix
from talon_sim.golden.fast import kernels
from talon_sim.golden.maps import MapSynapses
from talon_sim.golden.synapses import lists_of

Events = NDArray[np.uint8] | NDArray[np.int16]
Sums = NDArray[np.float32]

RUN = 32
"""Values in whose multiples runs of targets are added: vectors without a remainder."""

_DENSE = 0.25
"""From this share of sources on that send, a matrix product is the faster (measured)."""


class Layout:
    """In which order the neurons of a population are kept: maps channel last.

    Attributes
    ----------
    shape
        (rows, columns, channels); neurons that are no map are channels of one place.
    order
        Index of each kept neuron in the population.
    """

    def __init__(self, population: Population, kernels_into: list[Kernel]) -> None:
        shape = population.shape
        if len(shape) != 3 and kernels_into:
            shape = kernels_into[0].target_shape
        channels, height, width = shape if len(shape) == 3 else (population.n, 1, 1)
        self.shape = (height, width, channels)
        index = np.arange(population.n).reshape(channels, height, width)
        self.order: NDArray[np.intp] = index.transpose(1, 2, 0).reshape(-1).copy()

    @property
    def place(self) -> NDArray[np.intp]:
        """Where each neuron of the population is kept."""
        place = np.empty_like(self.order)
        place[self.order] = np.arange(len(self.order))
        return place


class Rows:
    """A matrix: the rows of those who send are added, or where they are many it is multiplied."""

    def __init__(self, weight: NDArray[np.int8], *, frac: int, layout: Layout) -> None:
        self._matrix = np.ascontiguousarray(weight[layout.order].T, np.float32)
        self._matrix *= np.float32(1 << frac)

    def add(self, events: Events, steps: range, samples: range, acc: Sums, fresh: bool) -> None:
        """Add the currents of some timesteps and samples; ``fresh`` sums are to be written."""
        part = events[steps.start : steps.stop, samples.start : samples.stop]
        if np.count_nonzero(part) > _DENSE * part.size:
            given = part.reshape(-1, len(self._matrix)).astype(np.float32)
            out = acc[: len(part)].reshape(len(given), -1)
            if fresh:
                np.matmul(given, self._matrix, out=out)
            else:
                out += given @ self._matrix
            return
        if fresh:
            acc[:] = 0
        active = np.empty(len(self._matrix) + 1, np.uint64)
        kernels.add_rows(events, *_ends(steps, samples), self._matrix, active, acc)


class Lists:
    """Listed synapses, event by event; they are short, since reading them is what takes time."""

    def __init__(self, weight: SparseMatrix, *, frac: int, layout: Layout) -> None:
        self._start = weight.start.astype(np.int64)
        kind = np.uint16 if weight.shape[0] <= 1 << 16 else np.uint32
        self._target = layout.place[weight.target].astype(kind)
        self._value = weight.value
        self._scale = np.float32(1 << frac)

    def add(self, events: Events, steps: range, samples: range, acc: Sums, fresh: bool) -> None:
        """Add the currents of some timesteps and samples; ``fresh`` sums are to be written."""
        if fresh:
            acc[:] = 0
        kernels.add_lists(
            events,
            *_ends(steps, samples),
            self._start,
            self._target,
            self._value,
            self._scale,
            acc,
        )


class Picked:
    """At most one synapse for each target."""

    def __init__(self, weight: SparseMatrix, *, frac: int, layout: Layout) -> None:
        n_target, n_source = weight.shape
        source = np.zeros(n_target, np.intp)
        source[weight.target] = weight.sources
        value = np.zeros(n_target, np.float32)
        value[weight.target] = weight.value
        source = source[layout.order]
        is_diagonal = np.array_equal(source, np.arange(n_source))
        self._source = np.zeros(0, np.uint64) if is_diagonal else source.astype(np.uint64)
        self._weight = value[layout.order] * np.float32(1 << frac)

    def add(self, events: Events, steps: range, samples: range, acc: Sums, fresh: bool) -> None:
        """Add the currents of some timesteps and samples; ``fresh`` sums are to be written."""
        if fresh:
            acc[:] = 0
        kernels.add_picked(events, *_ends(steps, samples), self._source, self._weight, acc)


class Windows:
    """A kernel: each event adds its taps to the targets around it.

    Targets of one source that are neighbours in a row, with all their channels, are one run of
    values, whose weights stand side by side for every combination of taps that occurs.
    """

    def __init__(self, kernel: Kernel, *, frac: int) -> None:
        self._kernel, self._frac = kernel, frac
        n_in, n_out = kernel.taps.shape[2:]
        stride = kernel.target_shape[2] * n_out
        is_joined = kernel.rows.T >= 0
        _, targets = np.nonzero(is_joined)
        self._row_start = _starts(is_joined.sum(axis=1))
        self._row_target = targets.astype(np.int32)
        self._row_tap = kernel.rows.T[is_joined].astype(np.int32)
        taps = kernel.taps.astype(np.float32) * np.float32(1 << frac)
        blocks: dict[tuple[int, ...], int] = {}
        parts: list[NDArray[np.float32]] = []
        runs: list[tuple[int, int, int]] = []
        counts: list[int] = []
        for column in kernel.columns.T:
            found = _runs_of(column)
            counts.append(len(found))
            for first, tap in found:
                if tap not in blocks:
                    blocks[tap] = sum(part.shape[2] for part in parts)
                    parts.append(_side_by_side(taps, tap))
                runs.append((first * n_out, _whole(len(tap) * n_out), blocks[tap]))
        self._run_start = _starts(np.array(counts))
        self._runs = np.array(runs, np.int32).reshape(-1, 3)
        empty = np.zeros((len(taps), n_in, 0), np.float32)
        values = np.concatenate([empty, *parts], axis=2)
        self._shape = (*kernel.source_shape, kernel.n_target, stride, values.shape[2])
        self._taps = values.reshape(-1).copy()

    @cached_property
    def product(self) -> MapSynapses:
        """The same kernel as a matrix product."""
        return MapSynapses(self._kernel, frac=self._frac)

    def add(self, events: Events, steps: range, samples: range, acc: Sums, fresh: bool) -> None:
        """Add the currents of some timesteps and samples; ``fresh`` sums are to be written."""
        if fresh:
            acc[:] = 0
        kernels.add_windows(
            events,
            *_ends(steps, samples),
            self._shape,
            self._row_start,
            self._row_target,
            self._row_tap,
            self._run_start,
            self._runs,
            self._taps,
            acc.reshape(-1),  # and the ``RUN`` values behind it
        )


AnySynapses = Rows | Lists | Picked | Windows


def synapses_of(projection: Projection, *, frac: int, layout: Layout) -> AnySynapses:
    """Return the synapses of a projection into a population with this layout."""
    weight = projection.weight
    if isinstance(weight, Kernel):
        height, width, channels = layout.shape
        if weight.target_shape == (channels, height, width):
            return Windows(weight, frac=frac)
        weight = SparseMatrix.of(weight.dense())
    lists = lists_of(weight)
    if lists is None:
        assert isinstance(weight, np.ndarray)
        return Rows(weight, frac=frac, layout=layout)
    if np.bincount(lists.target, minlength=1).max() <= 1:
        return Picked(lists, frac=frac, layout=layout)
    return Lists(lists, frac=frac, layout=layout)


def _ends(steps: range, samples: range) -> tuple[int, int, int, int]:
    return steps.start, steps.stop, samples.start, samples.stop


def _starts(counts: NDArray[Any]) -> NDArray[np.int32]:
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int32)


def _runs_of(taps: NDArray[np.int16]) -> list[tuple[int, tuple[int, ...]]]:
    """Return the first target and the taps of each run of targets that a source column has."""
    targets = np.flatnonzero(taps >= 0)
    if not len(targets):
        return []
    pieces = np.split(targets, np.flatnonzero(np.diff(targets) > 1) + 1)
    return [(int(piece[0]), tuple(taps[piece].tolist())) for piece in pieces]


def _side_by_side(taps: NDArray[np.float32], columns: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the weights (rows of taps, C, columns x O) of taps of these columns."""
    chosen = taps[:, list(columns)].transpose(0, 2, 1, 3)
    values = chosen.reshape(len(taps), taps.shape[2], -1)
    return np.pad(values, [(0, 0), (0, 0), (0, _whole(values.shape[2]) - values.shape[2])])


def _whole(length: int) -> int:
    return -(-length // RUN) * RUN
