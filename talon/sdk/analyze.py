"""What a network is made of: parameters, bytes and operations, a layer and in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from itertools import repeat
from operator import attrgetter
from typing import Any, TypeAlias

from talon.ir.conv import Conv1d, Conv2d, SepConv2d
from talon.ir.costs import array_fields, count_macs, stored_bytes
from talon.ir.graph import Graph
from talon.ir.linear import Affine, SpikingAffine
from talon.ir.neurons import LIF
from talon.ir.node import ARRAY, Node
from talon.ir.ports import Input, Output
from talon.ir.shapes import Flow, infer_acyclic
from talon.ir.synaptic import CubaLIF
from talon.ir.topology import order_of, partial_order, zero_delay_edges
from talon.ir.types import Dims
from talon.sdk.columns import names_by_type
from talon.sdk.formatting import format_bytes, format_number
from talon.sdk.sources import GraphSource, as_graph

_PORTS = ("input_type", "output_type", "metadata", "hardware_hints")
_HARDWARE = tuple(f.name for f in fields(Node) if f.name != "hardware_hints")


@dataclass(slots=True)
class LayerStats:
    """One node.

    Parameters
    ----------
    name, node_type
        What it is.
    params, bytes
        Elements of its arrays, and what they take as they are stored.
    input_shape, output_shape
        Without batch; None where the graph does not tell.
    flops
        Two for each multiply-accumulate of a timestep.
    config
        Its fields that are no arrays.
    """

    name: str
    node_type: str
    params: int
    bytes: int
    input_shape: Dims | None
    output_shape: Dims | None
    flops: int
    config: dict[str, Any] = field(default_factory=dict)


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
    flow = infer_acyclic(source)
    layers = _layers(source, flow)
    depth, width = _depth_and_width(source, flow)
    memory: Counter[str] = Counter()
    for layer in layers:
        if layer.bytes:
            memory[layer.node_type] += layer.bytes
    kinds = Counter(map(type, source.nodes.values()))
    end_kinds = {kind for kind in kinds if issubclass(kind, Input | Output)}
    ends = [(name, node) for name, node in source.nodes.items() if type(node) in end_kinds]
    type_counts: dict[str, int] = {}
    for kind, n in kinds.items():
        type_counts[kind.__name__] = type_counts.get(kind.__name__, 0) + n

    def count(*bases: type[Node]) -> int:
        return sum(n for kind, n in kinds.items() if issubclass(kind, bases))

    return GraphStats(
        total_params=sum([layer.params for layer in layers]),
        total_bytes=sum(memory.values()),
        total_flops=sum([layer.flops for layer in layers]),
        node_count=len(source.nodes),
        edge_count=len(source.edges),
        depth=depth,
        width=width,
        is_dag=flow is not None or source.is_dag,
        type_counts=type_counts,
        layers=layers,
        input_shapes={name: node.shape for name, node in ends if isinstance(node, Input)},
        output_shapes={name: node.shape for name, node in ends if isinstance(node, Output)},
        memory_breakdown=dict(memory),
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
    return _records(type(node), [name], [node], [in_shape], [out_shape])[0]


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
    """Return the record of every node, made for all nodes of a type together."""
    if flow is not None:
        inputs, outputs = flow.inputs, flow.outputs
    else:
        outputs, feeds = known_shapes(graph), feeds_of(graph)
        inputs = {name: input_shape_of(graph, name, outputs, feeds) for name in graph.nodes}
    records: dict[str, LayerStats] = {}
    for kind, names in names_by_type(graph.nodes).items():
        nodes = list(map(graph.nodes.__getitem__, names))
        shapes = [list(map(known.get, names)) for known in (inputs, outputs)]
        records.update(zip(names, _records(kind, names, nodes, *shapes), strict=True))
    return list(map(records.__getitem__, graph.nodes))


_Shapes: TypeAlias = "Sequence[Dims | None]"


def _records(
    kind: type[Node],
    names: Sequence[str],
    nodes: Sequence[Node],
    in_shapes: _Shapes,
    out_shapes: _Shapes,
) -> list[LayerStats]:
    """Return the records of nodes of one type."""
    sizes, n_bytes = _sizes(kind, nodes)
    flops: Iterable[int] = repeat(0)
    count = count_macs.dispatch(kind)
    if count is not count_macs.dispatch(object):
        flops = [
            0 if before is None or after is None else 2 * count(node, before, after)
            for node, before, after in zip(nodes, in_shapes, out_shapes, strict=True)
        ]
    kinds, configs = repeat(kind.__name__), map(_config_reader(kind), nodes)
    return list(
        map(LayerStats, names, kinds, sizes, n_bytes, in_shapes, out_shapes, flops, configs)
    )


def _sizes(kind: type[Node], nodes: Sequence[Node]) -> tuple[list[int], list[int]]:
    """Return the elements of the arrays of each node, and what they take as they are stored."""
    _, optional, read_required = array_fields(kind)
    sizes: list[int] = []
    totals: list[int] = []
    for node in nodes:
        size = total = 0
        for array in read_required(node):
            if array is not None:
                size += array.size
                total += array.nbytes
        sizes.append(size)
        totals.append(total)
    # Whether they count may have to be read from their values, so they are looked at apart.
    for name in optional:
        for k, array in enumerate(map(attrgetter(name), nodes)):
            if array is not None and not nodes[k].is_omitted(name, array):
                sizes[k] += array.size
                totals[k] += array.nbytes
    for k, node in enumerate(nodes):
        if node.weight_t is not None or node.bias_t is not None:
            totals[k] = stored_bytes(node)
    return sizes, totals


@cache
def _config_reader(kind: type[Node]) -> Callable[[Node], dict[str, Any]]:
    """Return what reads the fields that are no arrays, those that are None left out."""
    names = tuple(f.name for f in fields(kind) if f.metadata != ARRAY and f.name not in _PORTS)
    own = tuple(name for name in names if name not in _HARDWARE)
    # Written out for the type, as its constructor is by dataclass: twice as quick as any loop.
    # Mostly no hint for the hardware is given, and then none of them need be named.
    no_hints = " is ".join([*(f"node.{name}" for name in _HARDWARE), "None"])
    items = ", ".join(f"{name!r}: node.{name}" for name in own)
    read_own = eval(f"lambda node: {{{items}}} if {no_hints} else None", {})

    def read(node: Node) -> dict[str, Any]:
        config = read_own(node)
        if config is not None:
            for value in config.values():
                if value is None:
                    break
            else:
                return config
        config = {name: getattr(node, name) for name in names}
        return {name: value for name, value in config.items() if value is not None}

    return read


def _depth_and_width(graph: Graph, flow: Flow | None) -> tuple[int | None, int | None]:
    if flow is not None and not graph.delays:
        order, sources = flow.order, flow.sources
    else:
        edges = zero_delay_edges(graph.edges, graph.delays)
        sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for src, dst in edges:
            sources[dst].append(src)
        found = order_of(sources)
        if found is None:
            return None, None
        order = found
    level: dict[str, int] = {}
    for name in order:
        given = sources[name]
        if len(given) == 1:
            level[name] = level[given[0]] + 1
        else:
            level[name] = 1 + max(map(level.__getitem__, given), default=-1)
    counts = Counter(level.values())
    return max(counts, default=0), max(counts.values(), default=0)
