"""A graph on cores: by the compiler where it can, else by the plan of what it will do."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from talon.compiler.tile import OBJECTIVES, Objective
from talon.errors import MappingError
from talon.graph.compiled import compiled_layout, is_compilable
from talon.graph.fitting import refine, settle
from talon.graph.gathering import best_of_all, brought_together, figures, merit
from talon.graph.layout import Layout
from talon.graph.metis import metis_order
from talon.graph.netlist import Netlist, netlist_of
from talon.graph.packing import pack, pack_tight
from talon.graph.planned import planned_layout
from talon.graph.spec import HardwareSpec
from talon.graph.spectrum import spectral_order
from talon.ir import Graph

ALGORITHMS = ("compiler", "greedy", "edgemap", "spectral", "metis")


@dataclass(frozen=True, kw_only=True)
class PartitionResult:
    """Nodes on cores.

    Parameters
    ----------
    assignments
        First core of every node, Input and Output included.
    num_cores_used
        Cores that hold something.
    cross_core_edges
        Edges of the graph whose values cross between cores.
    feedback_edges
        Those of them that are part of a cycle.
    metrics
        Figures of merit.
    details
        What :func:`partition` notes beside the above.
    """

    assignments: dict[str, int]
    num_cores_used: int
    cross_core_edges: list[tuple[str, str]]
    feedback_edges: list[tuple[str, str]]
    metrics: dict[str, float]
    details: dict[str, Any] = field(default_factory=dict)


def partition(
    graph: Graph,
    hw_spec: HardwareSpec,
    algorithm: str = "compiler",
    *,
    objective: Objective = "latency",
) -> Graph:
    """Return a new graph whose nodes are on cores, with ``partition_metadata``.

    Parameters
    ----------
    graph
        A valid graph; it stays as it is. The new one shares its arrays.
    hw_spec
        The cores.
    algorithm
        ``"compiler"`` gives the mapping of :func:`talon.compiler.compile.compile_graph` where that
        can compile the graph, and else a plan of few cores; ``"greedy"``, ``"edgemap"``,
        ``"spectral"`` and ``"metis"`` are plans: in order of the graph, then moved to lower
        traffic, along a spectrum, or by METIS (package ``talon-snn[metis]``) and then moved.
    objective
        What the compiler's mapping is good for: ``"latency"``, ``"cores"`` or ``"traffic"``. A plan
        takes few cores; of several, ``"traffic"`` takes the one of least connectivity.

    Raises
    ------
    MappingError
        The graph does not fit; the message names what binds and the ways out.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(
            f"Unknown algorithm: {algorithm}. Use 'compiler', 'edgemap', 'spectral', 'metis', "
            "or 'greedy'."
        )
    if objective not in OBJECTIVES:
        raise ValueError(f"Objective must be one of {OBJECTIVES}, not {objective!r}")
    found = _result(graph, hw_spec, algorithm, objective)
    placed = copy.copy(graph)
    placed.nodes = {name: copy.copy(node) for name, node in graph.nodes.items()}
    for name, core in found.assignments.items():
        placed.nodes[name].core_id = core
    placed.partition_metadata = {
        "assignments": found.assignments,
        "num_cores_used": found.num_cores_used,
        "cross_core_edges": [list(edge) for edge in found.cross_core_edges],
        "feedback_edges": [list(edge) for edge in found.feedback_edges],
        "algorithm": algorithm,
        "objective": objective,
        "metrics": found.metrics,
        **found.details,
    }
    return placed


def partition_greedy(graph: Graph, hw_spec: HardwareSpec) -> PartitionResult:
    """Return pieces in the order of the graph, one core after the other."""
    return _result(graph, hw_spec, "greedy")


def partition_edgemap(graph: Graph, hw_spec: HardwareSpec) -> PartitionResult:
    """Return :func:`partition_greedy`, then moved where fewer values cross between cores."""
    return _result(graph, hw_spec, "edgemap")


def partition_spectral(graph: Graph, hw_spec: HardwareSpec) -> PartitionResult:
    """Return pieces along the second eigenvector of the Laplacian of their links."""
    return _result(graph, hw_spec, "spectral")


