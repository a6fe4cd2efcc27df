"""The ways that packets take from core to core."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass

from talon.graph.placement import place
from talon.graph.spec import HardwareSpec
from talon.graph.traffic import traffic_of
from talon.ir import Graph


@dataclass(frozen=True, kw_only=True)
class RoutingTable:
    """Routes by ``"a->b"``, numbers of cores of the partition; each lists places on its way.

    ``total_hops`` counts the links of all routes, ``max_hops`` those of the longest one. Places are
    numbered row by row, as cores of the array are.
    """

    forward_routes: dict[str, list[int]]
    feedback_routes: dict[str, list[int]]
    total_hops: int
    max_hops: int


def routing_table(graph: Graph, hw_spec: HardwareSpec) -> RoutingTable:
    """Return the routes of a partitioned graph, between the places that :func:`place` gives."""
    places = place(graph, hw_spec).logical_to_physical
    feedback = {(int(a), int(b)) for a, b in (graph.partition_metadata or {}).get("feedback", ())}
    routes: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
    for a, b in sorted(traffic_of(graph)):
        routes[(a, b) in feedback][f"{a}->{b}"] = path(places[a], places[b], hw_spec)
    hops = [len(way) - 1 for found in routes for way in found.values()]
    return RoutingTable(
        forward_routes=routes[0],
        feedback_routes=routes[1],
        total_hops=sum(hops),
        max_hops=max(hops, default=0),
    )


def path(start: tuple[int, int], end: tuple[int, int], hw: HardwareSpec) -> list[int]:
    """Return the cores on the way: along the row, then along the column, as the router goes."""
    if hw.core_mesh_topology is None:
        return [hw.core_at(start), hw.core_at(end)]
    (x, y), (to_x, to_y) = start, end
    way = [hw.core_at((x, y))]
    while x != to_x:
        x += 1 if to_x > x else -1
        way.append(hw.core_at((x, y)))
    while y != to_y:
        y += 1 if to_y > y else -1
        way.append(hw.core_at((x, y)))
    return way


def route(graph: Graph, hw_spec: HardwareSpec) -> Graph:
    """Return the graph with its routes in ``partition_metadata["routing"]``.

    Raises
    ------
    ValueError
        The graph is not partitioned.
    """
    routed = copy.copy(graph)
    table = asdict(routing_table(graph, hw_spec))
    routed.partition_metadata = {**(graph.partition_metadata or {}), "routing": table}
    return routed
