"""The mesh of cores: what each holds of what there is, what goes where, and how busy links are."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from talon.ir import Graph
from talon.viz.page import HtmlPage, Section

HOST = -1
"""The host, as an end of a route or a link; it is at the left of core 0."""


@dataclass(frozen=True, kw_only=True)
class CoreView:
    """A core of the mesh.

    Attributes
    ----------
    core, x, y
        Number, column and row.
    resources
        (used, available) by name.
    holds
        Texts that say what it computes.
    loads
        Counts of a run by name (``packets``, ``busy cycles``, ...).
    """

    core: int
    x: int
    y: int
    resources: Mapping[str, tuple[int, int]]
    holds: tuple[str, ...] = ()
    loads: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, kw_only=True)
class RouteView:
    """Packets from a core to others, :data:`HOST` among them.

    Attributes
    ----------
    source, targets
        Numbers of cores.
    links
        (from, to) of neighbours on the way, each once.
    hops
        Links between routers that one packet crosses.
    packets
        How many there are, in the unit of the mapping.
    kind
        What they carry.
    """

    source: int
    targets: tuple[int, ...]
    links: tuple[tuple[int, int], ...]
    hops: int
    packets: float
    kind: str = "events"


@dataclass(frozen=True, kw_only=True)
class MeshView:
    """Cores in use on a mesh, and the ways between them.

    Attributes
    ----------
    columns, rows
        Of the mesh; cores are numbered row by row.
    cores, routes
        Those in use.
    unit
        What the packets of routes count.
    facts
        Further figures by name, as texts.
    """

    columns: int
    rows: int
    cores: tuple[CoreView, ...]
    routes: tuple[RouteView, ...] = ()
    unit: str = "packets"
    facts: Mapping[str, str] = field(default_factory=dict[str, str])


def mapping_page(mesh: MeshView, title: str = "Mapping") -> HtmlPage:
    """Return the page of a mapping: cores by a resource or a load, links by traffic, routes.

    Parameters
    ----------
    mesh
        Of a partitioned graph, :func:`mesh_of_partition` gives it; of a program,
        :func:`talon.sdk.views.mesh_of_program`.
    title
        Heading of the page.
    """
    return HtmlPage(
        title=title,
        subtitle=f"{len(mesh.cores)} of {mesh.columns * mesh.rows} cores in use, "
        f"{mesh.columns} x {mesh.rows} mesh",
        sections=(mapping_section(mesh),),
    )


def mapping_section(mesh: MeshView, *, heading: str = "Mapping", note: str = "") -> Section:
    """Return the mesh as a part of a page."""
    return Section(
        kind="mapping",
        heading=heading,
        note=note,
        data={
            "columns": mesh.columns,
            "rows": mesh.rows,
            "unit": mesh.unit,
            "facts": dict(mesh.facts),
            "cores": [
                {
                    "core": core.core,
                    "x": core.x,
                    "y": core.y,
                    "resources": {name: list(pair) for name, pair in core.resources.items()},
                    "holds": list(core.holds),
                    "loads": dict(core.loads),
                }
                for core in mesh.cores
            ],
            "routes": [
                {
                    "source": route.source,
                    "targets": list(route.targets),
                    "links": [list(link) for link in route.links],
                    "hops": route.hops,
                    "packets": route.packets,
                    "kind": route.kind,
                }
                for route in mesh.routes
            ],
        },
    )


class Spec(Protocol):
    """What of :class:`talon.graph.HardwareSpec` is needed."""

    @property
    def num_cores(self) -> int: ...  # noqa: D102
    @property
    def core_mesh_topology(self) -> tuple[int, int] | None: ...  # noqa: D102


class Budgets(Protocol):
    """What of :class:`talon.graph.ResourceMap` is needed: ``CoreBudget`` by core."""

    @property
    def budgets(self) -> Mapping[int, Any]: ...  # noqa: D102


class Places(Protocol):
    """What of :class:`talon.graph.PlacementResult` is needed."""

    @property
    def logical_to_physical(self) -> Mapping[int, tuple[int, int]]: ...  # noqa: D102
    @property
    def total_hop_distance(self) -> int: ...  # noqa: D102
    @property
    def lower_bound(self) -> int: ...  # noqa: D102


_BUDGETS = {
    "neurons": ("neuron_count", "neurons_available"),
    "weight bytes": ("weight_bytes", "weight_bytes_available"),
    "accumulators": ("accumulators", "accumulators_available"),
    "groups": ("groups", "groups_available"),
    "edges": ("edges", "edges_available"),
    "routes": ("routes", "routes_available"),
    "tokens": ("tokens", "tokens_available"),
}


def mesh_of_partition(
    graph: Graph, hw_spec: Spec, resources: Budgets, placement: Places
) -> MeshView:
    """Return the mesh of a graph that :mod:`talon.graph` partitioned, placed and routed.

    Parameters
    ----------
    graph
        What :func:`talon.graph.route` gave.
    hw_spec, resources, placement
        The hardware, and what :func:`talon.graph.allocate` and :func:`talon.graph.place` gave.

    Raises
    ------
    ValueError
        The graph has no routes.
    """
    metadata = graph.partition_metadata or {}
    if "routing" not in metadata:
        raise ValueError("Graph has no routes; call talon.graph.route(graph, hw_spec) first")
    columns, rows = hw_spec.core_mesh_topology or (hw_spec.num_cores, 1)
    places = placement.logical_to_physical
    holds: dict[int, list[str]] = {}
    for name, pieces in (metadata.get("pieces") or {}).items():
        for piece in pieces:
            holds.setdefault(int(piece["core"]), []).append(_part(name, piece))
    cores = tuple(
        CoreView(
            core=places[core][1] * columns + places[core][0],
            x=places[core][0],
            y=places[core][1],
            resources={
                name: (int(getattr(budget, used)), int(getattr(budget, there)))
                for name, (used, there) in _BUDGETS.items()
            },
            holds=(f"core {core} of the partition", *holds.get(core, ())),
        )
        for core, budget in sorted(resources.budgets.items())
    )
    traffic = {(int(a), int(b)): int(n) for a, b, n in metadata.get("traffic") or ()}
    routes: list[RouteView] = []
    for kind in ("forward", "feedback"):
        for name, way in metadata["routing"][f"{kind}_routes"].items():
            a, b = (int(part) for part in name.split("->"))
            links = tuple((int(p), int(q)) for p, q in itertools.pairwise(way))
            routes.append(
                RouteView(
                    source=int(way[0]),
                    targets=(int(way[-1]),),
                    links=links,
                    hops=len(links),
                    packets=traffic.get((a, b), 1),
                    kind=kind,
                )
            )
    return MeshView(
        columns=columns,
        rows=rows,
        cores=cores,
        routes=tuple(routes),
        unit="connections",
        facts={
            "least links possible": f"{placement.lower_bound:,}",
            "longest way": f"{metadata['routing']['max_hops']} hops",
            "algorithm": str(metadata.get("algorithm", "not told")),
        },
    )


def _part(name: str, piece: Mapping[str, Any]) -> str:
    """Return what a piece holds of a layer, as a text."""
    outputs = piece.get("outputs")
    if isinstance(outputs, Sequence) and not isinstance(outputs, str) and len(outputs) == 2:
        return f"{name} {outputs[0]}-{outputs[1]}"
    return name
