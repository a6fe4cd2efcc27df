"""Populations that are maps: their pixels share the parameters of a channel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

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

    A population whose pixels differ becomes a vector, and its kernels matrices, where it can.

    Raises
    ------
    MappingError
        Neurons of a map differ within a channel; the message names the node and the ways out.
    """
    shapes = map_shapes(network.populations, network.synapses)
    sends_map = {s.source for s in network.synapses if isinstance(s.weight, Kernel)}
    populations: list[FloatPopulation] = []
    vectors: set[str] = set()
    for population in network.populations:
        name, shape = population.name, shapes.get(population.name)
        if shape is None:
            populations.append(population)
            continue
        differing = _differing(population, shape)
        if differing is None:
            populations.append(_evened(population, shape))
        elif name in sends_map or population.pool is not None or not _fits(network, name):
            raise _refusal(population, differing)
        else:
            populations.append(population)
            vectors.add(name)
    synapses = [
        replace(s, weight=s.weight.dense())
        if s.target in vectors and isinstance(s.weight, Kernel)
        else s
        for s in network.synapses
    ]
    return replace(network, populations=tuple(populations), synapses=tuple(synapses))


def _differing(population: FloatPopulation, shape: MapShape) -> str | None:
    """Return the parameter in which the pixels of a channel differ, if they do."""
    for name in _PARAMETERS:
        values = getattr(population, name)
        if values is None:
            continue
        finite = np.where(np.isfinite(values), values, 0.0)
        channels = finite.reshape(shape[0], -1)
        if np.ptp(channels, axis=1).max() > _SAME * np.abs(finite).max():
            return name
    return None


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


def _refusal(population: FloatPopulation, parameter: str) -> MappingError:
    is_bias = parameter in ("bias", "i_bias")
    why = (
        "a constant before a padded convolution or a pool is less at the edges: put the "
        "BatchNorm or bias behind it, or set padding=0"
        if is_bias
        else "give a channel one value"
    )
    return MappingError(
        f"Node {population.node or population.name!r} is a feature map, whose neurons share "
        f"parameters over the pixels of a channel, but their {parameter} differs between pixels; "
        f"{why}"
    )
