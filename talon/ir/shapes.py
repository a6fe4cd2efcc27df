"""Shape inference over a whole graph."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from talon.errors import ModelError
from talon.ir.checks import ParameterError
from talon.ir.topology import partial_order, zero_delay_edges
from talon.ir.types import Dims

if TYPE_CHECKING:
    from talon.ir.graph import Graph


def infer_shapes(graph: "Graph") -> dict[str, Dims]:
    """Return the output shape of every node, without batch and time.

    Parameters
    ----------
    graph
        A graph; its cycles may be closed by edges with or without delay.

    Returns
    -------
    dict
        Shapes by node name, in the order of ``graph.nodes``. A node of several outputs has the
        shape of all of them together; :meth:`talon.ir.Node.edge_shape` tells that of one edge.

    Raises
    ------
    ModelError
        If an edge joins two shapes that do not fit, or a shape cannot be known.
    """
    feeds = _feeds(graph)
    shapes = _propagate(graph, feeds)
    for name in graph.nodes:
        if name not in shapes:
            raise ModelError(
                f"The output shape of node {name!r} cannot be inferred from its inputs "
                f"{[src for src, _ in feeds[name]]}; declare its input_type and output_type"
            )
        _check_node(graph, name, feeds[name], shapes)
    return {name: shapes[name] for name in graph.nodes}


Feeds: TypeAlias = Sequence[tuple[str, int]]
"""Where the inputs of a node come from: nodes, with the port of a node of several outputs."""


def _feeds(graph: "Graph") -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = {name: [] for name in graph.nodes}
    for (src, dst), port in zip(graph.edges, graph.ports(), strict=True):
        found[dst].append((src, port))
    return found


def _propagate(graph: "Graph", feeds: Mapping[str, Feeds]) -> dict[str, Dims]:
    """Find shapes until nothing new is found; whether they agree is checked afterwards."""
    order, rest = partial_order(graph.nodes, zero_delay_edges(graph.edges, graph.delays))
    order += [name for name in graph.nodes if name in rest]
    shapes: dict[str, Dims] = {}
    for name, node in graph.nodes.items():
        shape = node.intrinsic_shape()
        if shape is not None:
            shapes[name] = shape
    # A cycle may have to be entered with some of its inputs known, but only where nothing else
    # helps: all inputs of a node first, then any, then what the node declares.
    pending = [name for name in order if name not in shapes]
    found = True
    while found and pending:
        found = False
        for least in ("all", "any", "none"):
            if not found:
                for name in pending:
                    found |= _step(graph, name, feeds[name], shapes, least=least)
        pending = [name for name in pending if name not in shapes]
    return shapes


def _step(graph: "Graph", name: str, feeds: Feeds, shapes: dict[str, Dims], *, least: str) -> bool:
    """Add the shape of one node if enough is known; tell whether it was added."""
    node = graph.nodes[name]
    known = [feed for feed in feeds if feed[0] in shapes]
    if least == "all" and (len(known) < len(feeds) or not known):
        return False
    if least == "any" and (not known or not node.sums_inputs):
        return False
    declared = node.required_shape()
    if least == "none" and declared is None:
        return False
    merged = declared if least == "none" else _merge(graph, name, known, shapes)
    assert merged is not None
    shapes[name] = _output(graph, name, merged, feeds)
    return True


def _check_node(graph: "Graph", name: str, feeds: Feeds, shapes: Mapping[str, Dims]) -> None:
    if not feeds:
        return
    node = graph.nodes[name]
    merged = _merge(graph, name, feeds, shapes)
    declared = node.required_shape()
    if declared is not None and declared != merged:
        raise ModelError(f"{_who(graph, name)} takes {declared}, but gets {merged} {_by(feeds)}")
    output = _output(graph, name, merged, feeds)
    if output != shapes[name]:
        raise ModelError(
            f"{_who(graph, name)} gives {output} for {merged} {_by(feeds)}, "
            f"but {shapes[name]} is needed on the cycle through it"
        )


def _merge(graph: "Graph", name: str, feeds: Feeds, shapes: Mapping[str, Dims]) -> Dims:
    carried = [_carried(graph, feed, shapes) for feed in feeds]
    try:
        return graph.nodes[name].merge_shape(carried)
    except ParameterError as exc:
        listed = ", ".join(
            f"{dims} from {src!r}" for (src, _), dims in zip(feeds, carried, strict=True)
        )
        raise ModelError(f"{_who(graph, name)} {exc}, but gets {listed}") from None


def _carried(graph: "Graph", feed: tuple[str, int], shapes: Mapping[str, Dims]) -> Dims:
    """Return the shape that an edge carries."""
    src, port = feed
    try:
        return graph.nodes[src].edge_shape(shapes[src], port)
    except ParameterError as exc:
        raise ModelError(f"{_who(graph, src)} {exc}") from None


def _output(graph: "Graph", name: str, merged: Dims, feeds: Feeds) -> Dims:
    try:
        return graph.nodes[name].output_shape(merged)
    except ParameterError as exc:
        raise ModelError(f"{_who(graph, name)} {exc}, but gets {merged} {_by(feeds)}") from None


def _who(graph: "Graph", name: str) -> str:
    return f"Node {name!r} ({type(graph.nodes[name]).__name__})"


def _by(feeds: Feeds) -> str:
    return "from " + " + ".join(repr(src) for src, _ in feeds)
