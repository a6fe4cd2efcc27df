"""Shape inference over a whole graph."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from talon.errors import ModelError
from talon.ir.checks import ParameterError
from talon.ir.linear import Dense
from talon.ir.node import Node
from talon.ir.population import Population
from talon.ir.topology import partial_order, zero_delay_edges
from talon.ir.types import Array, Dims

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
    known = infer_acyclic(graph)
    if known is not None:
        return known.outputs
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


class Flow(NamedTuple):
    """Levels and shapes of a graph without cycles, not even delayed ones.

    All are in the order of the graph. ``levels`` are the edges of the longest path to a node, and
    ``visited`` is what a visitor returned.
    """

    levels: dict[str, int]
    outputs: dict[str, Dims]
    sources: dict[str, list[str]]
    visited: dict[str, Any]


Visitor: TypeAlias = Callable[[str, Node, Dims | None, Dims], Any]
"""What is called with the name of a node, the node, and the shapes of its inputs and its output.

The former is that of all inputs together, and of a node without incoming edges what it declares, if
anything.
"""


def infer_acyclic(
    graph: "Graph", visitor_of: Callable[[type[Node]], Visitor] | None = None
) -> Flow | None:
    """Return levels and shapes of a graph, if it has no cycle and all fits.

    This is the quick way, in one pass; who gets None asks :func:`infer_shapes`, which tells why.

    Parameters
    ----------
    graph
        The graph.
    visitor_of
        Returns what is to be called for the nodes of a type. In a graph of thousands of nodes the
        memory of a node has left the cache when it is looked at once more, which takes longer than
        all else, so who wants more than shapes looks here.
    """
    nodes = graph.nodes
    kinds = set(map(type, nodes.values()))
    rules = {kind: _rules(kind) for kind in kinds}
    visitors = {kind: visitor_of(kind) for kind in kinds} if visitor_of is not None else None
    try:
        sources = graph.sources()
        # Mostly an edge carries all that its source gives, and it need not be asked for that.
        feeds = _feeds(graph) if any(rule.asks_edges for rule in rules.values()) else None
    except KeyError:
        return None
    # A dictionary that has its keys already need not grow, and keeps the order of the graph.
    shapes: dict[str, Any] = dict.fromkeys(nodes)
    levels = dict.fromkeys(nodes, 0)
    visited: dict[str, Any] = {} if visitors is None else dict.fromkeys(nodes)
    waiting: dict[str, list[str]] = {}  # nodes by the source that is missing
    ready = list(nodes)
    ready.reverse()
    try:
        while ready:
            name = ready.pop()
            node, given = nodes[name], sources[name]
            kind = type(node)
            _, has_own, declares, sums, read_parameter = rules[kind]
            declared = node.required_shape() if declares else None
            merged: Any = None
            if given:
                if len(given) == 1 and sums and feeds is None:
                    merged = shapes[given[0]]
                    levels[name] = levels[given[0]] + 1
                else:
                    carried = [shapes[src] for src in given]
                    if None not in carried:
                        if feeds is not None:
                            carried = [
                                nodes[src].edge_shape(shapes[src], k) for src, k in feeds[name]
                            ]
                        merged = node.merge_shape(carried)
                        levels[name] = max([levels[src] for src in given]) + 1
                if merged is None:
                    missing = next(src for src in given if shapes[src] is None)
                    waiting.setdefault(missing, []).append(name)
                    continue
                if declared is not None and declared != merged:
                    return None
                if read_parameter is not None and read_parameter(node).shape == merged:
                    output = merged
                else:
                    output = node.output_shape(merged)
                if has_own and node.intrinsic_shape() not in (None, output):
                    return None
            else:
                merged = declared
                output = node.intrinsic_shape()
                if output is None:
                    if declared is None:
                        return None
                    output = node.output_shape(declared)
            shapes[name] = output
            if visitors is not None:
                visited[name] = visitors[kind](name, node, merged, output)
            if name in waiting:
                ready += waiting.pop(name)
    except (ModelError, KeyError):  # the latter of an edge from what is no node
        return None
    return None if waiting else Flow(levels, shapes, sources, visited)


class _Rules(NamedTuple):
    """What the nodes of a type need not be asked, since the type leaves it as its base has it.

    ``has_own`` tells that parameters may ask for another output than that of the input, ``sums``
    that one input alone is the shape of all inputs together, and ``read_parameter`` reads what
    tells that the output is as the input.
    """

    asks_edges: bool
    has_own: bool
    declares: bool
    sums: bool
    read_parameter: Callable[[Node], Array] | None


@cache
def _rules(kind: type[Node]) -> _Rules:
    is_dense = issubclass(kind, Dense) and (kind.output_shape, kind.intrinsic_shape) == (
        Dense.output_shape,
        Dense.intrinsic_shape,
    )
    read_parameter = None
    if issubclass(kind, Population) and kind.output_shape is Population.output_shape:
        read_parameter = attrgetter(kind.parameter_names[0])
    return _Rules(
        asks_edges=kind.edge_shape is not Node.edge_shape,
        has_own=kind.intrinsic_shape is not Node.intrinsic_shape and not is_dense,
        declares=kind.required_shape is not Population.required_shape,
        sums=kind.merge_shape is Node.merge_shape,
        read_parameter=read_parameter,
    )


Feeds: TypeAlias = Sequence[tuple[str, int]]
"""Where the inputs of a node come from: nodes, with the port of a node of several outputs."""


def _feeds(graph: "Graph") -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = {name: [] for name in graph.nodes}
    for (src, dst), port in zip(graph.edges, graph.ports(), strict=True):
        found[dst].append((src, port))
    return found


def _propagate(graph: "Graph", feeds: Mapping[str, Feeds]) -> dict[str, Dims]:
    """Find shapes as far as they can be known; whether they agree is checked afterwards.

    A cycle may have to be entered with some of the inputs of a node known, but only where nothing
    else helps: first the nodes with all inputs known, then one with any, then one that declares its
    input. Each node is looked at once in each of these ways, so the time is linear.
    """
    shapes: dict[str, Dims] = {}
    for name, node in graph.nodes.items():
        shape = node.intrinsic_shape()
        if shape is not None:
            shapes[name] = shape
    order = [name for name in _visiting_order(graph) if name not in shapes]
    place = {name: k for k, name in enumerate(order)}
    n_unknown = {name: sum(src not in shapes for src, _ in feeds[name]) for name in order}
    readers: dict[str, list[str]] = {name: [] for name in order}
    for name in order:
        for src, _ in feeds[name]:
            if src in readers:
                readers[src].append(name)
    ready = [place[name] for name in order if feeds[name] and not n_unknown[name]]
    partly = [
        place[name]
        for name in order
        if 0 < n_unknown[name] < len(feeds[name]) and graph.nodes[name].sums_inputs
    ]
    declaring = [place[name] for name in order if graph.nodes[name].required_shape() is not None]
    # All three are sorted, which makes them heaps.
    while chosen := next((heap for heap in (ready, partly, declaring) if heap), None):
        name = order[heapq.heappop(chosen)]
        if name in shapes:
            continue
        if chosen is declaring:
            merged = graph.nodes[name].required_shape()
            assert merged is not None
        else:
            known = [feed for feed in feeds[name] if feed[0] in shapes]
            merged = _merge(graph, name, known, shapes)
        shapes[name] = _output(graph, name, merged, feeds[name])
        for reader in readers[name]:
            n_unknown[reader] -= 1
            if not n_unknown[reader]:
                heapq.heappush(ready, place[reader])
            elif graph.nodes[reader].sums_inputs:
                heapq.heappush(partly, place[reader])
    return shapes


def _visiting_order(graph: "Graph") -> list[str]:
    order, rest = partial_order(graph.nodes, zero_delay_edges(graph.edges, graph.delays))
    return order + [name for name in graph.nodes if name in rest]


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
