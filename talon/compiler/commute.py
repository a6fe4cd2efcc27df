"""Rectify, then take the largest: ReLU and MaxPool2d commute, and this is the array's order."""

from __future__ import annotations

from collections.abc import Iterable

from talon.compiler.unmapped import FIRING, PASSING
from talon.ir import Graph, MaxPool2d, ReLU
from talon.ir.types import Edge


def commuted(graph: Graph) -> Graph:
    """Return a graph in which a ReLU right behind a MaxPool2d of sums stands before it."""
    return swapped(graph, commuting(graph))


def commuting(graph: Graph) -> list[Edge]:
    """Return the pairs (MaxPool2d, ReLU) that :func:`commuted` swaps, one after the other."""
    pairs: list[Edge] = []
    while (pair := _find(graph)) is not None:
        graph = _swapped(graph, *pair)
        pairs.append(pair)
    return pairs


def swapped(graph: Graph, pairs: Iterable[Edge]) -> Graph:
    """Return a graph in which pairs of nodes, one right behind the other, have changed places."""
    for pair in pairs:
        graph = _swapped(graph, *pair)
    return graph


def _find(graph: Graph) -> Edge | None:
    sources = graph.sources()
    for name, node in graph.nodes.items():
        takers = graph.successors(name)
        if not isinstance(node, MaxPool2d) or len(takers) != 1 or len(sources[takers[0]]) != 1:
            continue
        taker = graph.nodes[takers[0]]
        is_rectifier = isinstance(taker, ReLU) and not taker.negative_slope
        if is_rectifier and takers[0] != name and not _is_population(graph, sources, name):
            return name, takers[0]
    return None


def _is_population(graph: Graph, sources: dict[str, list[str]], name: str) -> bool:
    """Tell whether a node takes the unchanged values of neurons or a rectifier."""
    seen: set[str] = set()
    while name not in seen and len(sources[name]) == 1:
        seen.add(name)
        (name,) = sources[name]
        node = graph.nodes[name]
        if isinstance(node, (*FIRING, ReLU)):
            return True
        if not isinstance(node, (*PASSING, MaxPool2d)):
            return False
    return False


def _swapped(graph: Graph, pool: str, rectifier: str) -> Graph:
    """Return the graph with the two nodes in the other order."""

    def moved(edge: Edge) -> Edge:
        src, dst = edge
        if edge == (pool, rectifier):
            return rectifier, pool
        return (pool if src == rectifier else src), (rectifier if dst == pool else dst)

    channels = graph.infer_shapes()[pool][0]
    nodes = {**graph.nodes, rectifier: ReLU(channels)}
    return Graph(
        nodes,
        [moved(edge) for edge in graph.edges],
        delays={moved(edge): delay for edge, delay in graph.delays.items()},
        metadata=graph.metadata,
    )
