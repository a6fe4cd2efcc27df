"""Robust tabu search (Taillard 1991): the best swap of all, even if it costs links, none undone."""

from __future__ import annotations

import numpy as np

from talon.compiler.placing.problem import Floats, MeshProblem, Places
from talon.compiler.placing.stream import Stream

_FORBIDDEN = 2.0**60  # more than any sum of links
_TENURE = (9, 11, 10)  # from 0.9 to 1.1 times the number of places


def wander(problem: MeshProblem, start: Places, n_swaps: int, stream: Stream) -> Places:
    """Return the best placement that ``n_swaps`` swaps from a start come by."""
    n, places = problem.n_parts, problem.n_places
    if n == 0 or places < 2:
        return start
    distance = problem.distance.astype(np.float64)
    weight = np.zeros((places, places))
    weight[:n, :n] = problem.weight
    host = np.zeros(places)
    host[:n] = problem.host_weight
    at = _with_idle(start, places)
    cost_at = weight @ distance[at] + host[:, None] * distance[0]
    forbidden = np.zeros((n, places), np.int64)
    low, high, unit = _TENURE
    tenures = stream.below(max(1, places * (high - low) // unit + 1), 2 * n_swaps)
    tenures += max(1, places * low // unit)
    cost = best_cost = problem.cost(start)
    best = at.copy()
    idle = np.arange(places) >= n
    below = np.tril(np.ones((n, places), bool))  # each pair once
    for step in range(n_swaps):
        gain = _gains(at, n, cost_at, weight, distance)
        gain[below] = _FORBIDDEN
        # A swap is forbidden if both would return to where they were not long ago.
        back = forbidden[:, at] > step
        back[:, ~idle] &= (forbidden[:, at[:n]] > step).T
        gain[back & (gain + cost >= best_cost)] = _FORBIDDEN
        a, b = divmod(int(gain.argmin()), places)
        if gain[a, b] >= _FORBIDDEN:
            continue
        cost += int(gain[a, b])
        here, there = at[a], at[b]
        forbidden[a, here] = step + tenures[2 * step]
        if b < n:
            forbidden[b, there] = step + tenures[2 * step + 1]
        cost_at += (weight[:, a] - weight[:, b])[:, None] * (distance[there] - distance[here])
        at[a], at[b] = there, here
        if cost < best_cost:
            best, best_cost = at.copy(), cost
    return best[:n]


def _with_idle(at: Places, n_places: int) -> Places:
    """Return places of parts and, after them, the idle places."""
    idle = np.setdiff1d(np.arange(n_places), at)
    return np.concatenate([at, idle])


def _gains(at: Places, n: int, cost_at: Floats, weight: Floats, distance: Floats) -> Floats:
    """Return by how much a swap of part ``a`` with what stands at ``at[b]`` changes the cost."""
    mine = at[:n]
    gain = cost_at[:n, at] + cost_at[:, mine].T
    gain += 2 * weight[:n] * distance[np.ix_(mine, at)]
    own = cost_at[np.arange(len(at)), at]
    gain -= own[:n, None]
    gain -= own
    return gain
