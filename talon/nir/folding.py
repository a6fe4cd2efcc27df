"""Batch norms that become a part of the layer before them: NIR has none."""

import numpy as np

from talon.ir import Affine, Conv1d, Conv2d, Graph, SpikingAffine
from talon.ir.node import Node
from talon.ir.normalization import BatchNorm
from talon.nir.memory import values_of

_LAYERS = (Affine, SpikingAffine, Conv1d, Conv2d)


def fold_batch_norms(graph: Graph) -> Graph:
    """Return a graph in which every batch norm behind a layer of its own is a part of that layer.

    ``y = s*(W x + b) + o`` with ``s = weight / sqrt(running_var + eps)``, worked out in float64.
    """
    folds = {n: s for n in graph.nodes if (s := _layer_before(graph, n)) is not None}
    if not folds:
        return graph
    nodes = dict(graph.nodes)
    for name, layer in folds.items():
        nodes[layer] = _folded(nodes[layer], nodes.pop(name))
    edges = [(folds.get(src, src), dst) for src, dst in graph.edges if dst not in folds]
    delays = {
        (folds.get(src, src), dst): delay
        for (src, dst), delay in graph.delays.items()
        if dst not in folds
    }
    kept = {n: v for n, v in values_of(graph).items() if n not in ("nodes", "edges", "delays")}
    kept["execution_schedule"] = None if folds else kept["execution_schedule"]
    return Graph(nodes, edges, **{**kept, "delays": delays})


def _layer_before(graph: Graph, name: str) -> str | None:
    """Return the layer that a batch norm can become a part of."""
    if not isinstance(graph.nodes[name], BatchNorm):
        return None
    sources = graph.predecessors(name)
    if len(sources) != 1 or graph.delay(sources[0], name):
        return None
    alone = graph.successors(sources[0]) == [name]
    return sources[0] if alone and isinstance(graph.nodes[sources[0]], _LAYERS) else None


def _folded(layer: Node, norm: Node) -> Node:
    assert isinstance(layer, _LAYERS)
    assert isinstance(norm, BatchNorm)
    scale = norm.weight.astype(np.float64) / np.sqrt(norm.running_var.astype(np.float64) + norm.eps)
    weight = layer.weight * scale.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    bias = (layer.bias - norm.running_mean.astype(np.float64)) * scale + norm.bias
    arrays = {
        "weight": weight.astype(_type_of(layer.weight)),
        "bias": bias.astype(_type_of(layer.bias)),
    }
    return type(layer)(**{**values_of(layer), **arrays})


def _type_of(array: np.ndarray) -> np.dtype:
    return array.dtype if array.dtype.kind == "f" else np.dtype(np.float32)
