"""In which order populations run: stage by stage, all timesteps of a stage at once."""

from __future__ import annotations

import numpy as np

from talon.compiler.network import IntNetwork, Population

Plan = list[tuple[list[Population], bool]]
"""Populations stage by stage, and whether those of a stage feed each other: they then advance
together, timestep by timestep."""


def plan_of(network: IntNetwork) -> Plan:
    """Return the stages of a network in an order in which they may run."""
    populations = {population.name: population for population in network.populations}
    return [
        ([populations[name] for name in stage], is_cyclic(network, stage))
        for stage in stages(network)
    ]


def stages(network: IntNetwork) -> list[list[str]]:
    """Group the populations into stages that run one after the other.

    A stage is one population, or the populations of a cycle, which must advance together timestep
    by timestep. Populations of a stage keep the order of the network, and so do stages where they
    may.
    """
    names = [population.name for population in network.populations]
    index = {name: i for i, name in enumerate(names)}
    reaches = np.eye(len(names), dtype=np.bool_)
    for projection in network.projections:
        if projection.source in index:
            reaches[index[projection.source], index[projection.target]] = True
    for middle in range(len(names)):
        reaches |= np.outer(reaches[:, middle], reaches[middle])
    mutual = reaches & reaches.T
    # What runs earlier has strictly fewer populations that reach it.
    n_before = reaches.sum(axis=0)
    leaders = sorted({int(row.argmax()) for row in mutual}, key=lambda i: (n_before[i], i))
    return [[names[i] for i in np.flatnonzero(mutual[leader])] for leader in leaders]


def is_cyclic(network: IntNetwork, stage: list[str]) -> bool:
    """Return whether the stage feeds itself."""
    members = set(stage)
    return any(p.source in members and p.target in members for p in network.projections)
