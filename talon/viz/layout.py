"""Where nodes go: levels from top to bottom, few crossings, long edges beside the boxes.

Sugiyama's way: levels by the longest path, places on edges that pass a level, orders by the mean of
neighbours, then positions as near to the neighbours as boxes allow. Deep graphs are folded into
columns, so that a page shows them whole.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

_SWEEPS = 6
_MOST_BENDS = 20_000
_WIDE = 10  # nodes of a level that may stand side by side
NODE, BEND = 224.0, 26.0
"""Widths that a node and an edge take in a level."""
LEVEL = 94.0
"""Distance of levels."""
_GUTTER = 44.0  # between columns
_VIEW = (760.0, 600.0)  # the place that a page has for a drawing

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Centers of nodes, and the points that long edges pass.

    Attributes
    ----------
    nodes
        Center (x, y) and column of each node.
    bends
        For edges (by number) that pass levels: a point (x, y) and a column for each of them.
    edges_of
        Left and right end of each column.
    """

    nodes: dict[str, tuple[float, float, int]]
    bends: dict[int, list[tuple[float, float, int]]]
    edges_of: list[tuple[float, float]]


def levels_of(names: Sequence[str], edges: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return for each name how many edges are behind it on the longest path.

    Edges that close a cycle, in the order of ``names``, do not count.
    """
    successors: dict[str, list[str]] = {name: [] for name in names}
    waiting = dict.fromkeys(names, 0)
    for src, dst in edges:
        successors[src].append(dst)
        waiting[dst] += 1
    level = dict.fromkeys(names, 0)
    left = dict.fromkeys(names)
    ready = [name for name in names if not waiting[name]]
    while left:
        if not ready:  # a cycle: enter it at its first node
            ready = [next(iter(left))]
        for name in ready:
            left.pop(name, None)
        following: list[str] = []
        for name in ready:
            for dst in successors[name]:
                if dst in left:
                    level[dst] = max(level[dst], level[name] + 1)
                    waiting[dst] -= 1
                    if not waiting[dst]:
                        following.append(dst)
        ready = [name for name in dict.fromkeys(following) if name in left]
    return level


def arrange(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> Layout:
    """Return where everything goes; no box is on another, and long edges pass beside them."""
    level = _split(levels_of(names, edges))
    rows: list[list[Hashable]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for name in names:
        rows[level[name]].append(name)
    above: dict[Hashable, list[Hashable]] = {name: [] for name in names}
    below: dict[Hashable, list[Hashable]] = {name: [] for name in names}
    bends: dict[int, list[tuple[int, int]]] = {}
    leaving: dict[str, int] = {}
    room = _MOST_BENDS
    for i, (src, dst) in enumerate(edges):
        if level[src] >= level[dst]:
            continue
        points = [(i, k) for k in range(level[src] + 1, level[dst])]
        if len(points) > room:
            points = []
        room -= len(points)
        if points:
            bends[i] = points
        before: Hashable = src
        leaving[src] = leaving.get(src, 0) + bool(points)
        for point in points:
            row = rows[point[1]]  # edges of one node pass right and left of what is there
            row.insert(len(row) if leaving[src] % 2 else 0, point)
            above[point], below[point] = [before], []
            below[before].append(point)
            before = point
        above[dst].append(before)
        below[before].append(dst)
    _order(rows, above, below)
    x = _positions(rows, above, below)
    return _folded(rows, x, level, bends)


def _split(level: dict[str, int]) -> dict[str, int]:
    """Divide levels of many nodes into several: there is no edge between nodes of a level."""
    of_level: dict[int, list[str]] = {}
    for name, k in level.items():
        of_level.setdefault(k, []).append(name)
    found: dict[str, int] = {}
    first = 0
    for _, row in sorted(of_level.items()):
        per_row = len(row) if len(row) <= _WIDE else max(6, math.isqrt(2 * len(row)))
        found.update((name, first + k // per_row) for k, name in enumerate(row))
        first += -(-len(row) // per_row)
    return {name: found[name] for name in level}


def _width(item: Hashable) -> float:
    return NODE if isinstance(item, str) else BEND


def _order(
    rows: list[list[Hashable]],
    above: Mapping[Hashable, Sequence[Hashable]],
    below: Mapping[Hashable, Sequence[Hashable]],
) -> None:
    """Sort each row by the mean place of its neighbours, downwards and upwards in turn."""
    place = {item: k - (len(row) - 1) / 2 for row in rows for k, item in enumerate(row)}
    for sweep in range(_SWEEPS):
        neighbours, order = (above, rows) if sweep % 2 == 0 else (below, rows[::-1])
        for row in order:
            if len(row) < 2:
                continue
            row.sort(key=lambda item: _mean(neighbours[item], place, place[item]))
            for k, item in enumerate(row):
                place[item] = k - (len(row) - 1) / 2


def _mean(items: Sequence[Hashable], place: Mapping[Hashable, float], own: float) -> float:
    return sum(place[item] for item in items) / len(items) if items else own


def _positions(
    rows: list[list[Hashable]],
    above: Mapping[Hashable, Sequence[Hashable]],
    below: Mapping[Hashable, Sequence[Hashable]],
) -> dict[Hashable, float]:
    """Return centers as near to the means of the neighbours as the widths allow."""
    x: dict[Hashable, float] = {}
    for row in rows:
        x.update(zip(row, _apart([0.0] * len(row), row), strict=True))
    for sweep in range(_SWEEPS + 1):
        neighbours, order = (above, rows) if sweep % 2 == 0 else (below, rows[::-1])
        for row in order:
            wanted = [_mean(neighbours[item], x, x[item]) for item in row]
            x.update(zip(row, _apart(wanted, row), strict=True))
    return x


def _apart(wanted: Sequence[float], row: Sequence[Hashable]) -> list[float]:
    """Return the positions nearest to those wanted, in least squares, that keep order and widths.

    Positions less the widths before them must not fall: neighbours that would are pooled.
    """
    offsets = [0.0]
    for a, b in itertools.pairwise(row):
        offsets.append(offsets[-1] + (_width(a) + _width(b)) / 2)
    pools: list[tuple[float, int]] = []  # sum and count
    for want, offset in zip(wanted, offsets, strict=True):
        total, count = want - offset, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            before = pools.pop()
            total, count = total + before[0], count + before[1]
        pools.append((total, count))
    found = [total / count for total, count in pools for _ in range(count)]
    return [base + offset for base, offset in zip(found, offsets, strict=True)]


def _folded(
    rows: list[list[Hashable]],
    x: Mapping[Hashable, float],
    level: Mapping[str, int],
    bends: Mapping[int, Sequence[tuple[int, int]]],
) -> Layout:
    """Cut the levels into as many columns as show the graph largest."""
    spans = [
        (min(x[i] - _width(i) / 2 for i in row), max(x[i] + _width(i) / 2 for i in row))
        for row in rows
    ]
    per_column = _levels_a_column(spans)
    starts: list[float] = []
    edges: list[tuple[float, float]] = []
    right = 0.0
    for first in range(0, len(rows), per_column):
        part = spans[first : first + per_column]
        low, high = min(a for a, _ in part), max(b for _, b in part)
        starts.append(right - low)
        edges.append((right, right + high - low))
        right += high - low + _GUTTER

    def place(item: Hashable, at: int) -> tuple[float, float, int]:
        column = at // per_column
        return x[item] + starts[column], (at % per_column) * LEVEL, column

    return Layout(
        nodes={name: place(name, at) for name, at in level.items()},
        bends={i: [place(p, p[1]) for p in points] for i, points in bends.items()},
        edges_of=edges,
    )


def _levels_a_column(spans: Sequence[tuple[float, float]]) -> int:
    """Return after how many levels a next column begins, for the largest drawing on a page."""
    n = len(spans)
    best, most = max(1, n), 0.0
    tried = dict.fromkeys(-(-n // k) for k in range(1, n // 3 + 2)) if n else {}
    for per_column in tried:
        width = -_GUTTER
        for first in range(0, n, per_column):
            part = spans[first : first + per_column]
            width += max(b for _, b in part) - min(a for a, _ in part) + _GUTTER
        scale = min(1.0, _VIEW[0] / width, _VIEW[1] / (per_column * LEVEL))
        if scale > 1.08 * most:  # a further column must be worth it
            best, most = per_column, scale
    return best
