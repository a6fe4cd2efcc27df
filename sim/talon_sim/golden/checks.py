"""What must hold of an integer network before its sums can be called exact."""

from __future__ import annotations

from collections import Counter

import numpy as np

from talon.arch import numerics
from talon.compiler.network import IntNetwork, Projection
from talon.errors import ImageError

_RANGES = (
    ("threshold", numerics.V_MIN, numerics.V_MAX),
    ("bias", numerics.V_MIN, numerics.V_MAX),
    ("v_reset", numerics.V_MIN, numerics.V_MAX),
    ("decay", 0, numerics.DECAY_ONE),
)
_OF_CURRENT = (
    ("i_decay", 0, numerics.DECAY_ONE),
    ("i_bias", numerics.V_MIN, numerics.V_MAX),
)


class NetworkError(ImageError, ValueError):
    """An integer network breaks the contract: a forged image, or a caller's slip."""


def check_network(network: IntNetwork) -> None:
    """Check names, shapes, order and ranges; prove that no accumulator wraps.

    Raises
    ------
    NetworkError
        The network breaks the contract; the message names the projection or population.
    """
    ports = [*network.inputs, *network.populations]
    doubled = [name for name, count in Counter(port.name for port in ports).items() if count > 1]
    if doubled:
        raise NetworkError(f"Inputs and populations must have distinct names, not {doubled[0]!r}")
    sizes = {port.name: port.n for port in ports}
    order = {population.name: i for i, population in enumerate(network.populations)}
    silent = {p.name for p in network.populations if p.kind == "readout"}
    for projection in network.projections:
        if projection.source in silent:
            raise NetworkError(f"Population {projection.source!r} is read out, so it feeds nothing")
        _check_projection(projection, sizes, order)
    _check_populations(network)
    for name, reach in accumulator_reach(network).items():
        if reach.max(initial=0) > numerics.ACC_MAX:
            neuron = int(reach.argmax())
            raise NetworkError(
                f"Population {name!r} neuron {neuron}: the sum of |weight| x payload must be at "
                f"most {numerics.ACC_MAX}, not {reach[neuron]}"
            )
    for output in network.outputs:
        if output.population not in order:
            raise NetworkError(f"Output {output.name!r} has no population {output.population!r}")


def accumulator_reach(network: IntNetwork) -> dict[str, np.ndarray]:
    """Return for each neuron the largest magnitude that the sum of a timestep can have."""
    reach = {p.name: np.zeros(p.n, np.int64) for p in network.populations}
    payload = {port.name: port.payload_max for port in network.inputs}
    for projection in network.projections:
        total = np.abs(projection.weight.astype(np.int16)).sum(axis=1, dtype=np.int64)
        reach[projection.target] += total * payload.get(projection.source, 1)
    return reach


def _check_projection(projection: Projection, sizes: dict[str, int], order: dict[str, int]) -> None:
    edge = f"Projection {projection.source!r} -> {projection.target!r}"
    if projection.source not in sizes or projection.target not in order:
        raise NetworkError(f"{edge} must join an input or population to a population")
    shape = (sizes[projection.target], sizes[projection.source])
    if projection.weight.dtype != np.int8 or projection.weight.shape != shape:
        raise NetworkError(
            f"{edge} must have int8 weights of shape {shape}, "
            f"not {projection.weight.dtype} of {projection.weight.shape}"
        )
    if projection.delay < 0:
        raise NetworkError(f"{edge} must have a delay of at least 0, not {projection.delay}")
    source = order.get(projection.source, -1)
    if projection.delay == 0 and source >= order[projection.target]:
        raise NetworkError(f"{edge} has no delay, so its source must come before its target")


def _check_populations(network: IntNetwork) -> None:
    for population in network.populations:
        where = f"Population {population.name!r}"
        if population.kind not in ("spike", "readout"):
            raise NetworkError(
                f"{where} kind must be 'spike' or 'readout', not {population.kind!r}"
            )
        if population.reset not in ("none", "zero", "subtract", "hold"):
            raise NetworkError(
                f"{where} reset must be 'none', 'zero', 'subtract' or 'hold', "
                f"not {population.reset!r}"
            )
        if not 0 <= population.frac <= numerics.FRAC_MAX:
            raise NetworkError(
                f"{where} frac must be between 0 and {numerics.FRAC_MAX}, not {population.frac}"
            )
        if (population.i_decay is None) != (population.i_bias is None):
            raise NetworkError(f"{where} must have both i_decay and i_bias, or neither")
        for name, low, high in _RANGES if population.current is None else (*_RANGES, *_OF_CURRENT):
            values = getattr(population, name)
            if values.shape != (population.n,) or values.min() < low or values.max() > high:
                raise NetworkError(
                    f"{where} {name} must be {population.n} integers between {low} and {high}"
                )
