"""Traffic between bins that have no place yet: multicasts, and how often they are sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from talon.arch.memories import Emit
from talon.arch.params import ArrayParams
from talon.compiler.cover import members
from talon.compiler.schedule import Plan, Route, sender_plans
from talon.compiler.wiring import HOST, Wiring


@dataclass(frozen=True, kw_only=True)
class Net:
    """A multicast from a bin (or the host) to bins (or the host), and how often it is sent."""

    sender: int
    receivers: tuple[int, ...]
    weight: float


class Rates(Protocol):
    """What placement must know of costs."""

    @property
    def params(self) -> ArrayParams:
        """The array."""
        ...

    def rate(self, source: str) -> float:
        """Return the events of one line of a source in a timestep."""
        ...


def nets_of(wiring: Wiring, costs: Rates) -> list[Net]:
    """Return all traffic of a timestep, spikes and tokens, between bins."""
    spikes: dict[tuple[object, ...], set[int]] = {}
    tokens: dict[tuple[object, ...], set[int]] = {}
    groups = wiring.groups
    weight: dict[tuple[object, ...], float] = {}
    for link in wiring.links:
        receiver = groups[link.receiver]
        key = (link.sender, link.source, link.edge, link.first, link.last, link.delay, link.region)
        spikes.setdefault(key, set()).add(receiver.bin)
        weight[key] = link.n_sent * (1.0 if link.edge is None else costs.rate(link.source))
        tokens.setdefault((link.sender, receiver.number, link.delay), set()).add(receiver.bin)
        if link.sender != HOST:
            sender = groups[link.sender]
            tokens.setdefault((receiver.id, "credit", sender.number), set()).add(sender.bin)
    nets = [
        Net(sender=_bin(wiring, key[0]), receivers=tuple(sorted(to)), weight=weight[key])
        for key, to in spikes.items()
    ]
    nets += [
        Net(sender=_bin(wiring, key[0]), receivers=tuple(sorted(to)), weight=1.0)
        for key, to in tokens.items()
    ]
    nets += [
        Net(sender=group.bin, receivers=(HOST,), weight=float(group.piece.n_neurons))
        for group in groups
        if group.emit is Emit.READOUT
    ]
    weights: dict[tuple[int, tuple[int, ...]], float] = {}
    for net in nets:
        key = (net.sender, net.receivers)
        weights[key] = weights.get(key, 0.0) + net.weight
    return [Net(sender=s, receivers=to, weight=w) for (s, to), w in weights.items()]


def _bin(wiring: Wiring, sender: object) -> int:
    assert isinstance(sender, int)
    return HOST if sender == HOST else wiring.groups[sender].bin


@dataclass(frozen=True, kw_only=True)
class _Row:
    """Bins in one row, of which any set is a single product."""

    columns: int
    lanes: int
    n_slots: int


def sent_nets(wiring: Wiring, costs: Rates, n_bins: int, heard: set[str]) -> list[Net]:
    """Return every packet that the schedule sends, the host's and those to it included.

    What :func:`nets_of` estimates from the links, this counts: the schedule is made with the bins
    in one row, so that each multicast is one packet whatever it reaches. ``heard`` names the
    populations whose spikes or values the host takes.
    """
    params = costs.params
    row = _Row(columns=max(1, n_bins), lanes=params.lanes, n_slots=params.n_slots)
    plans = sender_plans(row, wiring, list(range(n_bins)), heard=heard)
    weights: dict[tuple[int, tuple[int, ...]], float] = {}

    def send(sender: int, xmask: int, weight: float) -> None:
        to = tuple(members(xmask, 1, n_bins)) if xmask else (HOST,)
        weights[sender, to] = weights.get((sender, to), 0.0) + weight

    for sender, plan in plans.items():
        bin_ = _bin(wiring, sender)
        for route, rate in _routes(wiring, costs, sender, plan):
            send(bin_, 0 if route.host else route.xmask, route.n_sent * rate)
        for token in plan.tokens:
            send(bin_, 0 if token.host else token.xmask, 1.0)
    for group in wiring.groups:
        if group.emit is Emit.READOUT:
            send(group.bin, 0, float(group.piece.n_neurons))
    return [Net(sender=s, receivers=to, weight=w) for (s, to), w in weights.items()]


def _routes(wiring: Wiring, costs: Rates, sender: int, plan: Plan) -> list[tuple[Route, float]]:
    """Return the routes of a sender, each with the packets of one of its neurons in a timestep."""
    if sender == HOST:
        named = plan.input_routes.items()
        return [(route, costs.rate(source)) for source, routes in named for route in routes]
    group = wiring.groups[sender]
    always = group.emit in (Emit.PSUM, Emit.READOUT)
    rate = 1.0 if always else costs.rate(group.piece.population)
    return [(route, rate) for route in plan.routes]


def hops_bound(nets: list[Net], params: ArrayParams) -> int:
    """Return links that packets of a timestep cross at least, wherever the bins are.

    A multicast takes a link for each core that it reaches beside its sender's. The host is at
    core 0: what all bins send it goes the shorter the more they send.
    """
    total = 0.0
    to_host: dict[int, float] = {}
    for net in nets:
        if net.receivers == (HOST,):
            to_host[net.sender] = to_host.get(net.sender, 0.0) + net.weight
        else:
            n = len(set(net.receivers) - {net.sender})
            total += net.weight * (n - 1 if net.sender == HOST else n)
    far = sorted(sum(params.position(core)) for core in range(params.n_cores))
    total += sum(w * d for w, d in zip(sorted(to_host.values(), reverse=True), far, strict=False))
    return round(total)
