"""Layout: which sources and populations of a network are maps, and how projections are stored."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from talon.compiler.forms import diagonal_of
from talon.compiler.kernel import Kernel
from talon.compiler.network import IntNetwork, Population, Projection
from talon.compiler.tiling.stepping import Stepping, stepping_of
from talon.compiler.tiling.tile import LINEAR, Code, Shape, code_bits, code_of
from talon.errors import MappingError

INDEX_BITS = 16


class Layout:
    """The shapes of everything in one network, as the array sees them."""

    def __init__(self, network: IntNetwork) -> None:
        self.network = network
        self.populations = {p.name: p for p in network.populations}
        self.ports = {port.name: port for port in network.inputs}
        self._steppings: dict[int, tuple[Stepping, Stepping]] = {}
        self._check_codes()

    def shape(self, population: str) -> Shape:
        """Return (C, H, W) of a population, before its pool; (n, 1, 1) of a vector."""
        found = self._map_shapes.get(population)
        return found if found is not None else (self.populations[population].n, 1, 1)

    def sent_shape(self, source: str) -> Shape:
        """Return (C, H, W) of what an input or population sends."""
        found = self._sent_shapes.get(source)
        return found if found is not None else (self._n_sent(source), 1, 1)

    def is_map(self, source: str) -> bool:
        """Tell whether events of a source name three coordinates."""
        return source in self._sent_shapes

    def has_pixels(self, population: str) -> bool:
        """Tell whether a population is a map, and no vector."""
        return population in self._map_shapes

    def code(self, source: str) -> Code:
        """Return how events of a source name it."""
        return code_of(self.sent_shape(source)) if self.is_map(source) else LINEAR

    @cached_property
    def projections(self) -> tuple[Projection, ...]:
        """The projections; identities between maps are kernels of one tap."""
        return tuple(self._adapted(p) for p in self.network.projections)

    def steppings(self, projection: int) -> tuple[Stepping, Stepping]:
        """Return the steppings of rows and columns of a projection that is a kernel."""
        if projection not in self._steppings:
            kernel = self.projections[projection].weight
            assert isinstance(kernel, Kernel)
            try:
                found = stepping_of(kernel.rows), stepping_of(kernel.columns)
            except MappingError as error:
                p = self.projections[projection]
                raise MappingError(f"Projection {p.source!r} -> {p.target!r}: {error}") from None
            self._steppings[projection] = found
        return self._steppings[projection]

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

    def _adapted(self, projection: Projection) -> Projection:
        """Return a projection with the form that the array stores; identities of maps as kernels.

        Sparse words name rows that a core has potentials for, so graded neurons have none.
        """
        weight, source = projection.weight, projection.source
        if isinstance(weight, Kernel):
            return projection
        target = self.populations[projection.target]
        joins_maps = self.is_map(source) and self.sent_shape(source) == self.shape(target.name)
        if joins_maps and (found := diagonal_of(weight)) is not None and found[0] == 0:
            kernel = _identity(self.sent_shape(source), int(found[1]))
            return replace(projection, weight=kernel, form="map")
        may_keep = not (self.is_map(source) or self.has_pixels(target.name))
        if may_keep and projection.form == "identity":
            return projection
        if may_keep and projection.form == "sparse" and target.kind != "graded":
            return projection
        return replace(projection, form="rows")

    def _check_codes(self) -> None:
        for name, shape in self._sent_shapes.items():
            if code_bits(shape) > INDEX_BITS:
                raise MappingError(
                    f"Map {name!r} of shape {shape} has coordinates of {code_bits(shape)} bits, "
                    f"but an event names {INDEX_BITS}; pool or stride earlier or use fewer channels"
                )


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
