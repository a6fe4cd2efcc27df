"""What every sender sends: routes for spikes and partial sums, and the tokens that pace groups.

The rules are those of ``docs/hardware/array.md``, "Timesteps without a barrier".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from talon.arch.memories import Emit
from talon.arch.params import ArrayParams
from talon.compiler.cover import cover
from talon.compiler.network import IntNetwork
from talon.compiler.tiling.edges import Region
from talon.compiler.wiring import HOST, Group, Link, Wiring
from talon.errors import MappingError

ALL_POSITIONS = (1 << 16) - 1
"""Last position that a scan can have."""


class Mesh(Protocol):
    """What of an array decides what a sender sends; :class:`ArrayParams` has it."""

    @property
    def columns(self) -> int:
        """Columns of cores."""
        ...

    @property
    def lanes(self) -> int:
        """Neurons in a row of accumulators."""
        ...

    @property
    def n_slots(self) -> int:
        """Timesteps for which a core keeps sums."""
        ...


@dataclass(frozen=True, kw_only=True)
class Route:
    """Where the packets of neurons ``first`` to ``last`` (of the population) go.

    ``shift`` is added to the number of the neuron in its population. ``n`` and ``region`` are as
    in :class:`~talon.compiler.wiring.Link`.
    """

    xmask: int
    ymask: int
    edge: int
    delay: int
    first: int
    last: int
    shift: int = 0
    host: bool = False
    n: int | None = None
    region: Region | None = None

    @property
    def n_sent(self) -> int:
        """Number of neurons that take it."""
        return self.last - self.first + 1 if self.n is None else self.n


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token that a sender sends after each timestep."""

    xmask: int
    ymask: int
    group: int
    delta: int
    credit: bool
    host: bool = False


@dataclass(kw_only=True)
class Plan:
    """What one sender, a group or the host, sends and waits for.

    ``sources`` holds (sender, delay) pairs, ``dests`` the largest delay to each receiver.
    """

    routes: list[Route] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    sources: set[tuple[int, int]] = field(default_factory=set)
    dests: dict[int, int] = field(default_factory=dict)
    input_routes: dict[str, list[Route]] = field(default_factory=dict)

    def init_sources(self, slot: int) -> int:
        """Return the END_OF_STEP tokens granted at start for a slot."""
        return sum(delay > slot for _, delay in self.sources)

    def init_dests(self, slot: int, kept: Mapping[int, int]) -> int:
        """Return the CREDIT tokens granted at start for a slot; ``kept`` has the slots by group."""
        return sum(slot < kept[receiver] - delay for receiver, delay in self.dests.items())


def slots_of(group: Group, mesh: Mesh) -> int:
    """Return how many slots a group keeps."""
    return mesh.n_slots if group.slots is None else group.slots


def schedule(
    network: IntNetwork, params: ArrayParams, wiring: Wiring, cores: list[int]
) -> dict[int, Plan]:
    """Return the plan of every group by its number, and that of the host.

    Raises
    ------
    MappingError
        A table has too few entries; the message names it and the ways out.
    """
    heard = {port.population for port in network.outputs if port.kind != "readout"}
    plans = sender_plans(params, wiring, cores, heard=heard)
    _check_counts(params, wiring, plans)
    return plans


def sender_plans(
    mesh: Mesh, wiring: Wiring, cores: list[int], *, heard: set[str]
) -> dict[int, Plan]:
    """Return what :func:`schedule` does, without limits; the host hears spikes of ``heard``."""
    plans = {HOST: Plan(), **{group.id: Plan() for group in wiring.groups}}
    _add_routes(mesh, wiring, cores, plans, heard)
    _add_partners(wiring, plans)
    _add_tokens(mesh, wiring, cores, plans)
    return plans


def _add_routes(
    mesh: Mesh, wiring: Wiring, cores: list[int], plans: dict[int, Plan], heard: set[str]
) -> None:
    targets: dict[Link, int] = {}
    for link in wiring.links:
        alike = replace(link, receiver=0)
        core = cores[wiring.groups[link.receiver].bin]
        targets[alike] = targets.get(alike, 0) | 1 << core
    for link, mask in targets.items():
        routes = [
            Route(
                xmask=xmask,
                ymask=ymask,
                edge=link.edge or 0,
                delay=link.delay,
                first=link.first,
                last=link.last,
                shift=link.shift,
                n=link.n,
                region=link.region,
            )
            for xmask, ymask in cover(mask, mesh.columns)
        ]
        if link.sender == HOST:
            plans[HOST].input_routes.setdefault(link.source, []).extend(routes)
        else:
            plans[link.sender].routes.extend(routes)
    for group in wiring.groups:
        if group.emit.sends_events and group.piece.population in heard:
            plans[group.id].routes.append(_to_host_all(group, mesh))


