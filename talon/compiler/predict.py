"""Predicted cycles: the pipeline of groups over timesteps, from mean numbers of events.

Estimated, not simulated: events are means, and the network on chip is taken as free of contention.
The constants are those of the gateware as co-simulation counts them (small networks, one to four
cores); what it does in fact with a given input only co-simulation tells.
"""

from __future__ import annotations

from dataclasses import dataclass

from talon.arch.memories import Emit
from talon.compiler.cover import hops
from talon.compiler.mapping import Mapping
from talon.compiler.wiring import HOST, Group

HOP_CYCLES = 2
"""Cycles of a packet in a router."""

ENGINE_CYCLES = 6
"""Cycles from the last packet of a timestep to the start of the update."""

UPDATE_CYCLES = 26
"""Cycles of an update besides those of its neurons and packets: its pipeline fills and drains."""

CURRENT_CYCLES = 4
"""Further cycles of an update where cores have synaptic currents."""

_MAX_FOLLOWED = 32


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
    followed = min(n_steps, _MAX_FOLLOWED)
    ends = _run(mapping, stages, _host_words(mapping), followed)
    # In the middle the pipeline is neither filling nor draining.
    low, high = followed // 4, followed - 1 - followed // 4
    per_step = (ends[high] - ends[low]) / (high - low) if high > low else ends[-1] / followed
    total = ends[-1] + (n_steps - followed) * per_step
    return Prediction(
        n_steps=n_steps,
        cycles_per_inference=round(total),
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
        link.n_sent
        for link in mapping.wiring.links
        if link.receiver == group.id and link.edge is None
    )
    work = costs.work(piece)
    if group.emit in (Emit.SPIKE, Emit.GRADED):
        rate = costs.rate(piece.population)
        packets = rate * sum(route.n_sent for route in plan.routes)
    elif group.emit is Emit.PSUM:
        packets = float(sum(route.n_sent for route in plan.routes))
    else:
        packets = float(piece.n_neurons)
    update = -(-piece.n_neurons // params.update_lanes)
    pipeline = UPDATE_CYCLES + (CURRENT_CYCLES if params.synaptic_current else 0)
    return _Stage(
        work=work + partial + piece.n_rows,  # the update reads each row through the engine's port
        sending=max(update, packets) + pipeline + len(plan.tokens),
    )


def _host_words(mapping: Mapping) -> float:
    """Return the stream words of a timestep."""
    plan = mapping.plans[HOST]
    return len(plan.tokens) + sum(
        mapping.costs.rate(name) * sum(route.n_sent for route in routes)
        for name, routes in plan.input_routes.items()
    )


def _bound(mapping: Mapping) -> float:
    costs = mapping.costs
    events = sum(costs.rate(port.name) * port.n for port in mapping.network.inputs)
    rows = sum(costs.work(g.piece) for g in mapping.wiring.groups)
    return max(events, rows / mapping.params.n_cores)


def _run(
    mapping: Mapping, stages: dict[int, _Stage], host_words: float, n_steps: int
) -> list[float]:
    """Return when the host has everything of each timestep, by the rules of the tokens.

    Whatever can start first does; groups of a core share its two engines.
    """
    n_slots = mapping.params.n_slots
    plans, groups = mapping.plans, mapping.wiring.groups
    ways = {
        (sender, g.id): HOP_CYCLES * _distance(mapping, sender, g)
        for g in groups
        for sender, _ in plans[g.id].sources
    }
    starts: dict[tuple[int, int], float] = {}
    ends: dict[tuple[int, int], float] = {}
    engine_free = [0.0] * len(mapping.bins)
    update_free = [0.0] * len(mapping.bins)
    following = {HOST: 0, **{g.id: 0 for g in groups}}

    def begin(sender: int) -> tuple[float, float] | None:
        """Return when a sender can start its next timestep, and when its engine is then done."""
        t = following[sender]
        needs = [(d, t - n_slots + delay) for d, delay in plans[sender].dests.items()]
        if any(k >= 0 and (d, k) not in ends for d, k in needs):
            return None
        permit = max((ends.get(need, 0.0) for need in needs), default=0.0)
        if sender == HOST:
            return max(permit, ends.get((HOST, t - 1), 0.0)), 0.0
        first = last = 0.0
        for source, delay in plans[sender].sources:
            if t < delay:
                continue
            if (source, t - delay) not in ends:
                return None
            way = ways[source, sender]
            first = max(first, starts[source, t - delay] + way)
            last = max(last, ends[source, t - delay] + way)
        b = groups[sender].bin
        done = max(first, engine_free[b]) + stages[sender].work
        return max(max(last, done) + ENGINE_CYCLES, update_free[b], permit), done

    while True:
        waiting = [sender for sender, t in following.items() if t < n_steps]
        able = [(found, sender) for sender in waiting if (found := begin(sender)) is not None]
        if not able:
            break
        (start, done), sender = min(able)
        t = following[sender]
        following[sender] = t + 1
        starts[sender, t] = start
        ends[sender, t] = start + (host_words if sender == HOST else stages[sender].sending)
        if sender != HOST:
            b = groups[sender].bin
            engine_free[b], update_free[b] = done, ends[sender, t]
    home = {g.id: HOP_CYCLES * _distance(mapping, HOST, g) for g in groups}
    return [max(ends[g.id, t] + home[g.id] for g in groups) for t in range(n_steps)]


def _distance(mapping: Mapping, sender: int, group: Group) -> int:
    columns = mapping.params.columns
    core = mapping.cores[group.bin]
    origin = 0 if sender == HOST else mapping.cores[mapping.wiring.groups[sender].bin]
    return 1 + hops(origin, 1 << core % columns, 1 << core // columns, columns)
