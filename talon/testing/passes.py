"""Random cuts of networks, as the compiler would never choose them."""

from __future__ import annotations

import numpy as np

from talon.compiler.network import IntNetwork
from talon.compiler.passes.parts import Part, divisions, whole
from talon.compiler.passes.units import units_of

_LANES = 4


def random_stages(
    rng: np.random.Generator,
    network: IntNetwork,
    *,
    n_passes: int = 3,
    division: float = 0.3,
) -> list[list[Part]]:
    """Return stages of a network in up to ``n_passes`` passes.

    Parameters
    ----------
    rng
        Source of all randomness.
    network
        The network.
    n_passes
        Largest number of passes without those that divided populations need.
    division
        Share of the populations without feedback that are divided into parts, a pass each.
    """
    units = units_of(network)
    at = np.sort(rng.integers(0, n_passes, len(units.parts)))
    stages: list[list[Part]] = []
    last = -1
    for number, parts in zip(at.tolist(), units.parts, strict=True):
        pieces = _parts(rng, network, parts[0].population) if len(parts) == 1 else []
        if len(pieces) > 1 and rng.random() < division:
            stages += [[piece] for piece in pieces]
            last = -1
            continue
        if number != last:
            stages.append([])
        stages[-1] += parts
        last = number
    return stages


def _parts(rng: np.random.Generator, network: IntNetwork, name: str) -> list[Part]:
    if any(p.source == p.target == name for p in network.projections):
        return []
    population = next(p for p in network.populations if p.name == name)
    everything = whole(network, population)
    found = [
        parts
        for n_parts in (2, 3, 4)
        for parts in divisions(population, everything, n_parts, _LANES)
    ]
    return found[rng.integers(len(found))] if found else []
