"""Where the nodes of a graph are, as :func:`talon.graph.partition` has noted it."""

from collections.abc import Mapping
from typing import Any

from talon.ir import Graph


def core_of_nodes(graph: Graph) -> dict[str, int]:
    """Return the core of each node, core 0 for all of a graph that is not partitioned.

    A node on several cores has the first of them, as in the metadata of a partition.
    """
    noted: Mapping[str, Any] = (graph.partition_metadata or {}).get("assignments", {})
    cores: dict[str, int] = {}
    for name, node in graph.nodes.items():
        core = noted.get(name, node.core_id)
        cores[name] = 0 if core is None else int(core)
    return cores
