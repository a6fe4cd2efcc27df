"""Packed pieces as a layout, for graphs that the compiler does not lower yet."""

from __future__ import annotations

from collections import Counter

from talon.graph.fitting import entries_of
from talon.graph.layout import Layout
from talon.graph.netlist import Netlist
from talon.graph.packing import loads_of
from talon.graph.spec import HardwareSpec
from talon.graph.tables import multicasts_of, plans_of
from talon.ir import Graph

NOTE = "a plan: the array does not run all of this graph yet, or another algorithm was asked for"


def planned_layout(graph: Graph, hw: HardwareSpec, net: Netlist, cores: list[int]) -> Layout:
    """Return the layout of packed pieces; they stand under the first node of their stage."""
    named: dict[str, list[dict[str, object]]] = {}
    for piece, core in zip(net.pieces, cores, strict=True):
        plain = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in piece.to_dict().items()
        }
        named.setdefault(net.stages[piece.stage].nodes[0], []).append({"core": core, **plain})
    traffic: Counter[tuple[int, int]] = Counter()
    for (i, j), n in net.links.items():
        if cores[i] != cores[j]:
            traffic[cores[i], cores[j]] += n
    names = {n: None if k is None else net.stages[k].nodes[0] for n, k in net.home.items()}
    assignments: dict[str, int] = {}
    near = _neighbours(graph, names)
    for name in graph.nodes:
        at = names[name] or near.get(name)
        assignments[name] = int(named[at][0]["core"]) if at else 0  # type: ignore[call-overload]
    casts = multicasts_of(plans_of(net, cores, hw), cores)
    return Layout(
        assignments=assignments,
        home=names,
        pieces=named,
        cores=_held(net, cores, hw),
        traffic=[(a, b, n) for (a, b), n in sorted(traffic.items())],
        feedback=[],
        planned=True,
        note=NOTE,
        multicasts=[(c.core, list(c.receivers), c.routes, c.tokens) for c in casts],
    )


def _held(net: Netlist, cores: list[int], hw: HardwareSpec) -> list[dict[str, int]]:
    """Return what each core holds; routes and tokens with the cores in order of their numbers."""
    entries = entries_of(net, cores, hw)
    return [
        {
            "core": core,
            "neurons": load.neurons,
            "weight_bytes": load.weight_bytes,
            "accumulators": load.words,
            "groups": len(load.pieces),
            "edges": load.edges,
            "routes": entries.get(core, (0, 0))[0],
            "tokens": entries.get(core, (0, 0))[1],
        }
        for core, load in loads_of(net.pieces, cores, hw).items()
    ]


def _neighbours(graph: Graph, names: dict[str, str | None]) -> dict[str, str]:
    """Return for nodes without a stage the stage that they feed or that feeds them."""
    found: dict[str, str] = {}
    for src, dst in graph.edges:
        if names[src] is None and (at := names[dst]):
            found.setdefault(src, at)
        if names[dst] is None and (at := names[src]):
            found[dst] = at
    return found
