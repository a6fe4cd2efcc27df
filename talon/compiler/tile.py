"""Slicing: populations become pieces that fit cores, by outputs first, then by inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from talon.arch.params import PRESETS, ArrayParams
from talon.compiler.network import IntNetwork
from talon.compiler.pieces import Bin, Costs, Feed, Piece
from talon.compiler.tiling.costs import MapCosts
from talon.compiler.tiling.slicing import least_cores
from talon.errors import MappingError

Objective = Literal["latency", "cores", "traffic"]
OBJECTIVES: tuple[Objective, ...] = ("latency", "cores", "traffic")

_WAYS = {
    "weight memory": "make layers smaller, or prune weights so that they are stored as sparse",
    "accumulator rows": "make layers smaller",
    "groups": "join layers of neurons that take the same inputs",
    "edges": "sum or concatenate paths before they reach neurons",
}
"""Resources in the order of :class:`Bounds`, and what makes a network need less of them."""

_WORTH_IT = 0.5  # a core is split only if its load is this share of the heaviest load or more


@dataclass(frozen=True, kw_only=True)
class _Run:
    """Rows of a population that may be cut anywhere between two rows."""

    population: str
    row: int
    n_rows: int
    feeds: tuple[Feed, ...]
    partial: bool = False


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What the network needs of the whole array, and what there is.

    Of groups and edges that is the least: one group a population, one edge a projection.
    """

    weight_words: tuple[int, int]
    rows: tuple[int, int]
    groups: tuple[int, int]
    edges: tuple[int, int]
    cores: int
    others: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Further resources by name, on an array with feature maps."""

    @property
    def shares(self) -> dict[str, float]:
        """Share of each resource that the network needs, by name."""
        pairs = (self.weight_words, self.rows, self.groups, self.edges)
        named = {**dict(zip(_WAYS, pairs, strict=True)), **self.others}
        return {name: used / max(1, there) for name, (used, there) in named.items()}

    @property
    def binding(self) -> str:
        """Name of the resource that decides how many cores are needed at least."""
        shares = self.shares
        return max(shares, key=shares.__getitem__)


def bounds(network: IntNetwork, params: ArrayParams) -> Bounds:
    """Return the needs of a network and the least number of cores that they imply."""
    if params.has_maps:
        return _bounds_of_maps(network, params)
    costs = Costs(network, params)
    words = rows = 0
    for population in network.populations:
        n_rows = costs.n_rows(population.name)
        rows += n_rows
        words += sum(costs.words(f, 0, n_rows) for f in costs.feeds(population.name))
    needs = (
        (words, params.weight_words),
        (rows, params.n_rows),
        (len(network.populations), params.n_groups),
        (len(network.projections), params.n_edges),
    )
    whole = [(used, there * params.n_cores) for used, there in needs]
    return Bounds(
        weight_words=whole[0],
        rows=whole[1],
        groups=whole[2],
        edges=whole[3],
        cores=max(1, *(-(-used // there) for used, there in needs)),
    )


def _bounds_of_maps(network: IntNetwork, params: ArrayParams) -> Bounds:
    cores, limits = least_cores(MapCosts(network, params))
    whole = {limit.name: (limit.used, limit.there * params.n_cores) for limit in limits}
    return Bounds(
        weight_words=whole.pop("weight words"),
        rows=whole.pop("accumulator rows"),
        groups=whole.pop("groups"),
        edges=whole.pop("edges"),
        cores=cores,
        others=whole,
    )


def tile(
    network: IntNetwork,
    params: ArrayParams,
    *,
    objective: Objective = "latency",
    rates: dict[str, float] | None = None,
) -> list[Bin]:
    """Return the contents of the cores that the network needs.

    Parameters
    ----------
    network, params
        What is to be sliced, and for which array.
    objective
        ``"cores"`` and ``"traffic"`` take as few cores as they can; ``"latency"`` spreads over idle
        cores what keeps a core busiest.
    rates
        Events of a neuron in a timestep, by source.

    Raises
    ------
    MappingError
        The network does not fit; the message names what binds and the ways out.
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"Objective must be one of {OBJECTIVES}, not {objective!r}")
    costs = Costs(network, params, rates)
    bins = _pack_all(costs)
    if objective == "latency":
        _spread(costs, bins)
    _level(costs, bins)
    return bins


def _pack_all(costs: Costs) -> list[Bin]:
    """Return the fewest cores that any of several orders of packing needs."""
    runs = [run for p in costs.network.populations for run in _runs_of(costs, p.name)]
    orders: tuple[Callable[[_Run], float], ...] = (
        lambda run: -_whole(costs, run).words,
        lambda run: -run.n_rows,
        lambda _: 0,
        lambda run: _whole(costs, run).words,
    )
    best: list[Bin] | None = None
    failure: MappingError | None = None
    for order in orders:
        bins: list[Bin] = []
        try:
            for run in sorted(runs, key=order):
                _pack(costs, bins, run)
        except MappingError as error:
            failure = failure or error
            continue
        if best is None or len(bins) < len(best):
            best = bins
    if best is None:
        assert failure is not None
        raise failure
    return best


