"""What a network is made of: parameters, bytes and operations, a layer and in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import compress
from operator import attrgetter

from talon.ir.conv import Conv1d, Conv2d, SepConv2d
from talon.ir.graph import Graph
from talon.ir.linear import Affine, SpikingAffine
from talon.ir.neurons import LIF
from talon.ir.node import Node
from talon.ir.ports import Input, Output
from talon.ir.shapes import Flow, infer_acyclic
from talon.ir.synaptic import CubaLIF
from talon.ir.topology import order_of, partial_order, zero_delay_edges
from talon.ir.types import Dims
from talon.sdk.formatting import format_bytes, format_number
from talon.sdk.layers import LayerStats, recorder_of
from talon.sdk.sources import GraphSource, as_graph


@dataclass(kw_only=True)
class GraphStats:
    """A whole network.

    Parameters
    ----------
    total_params, total_bytes, total_flops
        Sums over the layers. The parameters of neurons count: a LIF has four a neuron.
    node_count, edge_count
        Size of the graph.
    depth
        Edges of the longest path; None if there is a cycle without delay.
    width
        Nodes of the largest level, where a node is one level behind the last of its inputs.
    is_dag
        Whether there is no cycle, delayed ones included.
    type_counts, memory_breakdown
        Nodes and bytes by type.
    layers
        Every node, in the order of the graph.
    input_shapes, output_shapes
        By name.
    lif_count, affine_count, conv_count
        Layers, not neurons.
    """

    total_params: int
    total_bytes: int
    total_flops: int
    node_count: int
    edge_count: int
    depth: int | None
    width: int | None
    is_dag: bool
    type_counts: dict[str, int]
    layers: list[LayerStats]
    input_shapes: dict[str, Dims]
    output_shapes: dict[str, Dims]
    memory_breakdown: dict[str, int]
    lif_count: int
    affine_count: int
    conv_count: int


def analyze_graph(graph: GraphSource) -> GraphStats:
    """Return the parameters, bytes, operations and shape of a network.

    Shapes are inferred; where they do not fit, the layers that cannot be known have none and their
    operations are not counted (:func:`talon.sdk.lint_graph` tells why).

    Parameters
    ----------
    graph
        The network, or the path of its file.
    """
    source = as_graph(graph)
    flow = infer_acyclic(source, recorder_of)
    layers = _layers(source, flow)
    depth, width = _depth_and_width(source, flow)
    kinds = Counter(map(type, source.nodes.values()))
    type_counts: Counter[str] = Counter()
    for kind, n in kinds.items():
        type_counts[kind.__name__] += n
    memory = dict.fromkeys(type_counts, 0)
    for layer in layers:
        memory[layer.node_type] += layer.bytes

    def count(*bases: type[Node]) -> int:
        return sum(n for kind, n in kinds.items() if issubclass(kind, bases))

    end_kinds = {kind for kind in kinds if issubclass(kind, Input | Output)}
    is_end = map(end_kinds.__contains__, map(type, source.nodes.values()))
    ends = list(compress(source.nodes.items(), is_end))
    return GraphStats(
        total_params=sum(map(attrgetter("params"), layers)),
        total_bytes=sum(memory.values()),
        total_flops=sum(map(attrgetter("flops"), layers)),
        node_count=len(source.nodes),
        edge_count=len(source.edges),
        depth=depth,
        width=width,
        is_dag=flow is not None or source.is_dag,
        type_counts=dict(type_counts),
        layers=layers,
        input_shapes={name: node.shape for name, node in ends if isinstance(node, Input)},
        output_shapes={name: node.shape for name, node in ends if isinstance(node, Output)},
        memory_breakdown={kind: n_bytes for kind, n_bytes in memory.items() if n_bytes},
        lif_count=count(LIF, CubaLIF),
        affine_count=count(Affine, SpikingAffine),
        conv_count=count(Conv1d, Conv2d, SepConv2d),
    )


def analyze_node(name: str, node: Node) -> LayerStats:
    """Return what one node is made of; its shapes are those that it declares or must have."""
    in_shape = node.required_shape()
    out_shape = node.intrinsic_shape()
    if in_shape is not None and out_shape is None:
        out_shape = node.output_shape(in_shape)
    return recorder_of(type(node))(name, node, in_shape, out_shape)


def summarize(graph: GraphSource, verbose: bool = False) -> str:
    """Return a text on a network, with a line a layer if ``verbose``."""
    source = as_graph(graph)
    stats = analyze_graph(source)
    lines = [
        f"Nodes: {stats.node_count}, edges: {stats.edge_count}",
        f"Parameters: {format_number(stats.total_params)} ({format_bytes(stats.total_bytes)})",
        f"FLOPs a timestep: {format_number(stats.total_flops)}",
        f"Depth: {stats.depth}, width: {stats.width}, DAG: {stats.is_dag}",
        "Types: " + ", ".join(f"{kind} {n}" for kind, n in stats.type_counts.items()),
    ]
    for title, shapes in (("Inputs", stats.input_shapes), ("Outputs", stats.output_shapes)):
        lines.append(f"{title}: " + ", ".join(f"{name} {dims}" for name, dims in shapes.items()))
    if verbose:
        lines += [
            f"  {layer.name}: {layer.node_type} {layer.input_shape} -> {layer.output_shape}, "
            f"{format_number(layer.params)} parameters, {format_number(layer.flops)} FLOPs"
            for layer in stats.layers
        ]
    return "\n".join(lines)


def known_shapes(graph: Graph) -> dict[str, Dims]:
    """Return the output shapes of a graph, as many as can be known of one that is not valid."""
    from talon.errors import ModelError

    try:
        return graph.infer_shapes()
    except ModelError:
        shapes: dict[str, Dims] = {}
    sources = graph.sources()
    order, rest = partial_order(graph.nodes, [e for e in graph.edges if not graph.delays.get(e)])
    for name in [*order, *rest]:
        node = graph.nodes[name]
        given = [shapes[src] for src in sources[name] if src in shapes]
        shape = node.intrinsic_shape()
        try:
            if shape is None and given and len(given) == len(sources[name]):
                shape = node.output_shape(node.merge_shape(given))
        except ModelError:
            continue
        if shape is not None:
            shapes[name] = shape
    return shapes


def input_shape_of(
    graph: Graph, name: str, shapes: Mapping[str, Dims], feeds: Mapping[str, list[tuple[str, int]]]
) -> Dims | None:
    """Return the shape of a node's inputs together, if it is known."""
    from talon.errors import ModelError

    node = graph.nodes[name]
    try:
        given = [
            graph.nodes[src].edge_shape(shapes[src], port)
            for src, port in feeds[name]
            if src in shapes
        ]
        if given and len(given) == len(feeds[name]):
            return node.merge_shape(given)
    except ModelError:
        return None
    return node.required_shape()


