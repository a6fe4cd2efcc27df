"""Parts of a graph that have a name: skip connections, parallel convolutions, pooling pyramids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import rustworkx as rx

from talon.ir import Concat, Graph, MaxPool2d, Skip
from talon.ir.topology import zero_delay_edges

MOST_NODES = 128
"""Nodes of a pattern; what is larger is a part of the network, and no pattern."""

_CONV = frozenset({"Conv1d", "Conv2d", "SConv", "SDConv", "BatchNorm1d", "BatchNorm2d"})


@dataclass(frozen=True, kw_only=True)
class PatternMatch:
    """A part of a graph.

    Attributes
    ----------
    pattern_type
        ``"SkipConnection"`` (branches of which one is an edge alone), ``"RepConv"`` (convolutions
        side by side, added), ``"SPP"`` and ``"SPPF"`` (pools side by side or in a row, joined),
        ``"Branch"`` (other branches that join) or ``"Recurrent"`` (nodes on a cycle).
    group_id
        The type and a number, unique in the graph.
    nodes, entry_nodes, exit_nodes
        Its nodes in the order of the graph, and those where it begins and ends.
    """

    pattern_type: str
    group_id: str
    nodes: tuple[str, ...]
    entry_nodes: tuple[str, ...]
    exit_nodes: tuple[str, ...]
    metadata: dict[str, Any] = field(default_factory=dict)


def detect_all_patterns(graph: Graph) -> list[PatternMatch]:
    """Return the patterns of a graph, in the order of their last nodes; cycles come last.

    A pattern ends where branches join, and begins at the last node that all of them pass
    (the immediate dominator). The effort is that of dominators and the nodes of the patterns.
    """
    edges = zero_delay_edges(graph.edges, graph.delays)
    found: list[tuple[str, list[str], str, str]] = []
    sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for src, dst in edges:
        sources[dst].append(src)
    dominator = _dominators(graph, edges)
    for join, before in sources.items():
        start = dominator.get(join)
        if len(before) < 2 or start is None:
            continue
        branches = _branches(start, before, sources)
        if branches is None:
            continue
        inside = {start, join, *(name for branch in branches for name in branch)}
        kind = _kind(graph, join, branches)
        found.append((kind, [n for n in graph.nodes if n in inside], start, join))
    matches = [
        PatternMatch(
            pattern_type=kind,
            group_id=f"{kind}_{k}",
            nodes=tuple(nodes),
            entry_nodes=(start,),
            exit_nodes=(join,),
        )
        for k, (kind, nodes, start, join) in enumerate(found)
    ]
    return matches + _cycles(graph, len(matches))


def _dominators(graph: Graph, edges: Sequence[tuple[str, str]]) -> dict[str, str | None]:
    """Return the last node that all ways from the inputs to a node pass, None if there is none."""
    made = rx.PyDiGraph()
    root = made.add_node(None)
    number = {name: made.add_node(name) for name in graph.nodes}
    has_source = {dst for _, dst in edges}
    made.add_edges_from_no_data([(number[a], number[b]) for a, b in dict.fromkeys(edges)])
    made.add_edges_from_no_data([(root, number[n]) for n in graph.nodes if n not in has_source])
    names: Mapping[int, str | None] = {i: made[i] for i in made.node_indices()}
    found = rx.immediate_dominators(made, root)
    return {name: names[found[i]] for name, i in number.items() if i in found}


def _branches(
    start: str, before: Sequence[str], sources: Mapping[str, Sequence[str]]
) -> list[list[str]] | None:
    """Return the nodes of each branch behind ``start``; None if there are too many."""
    branches: list[list[str]] = []
    total = 0
    for last in before:
        inside: dict[str, None] = {}
        left = [last]
        while left:
            name = left.pop()
            if name == start or name in inside:
                continue
            inside[name] = None
            total += 1
            if total > MOST_NODES:
                return None
            left += sources[name]
        branches.append(list(inside))
    return branches


def _kind(graph: Graph, join: str, branches: Sequence[Sequence[str]]) -> str:
    nodes = graph.nodes
    joins = isinstance(nodes[join], Concat) or (
        isinstance(nodes[join], Skip) and "concat" in nodes[join].skip_type  # type: ignore[attr-defined]
    )
    pools = [[n for n in branch if isinstance(nodes[n], MaxPool2d)] for branch in branches]
    if joins and sum(map(bool, pools)) >= 2:
        nested = any(set(a) < set(b) for a in pools for b in pools if a)
        return "SPPF" if nested else "SPP"
    if any(not branch for branch in branches):
        return "SkipConnection"
    kinds = [{type(nodes[n]).__name__ for n in branch} for branch in branches]
    if not joins and all(k <= _CONV for k in kinds) and any("Conv" in n for k in kinds for n in k):
        return "RepConv"
    return "Branch"


def _cycles(graph: Graph, first: int) -> list[PatternMatch]:
    """Return the sets of nodes that reach each other, delayed edges included."""
    made = rx.PyDiGraph()
    number = {name: made.add_node(name) for name in graph.nodes}
    made.add_edges_from_no_data([(number[a], number[b]) for a, b in graph.edges])
    order = {name: k for k, name in enumerate(graph.nodes)}
    loops = {a for a, b in graph.edges if a == b}
    found = [
        sorted((made[i] for i in part), key=order.__getitem__)
        for part in rx.strongly_connected_components(made)
    ]
    cycles = [part for part in found if len(part) > 1 or part[0] in loops]
    inside = [set(part) for part in cycles]
    return [
        PatternMatch(
            pattern_type="Recurrent",
            group_id=f"Recurrent_{first + k}",
            nodes=tuple(part),
            entry_nodes=tuple(_crossed(graph, among, into=True)),
            exit_nodes=tuple(_crossed(graph, among, into=False)),
        )
        for k, (part, among) in enumerate(
            sorted(zip(cycles, inside, strict=True), key=lambda pair: order[pair[0][0]])
        )
    ]


def _crossed(graph: Graph, inside: set[str], *, into: bool) -> dict[str, None]:
    """Return the nodes of a set where edges come in, or go out."""
    return dict.fromkeys(
        dst if into else src
        for src, dst in graph.edges
        if (src in inside) != (dst in inside) and (dst in inside) == into
    )
