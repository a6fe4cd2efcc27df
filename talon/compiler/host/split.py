"""The split of a graph: what the host computes first, the array, what the host computes last."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from talon.compiler.host.sides import Sides, is_left, sides_of
from talon.compiler.unmapped import Unmapped, find_unmapped
from talon.errors import MappingError
from talon.ir import Graph, Input, Node, Output, Skip
from talon.ir.integrators import Integrator
from talon.ir.types import Delays

Origin = tuple[str, str]
"""Where a value comes from: ``"chip"``, ``"prefix"`` (an output there) or ``"input"``; its name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Three graphs that together are one.

    Attributes
    ----------
    chip
        What the array computes. What the prefix sends enters by an input of the node's name; what
        the suffix takes leaves by outputs of their own.
    prefix, suffix
        What the host computes before and behind it; None if there is nothing.
    feeds
        The output of the prefix for each input of ``chip`` that is one.
    takes
        Where each input of the suffix comes from.
    sides
        Where each node of the graph is.
    whole
        The graph that they are parts of: with a node for every output of those nodes that have
        several and feed both host and array. None where the host computes nothing.
    """

    chip: Graph
    prefix: Graph | None = None
    suffix: Graph | None = None
    feeds: Mapping[str, str] = field(default_factory=dict)
    takes: Mapping[str, Origin] = field(default_factory=dict)
    sides: Sides = field(default_factory=lambda: Sides(before=frozenset(), behind=frozenset()))
    whole: Graph | None = None

    @property
    def has_host(self) -> bool:
        """Whether the host computes anything."""
        return self.prefix is not None or self.suffix is not None


def split_graph(
    graph: Graph,
    *,
    maps: bool = True,
    doubles: bool = True,
    counts: bool = True,
    tables: bool = True,
    host: Collection[str] = (),
) -> Split:
    """Return what the host and what the array computes of a graph.

    Parameters
    ----------
    graph
        A valid graph.
    maps
        Whether the array has feature maps.
    doubles
        Whether its neurons may have the threshold doubled.
    counts
        Whether they may fire several times in a timestep.
    tables
        Whether graded groups may have tables.
    host
        Names of further nodes that the host shall compute, with what is before or behind them.

    Raises
    ------
    MappingError
        A node can be computed by neither, where it stands; the message says why, and the ways out.
    """
    unmapped = _given(graph, host)
    split = _split(graph, unmapped) if unmapped else Split(chip=graph)
    able = {"maps": maps, "doubles": doubles, "counts": counts, "tables": tables}
    while found := find_unmapped(split.chip, **able):
        for one in found:
            if not one.on_host:
                raise MappingError(str(one))
        # An integrator may read out as soon as the host has what it feeds.
        others = [u for u in found if not isinstance(graph.nodes[u.node], Integrator)]
        unmapped |= {one.node: one for one in others or found}
        split = _split(graph, unmapped)
    return split


def _given(graph: Graph, host: Collection[str]) -> dict[str, Unmapped]:
    """Return the nodes that the host was given."""
    found: dict[str, Unmapped] = {}
    for name in host:
        node = graph.nodes.get(name)
        if node is None or isinstance(node, Input | Output):
            able = sorted(set(graph.nodes) - {*graph.inputs, *graph.outputs})
            raise MappingError(
                f"Node {name!r} cannot be given to the host: it must be one of {able}"
            )
        kind = type(node).__name__
        way = "leave it out of what the host is given"
        found[name] = Unmapped(node=name, type=kind, reason="the host was given it", ways=(way,))
    return found


def _split(graph: Graph, unmapped: Mapping[str, Unmapped]) -> Split:
    """Return the split in which the host computes some nodes."""
    ordered = {name: unmapped[name] for name in graph.nodes if name in unmapped}
    sides = sides_of(graph, ordered)
    if not is_left(graph, sides):
        raise MappingError(str(next(iter(ordered.values()))))
    return _Splitting(graph, sides).run()


class _Splitting:
    """One run of the split along given sides."""

    def __init__(self, graph: Graph, sides: Sides) -> None:
        self.sides = sides
        self.graph, self.side = _with_single_outputs(graph, sides)
        self.shapes = self.graph.infer_shapes()
        self.inputs = set(self.graph.inputs)
        crossing = [(s, d) for s, d in self.graph.edges if self.side[s] != self.side[d]]
        self.crossing = crossing
        sent = dict.fromkeys(s for s, _ in crossing if s not in self.inputs)
        self.leaving = {name: self._fresh(f"{name} (host)") for name in sent}

    def run(self) -> Split:
        side, leaving = self.side, self.leaving
        takes: dict[str, Origin] = {}
        for s, d in self.crossing:
            if side[d] == "behind":
                kind = "prefix" if side[s] == "before" else "chip"
                takes[s] = (kind, leaving[s]) if s in leaving else ("input", s)
        computes = {side[name] for name in self.graph.nodes if name not in self.inputs}
        return Split(
            chip=self._part("chip"),
            prefix=self._part("before") if "before" in computes else None,
            suffix=self._part("behind") if "behind" in computes else None,
            feeds={s: leaving[s] for s, d in self.crossing if side[d] == "chip" and s in leaving},
            takes=takes,
            sides=self.sides,
            whole=self.graph,
        )

    def _fresh(self, name: str) -> str:
        """Return a name that no node has; all are made of different ones."""
        while name in self.graph.nodes:
            name += "'"
        return name

    def _part(self, which: str) -> Graph:
        """Return the nodes of one side, with inputs for what enters and outputs for what leaves."""
        graph, side = self.graph, self.side
        edges = [(s, d) for s, d in graph.edges if side[d] == which]
        used = {name for edge in edges for name in edge}
        taken = {s for s, _ in graph.edges}
        nodes: dict[str, Node] = {}
        for name, node in graph.nodes.items():
            if name in self.inputs:  # one that nothing takes stays an input of the array
                if name in used or (which == "chip" == side[name] and name not in taken):
                    nodes[name] = node
            elif side[name] == which:
                nodes[name] = node
            elif name in used:
                nodes[name] = Input(self.shapes[name])
        delays: Delays = {edge: graph.delays[edge] for edge in edges if edge in graph.delays}
        for name, out in self.leaving.items():
            if side[name] == which:
                nodes[out] = Output(self.shapes[name])
                edges.append((name, out))
        return Graph(nodes, edges, delays=delays, metadata=dict(graph.metadata))


def _with_single_outputs(graph: Graph, sides: Sides) -> tuple[Graph, dict[str, str]]:
    """Return the graph with a node for every output of those nodes that have several and feed both.

    Also the side of every node. The k-th edge of such a node carries its k-th output, and a node of
    its own behind it can be left out of a graph without moving the others.
    """
    side = {name: sides.of(name) for name in graph.nodes}
    torn = {s for s, d in graph.edges if graph.nodes[s].multi_output and side[s] != side[d]}
    nodes, edges, delays = dict(graph.nodes), [], dict(graph.delays)
    for number, (s, d) in enumerate(graph.edges):
        if s not in torn:
            edges.append((s, d))
            continue
        name = f"{s} to {d} ({number})"
        while name in nodes:
            name += "'"
        nodes[name], side[name] = Skip("passthrough"), side[s]
        edges += [(s, name), (name, d)]
        if (s, d) in graph.delays:
            delays.pop((s, d), None)
            delays[name, d] = graph.delays[s, d]
    return Graph(nodes, edges, delays=delays, metadata=dict(graph.metadata)), side
