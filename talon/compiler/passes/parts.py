"""Parts of populations: what a pass holds of one, and what that means for its arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.kernel import Kernel
from talon.compiler.network import IntNetwork, Population, Projection

Array = NDArray[Any]
Range = tuple[int, int]
"""First, and last + 1."""

_ARRAYS = ("threshold", "bias", "v_reset", "decay", "v_scale", "i_decay", "i_bias", "gain")


@dataclass(frozen=True, kw_only=True, order=True)
class Part:
    """Channels and rows of a population of ``shape`` (C, H, W); a vector is (n, 1, 1)."""

    population: str
    shape: tuple[int, int, int]
    channels: Range
    rows: Range

    @property
    def size(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of the part."""
        (c0, c1), (y0, y1) = self.channels, self.rows
        return c1 - c0, y1 - y0, self.shape[2]

    @property
    def n(self) -> int:
        """Number of neurons."""
        return math.prod(self.size)

    @property
    def n_from(self) -> int:
        """Number of neurons from the first one of the part to the end of the population."""
        channels, height, width = self.shape
        return (channels - self.channels[0]) * (height - self.rows[0]) * width

    @property
    def is_whole(self) -> bool:
        """Whether that is all of the population."""
        return self.size == self.shape

    @property
    def name(self) -> str:
        """Name of the population that stands for the part in its pass."""
        if self.is_whole:
            return self.population
        (c0, c1), (y0, y1) = self.channels, self.rows
        rows = "" if self.shape[1] == 1 else f" x {y0}-{y1 - 1}"
        return f"{self.population}/{c0}-{c1 - 1}{rows}"

    def within(self, values: Array) -> Array:
        """Return a view (..., c, h, w) of the part of values (..., n) of the whole population."""
        blocks = values.reshape(*values.shape[:-1], *self.shape)
        return blocks[..., slice(*self.channels), slice(*self.rows), :]

    def sent(self, population: Population) -> Part:
        """Return which of the values that the whole population sends are those of the part."""
        size = (1, 1) if population.pool is None else population.pool.size
        channels, height, width = self.shape
        y0, y1 = self.rows
        return replace(
            self,
            shape=(channels, height // size[0], width // size[1]),
            rows=(y0 // size[0], y1 // size[0]),
        )


def whole(network: IntNetwork, population: Population) -> Part:
    """Return all of a population, as the map that its kernels make of it."""
    shape = population.shape if len(population.shape) == 3 else (population.n, 1, 1)
    for projection in network.projections:
        if projection.target == population.name and isinstance(projection.weight, Kernel):
            shape = projection.weight.target_shape
    channels, height, width = shape
    return Part(
        population=population.name,
        shape=(channels, height, width),
        channels=(0, channels),
        rows=(0, height),
    )


def divisions(
    population: Population, everything: Part, n_parts: int, lanes: int
) -> Iterator[list[Part]]:
    """Yield the ways to have ``n_parts`` parts of nearly equal size.

    Channels are cut where rows of lanes end, and rows between windows of a pool.
    """
    channels, height, _ = everything.shape
    n_rows = 1 if population.pool is None else population.pool.size[0]
    for n_bands in range(n_parts, 0, -1):
        if n_parts % n_bands:
            continue
        spans = _ranges(channels, lanes, n_parts // n_bands)
        bands = _ranges(height, n_rows, n_bands)
        if len(spans) * len(bands) == n_parts:
            yield [replace(everything, channels=c, rows=y) for c in spans for y in bands]


def _ranges(n: int, step: int, n_parts: int) -> list[Range]:
    """Return up to ``n_parts`` ranges of nearly equal size that end at multiples of ``step``."""
    n_steps = -(-n // step)
    n_parts = min(n_parts, n_steps)
    ends = [min(n, k * n_steps // n_parts * step) for k in range(n_parts + 1)]
    return list(pairwise(ends))


def part_of(population: Population, part: Part) -> Population:
    """Return the population that stands for a part."""
    if part.is_whole:
        return population
    changed: dict[str, Any] = {
        name: None
        if getattr(population, name) is None
        else part.within(getattr(population, name)).reshape(-1)
        for name in _ARRAYS
    }
    shape = part.size if part.shape[1:] != (1, 1) or len(population.shape) == 3 else (part.n,)
    return replace(population, name=part.name, shape=shape, **changed)


def into_part(projection: Projection, part: Part) -> Projection:
    """Return the synapses of a projection that lead into a part of its target."""
    if part.is_whole:
        return projection
    weight = projection.table
    if isinstance(weight, Kernel):
        cut = replace(
            weight,
            taps=np.ascontiguousarray(weight.taps[..., slice(*part.channels)]),
            rows=np.ascontiguousarray(weight.rows[slice(*part.rows)]),
        )
        return replace(projection, target=part.name, weight=cut)
    # The diagonal of a part begins anywhere, which is no form of the array.
    form = "sparse" if projection.form == "identity" else projection.form
    rows = part.within(weight.T).reshape(weight.shape[1], -1).T
    return replace(projection, target=part.name, weight=np.ascontiguousarray(rows), form=form)


def out_of_part(projection: Projection, sent: Part) -> Projection:
    """Return the synapses of a projection that come from a part of what its source sends."""
    weight = projection.table
    if isinstance(weight, Kernel):
        cut = replace(
            weight,
            taps=np.ascontiguousarray(weight.taps[:, :, slice(*sent.channels)]),
            rows=np.ascontiguousarray(weight.rows[:, slice(*sent.rows)]),
        )
        return replace(projection, weight=cut)
    form = "sparse" if projection.form == "identity" else projection.form
    columns = sent.within(weight).reshape(len(weight), -1)
    return replace(projection, weight=np.ascontiguousarray(columns), form=form)


def are_all(parts: Sequence[Part]) -> bool:
    """Tell whether different parts of a population are all of it."""
    return sum(part.n for part in parts) == math.prod(parts[0].shape)


def rest_of(parts: Sequence[Part]) -> Part | None:
    """Return the neurons before the last parts of a population; None if they are no one part."""
    first, last = parts[0], parts[-1]
    c0, y0 = first.channels[0], first.rows[0]
    if last.channels[1] != first.shape[0] or last.rows[1] != first.shape[1]:
        return None
    if (y0 == 0) == (c0 == 0) or sum(p.n for p in parts) != first.n_from:
        return None
    return replace(first, channels=(0, c0 or first.shape[0]), rows=(0, y0 or first.shape[1]))
