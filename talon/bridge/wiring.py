"""How the modules of an executor hang together: the order of a timestep, edges and ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from talon import ir
from talon.errors import ModelError
from talon.ir.topology import partial_order, zero_delay_edges
from talon.ir.types import Delays, Dims, Edge, Edges


@dataclass(frozen=True, kw_only=True)
class InEdge:
    """What one edge brings: output ``port`` of ``src``, ``delay`` timesteps late."""

    src: str
    delay: int
    port: int


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """Nodes in the order of a timestep, and what each of them takes.

    Parameters
    ----------
    order
        Names of all nodes.
    incoming
        The edges into each node.
    inputs, outputs
        Names of the ends.
    history
        How many timesteps the values of a node are needed, by name, where that is any.
    in_shapes, shapes
        Feature shapes of each node's input and of what it carries to each edge, where known.
    """

    order: tuple[str, ...]
    incoming: dict[str, tuple[InEdge, ...]]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    history: dict[str, int]
    in_shapes: dict[str, Dims] = field(default_factory=dict)
    shapes: dict[str, Dims | tuple[Dims, ...]] = field(default_factory=dict)


def wiring_of(graph: ir.Graph) -> Wiring:
    """Return the wiring of a valid graph."""
    shapes = graph.infer_shapes()
    incoming = _incoming(graph.nodes, graph.edges, graph.ports(), graph.delays)
    carried: dict[str, Dims | tuple[Dims, ...]] = {}
    for name, node in graph.nodes.items():
        carried[name] = shapes[name]
        if isinstance(node, ir.ChannelSplit):
            n = len(node.split_sections)
            carried[name] = tuple(node.edge_shape(shapes[name], port) for port in range(n))
    return Wiring(
        order=tuple(graph.topological_order()),
        incoming=incoming,
        inputs=tuple(graph.inputs),
        outputs=tuple(graph.outputs),
        history=_history(graph.delays),
        in_shapes={
            name: node.merge_shape(
                [graph.nodes[e.src].edge_shape(shapes[e.src], e.port) for e in incoming[name]]
            )
            for name, node in graph.nodes.items()
            if incoming[name]
        },
        shapes=carried,
    )


def wiring_of_edges(
    names: Iterable[str], edges: Edges, delays: Delays, splits: Iterable[str]
) -> Wiring:
    """Return the wiring of modules by name; what only edges name are ends.

    Parameters
    ----------
    names
        Names of modules.
    edges, delays
        As in a graph.
    splits
        Names of modules of several outputs.
    """
    nodes = dict.fromkeys([*names, *(name for edge in edges for name in edge)])
    counts = dict.fromkeys(splits, 0)
    ports: list[int] = []
    for src, _ in edges:
        ports.append(counts.get(src, 0))
        if src in counts:
            counts[src] += 1
    order, rest = partial_order(nodes, zero_delay_edges(edges, delays))
    if rest:
        raise ModelError(
            f"Modules {sorted(rest)} are on a cycle without delay; give delays={{(source, "
            "destination): 1}, or use CyclicGraphExecutor"
        )
    fed, feeding = {dst for _, dst in edges}, {src for src, _ in edges}
    return Wiring(
        order=tuple(order),
        incoming=_incoming(nodes, edges, ports, delays),
        inputs=tuple(name for name in nodes if name not in fed),
        outputs=tuple(name for name in nodes if name not in feeding),
        history=_history(delays),
    )


def feedback_edges(edges: Edges) -> list[Edge]:
    """Return the edges that lead back, as a walk from the first nodes finds them.

    Without them there is no cycle.
    """
    successors: dict[str, list[str]] = {}
    for src, dst in edges:
        successors.setdefault(src, []).append(dst)
        successors.setdefault(dst, [])
    fed = {dst for _, dst in edges}
    done: set[str] = set()
    found: list[Edge] = []
    for root in sorted(successors, key=lambda name: name in fed):
        path: dict[str, None] = {}
        stack = [(root, iter(successors[root]))] if root not in done else []
        path[root] = None
        while stack:
            name, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                path.pop(name, None)
                done.add(name)
            elif following in path:
                found.append((name, following))
            elif following not in done:
                path[following] = None
                stack.append((following, iter(successors[following])))
    return found


def _incoming(
    nodes: Iterable[str], edges: Edges, ports: list[int], delays: Mapping[Edge, int]
) -> dict[str, tuple[InEdge, ...]]:
    found: dict[str, list[InEdge]] = {name: [] for name in nodes}
    for (src, dst), port in zip(edges, ports, strict=True):
        found[dst].append(InEdge(src=src, delay=delays.get((src, dst), 0), port=port))
    return {name: tuple(taken) for name, taken in found.items()}


def _history(delays: Mapping[Edge, int]) -> dict[str, int]:
    history: dict[str, int] = {}
    for (src, _), delay in delays.items():
        history[src] = max(history.get(src, 0), delay)
    return history
