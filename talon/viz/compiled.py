"""A mapped graph: which core holds what, and in which order a timestep visits the nodes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from talon.ir import Graph, Input, Output, read
from talon.ir.topology import zero_delay_edges
from talon.viz.constants import category_of
from talon.viz.mapping import MeshView, mapping_section
from talon.viz.network import page_of
from talon.viz.schedule import ScheduleView, schedule_page
from talon.viz.serialize import graph_to_dict

_SUMS = {"neurons": "neurons", "weight_bytes": "bytes of weights", "accumulators": "accumulators"}


def visualize_partitioned(
    graph: Graph | str | os.PathLike[str],
    output_path: str | os.PathLike[str],
    title: str = "Partitioned graph",
    mesh: MeshView | None = None,
) -> Path:
    """Write the page of a graph with the cores of its nodes, and return the path.

    Parameters
    ----------
    graph
        A graph that :func:`talon.graph.partition` gave, or the path of its file.
    output_path
        The page; folders are made as needed.
    title
        Heading of the page.
    mesh
        Its cores in the mesh (:func:`talon.viz.mesh_of_partition`), which are then shown as well.

    Raises
    ------
    ValueError
        A node is on no core.
    """
    source = graph if isinstance(graph, Graph) else read(graph)
    homes = _homes(source)
    data = graph_to_dict(source)
    metadata = source.partition_metadata or {}
    pieces = metadata.get("pieces") or {}
    crossing = {tuple(edge) for edge in metadata.get("cross_core_edges") or ()}
    for edge in data["edges"]:
        ends = edge["source"], edge["target"]
        same = homes[ends[0]] == homes[ends[1]]
        edge["crosses"] = ends in crossing if "cross_core_edges" in metadata else not same
    for node in data["nodes"]:
        node["cores"] = homes[node["id"]]
        node["pieces"] = [_piece(piece) for piece in pieces.get(node["id"], ())]
    data["mapping"] = _mapping(source, homes)
    page = page_of(data, title)
    if mesh is not None:
        page = replace(page, sections=(*page.sections, mapping_section(mesh)))
    return page.write(output_path)


def visualize_execution_schedule(
    graph: Graph | str | os.PathLike[str],
    output_path: str | os.PathLike[str],
    title: str = "Execution schedule",
    profile_result: Any = None,
) -> Path:
    """Write a page of when each node of a timestep is computed, and return the path.

    Each core has a row; without a partition there is one. A node begins when its last input is
    there and its cores are free; one that is split stands in the row of each of its cores.

    Parameters
    ----------
    graph
        A graph, or the path of its file.
    output_path
        The page; folders are made as needed.
    title
        Heading of the page.
    profile_result
        What a backend's ``profile`` gave: its ``per_node_latency`` are the lengths, in
        microseconds. Without it every node takes one unit.
    """
    source = graph if isinstance(graph, Graph) else read(graph)
    latency: Mapping[str, float] = getattr(profile_result, "per_node_latency", None) or {}
    homes = _homes(source) if (source.partition_metadata or {}).get("assignments") else {}
    cores = {name: homes.get(name, [0]) for name in source.nodes}
    starts, lengths = _schedule(source, cores, latency)
    end = max((starts[name] + lengths[name] for name in starts), default=0.0)
    unit = "µs, measured on the host" if latency else "units of one node"
    used = len({core for name in starts for core in cores[name]})
    page = schedule_page(
        _view(source, cores, starts, lengths, unit, partitioned=bool(homes)),
        title,
        f"{len(starts)} nodes on {used} core{'s' * (used != 1)}, {end:.4g} {unit}",
    )
    return page.write(output_path)


def _homes(graph: Graph) -> dict[str, list[int]]:
    """Return the cores of every node: those of the layer that it is computed with."""
    metadata = graph.partition_metadata or {}
    assignments, pieces = metadata.get("assignments") or {}, metadata.get("pieces") or {}
    home = metadata.get("home") or {}
    homes: dict[str, list[int]] = {}
    for name, node in graph.nodes.items():
        found = pieces.get(home.get(name) or name, ())
        cores = sorted({int(piece["core"]) for piece in found if "core" in piece})
        core = assignments.get(name, node.core_id)
        if not cores and core is None:
            raise ValueError(f"Node {name!r} is on no core; partition the graph first")
        homes[name] = cores or [int(core)]  # type: ignore[arg-type]
    return homes


def _piece(piece: Mapping[str, Any]) -> dict[str, str]:
    what = ", ".join(f"{key} {value}" for key, value in piece.items() if key != "core")
    return {"where": f"core {piece.get('core', '?')}", "what": what}


def _mapping(graph: Graph, homes: dict[str, list[int]]) -> dict[str, Any]:
    holds: dict[int, list[str]] = {}
    for name, cores in homes.items():
        for core in cores:
            holds.setdefault(core, []).append(name)
    metadata = graph.partition_metadata or {}
    note = f"algorithm {metadata.get('algorithm', 'not told')}"
    if metadata.get("note"):
        note += f"; {metadata['note']}"
    sums = {int(entry["core"]): entry for entry in metadata.get("cores") or ()}
    kinds = [kind for kind in _SUMS if all(kind in sums.get(core, ()) for core in holds)]
    return {
        "note": note,
        "columns": ["holds", *(_SUMS[kind] for kind in kinds)],
        "rows": [
            {"core": core, "cells": [", ".join(names), *(f"{sums[core][k]:,}" for k in kinds)]}
            for core, names in sorted(holds.items())
        ],
    }


def _schedule(
    graph: Graph, cores: Mapping[str, Sequence[int]], latency: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return start and length of each node that is computed."""
    sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for src, dst in zero_delay_edges(graph.edges, graph.delays):
        sources[dst].append(src)
    free: dict[int, float] = {}
    ends: dict[str, float] = {}
    starts: dict[str, float] = {}
    lengths: dict[str, float] = {}
    for name in graph.topological_order():
        ready = max((ends[src] for src in sources[name]), default=0.0)
        if isinstance(graph.nodes[name], Input | Output):
            ends[name] = ready
            continue
        starts[name] = max(ready, *(free.get(core, 0.0) for core in cores[name]))
        lengths[name] = float(latency.get(name, 0.0)) if latency else 1.0
        ends[name] = starts[name] + lengths[name]
        free.update(dict.fromkeys(cores[name], ends[name]))
    return starts, lengths


