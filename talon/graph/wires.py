"""Which values go where: from the stage that makes them to every layer that takes them.

Nodes that only act on values or move them are passed through, joins of several sources included:
what takes a concatenation takes from every source of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from talon.graph.stages import Stage, has_weights
from talon.ir import (
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Dropout,
    Flatten,
    Graph,
    Input,
    MaxPool2d,
    Neuron,
    Output,
    ReLU,
    Upsample,
)
from talon.ir.types import Dims

_KEEP_ORDER = (AvgPool2d, BatchNorm1d, BatchNorm2d, Dropout, Flatten, MaxPool2d, ReLU, Upsample)
"""Nodes behind which a value is still of the channel that it was of."""


@dataclass(frozen=True)
class Origin:
    """Where values come from, how late they are, and whether their channels are in order."""

    name: str
    delay: int = 0
    in_order: bool = True


@dataclass(frozen=True, kw_only=True)
class Wire:
    """Values that a layer takes.

    ``sender`` is the stage that makes them (None: the host), ``source`` its node; ``receiver`` is
    the stage of ``node``, which takes them in the given ``shape``.
    """

    sender: int | None
    source: str
    receiver: int
    node: str
    delay: int
    shape: Dims
    in_order: bool


def wires_of(graph: Graph, stages: list[Stage], home: dict[str, int | None]) -> list[Wire]:
    """Return the wires between stages, in the order of the edges of the graph."""
    shapes = graph.infer_shapes()
    origins = _origins(graph, stages, home)
    wires: dict[Wire, None] = {}
    for src, dst in graph.edges:
        receiver = home[dst]
        if receiver is None or origins[dst] != [Origin(dst)]:
            continue
        for origin in origins[src]:
            delay = origin.delay + graph.delay(src, dst)
            sender = home[origin.name]
            if sender == receiver and not delay:
                continue
            wire = Wire(
                sender=sender,
                source=origin.name,
                receiver=receiver,
                node=dst,
                delay=delay,
                shape=shapes[src],
                in_order=origin.in_order,
            )
            wires[wire] = None
    return list(wires)


def heard_stages(graph: Graph, stages: list[Stage], home: dict[str, int | None]) -> set[int]:
    """Return the stages whose values go to an output."""
    origins = _origins(graph, stages, home)
    ends = [src for src, dst in graph.edges if isinstance(graph.nodes[dst], Output)]
    return {k for src in ends for o in origins[src] if (k := home[o.name]) is not None}


def _origins(
    graph: Graph, stages: list[Stage], home: dict[str, int | None]
) -> dict[str, list[Origin]]:
    """Return for each node where its values are made: by itself, or by nodes before it."""
    sources = graph.sources()
    found: dict[str, list[Origin]] = {}
    for name in graph.topological_order():
        node = graph.nodes[name]
        adds = len(sources[name]) > 1 and node.sums_inputs
        k = home[name]
        alone = k is not None and stages[k].nodes[0] == name
        if isinstance(node, Input | Neuron) or has_weights(node) or adds or alone:
            found[name] = [Origin(name)]
            continue
        in_order = isinstance(node, _KEEP_ORDER)
        passed = {
            Origin(o.name, o.delay + graph.delay(src, name), o.in_order and in_order): None
            for src in sources[name]
            for o in found.get(src, [Origin(src, in_order=False)])
        }
        found[name] = list(passed) or [Origin(name)]
    return found
