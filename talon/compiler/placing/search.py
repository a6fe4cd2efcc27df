"""All searches together: parts on a mesh, as close as can be found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from talon.compiler.placing.anneal import anneal
from talon.compiler.placing.bounds import lower_bound
from talon.compiler.placing.descent import descend
from talon.compiler.placing.exact import best_of_all
from talon.compiler.placing.library import library_starts
from talon.compiler.placing.problem import MeshProblem, Places
from talon.compiler.placing.stream import Stream
from talon.compiler.placing.tabu import wander

_SMALL = 64  # places up to which the best few placements are searched from
_MEDIUM = 256  # places up to which there are starts without order
_SHUFFLES = 6
_STARTS = 3  # of the best placements so far, from each of which the next search starts
_MOST_SWEEPS, _SWEEP_WORK = (1_000, 8_000), 100_000_000  # threshold accepting: links and places
_MOST_SWAPS, _SWAP_WORK = 2_000, 100_000_000  # tabu search: places squared
_SKETCH_SWAPS = 300
_FEWEST_SWAPS = 500  # with less, a search does not leave its hollow


def solve(
    problem: MeshProblem, *, seeds: Sequence[Places] = (), library: bool = False
) -> list[Places]:
    """Return different placements, the best first; equal problems give equal ones.

    Of few parts on few places it is the best of all; else of each search a result that no swap of
    two places betters.

    Parameters
    ----------
    problem
        What is to be placed.
    seeds
        Starts beside the orders of the mesh; the result is never worse than these.
    library
        Whether SciPy's solver gives a start where it is installed.
    """
    if problem.n_parts == 0:
        return [np.zeros(0, np.intp)]
    best = best_of_all(problem)
    if best is not None:
        return [best]
    least = lower_bound(problem)
    found = _ranked(problem, [*orders(problem), *seeds])
    found = _ranked(problem, [*found, *descend(problem, found[: _n_starts(problem)])])
    if problem.cost(found[0]) == least:
        return found
    stream = Stream(problem.n_parts)
    more = [anneal(problem, found[0], _n_sweeps(problem), stream)]
    if library:
        more += library_starts(problem)
    if problem.n_places <= _MEDIUM:
        shuffled = [stream.permutation(problem.n_places) for _ in range(_SHUFFLES)]
        more += [places[: problem.n_parts] for places in shuffled]
    found = _ranked(problem, [*found, *descend(problem, more)])
    n_swaps = min(_MOST_SWAPS, _SWAP_WORK // problem.n_places**2)
    for start in found[: _n_starts(problem)]:
        if n_swaps >= _FEWEST_SWAPS and problem.cost(found[0]) > least:
            found = _ranked(problem, [*found, wander(problem, start, n_swaps, stream)])
    return found


def sketch(problem: MeshProblem) -> list[Places]:
    """Return two placements, the best first, after a short search."""
    if problem.n_parts == 0:
        return [np.zeros(0, np.intp)]
    found = _ranked(problem, descend(problem, orders(problem)))
    wandered = wander(problem, found[0], _SKETCH_SWAPS, Stream(problem.n_parts))
    return _ranked(problem, [*found, wandered])[:2]


def _n_starts(problem: MeshProblem) -> int:
    """Return how many results of a search are worth another one."""
    return _STARTS if problem.n_places <= _SMALL else 1


def _n_sweeps(problem: MeshProblem) -> int:
    most = _MOST_SWEEPS[problem.n_places > _SMALL]
    return min(most, _SWEEP_WORK // (len(problem.partners[0]) + 4 * problem.n_places))


def orders(problem: MeshProblem) -> list[Places]:
    """Return the parts in the order of the places, and in snakes along rows and columns."""
    grid = np.arange(problem.n_places).reshape(problem.rows, problem.columns)
    along, across = grid.copy(), grid.T.copy()
    along[1::2] = along[1::2, ::-1]
    across[1::2] = across[1::2, ::-1]
    return [order.ravel()[: problem.n_parts] for order in (grid, along, across)]


def _ranked(problem: MeshProblem, found: Sequence[Places]) -> list[Places]:
    """Return placements by cost, each once."""
    once = {tuple(at.tolist()): at for at in found}
    return [once[key] for key in sorted(once, key=lambda key: (problem.cost(once[key]), key))]
