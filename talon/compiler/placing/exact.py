"""Few parts on few places: all ways to put them are tried."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from talon.compiler.placing.problem import MeshProblem, Places

MOST_WAYS = 400_000
"""Ways to put parts on places up to which all are tried: 9 parts on 9 places have 362,880."""


def n_ways(n_parts: int, n_places: int) -> int:
    """Return in how many ways parts can be put on places."""
    return math.perm(n_places, n_parts)


def best_of_all(problem: MeshProblem) -> Places | None:
    """Return the best of all placements, the first in their order; None if these are too many."""
    if n_ways(problem.n_parts, problem.n_places) > MOST_WAYS:
        return None
    ways = all_ways(problem.n_parts, problem.n_places)
    costs = np.zeros(len(ways), np.int64)
    for a, b, w in zip(*problem.pairs, strict=True):  # one pair at a time: small arrays
        costs += w * problem.distance[ways[:, a], ways[:, b]]
    for k in np.flatnonzero(problem.host_weight):
        costs += problem.host_weight[k] * (problem.x + problem.y)[ways[:, k]]
    return ways[int(costs.argmin())].astype(np.intp)


@lru_cache(maxsize=4)
def all_ways(n_parts: int, n_places: int) -> NDArray[np.int16]:
    """Return all ways to put parts on places, (ways, parts), in lexicographic order."""
    flat = itertools.chain.from_iterable(itertools.permutations(range(n_places), n_parts))
    return np.fromiter(flat, np.int16).reshape(-1, n_parts)
