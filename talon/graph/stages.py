"""What a graph asks of cores: stages, each a layer with everything that is computed with it.

A stage begins with the weights of one layer or of several that are added, or with neurons, and goes
on with what acts on their sums: neurons, activations, pools. Nodes that only move values belong to
the stage before them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

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
from talon.ir.types import Dims

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
    kernel, stride, padding
        Rows of the convolution, for the rows of input that a tile needs.
    """

    nodes: list[str] = field(default_factory=list)
    shape: Dims = ()
    weights: int = 0
    fan_in: int = 0
    neurons: int = 0
    is_dense: bool = False
    window: int = 1
    kernel: int = 1
    stride: int = 1
    padding: int = 0

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
        into.kernel = max(into.kernel, other.kernel)
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
        if isinstance(node, Affine | SpikingAffine):
            stage.is_dense = True
            stage.fan_in += in_shape[0]
        elif isinstance(node, Conv2d | SepConv2d):
            weight = node.weight if isinstance(node, Conv2d) else node.depthwise_weight
            stage.kernel = int(weight.shape[2] - 1) * node.dilation[0] + 1
            stage.stride, stage.padding = node.stride[0], node.padding[0]
        elif isinstance(node, Conv1d):
            stage.kernel = int(weight_length(node))
    elif isinstance(node, MaxPool2d | AvgPool2d | SumPool2d) and not stage.neurons:
        stage.window *= node.stride[0]


def weight_length(node: Conv1d) -> int:
    """Return the inputs that a kernel spans."""
    return (node.weight.shape[2] - 1) * node.dilation + 1
