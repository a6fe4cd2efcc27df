"""Nodes of ours that only pass on, or sum, what they get: in NIR several edges into a node do that.

A ``Skip`` that does not concatenate, ``Dropout`` and ``HybridRegion`` are taken out. Where an edge
would then be there twice, or a node feed itself through nothing else, a ``Scale`` by one stays.
"""

from dataclasses import dataclass

from talon.ir import Dropout, Graph, HybridRegion, Node, Skip
from talon.ir.types import Edges
from talon.nir.nesting import without_identity


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """Names and edges without identities, and the identities that must stay."""

    names: list[str]
    edges: Edges
    staying: frozenset[str]


def is_identity(node: Node) -> bool:
    """Tell whether a node passes on the sum of its inputs."""
    if isinstance(node, Skip):
        return node.mode != "concatenate"
    return isinstance(node, Dropout | HybridRegion)


def lower(graph: Graph) -> Lowered:
    """Return the structure of a graph as NIR has it."""
    edges, staying, gone = list(graph.edges), set[str](), set[str]()
    for name, node in graph.nodes.items():
        if not is_identity(node):
            continue
        made = without_identity(name, edges)
        if (name, name) in edges or len(set(made)) < len(made) or not _is_joined(name, edges):
            staying.add(name)
        else:
            edges = made
            gone.add(name)
    names = [name for name in graph.nodes if name not in gone]
    return Lowered(names=names, edges=edges, staying=frozenset(staying))


def _is_joined(name: str, edges: Edges) -> bool:
    """Tell whether edges lead into a node and out of it, so that nothing is lost without it."""
    return any(dst == name for _, dst in edges) and any(src == name for src, _ in edges)
