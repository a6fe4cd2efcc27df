"""Placement: which core of the mesh takes which pieces.

What counts first is the load of the busiest link, for a timestep cannot be shorter; then the
traffic: over all multicasts, how often they are sent times the packets that they take and the links
that these cross. Layers start as rectangles of several widths, which a single product multicast
reaches, or in order; swaps then lower the traffic, and moves the busiest link. Nothing is random,
so equal networks give equal images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import Emit
from talon.arch.params import ArrayParams
from talon.compiler.cover import cover, hops, tree
from talon.compiler.wiring import HOST, Wiring

_PACKET_COST = 8  # links that are as bad as one packet more: a packet takes a cycle of its sender
_MAX_PASSES = 8


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


def place(wiring: Wiring, costs: Rates, n_bins: int) -> list[int]:
    """Return the core of each bin."""
    params = costs.params
    nets = nets_of(wiring, costs)
    starts = [list(range(n_bins))]
    for width in range(params.columns, 0, -1):
        start = _rectangles(wiring, params, n_bins, width=width)
        if start not in starts:
            starts.append(start)
    found = [_improve(start, nets, params) for start in starts]
    best = min(found, key=lambda cores: _rank(cores, nets, params))
    return _unload(best, nets, params)


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


def cost_of(cores: list[int], nets: list[Net], params: ArrayParams) -> float:
    """Return the traffic cost of a placement."""
    return sum(_net_cost(net, cores, params.columns) for net in nets)


def busiest_link(cores: list[int], nets: list[Net], params: ArrayParams) -> float:
    """Return the packets in a timestep over the link that has most, links of cores included."""
    crossed: list[NDArray[np.intp]] = []
    for net in nets:
        origin = HOST if net.sender == HOST else cores[net.sender]
        mask = sum(1 << cores[b] for b in net.receivers if b != HOST)
        crossed.append(_links(origin, mask, params.columns, params.n_cores))
    weights = np.repeat([net.weight for net in nets], [len(links) for links in crossed])
    return float(np.bincount(np.concatenate(crossed), weights).max()) if crossed else 0.0


@lru_cache(maxsize=1 << 16)
def _links(origin: int, mask: int, columns: int, n_cores: int) -> NDArray[np.intp]:
    """Return the numbers of the links that a multicast crosses, once for each packet.

    ``mask`` is the set of receiving cores; an empty one stands for the host.
    """
    products = cover(mask, columns) if mask else ((0, 0),)
    return np.array(
        [link for p in products for link in tree(origin, *p, columns, n_cores)], np.intp
    )


def _net_cost(net: Net, cores: list[int], columns: int) -> float:
    origin = 0 if net.sender == HOST else cores[net.sender]
    if net.receivers == (HOST,):
        return net.weight * (origin % columns + origin // columns)
    mask = 0
    for receiver in net.receivers:
        mask |= 1 << cores[receiver]
    return net.weight * _multicast_cost(origin, mask, columns)


@lru_cache(maxsize=1 << 18)
def _multicast_cost(origin: int, mask: int, columns: int) -> int:
    products = cover(mask, columns)
    links = sum(hops(origin, xmask, ymask, columns) for xmask, ymask in products)
    return _PACKET_COST * len(products) + links


def _rank(cores: list[int], nets: list[Net], params: ArrayParams) -> tuple[float, float]:
    return round(busiest_link(cores, nets, params), 6), cost_of(cores, nets, params)


def _unload(cores: list[int], nets: list[Net], params: ArrayParams) -> list[int]:
    """Move bins, to idle cores or in exchange, as long as that helps the busiest link."""
    best = _rank(cores, nets, params)
    for _ in range(_MAX_PASSES):
        before = best
        for b in range(len(cores)):
            for core in range(params.n_cores):
                moved = [cores[b] if c == core else c for c in cores]
                moved[b] = core
                rank = _rank(moved, nets, params)
                if rank < best:
                    cores, best = moved, rank
        if best == before:
            break
    return cores


def _rectangles(wiring: Wiring, params: ArrayParams, n_bins: int, *, width: int) -> list[int]:
    """Return a first placement: the bins of each population in a rectangle near its sources.

    Rectangles are ``width`` cores wide where there are as many bins and it can be had.
    """
    cores = [-1] * n_bins
    free = set(range(params.n_cores))
    by_population: dict[str, list[int]] = {}
    for group in wiring.groups:
        bins = by_population.setdefault(group.piece.population, [])
        if group.bin not in bins:
            bins.append(group.bin)
    for population, bins in by_population.items():
        pending = [b for b in bins if cores[b] < 0]
        if not pending:
            continue
        anchors = [
            cores[wiring.groups[link.sender].bin] if link.sender != HOST else 0
            for link in wiring.links
            if wiring.groups[link.receiver].piece.population == population
        ]
        near = [a for a in anchors if a >= 0] or [0]
        cells = _best_cells(len(pending), free, near, params, width=min(width, len(pending)))
        for b, core in zip(pending, cells, strict=True):
            cores[b] = core
            free.discard(core)
    return cores


def _best_cells(
    n: int, free: set[int], anchors: list[int], params: ArrayParams, *, width: int
) -> list[int]:
    columns, preferred = params.columns, width
    x0 = sum(a % columns for a in anchors) / len(anchors)
    y0 = sum(a // columns for a in anchors) / len(anchors)

    def distance(core: int) -> float:
        return abs(core % columns - x0) + abs(core // columns - y0)

    candidates = [sorted(free, key=lambda core: (distance(core), core))[:n]]
    for width in range(1, columns + 1):
        height = -(-n // width)
        for y in range(params.rows - height + 1):
            for x in range(columns - width + 1):
                cells = [(y + j) * columns + x + i for j in range(height) for i in range(width)][:n]
                if free.issuperset(cells):
                    candidates.append(cells)
    return min(
        candidates,
        key=lambda cells: (
            len(cover(sum(1 << core for core in cells), columns)),
            len({core % columns for core in cells}) != preferred,
            sum(distance(core) for core in cells),
            cells,
        ),
    )


def _improve(cores: list[int], nets: list[Net], params: ArrayParams) -> list[int]:
    """Swap cores, filled or idle, as long as that lowers the cost."""
    touching: list[list[Net]] = [[] for _ in cores]
    for net in nets:
        for b in {net.sender, *net.receivers} - {HOST}:
            touching[b].append(net)

    def around(*bins: int) -> Callable[[], float]:
        seen = {id(net): net for b in bins for net in touching[b]}.values()
        return lambda: sum(_net_cost(net, cores, params.columns) for net in seen)

    for _ in range(_MAX_PASSES):
        improved = False
        for b in range(len(cores)):
            for core in range(params.n_cores):
                if core == cores[b]:
                    continue
                other = cores.index(core) if core in cores else None
                local = around(b) if other is None else around(b, other)
                before, old = local(), cores[b]
                cores[b] = core
                if other is not None:
                    cores[other] = old
                if local() < before - 1e-9:
                    improved = True
                    continue
                cores[b] = old
                if other is not None:
                    cores[other] = core
        if not improved:
            break
    return cores
