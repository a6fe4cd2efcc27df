"""Predicted cycles: the pipeline of groups over timesteps, from mean numbers of events.

Estimated, not simulated: events are means, and the network on chip is taken as free of contention.
What the gateware does in fact is counted by co-simulation.
"""

from __future__ import annotations

from dataclasses import dataclass

from talon.arch.memories import Emit
from talon.compiler.cover import hops
from talon.compiler.mapping import Mapping
from talon.compiler.schedule import Route
from talon.compiler.wiring import HOST, Group

HOP_CYCLES = 2
"""Cycles of a packet in a router."""

ENGINE_CYCLES = 12
"""Cycles from the last packet of a timestep to the first neuron updated, and on to the router."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Cycles of an inference of ``n_steps`` timesteps, first input word to last output word."""

    n_steps: int
    cycles_per_inference: int
    cycles_per_timestep: int
    """Cycles between two timesteps once the pipeline is full: those of the slowest stage."""
    lower_bound: int
    """Cycles that this array cannot go below: one event of an input, and a row a core, a cycle."""


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """What a sender does in a timestep, in cycles."""

    work: float  # of the synapse engine
    sending: float  # of the update and the packets after it


def predict(mapping: Mapping, n_steps: int) -> Prediction:
    """Return the predicted cycles of an inference."""
    stages = {g.id: _stage(mapping, g) for g in mapping.wiring.groups}
    host = _host_words(mapping)
    ends = _run(mapping, stages, host, n_steps)
    per_step = ends[-1] - ends[-2] if n_steps > 1 else ends[-1]
    return Prediction(
        n_steps=n_steps,
        cycles_per_inference=round(ends[-1]),
        cycles_per_timestep=round(per_step),
        lower_bound=round(n_steps * _bound(mapping)),
    )


def loads(mapping: Mapping) -> list[float]:
    """Return the cycles in a timestep for which the synapse engine of each bin has work."""
    found = [0.0] * len(mapping.bins)
    for group in mapping.wiring.groups:
        found[group.bin] += _stage(mapping, group).work
    return found


def _stage(mapping: Mapping, group: Group) -> _Stage:
    costs, params = mapping.costs, mapping.params
    piece, plan = group.piece, mapping.plans[group.id]
    partial = sum(
        link.last - link.first + 1
        for link in mapping.wiring.links
        if link.receiver == group.id and link.edge is None
    )
    work = sum(costs.events(f) * costs.cycles(f, piece.n_rows, piece.row) for f in piece.feeds)
    if group.emit is Emit.SPIKE:
        rate = costs.rate(piece.population)
        packets = rate * sum(_width(route) for route in plan.routes)
    elif group.emit is Emit.PSUM:
        packets = float(sum(_width(route) for route in plan.routes))
    else:
        packets = float(piece.n_neurons)
    update = piece.n_neurons / params.update_lanes
    return _Stage(
        work=work + partial + piece.n_rows,  # the update reads each row through the engine's port
        sending=max(update, packets) + len(plan.tokens),
    )


def _width(route: Route) -> int:
    return route.last - route.first + 1


def _host_words(mapping: Mapping) -> float:
    """Return the stream words of a timestep."""
    plan = mapping.plans[HOST]
    return len(plan.tokens) + sum(
        mapping.costs.rate(name) * sum(_width(route) for route in routes)
        for name, routes in plan.input_routes.items()
    )


def _bound(mapping: Mapping) -> float:
    costs = mapping.costs
    events = sum(costs.rate(port.name) * port.n for port in mapping.network.inputs)
    rows = sum(
        costs.events(f) * costs.cycles(f, g.piece.n_rows, g.piece.row)
        for g in mapping.wiring.groups
        for f in g.piece.feeds
    )
    return max(events, rows / mapping.params.n_cores)


def _run(
    mapping: Mapping, stages: dict[int, _Stage], host_words: float, n_steps: int
) -> list[float]:
    """Return when the host has everything of each timestep, by the rules of the tokens."""
    params, plans = mapping.params, mapping.plans
    groups = _ordered(mapping)
    ends: dict[tuple[int, int], float] = {}
    starts: dict[tuple[int, int], float] = {}
    engine_free = [0.0] * len(mapping.bins)
    update_free = [0.0] * len(mapping.bins)
    done: list[float] = []
    for t in range(n_steps):
        permit = _permit(plans[HOST].dests, ends, t, params.n_slots)
        starts[HOST, t] = max(ends.get((HOST, t - 1), 0.0), permit)
        ends[HOST, t] = starts[HOST, t] + host_words
        for group in groups:
            first = last = 0.0
            for sender, delay in plans[group.id].sources:
                if t < delay:
                    continue
                way = HOP_CYCLES * _distance(mapping, sender, group)
                first = max(first, starts[sender, t - delay] + way)
                last = max(last, ends[sender, t - delay] + way)
            stage = stages[group.id]
            ready = max(last, max(first, engine_free[group.bin]) + stage.work)
            engine_free[group.bin] = ready
            permit = _permit(plans[group.id].dests, ends, t, params.n_slots)
            start = max(ready + ENGINE_CYCLES, update_free[group.bin], permit)
            starts[group.id, t] = start
            ends[group.id, t] = update_free[group.bin] = start + stage.sending
        done.append(max(ends[g.id, t] + HOP_CYCLES * _distance(mapping, HOST, g) for g in groups))
    return done


def _permit(
    dests: dict[int, int], ends: dict[tuple[int, int], float], t: int, n_slots: int
) -> float:
    """Return when the CREDIT tokens for a timestep are there."""
    return max(
        (ends.get((dest, t - n_slots + delay), 0.0) for dest, delay in dests.items()), default=0.0
    )


def _distance(mapping: Mapping, sender: int, group: Group) -> int:
    columns = mapping.params.columns
    core = mapping.cores[group.bin]
    origin = 0 if sender == HOST else mapping.cores[mapping.wiring.groups[sender].bin]
    return 1 + hops(origin, 1 << core % columns, 1 << core // columns, columns)


def _ordered(mapping: Mapping) -> list[Group]:
    """Return the groups so that each stands behind those that it waits for in a timestep."""
    order = {p.name: i for i, p in enumerate(mapping.network.populations)}
    return sorted(
        mapping.wiring.groups,
        key=lambda g: (order[g.piece.population], not g.piece.partial, g.id),
    )
