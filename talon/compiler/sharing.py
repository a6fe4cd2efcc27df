"""Populations that are maps: their pixels share the parameters of a channel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from talon.compiler.borders import CONSTANT, constant_population, split_bias
from talon.compiler.expression import MAX_DENSE
from talon.compiler.float_network import FloatArray, FloatNetwork, FloatPopulation, FloatSynapses
from talon.compiler.kernel import Kernel
from talon.compiler.kernels import MapShape
from talon.errors import MappingError

_SAME = 1e-9
_PARAMETERS = ("decay", "bias", "threshold", "v_reset", "i_decay", "i_bias")


def map_shapes(
    populations: Iterable[FloatPopulation], synapses: Iterable[FloatSynapses]
) -> dict[str, MapShape]:
    """Return the shapes of the populations that are maps: they have kernels or a pool."""
    found: dict[str, MapShape] = {}
    pooled = {p.name: p for p in populations if p.pool is not None}
    for s in synapses:
        if isinstance(s.weight, Kernel):
            found[s.target] = s.weight.target_shape
            found.setdefault(s.source, s.weight.source_shape)
    for name, population in pooled.items():
        channels, height, width = population.shape
        found[name] = channels, height, width
    return found


def shared(network: FloatNetwork) -> FloatNetwork:
    """Return the network with the shapes of its maps, whose pixels have the same parameters.

    Where a bias differs, synapses from a constant make up for it. A population whose pixels differ
    otherwise becomes a vector, and its kernels matrices, where it can.

    Raises
    ------
    MappingError
        Neurons of a map differ within a channel; the message names the node and the ways out.
    """
    shapes = map_shapes(network.populations, network.synapses)
    sends_map = {s.source for s in network.synapses if isinstance(s.weight, Kernel)}
    populations: list[FloatPopulation] = []
    borders: list[FloatSynapses] = []
    vectors: set[str] = set()
    for population in network.populations:
        name, shape = population.name, shapes.get(population.name)
        if shape is None:
            populations.append(population)
            continue
        bias = "bias" if population.i_bias is None else "i_bias"
        differing = _differing(population, shape)
        if differing == {bias}:
            evened, border = split_bias(population, shape, bias)
            populations.append(_evened(evened, shape))
            borders.append(border)
        elif not differing:
            populations.append(_evened(population, shape))
        elif name in sends_map or population.pool is not None or not _fits(network, name):
            raise MappingError(
                f"Node {population.node or name!r} is a feature map, whose neurons share "
                f"parameters over the pixels of a channel, but their {min(differing)} differs "
                "between pixels; give each channel one value"
            )
        else:
            populations.append(population)
            vectors.add(name)
    synapses = [
        replace(s, weight=s.weight.dense())
        if s.target in vectors and isinstance(s.weight, Kernel)
        else s
        for s in network.synapses
    ]
    if borders or any(s.source == CONSTANT for s in synapses):
        populations.insert(0, constant_population())
    return replace(network, populations=tuple(populations), synapses=(*synapses, *borders))


def _differing(population: FloatPopulation, shape: MapShape) -> set[str]:
    """Return the parameters in which the pixels of a channel differ."""
    found: set[str] = set()
    for name in _PARAMETERS:
        values = getattr(population, name)
        if values is None:
            continue
        finite = np.where(np.isfinite(values), values, 0.0)
        channels = finite.reshape(shape[0], -1)
        if np.ptp(channels, axis=1).max() > _SAME * np.abs(finite).max():
            found.add(name)
    return found


def _evened(population: FloatPopulation, shape: MapShape) -> FloatPopulation:
    """Return the population as a map; what differs by rounding is made equal."""
    pixels = shape[1] * shape[2]

    def even(values: FloatArray | None) -> FloatArray | None:
        return None if values is None else np.repeat(values.reshape(shape[0], -1)[:, 0], pixels)

    changed = {name: even(getattr(population, name)) for name in _PARAMETERS}
    return replace(population, shape=shape, **changed)  # pyright: ignore[reportArgumentType]


def _fits(network: FloatNetwork, name: str) -> bool:
    """Tell whether all kernels to a population may become matrices."""
    return all(
        s.weight.n_target * s.weight.n_source <= MAX_DENSE
        for s in network.synapses
        if s.target == name and isinstance(s.weight, Kernel)
    )
