"""Several networks in one graph, and a graph without what nothing reaches."""

from __future__ import annotations

from talon.errors import ModelError
from talon.ir.graph import Graph
from talon.ir.topology import reachable
from talon.sdk.convert import copied
from talon.sdk.sources import GraphSource, as_graph


def merge_graphs(*graphs: GraphSource, prefix: bool = True) -> Graph:
    """Return one graph of several, with no edge between them.

    Parameters
    ----------
    *graphs
        Networks, or paths of their files; one at least.
    prefix
        Whether the names of the k-th graph begin with ``g{k}_``. Without it they must differ.

    Raises
    ------
    ModelError
        Two nodes would have one name.
    """
    if not graphs:
        raise ValueError("merge_graphs takes at least one graph")
    made = Graph({}, [])
    for k, source in enumerate(graphs):
        graph = as_graph(source)
        names = {name: f"g{k}_{name}" if prefix else name for name in graph.nodes}
        doubled = sorted(made.nodes.keys() & set(names.values()))
        if doubled:
            raise ModelError(
                f"Graph {k} has a node {doubled[0]!r} as one before it; merge with prefix=True"
            )
        made.nodes.update({names[name]: copied(node) for name, node in graph.nodes.items()})
        made.edges += [(names[src], names[dst]) for src, dst in graph.edges]
        made.delays.update({(names[s], names[d]): n for (s, d), n in graph.delays.items()})
        made.allow_cycles |= graph.allow_cycles
    made.check_structure()
    return made


def prune_disconnected(graph: GraphSource) -> Graph:
    """Return the graph without the nodes that no input reaches; dead ends stay.

    Metadata and all else are kept, and the metadata name what was left out (``pruned_nodes``).
    """
    source = as_graph(graph)
    kept = set(reachable(source.inputs, source.edges))
    gone = [name for name in source.nodes if name not in kept]
    made = copied(source)
    for name in gone:
        del made.nodes[name]
    made.edges = [edge for edge in made.edges if kept.issuperset(edge)]
    made.delays = {edge: n for edge, n in made.delays.items() if kept.issuperset(edge)}
    made.metadata = {**made.metadata, "pruned_nodes": gone}
    made.check_structure()
    return made
