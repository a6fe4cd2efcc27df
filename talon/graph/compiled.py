"""The compiler's own mapping, as a layout."""

from __future__ import annotations

from collections import Counter
from typing import Any

from talon.compiler.compile import quantize_graph
from talon.compiler.gather import connectivity_of
from talon.compiler.mapping import Mapping, hops_per_timestep, map_network
from talon.compiler.tile import Objective, bounds
from talon.compiler.unmapped import abilities, find_unmapped
from talon.compiler.wiring import HOST
from talon.errors import MappingError
from talon.graph.layout import HELD, Layout
from talon.graph.spec import HardwareSpec
from talon.ir import Graph


def is_compilable(graph: Graph, hw: HardwareSpec) -> bool:
    """Tell whether the compiler lowers every node, and there can be such an array."""
    try:
        params = hw.to_array()
    except ValueError:
        return False
    return not find_unmapped(graph, **abilities(params))


def compiled_layout(
    graph: Graph, hw: HardwareSpec, objective: Objective, metrics: dict[str, float]
) -> Layout | None:
    """Return the mapping of :func:`talon.compiler.compile.compile_graph`, and note its merits.

    None if the graph as a whole cannot be compiled, though each of its nodes could.
    """
    params = hw.to_array()
    try:
        network, _, _ = quantize_graph(graph, params)
    except MappingError:
        return None
    if not params.synaptic_current and any(p.current for p in network.populations):
        return None
    mapping = map_network(network, params, objective=objective)
    hops, least = hops_per_timestep(mapping)
    metrics |= {
        "connectivity": connectivity_of(mapping.wiring, mapping.costs, len(mapping.bins)),
        "cores_lower_bound": bounds(network, params).cores,
        "hops_per_timestep": hops,
        "hops_lower_bound": least,
    }
    pieces: dict[str, list[dict[str, Any]]] = {}
    cores: dict[int, dict[str, int]] = {}
    lanes = params.lanes
    for group in mapping.wiring.groups:
        piece, core = group.piece, mapping.cores[group.bin]
        first, last = group.range_of(lanes)
        entry = {
            "core": core,
            "outputs": [first, last],
            "inputs": [
                {
                    "source": mapping.network.projections[feed.projection].source.strip("/"),
                    "delay": mapping.network.projections[feed.projection].delay,
                    "range": [feed.first, feed.last],
                }
                for feed in piece.feeds
            ],
            "weight_bytes": piece.words * params.word_bytes,
            "neurons": 0 if piece.partial else piece.n_neurons,
            "accumulators": piece.n_rows * lanes * params.n_slots,
            "partial": piece.partial,
        }
        plan = mapping.plans[group.id]
        held = cores.setdefault(core, {"core": core, **dict.fromkeys(HELD, 0)})
        counts = {
            **entry,
            "groups": 1,
            "edges": len(piece.feeds),
            "routes": len(plan.routes),
            "tokens": len(plan.tokens),
        }
        for key in HELD:
            held[key] += counts[key]
        if piece.population in graph.nodes:
            pieces.setdefault(piece.population, []).append(entry)
    home = _homes(graph, pieces)
    traffic, feedback = _traffic(mapping)
    return Layout(
        assignments={
            name: int(pieces[at][0]["core"]) if at is not None else 0
            for name, at in _located(graph, home).items()
        },
        home=home,
        pieces=pieces,
        cores=[cores[core] for core in sorted(cores)],
        traffic=traffic,
        feedback=feedback,
        planned=False,
        note="the mapping that the compiler makes",
    )


def _homes(graph: Graph, pieces: dict[str, list[dict[str, Any]]]) -> dict[str, str | None]:
    """Return the population that each node is computed with: its own or the next one."""
    nexts: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for src, dst in graph.edges:
        nexts[src].append(dst)
    home: dict[str, str | None] = {name: name if name in pieces else None for name in graph.nodes}
    for name in reversed(graph.topological_order()):
        if home[name] is None and name not in graph.inputs:
            home[name] = next((at for dst in nexts[name] if (at := home[dst]) is not None), None)
    return home


def _located(graph: Graph, home: dict[str, str | None]) -> dict[str, str | None]:
    """Return the homes, and for nodes of the host the one of a neighbour."""
    found = dict(home)
    for src, dst in graph.edges:
        found[src] = found[src] if found[src] is not None else home[dst]
        found[dst] = found[dst] if found[dst] is not None else home[src]
    return found


def _traffic(mapping: Mapping) -> tuple[list[tuple[int, int, int]], list[tuple[int, int]]]:
    counts: Counter[tuple[int, int]] = Counter()
    forward: set[tuple[int, int]] = set()
    for link in mapping.wiring.links:
        if link.sender == HOST:
            continue
        ends = (mapping.wiring.groups[link.sender].bin, mapping.wiring.groups[link.receiver].bin)
        pair = (mapping.cores[ends[0]], mapping.cores[ends[1]])
        if pair[0] != pair[1]:
            counts[pair] += 1
            if not link.delay:
                forward.add(pair)
    return [(a, b, n) for (a, b), n in sorted(counts.items())], sorted(set(counts) - forward)
