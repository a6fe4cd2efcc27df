"""Which cores send to which, as a partition notes it."""

from __future__ import annotations

from collections import Counter

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


def cores_of(graph: Graph) -> list[int]:
    """Return the cores in use, ascending."""
    metadata = graph.partition_metadata or {}
    found = {int(core) for core in metadata.get("assignments", {}).values()}
    for pieces in metadata.get("pieces", {}).values():
        found |= {int(piece["core"]) for piece in pieces}
    return sorted(found)
