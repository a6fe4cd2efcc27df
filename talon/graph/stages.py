"""What a graph asks of cores: stages, each a layer with everything that is computed with it.

A stage begins with the weights of one layer or of several that are added, or with neurons, and goes
on with what acts on their sums: neurons, activations, pools. Nodes that only move values belong to
the stage before them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from talon.ir import (
    Affine,
    Conv1d,
    Conv2d,
    Graph,
    Input,
    Integrator,
    Neuron,
    Node,
    Output,
    SepConv2d,
    SpikingAffine,
)
from talon.ir.costs import count_macs, parameters
from talon.ir.pooling import AvgPool2d, MaxPool2d, SumPool2d
from talon.ir.types import Array, Dims


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The weights of one node of a stage.

    Parameters
    ----------
    first, n
        Inputs (channels of a map) that every output takes, counted through all layers of the stage.
    weight_bytes
        Weights that an output has for one of them, 8 bits each.
    groups
        Groups of a convolution: an output takes from the channels of its own.
    shape
        Shape of the input.
    kernel, stride, padding
        Rows of the convolution; a kernel of 0 takes all rows.
    """

    first: int
    n: int
    weight_bytes: int
    groups: int = 1
    shape: Dims = ()
    kernel: int = 0
    stride: int = 1
    padding: int = 0

    def rows_for(self, rows: tuple[int, int]) -> tuple[int, int]:
        """Return the rows of the input that rows of the output take."""
        last = (self.shape[1] if len(self.shape) > 1 else 1) - 1
        if not self.kernel:
            return 0, last
        start = rows[0] * self.stride - self.padding
        stop = rows[1] * self.stride - self.padding + self.kernel - 1
        return min(max(0, start), last), min(max(0, stop), last)


_POPULATIONS = (Neuron, Integrator)
"""Nodes with membrane potentials."""


@dataclass(kw_only=True)
class Stage:
    """A layer as cores hold it.

    Parameters
    ----------
    nodes
        Names, in order.
    shape
        Shape of its sums: accumulators.
    weights
        Weights of 8 bits, in all.
    fan_in
        Inputs of a dense layer, all that are added together; 0 for maps.
    neurons
        Membrane potentials.
    is_dense
        Whether every output has weights of its own; else weights are shared over the map.
    window
        Rows that a pool behind it takes together.
    layers
        The weights, by the name of their node.
    """

    nodes: list[str] = field(default_factory=list)
    shape: Dims = ()
    weights: int = 0
    fan_in: int = 0
    neurons: int = 0
    is_dense: bool = False
    window: int = 1
    layers: dict[str, Layer] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        """Inputs, or channels of a map, that an output takes."""
        return sum(layer.n for layer in self.layers.values())

    @property
    def n(self) -> int:
        """Number of sums."""
        return math.prod(self.shape)


def has_weights(node: Node) -> bool:
    """Tell whether a node multiplies, so that it needs weight memory."""
    return count_macs.dispatch(type(node)) is not count_macs.dispatch(object)


def stages_of(graph: Graph) -> tuple[list[Stage], dict[str, int | None]]:
    """Return the stages in topological order, and the stage of each node (None for no stage)."""
    shapes = graph.infer_shapes()
    sources = graph.sources()
    fan_out = dict.fromkeys(graph.nodes, 0)
    for src, _ in graph.edges:
        fan_out[src] += 1
    stages: list[Stage] = []
    home: dict[str, int | None] = {}
    for name in graph.topological_order():
        node = graph.nodes[name]
        if isinstance(node, Input | Output):
            home[name] = None
            continue
        known = [home[src] for src in sources[name] if src in home]
        before = [k for k in known if k is not None]
        if has_weights(node) or (
            isinstance(node, _POPULATIONS) and not _joins(graph, stages, name, home)
        ):
            stages.append(Stage())
            home[name] = len(stages) - 1
        elif isinstance(node, _POPULATIONS) or before:
            home[name] = _merged(stages, home, before, node, [shapes[s] for s in sources[name]])
        else:
            home[name] = None
        k = home[name]
        if k is not None:
            in_shape = shapes[sources[name][0]] if sources[name] else shapes[name]
            _take(stages[k], name, node, in_shape, shapes[name])
    used = [k for k, stage in enumerate(stages) if stage.nodes]
    number = {k: i for i, k in enumerate(used)}
    return [stages[k] for k in used], {n: None if k is None else number[k] for n, k in home.items()}