def _runs_of(costs: Costs, population: str) -> list[_Run]:
    """Return what is to be packed of a population; partial sums where one row is too large."""
    runs: list[_Run] = []
    for row in range(costs.n_rows(population)):
        feeds, partial = _split_inputs(costs, population, row)
        runs += [*partial, _Run(population=population, row=row, n_rows=1, feeds=feeds)]
    return _joined(runs)


def _joined(runs: list[_Run]) -> list[_Run]:
    """Join runs of adjacent rows that take the same feeds."""
    whole: list[_Run] = []
    for run in sorted((run for run in runs if not run.partial), key=lambda run: run.row):
        last = whole[-1] if whole else None
        if last is not None and last.feeds == run.feeds and last.row + last.n_rows == run.row:
            whole[-1] = replace(last, n_rows=last.n_rows + run.n_rows)
        else:
            whole.append(run)
    return [run for run in runs if run.partial] + whole


def _split_inputs(costs: Costs, population: str, row: int) -> tuple[tuple[Feed, ...], list[_Run]]:
    """Return the feeds that a row keeps and those that other cores sum for it."""
    limit = costs.params.weight_words
    feeds = list(costs.feeds(population))
    partial: list[_Run] = []
    while sum(costs.words(feed, row, 1) for feed in feeds) > limit:
        at = max(range(len(feeds)), key=lambda i: costs.words(feeds[i], row, 1))
        feed = feeds[at]
        n = _largest(feed.n, lambda n, feed=feed: costs.words(_head(feed, n), row, 1) <= limit)
        if n == 0:
            raise MappingError(
                f"Population {population!r} has synapses of one source that take more than the "
                f"{limit} weight words of a core; use an array with more weight memory"
            )
        partial.append(
            _Run(population=population, row=row, n_rows=1, feeds=(_head(feed, n),), partial=True)
        )
        if n == feed.n:
            del feeds[at]
        else:
            feeds[at] = replace(feed, first=feed.first + n)
    return tuple(feeds), partial


def _head(feed: Feed, n: int) -> Feed:
    return replace(feed, last=feed.first + n - 1)


