"""Which cores send to which, as a partition notes it."""

from __future__ import annotations

from collections import Counter

from talon.graph.spec import HardwareSpec
from talon.graph.tables import Multicast, entries_at
from talon.ir import Graph

Traffic = dict[tuple[int, int], int]


def traffic_of(graph: Graph) -> Traffic:
    """Return how many links lead from a core to another one.

    Raises
    ------
    ValueError
        The graph is not partitioned.
    """
    metadata = graph.partition_metadata or {}
    if "traffic" in metadata:
        return {(int(a), int(b)): int(n) for a, b, n in metadata["traffic"]}
    if "assignments" not in metadata:
        raise ValueError("Graph is not partitioned; call partition(graph, hw_spec) first")
    cores = metadata["assignments"]
    found = Counter((int(cores[a]), int(cores[b])) for a, b in graph.edges)
    return {pair: n for pair, n in sorted(found.items()) if pair[0] != pair[1]}


def entries_in(
    graph: Graph, places: dict[int, int], hw: HardwareSpec
) -> dict[int, tuple[int, int]] | None:
    """Return routes and tokens of the cores of a plan that stand at ``places``, else None."""
    found = (graph.partition_metadata or {}).get("multicasts")
    if not found:
        return None
    casts = [
        Multicast(core=int(a), receivers=tuple(map(int, to)), routes=int(r), tokens=int(t))
        for a, to, r, t in found
    ]
    return entries_at(casts, places, hw)


def cores_of(graph: Graph) -> list[int]:
    """Return the cores in use, ascending."""
    metadata = graph.partition_metadata or {}
    found = {int(core) for core in metadata.get("assignments", {}).values()}
    for pieces in metadata.get("pieces", {}).values():
        found |= {int(piece["core"]) for piece in pieces}
    return sorted(found)
