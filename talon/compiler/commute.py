"""Functions that rise, ReLU among them, commute with MaxPool2d, which the array does last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from talon.compiler.curves import curve_of
from talon.compiler.unmapped import FIRING, GRADED, PASSING
from talon.ir import Graph, MaxPool2d, Node
from talon.ir.types import Edge


def commuted(graph: Graph) -> Graph:
    """Return a graph in which what rises right behind a MaxPool2d of sums stands before it."""
    return swapped(graph, commuting(graph))


def commuting(graph: Graph) -> list[Edge]:
    """Return the pairs (MaxPool2d, node) that :func:`commuted` swaps, one after the other."""
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
        if _rises(taker) and takers[0] != name and not _is_population(graph, sources, name):
            return name, takers[0]
    return None


def _rises(node: Node) -> bool:
    """Tell whether a node is a function of one value that never falls."""
    curve = curve_of(node)
    return isinstance(node, GRADED) and (curve is None or curve.rises)


def _is_population(graph: Graph, sources: dict[str, list[str]], name: str) -> bool:
    """Tell whether a node takes the unchanged values of neurons or a rectifier."""
    seen: set[str] = set()
    while name not in seen and len(sources[name]) == 1:
        seen.add(name)
        (name,) = sources[name]
        node = graph.nodes[name]
        if isinstance(node, (*FIRING, *GRADED)):
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

    node = graph.nodes[rectifier]
    assert isinstance(node, GRADED)
    features = graph.infer_shapes()[pool][0]
    moved_node = replace(node, features=features, input_type=None, output_type=None)
    nodes = {**graph.nodes, rectifier: moved_node}
    return Graph(
        nodes,
        [moved(edge) for edge in graph.edges],
        delays={moved(edge): delay for edge, delay in graph.delays.items()},
        metadata=graph.metadata,
    )