def _result(
    graph: Graph, hw: HardwareSpec, algorithm: str, objective: Objective = "latency"
) -> PartitionResult:
    hw.validate()
    for (src, dst), delay in graph.delays.items():
        if delay > hw.max_feedback_delay:
            raise MappingError(
                f"Feedback delay constraint violated: {src} -> {dst}: {delay} timesteps > "
                f"max_feedback_delay={hw.max_feedback_delay}; shorten it or use other hardware"
            )
    metrics: dict[str, float] = {}
    if algorithm == "compiler" and is_compilable(graph, hw):
        compiled = compiled_layout(graph, hw, objective, metrics)
        if compiled is not None:
            return _summary(graph, compiled, metrics)
    net = netlist_of(graph, hw)
    cores = _cores_of(net, hw, algorithm, objective, metrics)
    metrics |= figures(net, cores, hw)
    return _summary(graph, planned_layout(graph, hw, net, cores), metrics)


def _cores_of(
    net: Netlist,
    hw: HardwareSpec,
    algorithm: str,
    objective: Objective,
    metrics: dict[str, float],
) -> list[int]:
    """Return the core of each piece of a plan."""
    n = len(net.pieces)
    if algorithm == "compiler":
        best = best_of_all(net, hw)
        if best is not None:
            return best
        tight = _moved(net, _tight(net, hw), hw)
        if objective != "traffic":
            return tight
        in_order = _moved(net, settle(net, pack(net.pieces, range(n), hw), hw), hw)
        return min(tight, in_order, key=lambda cores: merit(net, cores))
    if algorithm == "metis":
        n_parts = len(set(_tight(net, hw)))
        order = metis_order(net, n_parts, hw)
        return _moved(net, settle(net, pack(net.pieces, order, hw), hw), hw)
    order = spectral_order(n, net.links) if algorithm == "spectral" else range(n)
    cores = settle(net, pack(net.pieces, order, hw), hw)
    if algorithm == "edgemap":
        before = sum(cores[a] != cores[b] for a, b in net.links)
        cores, metrics["refinement_iterations"] = refine(net, cores, hw)
        after = sum(cores[a] != cores[b] for a, b in net.links)
        metrics["improvement_over_greedy"] = before - after
    if algorithm == "spectral":
        metrics["num_partitions"] = len(set(cores))
    return cores


def _moved(net: Netlist, cores: list[int], hw: HardwareSpec) -> list[int]:
    """Return cores to which pieces moved that they have most links with, and then multicasts."""
    return brought_together(net, refine(net, cores, hw)[0], hw)


def _tight(net: Netlist, hw: HardwareSpec) -> list[int]:
    """Return few cores; where their tables are too small, the cores of the graph's order."""
    try:
        return settle(net, pack_tight(net.pieces, hw), hw)
    except MappingError:
        return settle(net, pack(net.pieces, range(len(net.pieces)), hw), hw)


def _summary(graph: Graph, layout: Layout, metrics: dict[str, float]) -> PartitionResult:
    groups = {
        name: i
        for i, component in enumerate(graph.strongly_connected_components())
        for name in component
    }
    cross = [edge for edge in dict.fromkeys(graph.edges) if layout.crosses(*edge)]
    feedback = [(a, b) for a, b in cross if groups[a] == groups[b]]
    sizes = [core["accumulators"] for core in layout.cores]
    split = sorted(n for n, pieces in layout.pieces.items() if len({p["core"] for p in pieces}) > 1)
    pairs = Counter({(a, b): n for a, b, n in layout.traffic})
    return PartitionResult(
        assignments=layout.assignments,
        num_cores_used=len(layout.cores),
        cross_core_edges=cross,
        feedback_edges=feedback,
        metrics={
            "cut_ratio": len(cross) / len(graph.edges) if graph.edges else 0.0,
            "balance_stddev": float(np.std(sizes) / np.mean(sizes)) if sizes else 0.0,
            "total_cross_core_edges": len(cross),
            "total_feedback_edges": len(feedback),
            **metrics,
        },
        details={
            "pieces": layout.pieces,
            "home": layout.home,
            "split": split,
            "cores": layout.cores,
            "traffic": [[a, b, n] for (a, b), n in sorted(pairs.items())],
            "feedback": [list(pair) for pair in layout.feedback],
            "multicasts": [list(cast) for cast in layout.multicasts],
            "planned": layout.planned,
            "note": layout.note,
        },
    )