def _to_host_all(group: Group, mesh: Mesh) -> Route:
    """Return the route by which the host gets all that a group sends."""
    first, last = (0, ALL_POSITIONS) if group.piece.tile else group.range_of(mesh.lanes)
    n = group.piece.n_neurons if group.piece.tile else None
    return Route(xmask=0, ymask=0, edge=0, delay=0, first=first, last=last, host=True, n=n)


def _add_partners(wiring: Wiring, plans: dict[int, Plan]) -> None:
    for link in wiring.links:
        plans[link.receiver].sources.add((link.sender, link.delay))
    for group in wiring.groups:
        plan = plans[group.id]
        if all(delay for _, delay in plan.sources):
            plan.sources.add((HOST, 0))
    for group in wiring.groups:
        for sender, delay in plans[group.id].sources:
            dests = plans[sender].dests
            dests[group.id] = max(delay, dests.get(group.id, 0))


def _add_tokens(mesh: Mesh, wiring: Wiring, cores: list[int], plans: dict[int, Plan]) -> None:
    groups = wiring.groups
    ends: dict[int, list[tuple[Group, int]]] = {sender: [] for sender in plans}
    for group in groups:
        for sender, delay in sorted(plans[group.id].sources):
            ends[sender].append((group, delay))
    for sender, plan in plans.items():
        plan.tokens += _multicast(mesh, cores, ends[sender], credit=False)
        if sender == HOST:
            continue
        feeds_now = any(delay == 0 for _, delay in ends[sender])
        reports = groups[sender].emit is Emit.READOUT or any(r.host for r in plan.routes)
        if reports or not feeds_now:
            plan.tokens.append(_to_host(delta=0, credit=False))
        kept = slots_of(groups[sender], mesh)
        credits = [
            (groups[source], (kept - plans[source].dests[sender]) % mesh.n_slots)
            for source in sorted({source for source, _ in plan.sources} - {HOST})
        ]
        plan.tokens += _multicast(mesh, cores, credits, credit=True)
        if sender in plans[HOST].dests:
            delta = (kept - plans[HOST].dests[sender]) % mesh.n_slots
            plan.tokens.append(_to_host(delta=delta, credit=True))


def _multicast(
    mesh: Mesh, cores: list[int], receivers: list[tuple[Group, int]], *, credit: bool
) -> list[Token]:
    """Return tokens for (group, delta) pairs, one multicast for all that are alike."""
    masks: dict[tuple[int, int], int] = {}
    for group, delta in receivers:
        key = (group.number, delta)
        masks[key] = masks.get(key, 0) | 1 << cores[group.bin]
    return [
        Token(xmask=xmask, ymask=ymask, group=number, delta=delta, credit=credit)
        for (number, delta), mask in sorted(masks.items())
        for xmask, ymask in cover(mask, mesh.columns)
    ]


def _to_host(*, delta: int, credit: bool) -> Token:
    return Token(xmask=0, ymask=0, group=0, delta=delta, credit=credit, host=True)


def _check_counts(params: ArrayParams, wiring: Wiring, plans: dict[int, Plan]) -> None:
    limit = (1 << params.count_width) - 1
    for sender, plan in plans.items():
        name = (
            "The host"
            if sender == HOST
            else f"Population {wiring.groups[sender].piece.population!r}"
        )
        for what, count in (("sources", len(plan.sources)), ("destinations", len(plan.dests))):
            if count > limit:
                raise MappingError(
                    f"{name} has {count} {what}, but a group counts at most {limit}; use "
                    "the objective 'cores' or fewer layers"
                )
    for what, limit, counts in (
        ("routes", params.n_routes, [len(plans[g.id].routes) for g in wiring.groups]),
        ("tokens", params.n_tokens, [len(plans[g.id].tokens) for g in wiring.groups]),
    ):
        for b in {group.bin for group in wiring.groups}:
            here = [group for group in wiring.groups if group.bin == b]
            used = sum(counts[group.id] for group in here)
            if used > limit:
                names = ", ".join(sorted({repr(group.piece.population) for group in here}))
                raise MappingError(
                    f"Populations {names} need {used} {what} on one core, but it has {limit}; "
                    "use the objective 'cores', larger layers in fewer pieces, or an array with "
                    f"more {what}"
                )
