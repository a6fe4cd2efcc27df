"""Synapses for the compiled kernels; targets are in the order in which neurons are kept."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.kernel import Kernel
from talon.compiler.network import Population, Projection
from talon.compiler.sparse import SparseMatrix
from talon_sim.golden.fast import adding, multiplying
from talon_sim.golden.fast.llvm import LANES
from talon_sim.golden.fast.windows import Windows
from talon_sim.golden.synapses import lists_of

Ends = tuple[int, int, int, int]
Way = tuple[str, tuple[Any, ...]]
"""Which kernel runs (an argument of ``fused.run_stage``), and what it takes."""

Events = NDArray[np.uint8] | NDArray[np.int16]
Frame = Events
"""Payloads (T, B, n_source), and of one timestep and sample."""

Sums = NDArray[np.int32]

_DENSE = {True: 0.6, False: 0.25}
"""From this share of sources on that send a product is the faster (measured): of spikes, and of
payloads."""


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

    def __init__(self, weight: NDArray[np.int8], *, layout: Layout, is_binary: bool) -> None:
        self._n, n_source = weight.shape
        self._is_binary = is_binary
        self._length = -(-self._n // LANES) * LANES
        rows = np.zeros((n_source, self._length), np.int8)
        rows[:, : self._n] = weight[layout.order].T
        self._rows = rows.reshape(-1)

    @cached_property
    def _product(self) -> tuple[Any, ...]:
        rows = self._rows.reshape(-1, self._length)
        return (*multiplying.panels_of(rows), self._n)

    def way(self, frame: Frame | None) -> Way:
        """Return how events are best added, to judge from one frame of them, if there is one."""
        if _is_dense(frame, self._is_binary):
            return "row_product", self._product
        return "rows", (self._rows, self._length, self._n, self._is_binary)


class Lists:
    """Listed synapses, event by event; they are short, since reading them is what takes time."""

    def __init__(self, weight: SparseMatrix, *, layout: Layout) -> None:
        n = weight.shape[0]
        target = layout.place[weight.target].astype(np.uint16 if n <= 1 << 16 else np.uint32)
        self._tables = (weight.start.astype(np.int64), target, weight.value, n)

    def way(self, frame: Frame | None) -> Way:
        """Return how events are added."""
        del frame
        return "lists", self._tables


class Picked:
    """At most one synapse for each target."""

    def __init__(self, weight: SparseMatrix, *, layout: Layout) -> None:
        n_target, n_source = weight.shape
        source = np.zeros(n_target, np.intp)
        source[weight.target] = weight.sources
        value = np.zeros(n_target, np.int16)
        value[weight.target] = weight.value
        source = source[layout.order]
        is_diagonal = np.array_equal(source, np.arange(n_source))
        sources = np.zeros(0, np.uint64) if is_diagonal else source.astype(np.uint64)
        self._tables = (sources, value[layout.order])

    def way(self, frame: Frame | None) -> Way:
        """Return how events are added."""
        del frame
        return "picked", self._tables


class Maps:
    """A kernel: taps of each event are added around it, or where they are many it is a product."""

    def __init__(self, kernel: Kernel, *, is_binary: bool) -> None:
        self._windows = Windows(kernel)
        self._is_binary = is_binary

    def way(self, frame: Frame | None) -> Way:
        """Return how events are best added, to judge from one frame of them, if there is one."""
        windows = self._windows
        if _is_dense(frame, self._is_binary) and windows.product is not None:
            return "map_product", windows.product
        return "windows", (*windows.tables, self._is_binary)


AnySynapses = Rows | Lists | Picked | Maps

_KERNELS = {
    "rows": adding.add_rows,
    "windows": adding.add_windows,
    "row_product": multiplying.multiply_rows,
    "map_product": multiplying.multiply_windows,
    "lists": adding.add_lists,
    "picked": adding.add_picked,
}


def add_events(
    synapses: AnySynapses, events: Events, steps: range, samples: range, acc: Sums
) -> None:
    """Add the currents of some timesteps and samples to ``acc`` (steps, samples, n)."""
    ends = ends_of(steps, samples)
    name, arguments = synapses.way(events[steps.start, samples.start])
    _KERNELS[name](events, *ends, *arguments, acc.reshape(-1))


def synapses_of(projection: Projection, *, layout: Layout, is_binary: bool) -> AnySynapses:
    """Return the synapses of a projection into a population with this layout.

    ``is_binary`` tells that no payload is larger than 1, or negative.
    """
    weight = projection.weight
    if isinstance(weight, Kernel):
        height, width, channels = layout.shape
        if weight.target_shape == (channels, height, width):
            return Maps(weight, is_binary=is_binary)
        weight = SparseMatrix.of(weight.dense())
    lists = lists_of(weight)
    if lists is None:
        assert isinstance(weight, np.ndarray)
        return Rows(weight, layout=layout, is_binary=is_binary)
    if np.bincount(lists.target, minlength=1).max() <= 1:
        return Picked(lists, layout=layout)
    return Lists(lists, layout=layout)


def _is_dense(frame: Frame | None, is_binary: bool) -> bool:
    """Tell whether many sources send."""
    if frame is None:
        return False
    return int(np.count_nonzero(frame)) > _DENSE[is_binary] * frame.size


def ends_of(steps: range, samples: range) -> Ends:
    """Return ranges of timesteps and samples as kernels take them."""
    return steps.start, steps.stop, samples.start, samples.stop