def _largest(limit: int, holds: Callable[[int], bool]) -> int:
    """Return the largest number up to ``limit`` for which a monotone condition holds, or 0."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _whole(costs: Costs, run: _Run) -> Piece:
    return costs.piece(run.population, run.row, run.n_rows, run.feeds, partial=run.partial)


def _pack(costs: Costs, bins: list[Bin], run: _Run) -> None:
    """Put a run into as few cores as it takes."""
    params = costs.params
    row, end = run.row, run.row + run.n_rows
    while row < end:
        rest = replace(run, row=row, n_rows=end - row)
        piece = _whole(costs, rest)
        room = [b for b in bins if b.fits(piece, params)]
        if room:
            min(room, key=lambda b: params.weight_words - b.words).pieces.append(piece)
            return
        empty = Bin()
        n = _fitting(costs, empty, rest)
        holes = [(k, b) for b in bins if (k := _fitting(costs, b, rest))]
        may_open = len(bins) < params.n_cores and n > 0
        if may_open and not (n == rest.n_rows and sum(k for k, _ in holes) >= n):
            bins.append(empty)
            chosen = empty
        elif holes:
            n, chosen = max(holes, key=lambda hole: hole[0])
        else:
            raise MappingError(_does_not_fit(costs, rest, room_at_all=n > 0))
        n = min(n, rest.n_rows)
        chosen.pieces.append(_whole(costs, replace(rest, n_rows=n)))
        row += n


def _fitting(costs: Costs, container: Bin, run: _Run) -> int:
    """Return how many rows of a run a core has room for."""
    return _largest(
        run.n_rows,
        lambda n: n == 0 or container.fits(_whole(costs, replace(run, n_rows=n)), costs.params),
    )


def _does_not_fit(costs: Costs, run: _Run, *, room_at_all: bool) -> str:
    params = costs.params
    population = costs.populations[run.population]
    if not room_at_all:
        return (
            f"Population {run.population!r} has {len(run.feeds)} projections into one row of "
            f"neurons, but a core of {params.name!r} has {params.n_edges} edges; sum or "
            "concatenate fewer paths into it"
        )
    need = bounds(costs.network, params)
    words, rows, groups, edges = need.weight_words, need.rows, need.groups, need.edges
    has_current = any(p.current is not None for p in costs.network.populations)
    doubles = any(p.reset == "double" for p in costs.network.populations)
    larger = [
        p.name
        for p in PRESETS.values()
        if (p.lanes, p.int4) == (params.lanes, params.int4)
        and p.synaptic_current == has_current
        and p.double_threshold == doubles
        and not p.has_maps
        and p.n_cores > params.n_cores
        and bounds(costs.network, p).cores <= p.n_cores
    ]
    way = f"use a larger array ({' or '.join(larger)})" if larger else "use a larger array"
    short = need.shares[need.binding] > 1
    binds = (
        f"Binding is the {need.binding}"
        if short
        else "The array as a whole would have room, but no core has enough of everything"
    )
    return (
        f"Population {run.population!r} ({population.n} neurons) does not fit on "
        f"{params.name!r}: {run.n_rows} of its {costs.n_rows(run.population)} rows of "
        f"{params.lanes} neurons find no core. {binds}: the network needs "
        f"{words[0] * params.word_bytes} of {words[1] * params.word_bytes} bytes of weights, "
        f"{rows[0]} of {rows[1]} accumulator rows, {groups[0]} of {groups[1]} groups (one a "
        f"population) and {edges[0]} of {edges[1]} edges (one a projection) at least, on "
        f"{params.n_cores} cores; {way} or {_WAYS[need.binding]}"
    )


def _spread(costs: Costs, bins: list[Bin]) -> None:
    """Split what keeps a core busiest, as long as there are idle cores and it pays."""
    while len(bins) < costs.params.n_cores:
        loads = [costs.bin_load(b) for b in bins]
        order = sorted(range(len(bins)), key=lambda i: (-loads[i], i))
        for i in order:
            halves = _halves(costs, bins[i]) if loads[i] >= _WORTH_IT * max(loads) else None
            if halves is not None:
                bins[i], other = halves
                bins.append(other)
                break
        else:
            return


def _level(costs: Costs, bins: list[Bin]) -> None:
    """Deal the rows of each population anew over its cores, so that they are equally busy."""
    for population in costs.network.populations:
        name = population.name
        mine = [b for b in bins if any(p.population == name for p in b.pieces)]
        pieces = [p for b in mine for p in b.pieces if p.population == name]
        # Rows that take partial sums need not have the same feeds.
        if len(mine) < 2 or len(pieces) != len(mine) or any(p.partial for p in pieces):
            continue
        others = [Bin(pieces=[p for p in b.pieces if p.population != name]) for b in mine]
        dealt = _deal(costs, others, name)
        if dealt is None or max(map(costs.bin_load, dealt)) >= max(map(costs.bin_load, mine)):
            continue
        for b, new in zip(mine, dealt, strict=True):
            b.pieces = new.pieces


def _deal(costs: Costs, others: list[Bin], population: str) -> list[Bin] | None:
    """Return cores to which the rows of a population were dealt, each to the least busy one."""
    feeds = costs.feeds(population)
    counts = [0] * len(others)

    def with_rows(i: int, row: int, n_rows: int) -> Bin:
        piece = costs.piece(population, row, n_rows, feeds)
        return Bin(pieces=[*others[i].pieces, piece])

    for _ in range(costs.n_rows(population)):
        trials = [(with_rows(i, 0, counts[i] + 1), i) for i in range(len(others))]
        room = [(costs.bin_load(trial), i) for trial, i in trials if trial.within(costs.params)]
        if not room:
            return None
        counts[min(room)[1]] += 1
    dealt: list[Bin] = []
    row = 0
    for i, n_rows in enumerate(counts):
        dealt.append(with_rows(i, row, n_rows) if n_rows else others[i])
        row += n_rows
    return dealt if all(b.within(costs.params) for b in dealt) else None


def _halves(costs: Costs, full: Bin) -> tuple[Bin, Bin] | None:
    """Return the contents of two cores instead of one, or None if they cannot be split."""
    if len(full.pieces) > 1:
        left, right = Bin(), Bin()
        for piece in sorted(full.pieces, key=lambda piece: -costs.load(piece)):
            lighter = min(left, right, key=costs.bin_load)
            lighter.pieces.append(piece)
        return left, right
    (piece,) = full.pieces
    if piece.n_rows == 1:
        return None
    n = (piece.n_rows + 1) // 2
    feeds = piece.feeds
    return (
        Bin(pieces=[costs.piece(piece.population, piece.row, n, feeds, partial=piece.partial)]),
        Bin(
            pieces=[
                costs.piece(
                    piece.population,
                    piece.row + n,
                    piece.n_rows - n,
                    feeds,
                    partial=piece.partial,
                )
            ]
        ),
    )
