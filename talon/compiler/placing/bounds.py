"""What no placement can go below."""

from __future__ import annotations

import numpy as np

from talon.compiler.placing.problem import MeshProblem

_MOST_PLACES = 2048  # the matrix of the bound by parts has as many columns


def lower_bound(problem: MeshProblem) -> int:
    """Return links that every placement crosses at least: the larger one of two bounds.

    *By pairs*: the pairs that talk most are the closest ones of the mesh (the product of weights
    in falling and distances in rising order). *By parts* (Gilmore 1962, Lawler 1963): each part at
    each place with its partners nearest to it, and of these the cheapest assignment; without SciPy
    the cheapest place of each part.
    """
    return max(_by_pairs(problem), _by_parts(problem))


def _by_pairs(problem: MeshProblem) -> int:
    _, _, weight = problem.pairs
    n = len(weight)
    distances = np.sort(problem.distance[np.triu_indices(problem.n_places, 1)])[:n]
    near = np.sort(problem.x + problem.y)[: problem.n_parts]
    host = np.sort(problem.host_weight)[::-1] * near
    return int((np.sort(weight)[::-1] * distances).sum()) + int(host.sum())


def _by_parts(problem: MeshProblem) -> int:
    n, places = problem.n_parts, problem.n_places
    if not n or places > _MOST_PLACES:
        return 0
    falling = -np.sort(-problem.weight, axis=1)[:, : n - 1].astype(np.float64)
    rising = np.sort(problem.distance, axis=1)[:, 1:n].astype(np.float64)
    # Each pair is seen from both sides; links to the host from one.
    each = falling @ rising.T + 2 * problem.host_weight[:, None] * (problem.x + problem.y)
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        total = each.min(axis=1).sum()
    else:
        total = each[linear_sum_assignment(each)].sum()
    return -(-round(float(total)) // 2)
