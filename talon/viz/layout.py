"""Where the nodes of a drawing go: levels from top to bottom, few crossings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

_SWEEPS = 4


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


def arrange(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, tuple[int, float]]:
    """Return level and place in the level for each name; places are whole numbers around 0.

    A node goes near the mean of its neighbours (Sugiyama's barycentre heuristic).
    """
    level = levels_of(names, edges)
    rows: list[list[str]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for name in names:
        rows[level[name]].append(name)
    above: dict[str, list[str]] = {name: [] for name in names}
    below: dict[str, list[str]] = {name: [] for name in names}
    for src, dst in edges:
        if level[src] < level[dst]:
            above[dst].append(src)
            below[src].append(dst)
    place = _places(rows)
    for sweep in range(_SWEEPS):
        neighbours, order = (above, rows) if sweep % 2 == 0 else (below, rows[::-1])
        for row in order:
            row.sort(key=lambda name: _mean(neighbours[name], place, place[name]))
            for k, name in enumerate(row):
                place[name] = k - (len(row) - 1) / 2
    return {name: (level[name], place[name]) for name in names}


def _places(rows: Sequence[Sequence[str]]) -> dict[str, float]:
    return {name: k - (len(row) - 1) / 2 for row in rows for k, name in enumerate(row)}


def _mean(names: Sequence[str], place: Mapping[str, float], own: float) -> float:
    return sum(place[name] for name in names) / len(names) if names else own
