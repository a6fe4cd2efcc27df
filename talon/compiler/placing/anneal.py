"""Threshold accepting (Dueck and Scheuer 1990), many swaps at once: good starts on large meshes.

A swap is taken if it costs no more than a threshold, which sinks. Nothing but whole numbers are
compared, so results do not hang on how a machine rounds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talon.compiler.placing.problem import MeshProblem, Places
from talon.compiler.placing.stream import Stream


def anneal(problem: MeshProblem, start: Places, n_sweeps: int, stream: Stream) -> Places:
    """Return the best placement after a number of sweeps, each of which tries one swap a place."""
    n, places = problem.n_parts, problem.n_places
    if n == 0 or places < 2:
        return start
    at = start.copy()
    owner = np.full(places, n)  # an idle place has part n, which talks to nobody
    owner[at] = np.arange(n)
    best, best_cost, first = start, problem.cost(start), 0
    for sweep in range(n_sweeps):
        left, right = _pairs(problem, stream)
        gain = _gains(problem, at, owner, left, right)
        if sweep == 0:
            worse = gain[gain > 0]
            first = int(worse.sum()) // len(worse) if len(worse) else 0
        threshold = first * (n_sweeps - 1 - sweep) ** 2 // max(1, n_sweeps - 1) ** 2
        # Swaps are counted one by one, so not all are taken that would save links alone.
        taken = (gain <= threshold) & (gain != 0) & (stream.words(len(gain)) % np.uint64(4) != 0)
        left, right = left[taken], right[taken]
        owner[left], owner[right] = owner[right], owner[left]
        filled = np.flatnonzero(owner < n)
        at[owner[filled]] = filled
        cost = problem.cost(at)
        if cost < best_cost:
            best, best_cost = at.copy(), cost
    return best


def _pairs(problem: MeshProblem, stream: Stream) -> tuple[Places, Places]:
    """Return pairs of places, all the same way apart, no place in two of them."""
    dx = int(stream.below(problem.columns, 1)[0])
    dy = int(stream.below(2 * problem.rows - 1, 1)[0]) - problem.rows + 1
    if dx == dy == 0:
        dx, dy = (1, 0) if problem.columns > 1 else (0, 1)
    x, y = problem.x, problem.y
    period, size = (x, dx) if dx else (y, abs(dy))
    inside = (x + dx < problem.columns) & (y + dy >= 0) & (y + dy < problem.rows)
    left = np.flatnonzero(inside & (period // size % 2 == 0))
    return left, left + dx + dy * problem.columns


def _gains(
    problem: MeshProblem, at: Places, owner: Places, left: Places, right: Places
) -> NDArray[np.int64]:
    """Return by how much each swap of two places alone changes the cost."""
    n, x, y = problem.n_parts, problem.x, problem.y
    a, b = owner[left], owner[right]
    to = np.append(at, 0)
    to[a], to[b] = right, left
    to = to[:n]
    part, partner, weight = problem.partners
    there, here, near = to[part], at[part], at[partner]
    moved = abs(x[there] - x[near]) + abs(y[there] - y[near])
    moved -= abs(x[here] - x[near]) + abs(y[here] - y[near])
    change = np.rint(np.bincount(part, weight * moved, n + 1)).astype(np.int64)
    change[:n] += problem.host_weight * (x[to] + y[to] - x[at] - y[at])
    gain = change[a] + change[b]
    both = (a < n) & (b < n)
    # Each of the two was counted as if the other one stayed.
    gain[both] += 2 * problem.weight[a[both], b[both]] * problem.distance[left, right][both]
    return gain