def _critical_path(
    graph: Graph, starts: Mapping[str, float], lengths: Mapping[str, float]
) -> list[str]:
    """Return the nodes back from the last to end, each behind the last of its inputs."""
    if not starts:
        return []
    sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for src, dst in zero_delay_edges(graph.edges, graph.delays):
        sources[dst].append(src)

    def end(name: str) -> float:
        return starts[name] + lengths[name]

    path = [max(starts, key=end)]
    while True:
        before = [name for name in sources[path[-1]] if name in starts]
        if not before:
            return path[::-1]
        path.append(max(before, key=end))


def _view(
    graph: Graph,
    cores: Mapping[str, Sequence[int]],
    starts: Mapping[str, float],
    lengths: Mapping[str, float],
    unit: str,
    *,
    partitioned: bool,
) -> ScheduleView:
    bars = [(node, core) for node in starts for core in cores[node]]
    rows = {core: k for k, core in enumerate(sorted({core for _, core in bars}))}
    number = {name: k for k, name in enumerate(starts)}
    first = {name: k for k, (name, _) in reversed(list(enumerate(bars)))}
    return ScheduleView(
        rows=[f"core {core}" if partitioned else "all nodes" for core in rows],
        groups=list(starts),
        kinds=[category_of(type(graph.nodes[name]).__name__) for name in starts],
        row=np.array([rows[core] for _, core in bars], np.int64),
        group=np.array([number[name] for name, _ in bars], np.int64),
        step=np.zeros(len(bars), np.int64),
        start=np.array([starts[name] for name, _ in bars]),
        end=np.array([starts[name] + lengths[name] for name, _ in bars]),
        critical=[first[name] for name in _critical_path(graph, starts, lengths)],
        unit=unit,
    )
