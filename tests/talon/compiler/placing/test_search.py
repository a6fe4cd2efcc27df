"""Placements are the best there are where all can be tried, and never worse than a start."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, milp

from talon.compiler.placing import MeshProblem, lower_bound, solve
from talon.compiler.placing.anneal import anneal
from talon.compiler.placing.descent import descend
from talon.compiler.placing.library import library_starts
from talon.compiler.placing.search import orders
from talon.compiler.placing.stream import Stream
from talon.compiler.placing.tabu import wander


def drawn(seed, n, columns, rows, density=0.5, *, host=True):
    rng = np.random.default_rng(seed)
    weight = np.triu((rng.random((n, n)) < density) * rng.integers(1, 30, (n, n)), 1)
    to_host = rng.integers(0, 9, n) if host else None
    return MeshProblem(weight=weight + weight.T, columns=columns, rows=rows, host=to_host)


def links(problem, at):
    """Count links anew, one pair after the other."""
    place = [divmod(int(p), problem.columns) for p in at]
    total = sum(int(w) * sum(p) for w, p in zip(problem.host_weight, place, strict=True))
    for a, b in itertools.combinations(range(problem.n_parts), 2):
        apart = sum(abs(i - j) for i, j in zip(place[a], place[b], strict=True))
        total += int(problem.weight[a, b]) * apart
    return total


def fewest_links(problem):
    """Try every placement, without any of the searches."""
    ways = itertools.permutations(range(problem.n_places), problem.n_parts)
    return min(links(problem, at) for at in ways)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6),
    st.sampled_from([(2, 3), (3, 2), (6, 1), (1, 6), (4, 2)]),
    st.booleans(),
)
def test_small_problems_are_solved_exactly(seed, n, mesh, host):
    problem = drawn(seed, min(n, 6 if mesh != (4, 2) else 5), *mesh, host=host)
    at = solve(problem)[0]
    assert len(set(at.tolist())) == problem.n_parts
    assert problem.cost(at) == links(problem, at) == fewest_links(problem)


@pytest.mark.parametrize(("mesh", "n"), [((3, 3), 9), ((4, 2), 8), ((9, 1), 9), ((5, 2), 6)])
@pytest.mark.parametrize("seed", range(3))
def test_the_searches_without_the_exact_one_find_the_best(seed, mesh, n, monkeypatch):
    problem = drawn(seed, n, *mesh)
    ways = np.array(list(itertools.permutations(range(problem.n_places), n)), np.int8)
    costs = ((problem.x + problem.y)[ways] * problem.host_weight).sum(axis=1)
    for a, b, w in zip(*problem.pairs, strict=True):
        costs += w * problem.distance[ways[:, a], ways[:, b]]
    monkeypatch.setattr("talon.compiler.placing.search.best_of_all", lambda _: None)
    assert problem.cost(solve(problem)[0]) == costs.min()


@pytest.mark.parametrize("seed", range(4))
def test_a_mixed_integer_program_finds_nothing_better(seed):
    """Four parts on 3 x 4 places, linearised: a variable for each pair of pairs that talks."""
    problem = drawn(seed, 4, 4, 3, 0.7)
    n, p = problem.n_parts, problem.n_places
    pairs = list(zip(*problem.pairs, strict=True))
    n_put = n * p
    cost = np.zeros(n_put + len(pairs) * p * p)
    cost[:n_put] = (problem.host_weight[:, None] * (problem.x + problem.y)).ravel()
    rows, low, high = [], [], []

    def add(entries, least, most):
        row = np.zeros(len(cost))
        for i, value in entries:
            row[i] += value
        rows.append(row)
        low.append(least)
        high.append(most)

    for k in range(n):
        add([(k * p + i, 1) for i in range(p)], 1, 1)
    for i in range(p):
        add([(k * p + i, 1) for k in range(n)], 0, 1)
    for e, (a, b, w) in enumerate(pairs):
        base = n_put + e * p * p
        cost[base : base + p * p] = (w * problem.distance).ravel()
        for i in range(p):
            add([(base + i * p + j, 1) for j in range(p)] + [(int(a) * p + i, -1)], 0, 0)
            add([(base + j * p + i, 1) for j in range(p)] + [(int(b) * p + i, -1)], 0, 0)
    found = milp(
        cost,
        integrality=np.r_[np.ones(n_put), np.zeros(len(cost) - n_put)],
        bounds=(0, 1),
        constraints=LinearConstraint(np.array(rows), low, high),
    )
    assert found.success
    assert problem.cost(solve(problem)[0]) == round(found.fun)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 20), st.sampled_from([(5, 4), (8, 4), (20, 1)]))
def test_every_search_gives_places_and_none_is_worse_than_its_start(seed, n, mesh):
    problem = drawn(seed, n, *mesh)
    start = Stream(seed % 1000).permutation(problem.n_places)[:n]
    least = lower_bound(problem)
    found = {
        "descent": descend(problem, [start])[0],
        "tabu": wander(problem, start, 100, Stream(1)),
        "anneal": anneal(problem, start, 50, Stream(2)),
        "solve": solve(problem, seeds=[start])[0],
    }
    for name, at in found.items():
        assert len(set(at.tolist())) == n and set(at.tolist()) <= set(range(problem.n_places)), name
        assert least <= links(problem, at) == problem.cost(at) <= links(problem, start), name
    assert problem.cost(found["solve"]) <= min(problem.cost(at) for at in orders(problem))


def test_the_library_gives_a_start():
    problem = drawn(3, 20, 8, 4, 0.3, host=False)
    (at,) = library_starts(problem)
    assert len(set(at.tolist())) == 20
    assert problem.cost(at) < min(problem.cost(order) for order in orders(problem))
    assert library_starts(drawn(3, 20, 32, 32)) == []


def test_the_stream_is_the_known_one():
    # The first numbers of SplitMix64 with seed 1234567, as its authors publish them.
    assert Stream(1234567).words(3).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]
    stream = Stream(1234567)
    assert [int(stream.words(1)[0]) for _ in range(2)] == Stream(1234567).words(2).tolist()
    assert sorted(stream.permutation(50).tolist()) == list(range(50))


def test_what_is_no_problem_is_refused():
    square = np.zeros((3, 3), np.int64)
    with pytest.raises(ValueError, match="3 parts for 2 places of a mesh of 2 x 1"):
        MeshProblem(weight=square, columns=2, rows=1)
    lopsided = square.copy()
    lopsided[0, 1] = 1
    with pytest.raises(ValueError, match="symmetric"):
        MeshProblem(weight=lopsided, columns=2, rows=2)
    with pytest.raises(ValueError, match="zero diagonal"):
        MeshProblem(weight=square + np.eye(3, dtype=np.int64), columns=2, rows=2)
    with pytest.raises(ValueError, match="from 0 on"):
        MeshProblem(weight=lopsided * -1 + lopsided.T * -1, columns=2, rows=2)
    assert solve(MeshProblem(weight=square[:0, :0], columns=2, rows=2))[0].tolist() == []
