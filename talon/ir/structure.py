"""What names, nodes and edges may be in a graph."""

from collections.abc import Callable

from talon.errors import ModelError
from talon.ir.node import Node, Nodes
from talon.ir.ports import Input, Output
from talon.ir.types import Edge, Edges

_NO_NAMES = ("", ".", "..")


def as_edge(edge: object) -> Edge:
    """Return an edge as a pair of names."""
    match edge:
        case (str(src), str(dst)):
            return src, dst
        case _:
            raise ModelError(f"Edge must be a pair of node names, got {edge!r}")


def check_entry(name: object, node: object) -> None:
    """Raise unless a node may be in a graph, and a file hold it, by this name."""
    if not isinstance(name, str) or name in _NO_NAMES or "/" in name or "\0" in name:
        raise ModelError(
            f"Node name must be a non-empty string without '/' and NUL, not '.' or '..', "
            f"got {name!r}"
        )
    if not name.isascii() and any("\ud800" <= character <= "\udfff" for character in name):
        raise ModelError(f"Node name must be Unicode text, without surrogates, got {name!r}")
    if not isinstance(node, Node):
        raise ModelError(f"Node {name!r} must be a Node, got {type(node).__name__}")


def is_surely_sound(nodes: Nodes, edges: Edges) -> bool:
    """Tell whether all nodes and edges may be in a graph; False if one may not.

    All are looked at together, which is quicker than one by one; who gets False asks
    :func:`check_entry` and :func:`check_edges`, which tell why, or find that all is well.
    """
    kinds = set(map(type, nodes.values()))
    if not all(issubclass(kind, Node) for kind in kinds):
        return False
    try:
        names = "\0".join(nodes)
        sources = {src for src, _ in edges}
        targets = {dst for _, dst in edges}
        n_different = len(set(edges))
    except (TypeError, ValueError):
        return False
    end_kinds = {kind for kind in kinds if issubclass(kind, Input | Output)}
    ends = [name for name, node in nodes.items() if type(node) in end_kinds]
    return (
        names.isascii()
        and "/" not in names
        and names.count("\0") == max(len(nodes) - 1, 0)
        and nodes.keys().isdisjoint(_NO_NAMES)
        and n_different == len(edges)
        and nodes.keys() >= sources
        and nodes.keys() >= targets
        and not any(isinstance(nodes[name], Output) for name in ends if name in sources)
        and not any(isinstance(nodes[name], Input) for name in ends if name in targets)
    )


def check_edges(nodes: Nodes, edges: Edges) -> None:
    """Raise unless all edges may be in a graph of these nodes."""
    seen: set[Edge] = set()
    for src, dst in edges:
        check_edge(nodes, src, dst)
        if (src, dst) in seen:
            check_repeated(nodes, src, dst)
        seen.add((src, dst))


def check_edge(nodes: Nodes, src: str, dst: str) -> None:
    """Raise unless an edge joins nodes that may be joined."""
    for role, name in (("source", src), ("destination", dst)):
        if name not in nodes:
            raise ModelError(f"Edge {role} {name!r} not found in nodes")
    if isinstance(nodes[src], Output):
        raise ModelError(f"Output node {src!r} has outgoing edge to {dst!r}")
    if isinstance(nodes[dst], Input):
        raise ModelError(f"Input node {dst!r} has incoming edge from {src!r}")


def check_repeated(nodes: Nodes, src: str, dst: str) -> None:
    """Raise unless an edge may be there once more: only a node of several outputs has such."""
    if not nodes[src].multi_output:
        raise ModelError(
            f"Duplicate edge: {src!r} -> {dst!r}; to take a value twice, send it through a "
            "Skip('passthrough') as well"
        )


def kept_edges(nodes: Nodes, edges: Edges, keeps: Callable[[Edge], bool]) -> Edges:
    """Return the edges that are kept; a node of several outputs must not lose one before others.

    The edges behind the lost one would carry other outputs than before.
    """
    kept: Edges = []
    lost: dict[str, str] = {}
    for src, dst in edges:
        if not keeps((src, dst)):
            lost.setdefault(src, dst)
            continue
        if src in lost and nodes[src].multi_output:
            raise ModelError(
                f"Edge {src!r} -> {lost[src]!r} cannot be left out while {src!r} -> {dst!r} stays: "
                f"the k-th edge of {src!r} carries its k-th output"
            )
        kept.append((src, dst))
    return kept
