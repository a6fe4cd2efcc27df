"""Where each node of a graph is computed: chip, host, or folded into others."""

from __future__ import annotations

import math
from collections.abc import Sequence

from talon.compiler.float_network import Placed
from talon.compiler.host.split import Split
from talon.ir import Graph, Input


def placed_nodes(graph: Graph, split: Split, on_chip: Sequence[Placed]) -> tuple[Placed, ...]:
    """Return what became of each node of a graph, in its order.

    Parameters
    ----------
    graph, split
        The whole graph, and what it was split into.
    on_chip
        What became of the nodes of ``split.chip``.
    """
    if not split.has_host:
        return tuple(on_chip)
    shapes = graph.infer_shapes()
    known = {placed.node: placed for placed in on_chip}
    read = {name for name, (kind, _) in split.takes.items() if kind == "chip"}
    found: list[Placed] = []
    for name, node in graph.nodes.items():
        side, n = split.sides.of(name), math.prod(shapes[name])
        if isinstance(node, Input) and (side != "chip" or name not in known):
            where, detail = "host", f"{n} values"
        elif side == "before":
            lines = f", {n} input lines of the array" if name in split.feeds else ""
            where, detail = "host", f"before the array{lines}"
        elif side == "behind":
            where, detail = "host", "behind the array"
        else:
            placed = known[name]
            taken = "; the host takes its values" if name in read else ""
            where, detail = placed.where, placed.detail + taken
        found.append(Placed(node=name, type=type(node).__name__, where=where, detail=detail))
    return tuple(found)
