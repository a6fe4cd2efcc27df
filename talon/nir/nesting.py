"""Graphs in graphs: one level of them made of many, and many of one.

A graph ``rnn`` with a node ``lif`` becomes the node ``rnn.lif``. Its inputs and outputs are
identities, and so are names that edges go through though no node has them; both are taken out,
with each edge in joined to each edge out.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from talon.ir.types import Dims, Edge, Edges
from talon.nir.errors import SILENT, UNSOUND, Judge, NIRError
from talon.nir.model import FlatGraph, GraphRecord, NodeRecord, structure_digest

MAX_DEPTH = 32
_PORTS = ("Input", "Output")


def flatten(graph: GraphRecord, judge: Judge) -> FlatGraph:
    """Return a graph of one level; deviations of its edges are mended or raised."""
    nodes: dict[str, NodeRecord] = {}
    ports: list[str] = []
    edges = _gather(graph, "", nodes, ports, judge, depth=0)
    passing: dict[str, tuple[NodeRecord, list[str]]] = {}
    for name in ports:
        passing[name] = nodes.pop(name), _behind(name, edges, set(ports))
    for name in ports:
        edges = without_identity(name, edges)
    edges = _unique(edges, judge)
    return FlatGraph(nodes=nodes, edges=edges, metadata=graph.metadata, ports=passing)


def _behind(port: str, edges: Edges, ports: set[str]) -> list[str]:
    """Return the nodes whose values a port passes on, through other ports if need be."""
    found: list[str] = []
    pending, seen = [port], {port}
    while pending:
        name = pending.pop()
        for src, dst in edges:
            if dst == name and src not in seen:
                seen.add(src)
                (pending if src in ports else found).append(src)
    return found


def _gather(
    graph: GraphRecord,
    path: str,
    nodes: dict[str, NodeRecord],
    ports: list[str],
    judge: Judge,
    *,
    depth: int,
) -> Edges:
    """Collect the nodes below ``path``, name those that are to be taken out, return all edges."""
    if depth > MAX_DEPTH:
        raise NIRError(f"Graph {path[:-1]!r} is nested deeper than {MAX_DEPTH}")
    edges: Edges = []
    entries: dict[str, tuple[str, str]] = {}
    for name, node in graph.nodes.items():
        where = f"{path}{name}"
        if isinstance(node, GraphRecord):
            edges += _gather(node, f"{where}.", nodes, ports, judge, depth=depth + 1)
            entries[name] = _port(where, node, "Input"), _port(where, node, "Output")
            continue
        if where in nodes:
            raise NIRError(f"Two nodes are called {where!r} once nested graphs are joined in")
        nodes[where] = node
        entries[name] = where, where
        if depth and node.type in _PORTS:
            ports.append(where)
    for src, dst in _mended(graph, path, judge):
        edges.append((entries[src][1], entries[dst][0]))
    return edges


def _port(where: str, graph: GraphRecord, kind: str) -> str:
    found = [n for n, node in graph.nodes.items() if getattr(node, "type", None) == kind]
    if len(found) != 1:
        raise NIRError(
            f"Graph {where!r} has {len(found)} nodes of type {kind}, and an edge does not say "
            "which it means; give it one"
        )
    return f"{where}.{found[0]}"


def _mended(graph: GraphRecord, path: str, judge: Judge) -> Edges:
    """Return the edges of one level between nodes that are there."""
    edges = [(_known(src, graph), _known(dst, graph)) for src, dst in graph.edges]
    ends = {name for edge in edges for name in edge}
    dangling = sorted(ends - set(graph.nodes))
    lonely = [name for name in graph.nodes if name not in ends]
    if len(dangling) == 1 and len(lonely) == 1:
        name, meant = dangling[0], lonely[0]
        judge.deviation(
            f"Edges of graph {path[:-1] or 'node'!r} name {name!r}, which is not there, and none "
            f"names {meant!r}",
            f"{meant!r} is taken for {name!r}",
        )
        return [(meant if s == name else s, meant if d == name else d) for s, d in edges]
    for name in dangling:
        n_in, n_out = (sum(edge[k] == name for edge in edges) for k in (1, 0))
        is_through = n_in and n_out
        judge.deviation(
            f"Edges of graph {path[:-1] or 'node'!r} name {name!r}, which is not there",
            "it is taken for an identity" if is_through else f"{n_in + n_out} edges are left out",
        )
        edges = without_identity(name, edges)
    return edges


def _known(name: str, graph: GraphRecord) -> str:
    """Return the graph in which ``name`` is an input or output, else the name itself."""
    if name in graph.nodes:
        return name
    outer, _, inner = name.rpartition(".")
    found = graph.nodes.get(outer)
    is_port = isinstance(found, GraphRecord) and getattr(found.nodes.get(inner), "type", "") in (
        _PORTS
    )
    return outer if is_port else name


def without_identity(name: str, edges: Iterable[Edge]) -> Edges:
    """Return edges that go past an identity: each edge in leads to where each edge out leads.

    They take the place of the edge out.
    """
    edges = list(edges)
    sources = [src for src, dst in edges if dst == name and src != name]
    made: Edges = []
    for src, dst in edges:
        if src == name and dst != name:
            made += [(source, dst) for source in sources]
        elif name not in (src, dst):
            made.append((src, dst))
    return made


def _unique(edges: Edges, judge: Judge) -> Edges:
    kept = list(dict.fromkeys(edges))
    if len(kept) < len(edges):
        twice = next(edge for k, edge in enumerate(edges) if edge in edges[:k])
        judge.deviation(f"The edge {twice[0]!r} -> {twice[1]!r} is there twice", "it counts once")
    return kept


def skeleton_of(graph: GraphRecord, ports: Mapping[str, Dims]) -> dict[str, Any] | None:
    """Return names, edges and ports, by their shapes, of a graph that has graphs in it."""
    if not any(isinstance(node, GraphRecord) for node in graph.nodes.values()):
        return None
    return _skeleton(graph, ports, "")


def _skeleton(graph: GraphRecord, ports: Mapping[str, Dims], path: str) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    for name, node in graph.nodes.items():
        if isinstance(node, GraphRecord):
            nodes[name] = _skeleton(node, ports, f"{path}{name}.")
        elif path and node.type in _PORTS:
            nodes[name] = {"port": node.type, "shape": list(ports[f"{path}{name}"])}
        else:
            nodes[name] = {"node": f"{path}{name}"}
    edges = [list(edge) for edge in _mended(graph, path, SILENT)]
    return {"nodes": nodes, "edges": edges}


def nest(flat: FlatGraph, skeleton: Mapping[str, Any] | None, digest: str | None) -> GraphRecord:
    """Return a flat graph in the nesting that it came from, if it still has the same structure."""
    whole = GraphRecord(nodes=dict(flat.nodes), edges=flat.edges, metadata=flat.metadata)
    if skeleton is None or digest != structure_digest(flat.nodes, flat.edges):
        return whole
    try:
        nested = _nested(skeleton, flat.nodes)
    except UNSOUND:  # it was changed: the flat graph says the same
        return whole
    nested.metadata = flat.metadata
    return nested


def _nested(skeleton: Mapping[str, Any], leaves: Mapping[str, NodeRecord]) -> GraphRecord:
    nodes: dict[str, NodeRecord | GraphRecord] = {}
    for name, entry in skeleton["nodes"].items():
        if "nodes" in entry:
            nodes[name] = _nested(entry, leaves)
        elif "port" in entry:
            nodes[name] = NodeRecord(type=entry["port"], fields={"shape": tuple(entry["shape"])})
        else:
            nodes[name] = leaves[entry["node"]]
    return GraphRecord(nodes=nodes, edges=[(src, dst) for src, dst in skeleton["edges"]])
