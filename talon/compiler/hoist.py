"""What is the same in every timestep is computed once: held frames, as far as they alone count.

A source is *hoisted* if it sends in timestep 0 alone: a held input, or a graded population
that becomes ``once``. All that it feeds must then take it as ``hold``, and nothing else: so a
source is hoisted only if none of its targets has another kind of source, or a delay. Potentials and
spikes stay what they were.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from talon.compiler.network import IntNetwork, Projection


def hoist(network: IntNetwork, held: Collection[str]) -> IntNetwork:
    """Return the network in which what is constant over timesteps is computed once.

    Parameters
    ----------
    network
        An integer network.
    held
        Names of the inputs whose frames are the same in every timestep.
    """
    hoisted = _hoisted(network, held) if held else set()
    if not hoisted:
        return network
    return replace(
        network,
        populations=tuple(replace(p, once=p.name in hoisted) for p in network.populations),
        projections=tuple(replace(p, hold=p.source in hoisted) for p in network.projections),
    )


def held_inputs(network: IntNetwork) -> frozenset[str]:
    """Return the inputs that send in timestep 0 alone."""
    inputs = {port.name for port in network.inputs}
    return frozenset(p.source for p in network.projections if p.hold and p.source in inputs)


def _hoisted(network: IntNetwork, held: Collection[str]) -> set[str]:
    """Return the largest set of sources of which every target takes nothing else."""
    into: dict[str, list[Projection]] = {p.name: [] for p in network.populations}
    targets: dict[str, set[str]] = {}
    for projection in network.projections:
        into[projection.target].append(projection)
        targets.setdefault(projection.source, set()).add(projection.target)
    read = {output.population for output in network.outputs}  # the host takes every timestep
    found = {port.name for port in network.inputs if port.name in held}
    graded = {p.name for p in network.populations if p.kind == "graded" and p.name not in read}
    found |= graded

    def is_constant(name: str) -> bool:
        return all(p.source in found and not p.delay for p in into[name])

    while True:
        kept = {
            source
            for source in found
            if (source not in graded or is_constant(source))
            and all(is_constant(target) for target in targets.get(source, ()))
        }
        if kept == found:
            return found
        found = kept