def feeds_of(graph: Graph) -> dict[str, list[tuple[str, int]]]:
    """Return the sources of every node, each with the output of the source that is taken."""
    found: dict[str, list[tuple[str, int]]] = {name: [] for name in graph.nodes}
    for (src, dst), port in zip(graph.edges, graph.ports(), strict=True):
        found[dst].append((src, port))
    return found


def _layers(graph: Graph, flow: Flow | None) -> list[LayerStats]:
    """Return the record of every node."""
    if flow is not None:
        return list(flow.visited.values())
    outputs, feeds = known_shapes(graph), feeds_of(graph)
    return [
        recorder_of(type(node))(
            name, node, input_shape_of(graph, name, outputs, feeds), outputs.get(name)
        )
        for name, node in graph.nodes.items()
    ]


def _depth_and_width(graph: Graph, flow: Flow | None) -> tuple[int | None, int | None]:
    if flow is not None and not graph.delays:
        level = flow.levels
    else:
        sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for src, dst in zero_delay_edges(graph.edges, graph.delays):
            sources[dst].append(src)
        order = order_of(sources)
        if order is None:
            return None, None
        level = dict.fromkeys(sources, 0)
        for name in order:
            level[name] = max([level[src] for src in sources[name]], default=-1) + 1
    counts = Counter(level.values())
    return max(counts, default=0), max(counts.values(), default=0)
