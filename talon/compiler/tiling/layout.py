"""Layout: which sources and populations of a network are maps, and how projections are stored."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np

from talon.compiler.forms import diagonal_of
from talon.compiler.kernel import Kernel
from talon.compiler.network import IntNetwork, Population, Projection
from talon.compiler.tiling.packing import packed
from talon.compiler.tiling.stepping import Stepping, stepping_of
from talon.compiler.tiling.tile import (
    LINEAR,
    Code,
    Packing,
    Shape,
    code_bits,
    fields_of,
    flat_of,
    joined_of,
)
from talon.errors import MappingError

INDEX_BITS = 16

SPREAD_MAX = 1 << 24
"""Pairs of neurons up to which a kernel may become a matrix."""


class Layout:
    """The shapes of everything in one network, as the array sees them.

    ``packings`` tells which populations have pixels that share rows of lanes.
    """

    def __init__(self, network: IntNetwork) -> None:
        self.network = network
        self.populations = {p.name: p for p in network.populations}
        self.ports = {port.name: port for port in network.inputs}
        self.packings: Mapping[str, Packing] = {}
        self._packed: dict[tuple[int, Packing], Kernel] = {}
        self._steppings: dict[tuple[int, Packing | None], tuple[Stepping, Stepping]] = {}
        self._check_codes()

    def with_packings(self, packings: Mapping[str, Packing]) -> Layout:
        """Return the layout where some populations are packed."""
        other = copy.copy(self)
        other.packings = dict(packings)
        return other

    def shape(self, population: str) -> Shape:
        """Return (C, H, W) of a population, before its pool; (n, 1, 1) of a vector."""
        found = self._map_shapes.get(population)
        return found if found is not None else (self.populations[population].n, 1, 1)

    def sent_shape(self, source: str) -> Shape:
        """Return (C, H, W) of what an input or population sends; (n, 1, 1) without coordinates."""
        return self._sent_shapes[source] if self.is_map(source) else (self._n_sent(source), 1, 1)

    def is_map(self, source: str) -> bool:
        """Tell whether events of a source name three coordinates, since some kernel takes them."""
        return source in self._named

    def has_pixels(self, population: str) -> bool:
        """Tell whether a population is a map, and no vector."""
        return population in self._map_shapes

    def code(self, source: str) -> Code:
        """Return how events of a source name it.

        A map that only matrices take is counted without a gap, so that it is a vector to them. One
        that is packed is so as well, line by line: its lanes are that.
        """
        if self.is_map(source):
            shape = self._sent_shapes[source]
            return joined_of(shape) if source in self.packings else fields_of(shape)
        return flat_of(self._sent_shapes[source]) if source in self._sent_shapes else LINEAR

    def axis_sizes(self, source: str, *, packed: bool = False) -> Shape:
        """Return the axis entries of an edge from a map for channels, rows and columns.

        ``packed`` asks for those that there would be if it were packed.
        """
        shape = channels, height, width = self.sent_shape(source)
        is_joined = packed or source in self.packings
        if not is_joined or not joined_of(shape).is_joined:
            return shape
        return 1, height, channels * width

    @cached_property
    def adapted(self) -> tuple[Projection, ...]:
        """The projections with the forms that the array stores; identities of maps as kernels."""
        return tuple(self._adapted(p) for p in self.network.projections)

    @cached_property
    def projections(self) -> tuple[Projection, ...]:
        """What is ``adapted``, with the sources of a matrix in the order of their codes."""
        return tuple(self._in_order_of_codes(p) for p in self.adapted)

    def kernel(self, projection: int, packing: Packing | None) -> Kernel:
        """Return the kernel of a projection to a target that is packed so."""
        kernel = self.projections[projection].weight
        assert isinstance(kernel, Kernel)
        if packing is None:
            return kernel
        key = projection, packing
        if key not in self._packed:
            self._packed[key] = packed(kernel, packing)
        return self._packed[key]

    def steppings(self, projection: int, packing: Packing | None) -> tuple[Stepping, Stepping]:
        """Return the steppings of rows and of places of a projection that is a kernel."""
        key = projection, packing
        if key not in self._steppings:
            kernel = self.kernel(projection, packing)
            self._steppings[key] = stepping_of(kernel.rows), stepping_of(kernel.columns)
        return self._steppings[key]

    @cached_property
    def _map_shapes(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        for p in self.network.projections:
            if isinstance(p.weight, Kernel):
                found[p.target] = p.weight.target_shape
                source = self.populations.get(p.source)
                if source is not None and source.pool is None:
                    found.setdefault(p.source, p.weight.source_shape)
        for population in self.network.populations:
            if population.pool is not None:
                channels, height, width = population.shape
                found[population.name] = (channels, height, width)
        return found

    @cached_property
    def _sent_shapes(self) -> dict[str, Shape]:
        found = {
            p.source: p.weight.source_shape
            for p in self.network.projections
            if isinstance(p.weight, Kernel)
        }
        for name, shape in self._map_shapes.items():
            pool = self.populations[name].pool
            rows, columns = (1, 1) if pool is None else pool.size
            found[name] = (shape[0], shape[1] // rows, shape[2] // columns)
        return found

    def _n_sent(self, source: str) -> int:
        port = self.ports.get(source)
        return self.populations[source].n_sent if port is None else port.n

    @cached_property
    def _named(self) -> set[str]:
        """Sources whose events name coordinates."""
        return {
            p.source
            for p in self.network.projections
            if isinstance(p.weight, Kernel) or self._identity_of(p) is not None
        }

    def _identity_of(self, projection: Projection) -> int | None:
        """Return the weight of a projection that is an identity between maps, else None."""
        source, target = projection.source, projection.target
        if isinstance(projection.weight, Kernel) or target not in self._map_shapes:
            return None
        if self._sent_shapes.get(source) != self._map_shapes[target]:
            return None
        found = diagonal_of(projection.matrix)
        return int(found[1]) if found is not None and found[0] == 0 else None

    def _adapted(self, projection: Projection) -> Projection:
        """Return a projection in its form on the array.

        Sparse words name rows that a core has potentials for, so graded neurons have none.
        """
        if isinstance(projection.weight, Kernel):
            return projection if _can_step(projection.weight) else self._spread(projection)
        weight = self._identity_of(projection)
        if weight is not None:
            kernel = _identity(self._sent_shapes[projection.source], weight)
            return replace(projection, weight=kernel, form="map")
        has_target_pixels = projection.target in self._map_shapes
        is_vector = not has_target_pixels and projection.source not in self._sent_shapes
        if is_vector and projection.form == "identity":
            return projection
        is_graded = self.populations[projection.target].kind == "graded"
        may_be_sparse = not (has_target_pixels or is_graded or self.is_map(projection.source))
        if may_be_sparse and projection.form == "sparse":
            return projection
        return replace(projection, form="rows")

    def _spread(self, projection: Projection) -> Projection:
        """Return a kernel whose targets are in no steps as words of their own for each source."""
        kernel = projection.weight
        assert isinstance(kernel, Kernel)
        if kernel.n_source * kernel.n_target > SPREAD_MAX:
            raise MappingError(
                f"Projection {projection.source!r} -> {projection.target!r} must reach the targets "
                "of each source in equal steps, as convolutions, their transposes, pools and "
                f"nearest upsampling do, or have at most {SPREAD_MAX} pairs of neurons, not "
                f"{kernel.n_source * kernel.n_target}; put neurons between the layers"
            )
        return replace(projection, weight=kernel.dense(), form="rows")

    def _in_order_of_codes(self, projection: Projection) -> Projection:
        shape = self._sent_shapes.get(projection.source)
        weight = projection.table
        if shape is None or self.is_map(projection.source) or isinstance(weight, Kernel):
            return projection
        order = np.arange(weight.shape[1]).reshape(shape).transpose(1, 2, 0).reshape(-1)
        return replace(projection, weight=weight[:, order])

    def _check_codes(self) -> None:
        for name in sorted(self._named):
            shape = self._sent_shapes[name]
            if code_bits(shape) > INDEX_BITS:
                raise MappingError(
                    f"Map {name!r} of shape {shape} has coordinates of {code_bits(shape)} bits, "
                    f"but an event names {INDEX_BITS}; pool or stride earlier or use fewer channels"
                )


def _can_step(kernel: Kernel) -> bool:
    """Tell whether the array can step through the targets of each source."""
    try:
        stepping_of(kernel.rows), stepping_of(kernel.columns)
    except MappingError:
        return False
    return True


def check_shared(population: Population, shape: Shape) -> None:
    """Refuse a map whose neurons differ within a channel: pixels share records.

    Raises
    ------
    MappingError
        They do; the message names the population and the parameter.
    """
    for name in ("threshold", "bias", "v_reset", "decay"):
        values = getattr(population, name).reshape(shape[0], -1)
        if (values != values[:, :1]).any():
            raise MappingError(
                f"Population {population.name!r} must have one {name} for all pixels of a channel, "
                "since they share it on the array; use parameters of a channel, and no bias before "
                "a padded convolution"
            )


def _identity(shape: Shape, weight: int) -> Kernel:
    taps = np.zeros((1, 1, shape[0], shape[0]), np.int8)
    taps[0, 0] = np.eye(shape[0], dtype=np.int8) * np.int8(weight)

    def along(n: int) -> np.ndarray:
        return np.where(np.eye(n, dtype=bool), 0, -1).astype(np.int16)

    return Kernel(taps=taps, rows=along(shape[1]), columns=along(shape[2]))
