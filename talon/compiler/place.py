"""Placement: which core of the mesh takes which pieces.

For latency what counts first is the load of the busiest link, for a timestep cannot be shorter;
then the traffic: over all multicasts, how often they are sent times the packets that they take and
the links that these cross. For traffic the links alone count first. Layers start as rectangles of
several widths, which a single product multicast reaches, in order, or as the search for parts that
talk in pairs has them; swaps then lower the traffic, and moves the busiest link. Nothing is random,
and what a search may try is counted, not timed, so equal networks give equal images.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from talon.arch.params import ArrayParams
from talon.compiler.cover import cover, hops, tree
from talon.compiler.nets import Net, Rates, nets_of, sent_nets
from talon.compiler.placing import MeshProblem, sketch
from talon.compiler.wiring import HOST, Wiring

Rank = tuple[float, float]

_PACKET_COST = 8  # links that are as bad as one packet more: a packet takes a cycle of its sender
_MAX_PASSES = 8
_MOST_WAYS = 2_000  # placements up to which all are tried
_MOST_SUMS = 6_000_000  # costs of a net that all swaps of a placement may ask for
_MOST_COVERS = 60_000  # those of them that are not known yet
_MOST_RANKS = 2_000_000  # nets that moves may count the busiest link of
_UNIT = 64  # weights of pairs are whole numbers of this part of a packet


def place(
    wiring: Wiring,
    costs: Rates,
    n_bins: int,
    *,
    objective: str = "latency",
    heard: Collection[str] = (),
) -> list[int]:
    """Return the core of each bin.

    Parameters
    ----------
    wiring, costs, n_bins
        What is to be placed, and the rates of what it sends.
    objective
        ``"traffic"`` lowers the links that packets cross, any other one the busiest link first.
    heard
        Populations whose spikes or values the host takes; they count for traffic alone.
    """
    is_traffic = objective == "traffic"
    nets = sent_nets(wiring, costs, n_bins, set(heard)) if is_traffic else nets_of(wiring, costs)
    search = _Search(nets, costs.params, n_bins, is_traffic=is_traffic)
    if math.perm(costs.params.n_cores, n_bins) <= _MOST_WAYS:
        ways = itertools.permutations(range(costs.params.n_cores), n_bins)
        return min(map(list, ways), key=search.rank)
    starts = [list(range(n_bins))]
    starts += [
        _rectangles(wiring, costs.params, n_bins, width=width)
        for width in range(costs.params.columns, 0, -1)
    ]
    starts += [at.tolist() for at in sketch(pairs_of(nets, n_bins, costs.params))]
    once = list(dict.fromkeys(map(tuple, starts)))
    found = [search.improve(list(start)) for start in sorted(once, key=search.traffic)]
    return search.unload(min(found, key=search.rank))


def pairs_of(nets: list[Net], n_bins: int, params: ArrayParams) -> MeshProblem:
    """Return the traffic as what bins send each other in pairs: a share of each multicast."""
    weight = np.zeros((n_bins, n_bins), np.int64)
    host = np.zeros(n_bins, np.int64)
    for net in nets:
        share = round(_UNIT * net.weight / len(net.receivers))
        for receiver in net.receivers:
            if net.sender == HOST or receiver == HOST:
                host[max(net.sender, receiver)] += share
            elif net.sender != receiver:
                weight[net.sender, receiver] += share
                weight[receiver, net.sender] += share
    return MeshProblem(weight=weight, columns=params.columns, rows=params.rows, host=host)


def cost_of(cores: list[int], nets: list[Net], params: ArrayParams) -> float:
    """Return the traffic cost of a placement: links, and packets as links."""
    return _Search(nets, params, len(cores)).traffic(cores)


def hops_of(cores: list[int], nets: list[Net], params: ArrayParams) -> float:
    """Return the links that the packets of a timestep cross between routers."""
    return _Search(nets, params, len(cores), is_traffic=True).traffic(cores)


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


@lru_cache(maxsize=1 << 18)
def _multicast(origin: int, mask: int, columns: int) -> tuple[int, int]:
    """Return the packets of a multicast and the links that they cross."""
    products = cover(mask, columns)
    return len(products), sum(hops(origin, xmask, ymask, columns) for xmask, ymask in products)


class _Search:
    """Placements of bins, by what their nets cost; it stops when it has tried enough."""

    def __init__(
        self, nets: list[Net], params: ArrayParams, n_bins: int, *, is_traffic: bool = False
    ) -> None:
        self.nets, self.params = nets, params
        self.is_traffic = is_traffic
        self.touching: list[list[Net]] = [[] for _ in range(n_bins)]
        for net in nets:
            for b in {net.sender, *net.receivers} - {HOST}:
                self.touching[b].append(net)
        self._known: set[tuple[int, int]] = set()
        self._sums = 0

    def traffic(self, cores: list[int] | tuple[int, ...]) -> float:
        """Return what all multicasts cost."""
        return sum(self._cost(net, cores) for net in self.nets)

    def rank(self, cores: list[int]) -> Rank:
        """Return what decides between placements, first things first."""
        busiest = round(busiest_link(cores, self.nets, self.params), 6)
        traffic = self.traffic(cores)
        return (round(traffic, 6), busiest) if self.is_traffic else (busiest, traffic)

    def improve(self, cores: list[int]) -> list[int]:
        """Swap cores, filled or idle, as long as that lowers the traffic."""
        for _ in range(_MAX_PASSES):
            improved = False
            for b in range(len(cores)):
                for core in range(self.params.n_cores):
                    if self._is_spent():
                        return cores
                    improved |= core != cores[b] and self._swap(cores, b, core)
            if not improved:
                break
        return cores

    def _swap(self, cores: list[int], b: int, core: int) -> bool:
        """Exchange what is on two cores if that lowers the traffic."""
        other = cores.index(core) if core in cores else None
        local = self._around(cores, b) if other is None else self._around(cores, b, other)
        before, old = local(), cores[b]
        cores[b] = core
        if other is not None:
            cores[other] = old
        if local() < before - 1e-9:
            return True
        cores[b] = old
        if other is not None:
            cores[other] = core
        return False

    def unload(self, cores: list[int]) -> list[int]:
        """Move bins, to idle cores or in exchange, as long as that helps the busiest link."""
        best = self.rank(cores)
        left = _MOST_RANKS // max(1, len(self.nets))
        for _ in range(_MAX_PASSES):
            before = best
            for b in range(len(cores)):
                for core in range(self.params.n_cores):
                    if (left := left - 1) < 0:
                        return cores
                    moved = [cores[b] if c == core else c for c in cores]
                    moved[b] = core
                    rank = self.rank(moved)
                    if rank < best:
                        cores, best = moved, rank
            if best == before:
                break
        return cores

    def _is_spent(self) -> bool:
        return self._sums > _MOST_SUMS or len(self._known) > _MOST_COVERS

    def _around(self, cores: list[int], *bins: int) -> Callable[[], float]:
        seen = {id(net): net for b in bins for net in self.touching[b]}.values()
        return lambda: sum(self._cost(net, cores) for net in seen)

    def _cost(self, net: Net, cores: list[int] | tuple[int, ...]) -> float:
        columns = self.params.columns
        origin = 0 if net.sender == HOST else cores[net.sender]
        if net.receivers == (HOST,):
            return net.weight * (origin % columns + origin // columns)
        mask = 0
        for receiver in net.receivers:
            mask |= 1 << cores[receiver]
        self._sums += 1
        self._known.add((origin, mask))
        packets, links = _multicast(origin, mask, columns)
        return net.weight * (links if self.is_traffic else _PACKET_COST * packets + links)


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
