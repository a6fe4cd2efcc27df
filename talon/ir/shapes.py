"""Shape inference over a whole graph."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

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
        Shapes by node name, in the order of ``graph.nodes``.

    Raises
    ------
    ModelError
        If an edge joins two shapes that do not fit, or a shape cannot be known.
    """
    sources = graph.sources()
    shapes = _propagate(graph, sources)
    for name in graph.nodes:
        if name not in shapes:
            raise ModelError(
                f"The output shape of node {name!r} cannot be inferred from its inputs "
                f"{sources[name]}; declare its input_type and output_type"
            )
        _check_node(graph, name, sources[name], shapes)
    return {name: shapes[name] for name in graph.nodes}


def _propagate(graph: "Graph", sources: Mapping[str, Sequence[str]]) -> dict[str, Dims]:
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
    found = True
    while found:
        found = False
        for least in ("all", "any", "none"):
            if not found:
                for name in order:
                    found |= _step(graph, name, sources[name], shapes, least=least)
    return shapes


def _step(
    graph: "Graph", name: str, sources: Sequence[str], shapes: dict[str, Dims], *, least: str
) -> bool:
    """Add the shape of one node if enough is known; tell whether it was added."""
    if name in shapes:
        return False
    node = graph.nodes[name]
    known = [shapes[src] for src in sources if src in shapes]
    if least == "all" and (len(known) < len(sources) or not known):
        return False
    if least == "any" and (not known or not node.sums_inputs):
        return False
    declared = node.required_shape()
    if least == "none" and declared is None:
        return False
    merged = declared if least == "none" else _merge(graph, name, sources, shapes, known)
    assert merged is not None
    shapes[name] = _output(graph, name, merged, sources)
    return True


def _check_node(
    graph: "Graph", name: str, sources: Sequence[str], shapes: Mapping[str, Dims]
) -> None:
    if not sources:
        return
    node = graph.nodes[name]
    merged = _merge(graph, name, sources, shapes, [shapes[src] for src in sources])
    declared = node.required_shape()
    if declared is not None and declared != merged:
        raise ModelError(f"{_who(graph, name)} takes {declared}, but gets {merged} {_by(sources)}")
    output = _output(graph, name, merged, sources)
    if output != shapes[name]:
        raise ModelError(
            f"{_who(graph, name)} gives {output} for {merged} {_by(sources)}, "
            f"but {shapes[name]} is needed on the cycle through it"
        )


def _merge(
    graph: "Graph",
    name: str,
    sources: Sequence[str],
    shapes: Mapping[str, Dims],
    known: Sequence[Dims],
) -> Dims:
    try:
        return graph.nodes[name].merge_shape(known)
    except ParameterError as exc:
        listed = ", ".join(f"{shapes[src]} from {src!r}" for src in sources if src in shapes)
        raise ModelError(f"{_who(graph, name)} {exc}, but gets {listed}") from None


def _output(graph: "Graph", name: str, merged: Dims, sources: Sequence[str]) -> Dims:
    try:
        return graph.nodes[name].output_shape(merged)
    except ParameterError as exc:
        raise ModelError(f"{_who(graph, name)} {exc}, but gets {merged} {_by(sources)}") from None


def _who(graph: "Graph", name: str) -> str:
    return f"Node {name!r} ({type(graph.nodes[name]).__name__})"


def _by(sources: Sequence[str]) -> str:
    return "from " + " + ".join(repr(src) for src in sources)
