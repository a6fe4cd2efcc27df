"""Parts in cores: how many cores each multicast must reach, and moves that make them fewer.

A multicast is a hyperedge: its sender and its receivers. With lambda the number of cores that have
any of them, it reaches lambda - 1 cores beside its sender's; weighted and summed, that is the
*connectivity* of a partition, the measure of hypergraph partitioners.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_PASSES = 8
_MOST_PARTS = 9
"""Parts up to which all partitions are tried: of 9 parts there are 21,147."""

Fits = Callable[[Sequence[int]], bool]
"""Tells whether a core holds all these parts."""


@dataclass(frozen=True, kw_only=True)
class Hyperedge:
    """What one part sends to others at once, and how often."""

    sender: int
    receivers: tuple[int, ...]
    weight: int = 1


def connectivity(cores: Sequence[int], edges: Sequence[Hyperedge]) -> int:
    """Return lambda - 1, weighted and summed; a negative sender, the host, is on no core."""
    return sum(_cost(edge, cores) for edge in edges)


def _cost(edge: Hyperedge, cores: Sequence[int]) -> int:
    reached = {cores[r] for r in edge.receivers}
    if edge.sender < 0:
        return edge.weight * (len(reached) - 1)
    reached.discard(cores[edge.sender])
    return edge.weight * len(reached)


def gather(
    cores: Sequence[int], edges: Sequence[Hyperedge], fits: Fits, *, is_movable: Fits | None = None
) -> list[int]:
    """Return cores among which moves and exchanges of parts have lowered the connectivity.

    No core is opened; one may become empty.

    Parameters
    ----------
    cores
        Core of each part.
    edges
        What parts send.
    fits
        Whether a core holds some parts.
    is_movable
        Whether a part, alone in a sequence, may leave its core; all may if not given.
    """
    return _Gathering(cores, edges, fits, is_movable).run()


class _Gathering:
    """A partition under way: the parts of each core, and the hyperedges of each part."""

    def __init__(
        self,
        cores: Sequence[int],
        edges: Sequence[Hyperedge],
        fits: Fits,
        is_movable: Fits | None,
    ) -> None:
        self.cores = list(cores)
        self.fits = fits
        self.parts: dict[int, set[int]] = {core: set() for core in sorted(set(cores))}
        for k, core in enumerate(cores):
            self.parts[core].add(k)
        self.movable = [k for k in range(len(cores)) if is_movable is None or is_movable([k])]
        self.touching: list[list[Hyperedge]] = [[] for _ in cores]
        for edge in edges:
            for k in {edge.sender, *edge.receivers}:
                if k >= 0:
                    self.touching[k].append(edge)

    def run(self) -> list[int]:
        """Return the cores when neither moves nor exchanges help any more."""
        for _ in range(_PASSES):
            improved = False
            for k in self.movable:
                improved |= self._move(k) or self._exchange(k)
            if not improved:
                break
        return self.cores

    def _near(self, k: int) -> Iterator[int]:
        """Yield the other cores that a part talks with."""
        parts = (p for edge in self.touching[k] for p in (edge.sender, *edge.receivers) if p >= 0)
        yield from sorted({self.cores[p] for p in parts} - {self.cores[k]})

    def _gain(self, moves: Sequence[tuple[int, int]]) -> int:
        """Return by how much moves of parts to cores lower the connectivity."""
        edges = {id(edge): edge for k, _ in moves for edge in self.touching[k]}.values()
        before = connectivity(self.cores, list(edges))
        old = [self.cores[k] for k, _ in moves]
        for k, core in moves:
            self.cores[k] = core
        after = connectivity(self.cores, list(edges))
        for (k, _), core in zip(moves, old, strict=True):
            self.cores[k] = core
        return before - after

    def _take(self, moves: Sequence[tuple[int, int]]) -> None:
        for k, core in moves:
            self.parts[self.cores[k]].discard(k)
            self.parts[core].add(k)
            self.cores[k] = core

    def _move(self, k: int) -> bool:
        best, at = 0, None
        for core in self._near(k):
            gain = self._gain([(k, core)])
            if gain > best and self.fits([*sorted(self.parts[core]), k]):
                best, at = gain, core
        if at is not None:
            self._take([(k, at)])
        return at is not None

    def _exchange(self, k: int) -> bool:
        """Exchange a part with one of a core that it talks with, if that helps most."""
        best: tuple[int, list[tuple[int, int]]] = (0, [])
        here = self.cores[k]
        for core in self._near(k):
            for other in sorted(self.parts[core] & set(self.movable)):
                moves = [(k, core), (other, here)]
                gain = self._gain(moves)
                if gain <= best[0]:
                    continue
                there = sorted(self.parts[core] - {other})
                back = sorted(self.parts[here] - {k})
                if self.fits([*there, k]) and self.fits([*back, other]):
                    best = gain, moves
        self._take(best[1])
        return bool(best[1])


def best_partition(
    n: int, edges: Sequence[Hyperedge], fits: Fits, n_cores: int
) -> list[int] | None:
    """Return the partition of fewest cores and, of these, least connectivity; all are tried.

    None if there are more than nine parts, or if nothing fits. A core that holds some parts must
    hold any of them alone.
    """
    if n > _MOST_PARTS:
        return None
    best: tuple[tuple[int, int], list[int]] | None = None
    for cores in _partitions(n, fits, n_cores):
        key = (max(cores, default=-1) + 1, connectivity(cores, edges))
        if best is None or key < best[0]:
            best = key, cores
    return None if best is None else best[1]


def _partitions(n: int, fits: Fits, n_cores: int) -> Iterator[list[int]]:
    """Yield all ways to put parts in cores that fit, each once: new cores open in order."""
    cores: list[int] = []
    held: list[list[int]] = []

    def rest(k: int) -> Iterator[list[int]]:
        if k == n:
            yield list(cores)
            return
        for core in range(min(len(held) + 1, n_cores)):
            if core == len(held):
                held.append([])
            if fits([*held[core], k]):
                held[core].append(k)
                cores.append(core)
                yield from rest(k + 1)
                cores.pop()
                held[core].pop()
            if not held[-1]:
                held.pop()

    return rest(0)


def least_connectivity(n_cores: int, edges: Sequence[Hyperedge], fits: Fits) -> int:
    """Return what the connectivity of any partition is at least.

    Two parts that no core holds together are apart, so a multicast that has them reaches a core
    more. Of each multicast at most one such pair is counted.
    """
    if n_cores <= 1:
        return 0
    apart: dict[tuple[int, int], bool] = {}

    def is_apart(a: int, b: int) -> bool:
        key = (min(a, b), max(a, b))
        if key not in apart:
            apart[key] = a != b and not fits(list(key))
        return apart[key]

    total = 0
    for edge in edges:
        parts = list(dict.fromkeys((edge.sender, *edge.receivers)))
        pairs = itertools.combinations([p for p in parts if p >= 0], 2)
        total += edge.weight * any(is_apart(a, b) for a, b in itertools.islice(pairs, 64))
    return total
