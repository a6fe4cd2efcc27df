"""What every sender sends: routes for spikes and partial sums, and the tokens that pace groups.

The rules are those of ``docs/hardware/array.md``, "Timesteps without a barrier".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from talon.arch.memories import Emit
from talon.arch.params import ArrayParams
from talon.compiler.cover import cover
from talon.compiler.network import IntNetwork
from talon.compiler.wiring import HOST, Group, Wiring
from talon.errors import MappingError


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

    ``shift`` is added to the number of the neuron in its population.
    """

    xmask: int
    ymask: int
    edge: int
    delay: int
    first: int
    last: int
    shift: int = 0
    host: bool = False


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

    def init_dests(self, slot: int, n_slots: int) -> int:
        """Return the CREDIT tokens granted at start for a slot."""
        return sum(slot < n_slots - delay for delay in self.dests.values())


def schedule(
    network: IntNetwork, params: ArrayParams, wiring: Wiring, cores: list[int]
) -> dict[int, Plan]:
    """Return the plan of every group by its number, and that of the host.

    Raises
    ------
    MappingError
        A table has too few entries; the message names it and the ways out.
    """
    heard = {port.population for port in network.outputs if port.kind == "spike"}
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
    targets: dict[tuple[int, str, int | None, int, int, int, int], int] = {}
    for link in wiring.links:
        receiver = wiring.groups[link.receiver]
        # A spike carries its number in the population; a partial sum names an accumulator.
        shift = 0 if link.edge is not None else receiver.local(0, mesh.lanes)
        key = (link.sender, link.source, link.edge, link.delay, link.first, link.last, shift)
        targets[key] = targets.get(key, 0) | 1 << cores[receiver.bin]
    for (sender, source, edge, delay, first, last, shift), mask in targets.items():
        routes = [
            Route(
                xmask=xmask,
                ymask=ymask,
                edge=edge or 0,
                delay=delay,
                first=first,
                last=last,
                shift=shift,
            )
            for xmask, ymask in cover(mask, mesh.columns)
        ]
        if sender == HOST:
            plans[HOST].input_routes.setdefault(source, []).extend(routes)
        else:
            plans[sender].routes.extend(routes)
    for group in wiring.groups:
        if group.emit is Emit.SPIKE and group.piece.population in heard:
            first, last = group.range_of(mesh.lanes)
            plans[group.id].routes.append(
                Route(xmask=0, ymask=0, edge=0, delay=0, first=first, last=last, host=True)
            )


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
        credits = [
            (groups[source], -plans[source].dests[sender] % mesh.n_slots)
            for source in sorted({source for source, _ in plan.sources} - {HOST})
        ]
        plan.tokens += _multicast(mesh, cores, credits, credit=True)
        if sender in plans[HOST].dests:
            delta = -plans[HOST].dests[sender] % mesh.n_slots
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