def _joins(graph: Graph, stages: list[Stage], name: str, home: dict[str, int | None]) -> bool:
    """Tell whether neurons act on the sums of what feeds them, and nothing else reads these."""
    for src, dst in graph.edges:
        if dst != name or graph.delay(src, dst):
            continue
        k = home.get(src)
        if k is None or stages[k].neurons or not stages[k].weights:
            return False
        if sum(a == src for a, _ in graph.edges) > 1:
            return False
    return any(dst == name and not graph.delay(src, dst) for src, dst in graph.edges)


def _merged(
    stages: list[Stage],
    home: dict[str, int | None],
    before: list[int],
    node: Node,
    shapes: list[Dims],
) -> int:
    """Return the stage of a node behind others; layers whose sums are added become one stage."""
    first = before[0]
    adds = node.sums_inputs and len(set(shapes)) == 1
    for k in dict.fromkeys(before[1:]):
        other = stages[k]
        if k == first or not adds or other.neurons or stages[first].neurons:
            continue
        if other.shape != stages[first].shape or other.is_dense != stages[first].is_dense:
            continue
        into = stages[first]
        into.nodes += other.nodes
        into.weights += other.weights
        into.fan_in += other.fan_in
        start = into.depth
        for name, layer in other.layers.items():
            into.layers[name] = replace(layer, first=start + layer.first)
        for name in other.nodes:
            home[name] = first
        other.nodes = []
    return first


def _take(stage: Stage, name: str, node: Node, in_shape: Dims, shape: Dims) -> None:
    stage.nodes.append(name)
    if isinstance(node, _POPULATIONS):
        stage.neurons += math.prod(shape)
        stage.shape = stage.shape or shape
    elif has_weights(node):
        arrays = {k: v for k, v in parameters(node).items() if v.ndim > 1}
        stage.weights += sum(int(v.size) for v in arrays.values())
        stage.shape = shape
        stage.layers[name] = _layer(stage.depth, node, arrays, in_shape, shape)
        if isinstance(node, Affine | SpikingAffine):
            stage.is_dense = True
            stage.fan_in += in_shape[0]
    elif isinstance(node, MaxPool2d | AvgPool2d | SumPool2d) and not stage.neurons:
        stage.window *= node.stride[0]


def _layer(first: int, node: Node, arrays: dict[str, Array], in_shape: Dims, shape: Dims) -> Layer:
    weights = sum(int(array.size) for array in arrays.values())
    n = node.weight.shape[1] if isinstance(node, Conv1d | Conv2d) else in_shape[0]
    layer = Layer(first=first, n=n, weight_bytes=-(-weights // (n * shape[0])), shape=in_shape)
    if isinstance(node, Conv1d):
        kernel, stride, padding, dilation = (
            arrays["weight"],
            node.stride,
            node.padding,
            node.dilation,
        )
    elif isinstance(node, Conv2d | SepConv2d):
        kernel = node.weight if isinstance(node, Conv2d) else node.depthwise_weight
        stride, padding, dilation = node.stride[0], node.padding[0], node.dilation[0]
    else:
        return layer
    return replace(
        layer,
        groups=1 if isinstance(node, SepConv2d) else node.groups,
        kernel=(kernel.shape[2] - 1) * dilation + 1,
        stride=stride,
        padding=padding,
    )
