"""The graph that grows along a trace."""

from __future__ import annotations

import numpy as np

from talon import ir
from talon.bridge.errors import BridgeError
from talon.bridge.values import Parts, Value
from talon.errors import ModelError
from talon.ir.types import Dims


class Growth:
    """Nodes and edges, with names of their own."""

    def __init__(self) -> None:
        self.nodes: dict[str, ir.Node] = {}
        self._edges: list[tuple[str, str]] = []
        self._delays: dict[tuple[str, str], int] = {}

    def begin(self, name: str, shape: Dims, *, is_only: bool) -> Value:
        """Add an input; the only one is called ``input``."""
        name = "input" if is_only else self._unique(name)
        self.nodes[name] = ir.Input(np.array(shape))
        return Value(name, shape)

    def end(self, value: Value, number: int, *, is_only: bool) -> None:
        """Add an output; the only one is called ``output``."""
        name = "output" if is_only else self._unique(f"output{number}")
        if name in self.nodes:
            name = self._unique(name)
        self.nodes[name] = ir.Output(np.array(value.shape))
        self._connect(value, name)

    def add(self, name: str, node: ir.Node, *values: Value) -> Value:
        """Add a node that takes values."""
        name = self._unique(name)
        try:
            shape = node.output_shape(node.merge_shape([value.shape for value in values]))
        except ModelError as error:
            raise BridgeError(f"{name!r} ({type(node).__name__}): {error}") from error
        self.nodes[name] = node
        for value in values:
            self._connect(value, name)
        return Value(name, shape)

    def split(self, name: str, node: ir.ChannelSplit, value: Value) -> Parts:
        """Add a split.

        Each section goes through a node of its own, so that it may be used many times or never.
        """
        made = self.add(name, node, value)
        shapes = [node.edge_shape(value.shape, k) for k in range(len(node.split_sections))]
        sections = [
            self.add("section", ir.Skip("passthrough"), Value(made.node, shape, k))
            for k, shape in enumerate(shapes)
        ]
        return Parts(made.node, tuple(sections))

    def feed_back(self, value: Value, node: ir.Node, *, name: str) -> None:
        """Add a node that takes the value of the timestep before, and give it back to its source.

        The edge to the new node has the delay, so that its bias acts from the first timestep on.
        """
        back = self.add(name, node, value)
        if back.shape != value.shape:
            raise BridgeError(
                f"{name!r} makes {back.shape} of the {value.shape} that come back to "
                f"{value.node!r}; both must be the same"
            )
        self._delays[value.node, back.node] = 1
        self._connect(back, value.node)

    def finish(self, what: str) -> ir.Graph:
        """Return the graph, outputs last."""
        ends = {k: v for k, v in self.nodes.items() if isinstance(v, ir.Output)}
        nodes = {**{k: v for k, v in self.nodes.items() if k not in ends}, **ends}
        graph = ir.Graph(nodes, self._edges, delays=self._delays)
        try:
            graph.validate()
        except ModelError as error:
            raise BridgeError(f"The graph of {what}: {error}") from error
        _fill_types(graph)
        return graph

    def _connect(self, value: Value, name: str) -> None:
        source = value.node
        if (source, name) in self._edges:  # x + x
            source = self.add("again", ir.Skip("passthrough"), value).node
        self._edges.append((source, name))

    def _unique(self, name: str) -> str:
        base = name if name not in ("input", "output") else f"{name}_layer"
        found, k = base, 2
        while found in self.nodes:
            found, k = f"{base}_{k}", k + 1
        return found


def _fill_types(graph: ir.Graph) -> None:
    """Tell every node its shapes, so that a file and a reader of one node have them."""
    shapes = graph.infer_shapes()
    feeds: dict[str, list[Dims]] = {name: [] for name in graph.nodes}
    for (src, dst), port in zip(graph.edges, graph.ports(), strict=True):
        feeds[dst].append(graph.nodes[src].edge_shape(shapes[src], port))
    for name, node in graph.nodes.items():
        if isinstance(node, ir.Input | ir.Output) or not node.sums_inputs:
            continue
        merged = node.merge_shape(feeds[name])
        vars(node)["input_type"] = {"input": np.array(merged, np.int64)}
        if not node.multi_output:
            vars(node)["output_type"] = {"output": np.array(shapes[name], np.int64)}
