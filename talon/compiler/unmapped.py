"""Which nodes the array executes, and where; what can be done about others."""

from __future__ import annotations

from dataclasses import dataclass

from talon.ir import (
    IF,
    LIF,
    Affine,
    CubaLIF,
    Delay,
    Flatten,
    Graph,
    Input,
    Neuron,
    Node,
    Output,
    Scale,
    Skip,
    SpikingAffine,
    SumPool2d,
    Threshold,
)
from talon.ir.integrators import Integrator

LINEAR = (Affine, SpikingAffine, Flatten, Skip, Scale, SumPool2d, Delay)
"""Nodes that become part of the synapses behind them."""

FIRING = (LIF, IF, CubaLIF, Threshold)
"""Nodes that become populations that send spikes."""

_MAPPED = (*LINEAR, *FIRING, *Integrator.__subclasses__(), Input, Output)
_ELSEWHERE = (
    "leave it out of the graph and compute it on the host",
    "run the graph on the target 'reference'",
)


@dataclass(frozen=True, kw_only=True)
class Unmapped:
    """A node that the array cannot execute, why, and what can be done about it."""

    node: str
    type: str
    reason: str
    ways: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"Node {self.node!r} ({self.type}) cannot be mapped: {self.reason}; "
            f"{' or '.join(self.ways)}"
        )


def mapped_types() -> tuple[type[Node], ...]:
    """Return the types of the nodes that the array can execute."""
    return _MAPPED


def find_unmapped(graph: Graph) -> list[Unmapped]:
    """Return the nodes that the array cannot execute, by their type or by where they stand."""
    found = [_judge(graph, name, node) for name, node in graph.nodes.items()]
    return [unmapped for unmapped in found if unmapped is not None]


def _judge(graph: Graph, name: str, node: Node) -> Unmapped | None:
    kind = type(node).__name__
    if not isinstance(node, _MAPPED):
        known = ", ".join(sorted(kind.__name__ for kind in _MAPPED))
        ways = ("express it with these", *_ELSEWHERE)
        return Unmapped(node=name, type=kind, reason=f"the compiler lowers only {known}", ways=ways)
    if isinstance(node, Integrator) and not _is_read_out(graph, name):
        return Unmapped(
            node=name,
            type=kind,
            reason=(
                "neurons that do not spike send values, which the array takes to the host and "
                "nowhere else"
            ),
            ways=(
                "let it feed outputs alone, at once and as their only source",
                "put neurons that spike in its place",
                *_ELSEWHERE,
            ),
        )
    if isinstance(node, Neuron) and node.double_threshold:
        return Unmapped(
            node=name,
            type=kind,
            reason="double_threshold compares twice in a timestep, the array once",
            ways=(
                "train with reset_delay=True, which subtracts the threshold a timestep later",
                "set double_threshold=False, which differs where V is still above it after a reset",
                _ELSEWHERE[1],
            ),
        )
    if isinstance(node, Neuron) and node.max_spikes > 1:
        return Unmapped(
            node=name,
            type=kind,
            reason=f"max_spikes={node.max_spikes}, but the array fires once in a timestep",
            ways=("train with max_spikes=1 and more timesteps", _ELSEWHERE[1]),
        )
    return None


def _is_read_out(graph: Graph, name: str) -> bool:
    """Tell whether all that takes a node's values is outputs that are nothing else."""
    sources, takers = graph.sources(), graph.successors(name)
    return bool(takers) and all(
        len(sources[taker]) == 1
        and graph.delay(name, taker) == 0
        and (
            isinstance(graph.nodes[taker], Output)
            or (isinstance(graph.nodes[taker], Flatten | Skip) and _is_read_out(graph, taker))
        )
        for taker in takers
    )
