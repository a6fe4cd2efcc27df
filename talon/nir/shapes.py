"""Shapes that a graph of NIR states, against those that it has."""

import math

import numpy as np

from talon.errors import ModelError
from talon.ir import Flatten, Graph, Input, Output
from talon.ir.types import Dims
from talon.nir.errors import Judge, NIRError
from talon.nir.model import MAX_ELEMENTS, FlatGraph, NodeRecord


def input_shapes(graph: Graph) -> dict[str, Dims]:
    """Return the shape of all inputs together for each node."""
    shapes, sources = graph.infer_shapes(), graph.sources()
    return {
        name: node.merge_shape([shapes[src] for src in sources[name]])
        if sources[name]
        else shapes[name]
        for name, node in graph.nodes.items()
    }


def check_sizes(graph: Graph) -> None:
    """Raise if a node has more features than are allowed."""
    for name, shape in graph.infer_shapes().items():
        if math.prod(shape) > MAX_ELEMENTS:
            raise NIRError(
                f"Node {name!r} ({type(graph.nodes[name]).__name__}) has the shape {shape}, more "
                f"than {MAX_ELEMENTS} elements"
            )


def stated_input(record: NodeRecord) -> Dims | None:
    """Return the input shape that the fields of a node tell."""
    fields = record.fields
    if "shape" in fields or "input_type" in fields:
        return fields.get("shape", fields.get("input_type"))
    if record.type in ("Affine", "Linear"):
        return (fields["weight"].shape[-1],)
    if "input_shape" in fields:
        n_in = fields["weight"].shape[1] * fields["groups"]
        return (n_in, *np.atleast_1d(fields["input_shape"]).tolist())
    arrays = [value for value in fields.values() if isinstance(value, np.ndarray)]
    if not arrays or "weight" in fields or not max(array.ndim for array in arrays):
        return None
    return max((array.shape for array in arrays), key=len)


def check_flattens(graph: Graph, flat: FlatGraph, judge: Judge) -> None:
    """Mend dimensions that count a batch: they leave the channels where a layer takes all."""
    for name, node in graph.nodes.items():
        if not isinstance(node, Flatten) or node.start_dim != 1:
            continue
        given = flat.nodes[name].fields.get("input_type")
        readers = [graph.nodes[dst] for dst in graph.successors(name)]
        wanted = {getattr(reader, "in_features", None) for reader in readers}
        if given is not None and wanted == {math.prod(given)} and len(given) > 1:
            judge.deviation(
                f"Node {name!r} (Flatten) has start_dim=1, as if dimension 0 were a batch",
                "it begins at dimension 0",
            )
            graph.nodes[name] = Flatten(0, node.end_dim)


def check_ends(graph: Graph, judge: Judge) -> None:
    """Mend shapes of inputs and outputs, such as those that count a batch of one."""
    inner = [n for n, node in graph.nodes.items() if not isinstance(node, Output)]
    part = graph.subgraph(inner)
    try:
        shapes = part.infer_shapes()
    except ModelError:
        if not _without_ones(graph, judge):
            raise
        shapes = graph.subgraph(inner).infer_shapes()
    for name, node in graph.outputs.items():
        found = {shapes[src] for src in graph.predecessors(name)}
        if found and found != {node.shape}:
            judge.deviation(
                f"Node {name!r} (Output) states the shape {node.shape}, but gets "
                f"{' and '.join(map(str, sorted(found)))}",
                "what it gets counts",
            )
            graph.nodes[name] = Output(np.array(min(found)))


def check_shapes(graph: Graph, flat: FlatGraph, judge: Judge) -> None:
    """Compare the shapes that the file states with those that the graph has."""
    for name, shape in input_shapes(graph).items():
        record = flat.nodes.get(name)
        if record is None:
            continue
        sizes = shape if record.type == "Flatten" else shape[1:]
        stated = record.fields.get("input_shape", record.fields.get("input_type"))
        if stated is not None and tuple(np.atleast_1d(stated)) != sizes:
            judge.deviation(
                f"Node {name!r} ({record.type}) states the input shape {stated}, but gets {sizes}",
                "what it gets counts",
            )


def _without_ones(graph: Graph, judge: Judge) -> bool:
    """Take leading dimensions of one from the inputs, and tell whether there were any."""
    long = {n: node.shape for n, node in graph.inputs.items() if len(node.shape) > 1}
    found = {name: shape for name, shape in long.items() if shape[0] == 1}
    for name, shape in found.items():
        kept = shape[next((k for k, n in enumerate(shape) if n > 1), len(shape) - 1) :]
        judge.deviation(
            f"Node {name!r} (Input) has the shape {shape}, which nothing takes",
            f"it becomes {kept}",
        )
        graph.nodes[name] = Input(np.array(kept))
    return bool(found)


def port_shapes(graph: Graph, flat: FlatGraph, judge: Judge) -> dict[str, Dims]:
    """Return the shapes of the inputs and outputs that inner graphs had."""
    shapes, found = graph.infer_shapes(), dict[str, Dims]()
    for name, (port, sources) in flat.ports.items():
        stated = port.fields["shape"]
        found[name] = shapes[sources[0]] if sources else stated
        if found[name] != stated:
            judge.deviation(
                f"Node {name!r} ({port.type}) states the shape {stated}, but gets {found[name]}",
                "what it gets counts",
            )
    return found
