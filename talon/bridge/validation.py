"""Whether a graph can be executed, and its parts, as the documented API asks for them.

``Graph`` has these as methods; here they also take plain nodes and edges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from talon import ir
from talon.errors import ModelError
from talon.ir.topology import find_cycle, partial_order, reachable, zero_delay_edges
from talon.ir.types import Edges


class GraphValidationError(ModelError, ValueError):
    """A graph that cannot be executed."""


def validate_graph(graph: ir.Graph) -> None:
    """Raise unless a graph can be executed.

    A cycle is legal if an edge of it has a delay.

    Raises
    ------
    GraphValidationError
        Which is a ModelError and a ValueError.
    """
    if not graph.nodes:
        raise GraphValidationError("Graph cannot be empty (no nodes)")
    _check_edges(graph)
    for kind, found in (("Input", graph.inputs), ("Output", graph.outputs)):
        if not found:
            raise GraphValidationError(f"Graph has no {kind} nodes")
    if has_cycles(graph.nodes, zero_delay_edges(graph.edges, graph.delays)):
        raise GraphValidationError(
            "Graph contains cycles. TALON IR graphs must be acyclic (DAG). A cycle with a delay is "
            "legal: give delays={(source, destination): 1} for an edge of it."
        )
    if lost := get_disconnected_nodes(graph):
        raise GraphValidationError(
            f"Graph contains disconnected nodes: {lost}. "
            "All nodes must be reachable from input nodes."
        )
    try:
        graph.validate()
    except ModelError as error:
        raise GraphValidationError(str(error)) from error


def _check_edges(graph: ir.Graph) -> None:
    seen: set[tuple[str, str]] = set()
    for src, dst in graph.edges:
        for role, name in (("source", src), ("destination", dst)):
            if name not in graph.nodes:
                raise GraphValidationError(f"Edge references unknown {role} node: {name}")
        if src == dst and not graph.delay(src, dst):
            raise GraphValidationError(f"Self-loop detected: {src!r} -> {dst!r}")
        if (src, dst) in seen and not graph.nodes[src].multi_output:
            raise GraphValidationError(f"Duplicate edge detected: {src!r} -> {dst!r}")
        seen.add((src, dst))


def has_cycles(graph: ir.Graph | Iterable[str], edges: Edges | None = None) -> bool:
    """Tell whether a graph, or nodes and edges, have a cycle, delayed ones included."""
    nodes, edges = _parts(graph, edges)
    return bool(partial_order(nodes, edges)[1])


def get_disconnected_nodes(graph: ir.Graph) -> set[str]:
    """Return the names of nodes that no path leads to from an input."""
    reached = reachable(graph.inputs, graph.edges)
    return {name for name in graph.nodes if name not in reached}


def get_topological_order(graph: ir.Graph | Iterable[str], edges: Edges | None = None) -> list[str]:
    """Return the names in the order of a timestep, for a graph or for nodes and edges."""
    if isinstance(graph, ir.Graph):
        return graph.topological_order()
    nodes, edges = _parts(graph, edges)
    order, rest = partial_order(nodes, edges)
    if rest:
        cycle = find_cycle(nodes, edges) or []
        shown = " -> ".join(repr(name) for name in [*cycle, *cycle[:1]])
        raise GraphValidationError(f"Graph contains cycles: {shown}")
    return order


def get_input_nodes(graph: ir.Graph) -> list[str]:
    """Return the names of the inputs."""
    return list(graph.inputs)


def get_output_nodes(graph: ir.Graph) -> list[str]:
    """Return the names of the outputs."""
    return list(graph.outputs)


def _parts(graph: Any, edges: Edges | None) -> tuple[dict[str, Any], Edges]:
    if isinstance(graph, ir.Graph):
        return dict(graph.nodes), graph.edges
    nodes = dict(graph) if isinstance(graph, Mapping) else dict.fromkeys(graph)
    return nodes, list(edges or [])
