"""Routes and tokens that the cores of a plan need, by the rules of the compiler.

The compiler's own wiring and schedule are made for the pieces. In them the cores stand in one row,
so that any set of cores is a single multicast; on the mesh it takes as many packets, and entries,
as there are products of columns and rows in it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from talon.arch.memories import Emit
from talon.arch.params import ZYNQ_US_PLUS
from talon.compiler.cover import cover, members
from talon.compiler.pieces import Piece
from talon.compiler.schedule import Plan, sender_plans
from talon.compiler.wiring import HOST, Edge, Group, Link, Wiring, number_alike
from talon.graph.netlist import Netlist
from talon.graph.packing import too_much
from talon.graph.spec import HardwareSpec

PARTNERS = (1 << ZYNQ_US_PLUS.count_width) - 1
"""Sources, and destinations, that a group can count."""

_LANES = ZYNQ_US_PLUS.lanes


@dataclass(frozen=True, kw_only=True)
class Multicast:
    """Entries of a core whose packets go to the same cores; none stands for the host."""

    core: int
    receivers: tuple[int, ...]
    routes: int
    tokens: int


@dataclass(frozen=True, kw_only=True)
class _Row:
    """Cores in one row, of which any set is a product."""

    columns: int
    n_slots: int
    lanes: int = _LANES


def plans_of(net: Netlist, cores: list[int], hw: HardwareSpec) -> dict[int, Plan]:
    """Return what each piece, and the host, sends and waits for."""
    n_cores = max(cores, default=-1) + 1
    row = _Row(columns=max(1, n_cores), n_slots=hw.n_slots)
    heard = {str(k) for k in net.heard}
    return sender_plans(row, _wiring(net, cores, hw), list(range(n_cores)), heard=heard)


def multicasts_of(plans: dict[int, Plan], cores: list[int]) -> list[Multicast]:
    """Return the entries of the ROUTE and TOKEN memories of all cores, those alike together."""
    routes: Counter[tuple[int, int]] = Counter()
    tokens: Counter[tuple[int, int]] = Counter()
    for sender, plan in plans.items():
        if sender != HOST:
            routes.update((cores[sender], route.xmask) for route in plan.routes)
            tokens.update((cores[sender], token.xmask) for token in plan.tokens)
    return [
        Multicast(
            core=core,
            receivers=tuple(members(mask, 1, mask.bit_length())) if mask else (),
            routes=routes[core, mask],
            tokens=tokens[core, mask],
        )
        for core, mask in sorted({*routes, *tokens})
    ]


def entries_at(
    multicasts: list[Multicast], places: dict[int, int], hw: HardwareSpec
) -> dict[int, tuple[int, int]]:
    """Return the routes and tokens of each core, where ``places`` says where the cores are."""
    columns, _ = hw.core_mesh_topology or (hw.num_cores, 1)
    found: dict[int, tuple[int, int]] = {}
    for cast in multicasts:
        mask = sum(1 << places[core] for core in cast.receivers)
        n = len(cover(mask, columns)) if mask else 1
        routes, tokens = found.get(cast.core, (0, 0))
        found[cast.core] = routes + n * cast.routes, tokens + n * cast.tokens
    return found


def excess(entries: dict[int, tuple[int, int]], hw: HardwareSpec) -> dict[int, int]:
    """Return the cores that need more routes or tokens than they have, and how many more."""
    found = {
        core: max(0, routes - hw.max_routes_per_core) + max(0, tokens - hw.max_tokens_per_core)
        for core, (routes, tokens) in entries.items()
    }
    return {core: n for core, n in found.items() if n}


def too_many_entries(
    net: Netlist, cores: list[int], entries: dict[int, tuple[int, int]], hw: HardwareSpec
) -> str:
    """Return the message for the core that lacks most entries."""
    over = excess(entries, hw)
    core = max(over, key=lambda core: (over[core], -core))
    routes, tokens = entries[core]
    what, used, limit = max(
        ("routes", routes, hw.max_routes_per_core),
        ("tokens", tokens, hw.max_tokens_per_core),
        key=lambda item: item[1] - item[2],
    )
    nodes = {
        net.stages[p.stage].nodes[0] for p, at in zip(net.pieces, cores, strict=True) if at == core
    }
    names = ", ".join(repr(name) for name in sorted(nodes))
    return too_much(what, hw, f" (a core with pieces of {names} needs {used} of {limit})")


def too_many_partners(net: Netlist, plans: dict[int, Plan]) -> str | None:
    """Return the message for what has more sources or destinations than it can count, if any."""
    for sender, plan in plans.items():
        name = "The host" if sender == HOST else _layer(net, sender)
        for what, n in (("sources", len(plan.sources)), ("destinations", len(plan.dests))):
            if n > PARTNERS:
                return (
                    f"{name} has {n} {what}, pieces of other layers, but a group counts at most "
                    f"{PARTNERS}; use larger cores, so that layers are in fewer pieces, or smaller "
                    "layers"
                )
    return None


def _layer(net: Netlist, k: int) -> str:
    return f"A piece of layer {net.stages[net.pieces[k].stage].nodes[0]!r}"


def _wiring(net: Netlist, cores: list[int], hw: HardwareSpec) -> Wiring:
    numbers = number_alike(
        [(cores[k], (p.stage, p.partial)) for k, p in enumerate(net.pieces)],
        limit=hw.max_groups_per_core,
        fail=lambda _: too_much("groups", hw),
    )
    edge_numbers = number_alike(
        [(cores[f.piece], _thing(net, f.wire)) for f in net.feeds],
        limit=hw.max_edges_per_core,
        fail=lambda _: too_much("edges", hw),
    )
    rows: Counter[int] = Counter()
    groups: list[Group] = []
    for k, (piece, number) in enumerate(zip(net.pieces, numbers, strict=True)):
        n_rows = -(-piece.accumulators // _LANES)
        graded = piece.stage in net.heard and not net.stages[piece.stage].neurons
        groups.append(
            Group(
                id=k,
                bin=cores[k],
                number=number,
                row_start=rows[cores[k]],
                piece=Piece(
                    population=str(piece.stage),
                    row=0,
                    n_rows=n_rows,
                    n_neurons=piece.accumulators,
                    feeds=(),
                    words=0,
                    partial=piece.partial,
                ),
                emit=Emit.PSUM if piece.partial else Emit.READOUT if graded else Emit.SPIKE,
            )
        )
        rows[cores[k]] += n_rows
    edges = tuple(
        Edge(group=f.piece, feed=0, number=number)
        for f, number in zip(net.feeds, edge_numbers, strict=True)
    )
    return Wiring(groups=tuple(groups), edges=edges, links=_links(net, groups, edge_numbers))


def _thing(net: Netlist, wire: int) -> tuple[str, int]:
    return net.wires[wire].source, net.wires[wire].delay


def _links(net: Netlist, groups: list[Group], edge_numbers: list[int]) -> tuple[Link, ...]:
    links = [
        Link(
            sender=way.sender,
            source=net.wires[net.feeds[way.feed].wire].source,
            receiver=net.feeds[way.feed].piece,
            edge=edge_numbers[way.feed],
            first=way.span[0],
            last=way.span[1],
            delay=net.wires[net.feeds[way.feed].wire].delay,
        )
        for way in net.ways
    ]
    links += [
        Link(
            sender=partial,
            source=str(net.pieces[partial].stage),
            receiver=home,
            edge=None,
            first=0,
            last=net.pieces[home].accumulators - 1,
            delay=0,
            shift=groups[home].local(0, _LANES),
        )
        for partial, home in net.partials
    ]
    return tuple(links)
