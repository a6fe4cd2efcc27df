"""From a graph of ours to one of NIR."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from talon.ir import Graph, Node, Scale
from talon.ir.types import Dims
from talon.nir import tagged
from talon.nir.decode import decode
from talon.nir.encode import EXPRESSIBLE, Encoded, encode
from talon.nir.errors import SILENT, UNSOUND, Judge, NIRError
from talon.nir.folding import fold_batch_norms
from talon.nir.identities import Lowered, is_identity, lower
from talon.nir.memory import Note, is_equal, note_of, with_memory
from talon.nir.model import FlatGraph, GraphRecord, NodeRecord, digest_of, structure_digest
from talon.nir.nesting import nest
from talon.nir.notes import GRAPH_FIELDS, KEY, VERSION, read_memory
from talon.nir.shapes import input_shapes
from talon.nir.timestep import SNNTORCH_DT, STEPS, check_dt

_TIMED = ("LIF", "LI", "CubaLIF", "CubaLI", "Delay")

_WAYS = {
    "BatchNorm1d": "put it directly behind an Affine or convolution that nothing else reads",
    "BatchNorm2d": "put it directly behind a convolution that nothing else reads",
    "MaxPool2d": "use AvgPool2d or SumPool2d and train again",
    "ReLU": "use spiking neurons, or keep the network as .t1c",
    "SepConv2d": "write it as two Conv2d, the first with groups=in_channels",
    "Skip": "NIR sums inputs; split the layer that reads the concatenation in two",
    "Concat": "NIR sums inputs; split the layer that reads it in two",
    "ChannelSplit": "write the layer before it as several",
}
_KEEP = "keep the network as .t1c"


def to_record(graph: Graph, *, dt: float | None, lenient: bool) -> GraphRecord:
    """Return the graph of NIR of one of ours, see :func:`talon.nir.write`."""
    judge = Judge(lenient=lenient)
    graph.validate()
    memory = read_memory(graph)
    graph = fold_batch_norms(graph)
    _refuse_inexpressible(graph)
    dt = _timestep(graph, memory) if dt is None else check_dt(dt)
    lowered, shapes = lower(graph), input_shapes(graph)
    nodes: dict[str, NodeRecord] = {}
    notes: dict[str, Note] = {}
    written = set(lowered.names)
    for name, node in graph.nodes.items():
        if name not in written:
            notes[name] = note_of(node, None)
            continue
        made = _encoded(name, node, shapes[name], dt, judge)
        nodes[name] = _remembered(name, made, node, memory, dt)
        if note := _note(name, node, nodes[name], made, dt):
            notes[name] = note
    flat = FlatGraph(nodes=nodes, edges=lowered.edges)
    flat.metadata = {
        **memory.get("metadata", {}),
        KEY: _notes(graph, lowered, notes, dt),
    }
    return nest(flat, memory.get("skeleton"), memory.get("structure"))


def _refuse_inexpressible(graph: Graph) -> None:
    """Raise with all nodes that NIR has no form for."""
    found = [
        f"{name!r} ({type(node).__name__}): {_WAYS.get(type(node).__name__, _KEEP)}"
        for name, node in graph.nodes.items()
        if type(node).__name__ not in EXPRESSIBLE and not is_identity(node)
    ]
    if found:
        raise NIRError(f"NIR has no form for {len(found)} nodes: {'; '.join(found)}")


def _timestep(graph: Graph, memory: Mapping[str, Any]) -> float:
    if "dt" in memory:
        return memory["dt"]
    timed = any(type(node).__name__ in _TIMED for node in graph.nodes.values())
    return SNNTORCH_DT if timed else STEPS


def _encoded(name: str, node: Node, shape: Dims, dt: float, judge: Judge) -> Encoded:
    if is_identity(node):
        return encode(name, Scale(np.ones(shape, np.float32)), shape, dt, judge)
    return encode(name, node, shape, dt, judge)


def _remembered(
    name: str, made: Encoded, node: Node, memory: Mapping[str, Any], dt: float
) -> NodeRecord:
    """Return a node as it was in the graph of NIR that it came from, unless it was changed."""
    entry = memory.get("nodes", {}).get(name)
    if entry is None or is_identity(node):
        return made.record
    try:
        record = with_memory(made.record, entry)
        if dt == memory["dt"] and is_equal(decode(name, record, dt, SILENT), node):
            return record
    except (NIRError, *UNSOUND):
        pass
    return NodeRecord(
        type=made.record.type, fields=made.record.fields, metadata=entry.get("metadata", {})
    )


def _note(name: str, node: Node, record: NodeRecord, made: Encoded, dt: float) -> Note:
    """Return what a node has beyond its form in NIR."""
    form = made.form if record is made.record else {}
    note = note_of(node, decode(name, record, dt, SILENT, form))
    if not note and not form:
        return {}
    return {**note, **({"form": form} if form else {}), "digest": digest_of(record)}


def _notes(graph: Graph, lowered: Lowered, nodes: Mapping[str, Note], dt: float) -> str:
    defaults = {"metadata": {}, "allow_cycles": False}
    others = {name: getattr(graph, name) for name in GRAPH_FIELDS}
    structure = {
        "digest": structure_digest(lowered.names, lowered.edges),
        "nodes": list(graph.nodes),
        "edges": [[src, dst, graph.delay(src, dst)] for src, dst in graph.edges],
    }
    notes = {
        "version": VERSION,
        "dt": dt,
        "structure": structure,
        "nodes": dict(nodes),
        "graph": {n: v for n, v in others.items() if v is not None and v != defaults.get(n)},
    }
    return tagged.to_text(notes)
