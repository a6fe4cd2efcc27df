"""From a graph of NIR to one of ours."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from talon.ir import Graph, Input, Node, Output
from talon.ir.population import Population
from talon.ir.types import Dims, Edges
from talon.nir import tagged
from talon.nir.counting import count_spikes
from talon.nir.decode import decode
from talon.nir.encode import encode
from talon.nir.errors import SILENT, UNSOUND, Judge, NIRError, warn
from talon.nir.feedback import feedback_edges
from talon.nir.fields import check_record
from talon.nir.memory import Note, is_equal, memory_of, with_memory, with_note
from talon.nir.model import FlatGraph, GraphRecord, NodeRecord, digest_of, structure_digest
from talon.nir.nesting import flatten, skeleton_of
from talon.nir.notes import GRAPH_FIELDS, KEY, MEMORY, VERSION, read_notes
from talon.nir.shapes import (
    check_ends,
    check_flattens,
    check_shapes,
    check_sizes,
    input_shapes,
    port_shapes,
    stated_input,
)
from talon.nir.timestep import TIMED, check_dt, recognised_dt


def to_graph(
    record: GraphRecord, *, dt: float | None, lenient: bool, max_spikes: int | None = None
) -> Graph:
    """Return our graph of one of NIR, see :func:`talon.nir.read`."""
    graph = _graph_of(record, dt, Judge(lenient=lenient))
    if max_spikes is not None:
        count_spikes(graph, max_spikes)
    return graph


def _graph_of(record: GraphRecord, dt: float | None, judge: Judge) -> Graph:
    notes = read_notes(record.metadata, judge)
    flat = flatten(record, judge)
    flat.nodes = {name: check_record(name, node, judge) for name, node in flat.nodes.items()}
    flat.ports = {
        name: (check_record(name, port, judge), sources)
        for name, (port, sources) in flat.ports.items()
    }
    dt = _timestep(flat, notes, dt)
    try:
        if notes is not None:
            return _noted(flat, notes, dt, judge)
        return _Import(record, flat, dt, judge).graph()
    except UNSOUND as error:
        raise NIRError(f"The NIR graph is not well formed: {error}") from error


def timestep_of(record: GraphRecord, dt: float | None) -> float:
    """Return the timestep in seconds with which :func:`to_graph` reads a graph of NIR."""
    flat = flatten(record, SILENT)
    flat.nodes = {name: check_record(name, node, SILENT) for name, node in flat.nodes.items()}
    return _timestep(flat, read_notes(record.metadata, SILENT), dt)


def _timestep(flat: FlatGraph, notes: Mapping[str, Any] | None, dt: float | None) -> float:
    if dt is not None:
        return check_dt(dt)
    return recognised_dt(flat.nodes) if notes is None else notes["dt"]


def _noted(flat: FlatGraph, notes: Mapping[str, Any], dt: float, judge: Judge) -> Graph:
    """Return the graph that a file was written from; its nodes only, if edges were changed."""
    known = notes["nodes"] if dt == notes["dt"] else _without_times(notes["nodes"])
    nodes = {
        name: _noted_node(name, record, known.get(name, {}), dt, judge)
        for name, record in flat.nodes.items()
    }
    structure = notes["structure"]
    others = {name: notes["graph"][name] for name in GRAPH_FIELDS if name in notes["graph"]}
    if structure["digest"] != structure_digest(flat.nodes, flat.edges):
        judge.deviation(
            "Nodes or edges of the file were changed after it was written",
            "its notes on order, skips and delays are left out",
        )
        return _delayed(nodes, flat.edges, {**others, "execution_schedule": None})
    for name in structure["nodes"]:
        if name not in nodes:
            nodes[name] = with_note(None, notes["nodes"].get(name, {"type": "?"}))
    edges = [(src, dst) for src, dst, _ in structure["edges"]]
    graph = Graph(
        {name: nodes[name] for name in structure["nodes"]},
        edges,
        **others,
        delays={(src, dst): delay for src, dst, delay in structure["edges"] if delay},
    )
    graph.validate()
    return graph


def _without_times(notes: Mapping[str, Note]) -> dict[str, Note]:
    """Return notes without the arrays that hold for the timestep of the notes alone."""
    return {
        name: {
            **note,
            "fields": {
                field: value
                for field, value in note.get("fields", {}).items()
                if field not in TIMED or not isinstance(value, np.ndarray)
            },
        }
        for name, note in notes.items()
    }


def _noted_node(name: str, record: NodeRecord, note: Note, dt: float, judge: Judge) -> Node:
    is_changed = note.get("digest") != digest_of(record) if note else False
    base = decode(name, record, dt, judge, None if is_changed else note.get("form"))
    if not note:
        return base
    if is_changed:
        warn(f"Node {name!r} was changed after it was written: its arrays are those of the file")
    try:
        return with_note(base, note, is_changed=is_changed)
    except (NIRError, *UNSOUND) as error:
        judge.deviation(f"Node {name!r}: {error}", "they are left out")
        return base


def _delayed(nodes: Mapping[str, Node], edges: Edges, others: Mapping[str, Any]) -> Graph:
    """Return a graph whose cycles have a delay, its nodes in topological order."""
    stateful = [n for n, node in nodes.items() if isinstance(node, Population) and node.n_states]
    delays = dict.fromkeys(feedback_edges(nodes, edges, stateful), 1)
    graph = Graph(dict(nodes), edges, delays=delays, **others)
    order = graph.topological_order()
    graph.nodes = {name: graph.nodes[name] for name in order}
    return graph


class _Import:
    """A graph that was not written by us."""

    def __init__(self, record: GraphRecord, flat: FlatGraph, dt: float, judge: Judge) -> None:
        self._record, self._flat, self._dt, self._judge = record, flat, dt, judge
        self._added: dict[str, Node] = {}

    def graph(self) -> Graph:
        """Return the graph, with what it does not say in its metadata."""
        flat = self._flat
        nodes = {name: decode(name, r, self._dt, self._judge) for name, r in flat.nodes.items()}
        edges = self._with_inputs(nodes, list(flat.edges))
        graph = _delayed(nodes, edges, {})
        check_flattens(graph, self._flat, self._judge)
        check_ends(graph, self._judge)
        self._add_outputs(graph)
        graph.validate()
        check_sizes(graph)
        check_shapes(graph, self._flat, self._judge)
        ports = port_shapes(graph, self._flat, self._judge)
        self._warn_of_steps()
        graph.metadata[MEMORY] = tagged.to_text(self._memory(graph, ports))
        return graph

    def _with_inputs(self, nodes: dict[str, Node], edges: Edges) -> Edges:
        """Add an input before every node that nothing leads into, as the nir package does."""
        fed = {dst for _, dst in edges}
        for name in [n for n, node in nodes.items() if not isinstance(node, Input)]:
            if name in fed:
                continue
            shape = stated_input(self._flat.nodes[name])
            if shape is None:
                raise NIRError(
                    f"Node {name!r} ({self._flat.nodes[name].type}) has no incoming edge, and its "
                    "input shape is not known; put an Input before it"
                )
            added = _free_name(f"input_{name}", nodes)
            nodes[added] = Input(np.array(shape))
            edges = [*edges, (added, name)]
        return edges

    def _add_outputs(self, graph: Graph) -> None:
        """Add an output behind every node that leads nowhere."""
        read = {src for src, _ in graph.edges}
        ends = [n for n, node in graph.nodes.items() if not isinstance(node, Output)]
        ends = [name for name in ends if name not in read]
        shapes = graph.infer_shapes() if ends else {}
        for name in ends:
            added = _free_name(f"output_{name}", graph.nodes)
            graph.add_node(added, Output(np.array(shapes[name])))
            graph.add_edge(name, added)

    def _warn_of_steps(self) -> None:
        """Warn of gains that look as if they were meant for timesteps, not for seconds."""
        for name, record in self._flat.nodes.items():
            if record.type in ("IF", "I") and self._dt != 1 and np.all(record.fields["r"] == 1):
                warn(
                    f"Node {name!r} ({record.type}) has r = 1, which is a gain of {self._dt:g} a "
                    "timestep by NIR's equation; if the writer counted in timesteps, as sinabs "
                    "does, give dt=1"
                )

    def _memory(self, graph: Graph, ports: Mapping[str, Dims]) -> dict[str, Any]:
        shapes = input_shapes(graph)
        memories: dict[str, Note] = {}
        for name, record in self._flat.nodes.items():
            node = graph.nodes[name]
            kept = type(node).from_dict(node.to_dict())  # as it is after a way through a file
            made = encode(name, kept, shapes[name], self._dt, SILENT)
            memory = memory_of(record, made.record)
            if memory and _gives_back(name, memory, made.record, node, self._dt):
                memories[name] = memory
        skeleton = skeleton_of(self._record, ports)
        metadata = {k: v for k, v in self._record.metadata.items() if k != KEY}
        memory = {"version": VERSION, "dt": self._dt, "nodes": memories, "metadata": metadata}
        if skeleton is not None:
            digest = structure_digest(self._flat.nodes, self._flat.edges)
            memory |= {"skeleton": skeleton, "structure": digest}
        return memory


def _gives_back(name: str, memory: Note, made: NodeRecord, node: Node, dt: float) -> bool:
    return is_equal(decode(name, with_memory(made, memory), dt, SILENT), node)


def _free_name(name: str, taken: Mapping[str, Any]) -> str:
    found, k = name, 0
    while found in taken:
        found, k = f"{name}_{k}", k + 1
    return found
