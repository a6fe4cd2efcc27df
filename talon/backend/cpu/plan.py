"""A graph, prepared for the float simulation: kernels, edges and the order of work.

What is not on a cycle is one step of work for all timesteps of a chunk; the nodes of a cycle are
one step of work together.
"""

import math
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from talon.backend.cpu.convolution import Kernel
from talon.backend.cpu.kernels import build_kernel
from talon.ir import ChannelSplit, Delay, Graph, Input, Integrator, Neuron, Node
from talon.ir.node import ARRAY
from talon.ir.types import Dims

STATEFUL = (Neuron, Integrator, Delay)
"""Types of nodes that remember; the simulation steps them."""


@dataclass(frozen=True, kw_only=True)
class InEdge:
    """What one edge brings to a node.

    Parameters
    ----------
    src
        Name of the source.
    delay
        Timesteps that the value is late.
    section
        Index of what the edge takes of the source's features; all of them if not given.
    """

    src: str
    delay: int
    section: tuple[slice, ...] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class NodePlan:
    """One node, prepared.

    Parameters
    ----------
    name, node
        The node.
    edges
        Its inputs, in the order of the graph's edges.
    in_shape, shape
        Feature shapes of its inputs together and of its output.
    kernel
        What it computes; inputs and nodes with a state have none.
    history
        How many timesteps its values are still needed: the longest delay behind it.
    has_weights
        Whether its inputs meet weights.
    """

    name: str
    node: Node
    edges: tuple[InEdge, ...]
    in_shape: Dims
    shape: Dims
    kernel: Kernel | None
    history: int
    has_weights: bool

    @cached_property
    def is_population(self) -> bool:
        """Whether it has membrane potentials."""
        return isinstance(self.node, Neuron | Integrator)

    @cached_property
    def has_state(self) -> bool:
        """Whether its output depends on more than the inputs of the timestep."""
        return isinstance(self.node, STATEFUL)


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """What is done at once.

    Parameters
    ----------
    nodes
        One node, or those of a cycle in the order in which a timestep visits them.
    is_cycle
        Whether the nodes are stepped, timestep by timestep.
    frees
        Names of the nodes whose values nothing needs after this.
    """

    nodes: tuple[NodePlan, ...]
    is_cycle: bool
    frees: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """A graph, prepared.

    Parameters
    ----------
    nodes
        Nodes by name.
    works
        What is to be done for a chunk of timesteps, in order.
    frame_bytes
        Memory of the largest step of work for one timestep and sample.
    dtype
        Floating point type of the computation.
    """

    nodes: dict[str, NodePlan]
    works: tuple[Work, ...]
    frame_bytes: int
    dtype: np.dtype


def build_plan(graph: Graph, dtype: np.dtype) -> Plan:
    """Return what the simulation needs to know of a valid graph."""
    shapes = graph.infer_shapes()
    edges = _edges(graph, shapes)
    history = dict.fromkeys(graph.nodes, 0)
    for incoming in edges.values():
        for edge in incoming:
            history[edge.src] = max(history[edge.src], edge.delay)
    nodes: dict[str, NodePlan] = {}
    for name, node in graph.nodes.items():
        in_shape = _input_shape(node, edges[name], shapes)
        is_computed = not isinstance(node, (Input, *STATEFUL))
        nodes[name] = NodePlan(
            name=name,
            node=node,
            edges=edges[name],
            in_shape=in_shape,
            shape=shapes[name],
            kernel=build_kernel(node, in_shape, dtype) if is_computed else None,
            history=history[name],
            has_weights=is_computed and _has_weights(node),
        )
    sizes = [math.prod(plan.in_shape) + math.prod(plan.shape) for plan in nodes.values()]
    return Plan(
        nodes=nodes,
        works=_works(graph, nodes),
        frame_bytes=max(sizes) * dtype.itemsize,
        dtype=dtype,
    )


def _edges(graph: Graph, shapes: dict[str, Dims]) -> dict[str, tuple[InEdge, ...]]:
    found: dict[str, list[InEdge]] = {name: [] for name in graph.nodes}
    for (src, dst), port in zip(graph.edges, graph.ports(), strict=True):
        node = graph.nodes[src]
        section = node.section(shapes[src], port) if isinstance(node, ChannelSplit) else None
        found[dst].append(InEdge(src=src, delay=graph.delay(src, dst), section=section))
    return {name: tuple(edges) for name, edges in found.items()}


def _input_shape(node: Node, edges: tuple[InEdge, ...], shapes: dict[str, Dims]) -> Dims:
    """Return the shape of all inputs together, nothing for an input node."""
    parts: list[Dims] = []
    for edge in edges:
        shape = shapes[edge.src]
        if edge.section is not None:
            shape = tuple(
                len(range(*part.indices(n))) for part, n in zip(edge.section, shape, strict=True)
            )
        parts.append(shape)
    return node.merge_shape(parts) if parts else ()


def _has_weights(node: Node) -> bool:
    return any(
        f.metadata == ARRAY and "weight" in f.name and getattr(node, f.name) is not None
        for f in fields(node)
    )


def _works(graph: Graph, nodes: dict[str, NodePlan]) -> tuple[Work, ...]:
    order = {name: i for i, name in enumerate(graph.topological_order())}
    looped = {src for src, dst in graph.edges if src == dst}
    groups = [
        sorted(component, key=order.__getitem__)
        for component in graph.strongly_connected_components()
    ]
    place = {name: i for i, group in enumerate(groups) for name in group}
    last = dict(place)
    for src, dst in graph.edges:
        last[src] = max(last[src], place[dst])
    frees: list[list[str]] = [[] for _ in groups]
    for name, i in last.items():
        if not nodes[name].history:
            frees[i].append(name)
    return tuple(
        Work(
            nodes=tuple(nodes[name] for name in group),
            is_cycle=len(group) > 1 or group[0] in looped,
            frees=tuple(free),
        )
        for group, free in zip(groups, frees, strict=True)
    )
