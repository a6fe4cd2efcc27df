"""Weights in lists are the matrix that they stand for, from the proof to the image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talon.arch.params import preset
from talon.compiler.compile import program_of
from talon.compiler.mapping import map_network
from talon.compiler.network import Projection
from talon.compiler.sparse import SparseMatrix
from talon.errors import ImageError
from talon_sim.golden import golden_run
from talon_sim.golden.checks import check_network
from talon_sim.golden.edges import fan_out_of
from talon_sim.golden.fanout import FanOut
from talon_sim.golden.reach import accumulator_span
from talon_sim.testing import random_network, random_payloads
from talon_sim.trace import compare


def random_matrix(rng, shape, density):
    weight = rng.integers(-127, 128, shape).astype(np.int8)
    weight[rng.random(shape) >= density] = 0
    return weight


def with_lists(network):
    lists = [replace(p, weight=SparseMatrix.of(p.matrix)) for p in network.projections]
    return replace(network, projections=tuple(lists))


@pytest.mark.parametrize("shape", [(1, 1), (50, 70), (70, 3), (5, 70000)])
@pytest.mark.parametrize("density", [0.0, 0.02, 1.0])
def test_lists_of_a_matrix_are_the_matrix(shape, density):
    weight = random_matrix(np.random.default_rng(0), shape, density)
    lists = SparseMatrix.of(weight)
    assert lists.complaint() is None
    np.testing.assert_array_equal(lists.dense(), weight)
    assert len(lists.value) == np.count_nonzero(weight)


@pytest.mark.parametrize("n_rows", [1, 6])
@pytest.mark.parametrize("rate", [0.0, 0.03, 0.7])
@pytest.mark.parametrize("n_target", [90, 70000])
def test_gathered_sums_are_the_product(n_rows, rate, n_target, monkeypatch):
    monkeypatch.setattr("talon_sim.golden.fanout._CHUNK", 1 << 7)
    rng = np.random.default_rng(2)
    weight = random_matrix(rng, (n_target, 120), 0.02)
    lists = SparseMatrix.of(weight)
    gathered = FanOut(lists.start, lists.target, lists.value, n_target=n_target)
    sent = rng.random((n_rows, 120)) < rate
    for events in (sent, sent * rng.integers(-255, 256, sent.shape).astype(np.int16)):
        expected = events.astype(np.int64) @ weight.T.astype(np.int64)
        np.testing.assert_array_equal(gathered.sums(events), expected)


@pytest.mark.parametrize("seed", range(30))
def test_a_network_with_lists_is_the_network(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    listed = with_lists(network)
    inputs = random_payloads(rng, network, n_steps=9, n_samples=3)
    dense, sparse = golden_run(network, inputs), golden_run(listed, inputs)
    assert compare(dense, sparse).equal
    assert dense.counters == sparse.counters
    for name, (low, high) in accumulator_span(network).items():
        np.testing.assert_array_equal(accumulator_span(listed)[name], (low, high))


@pytest.mark.parametrize("hw", ["tiny_2x2_syn", "zynq_2x2_map"])
@pytest.mark.parametrize("seed", range(4))
def test_a_network_with_lists_has_the_same_image(seed, hw):
    network = random_network(np.random.default_rng(seed), max_neurons=20)
    images = []
    for one in (network, with_lists(network)):
        program = program_of(map_network(one, preset(hw)), graph_hash=bytes(32), report={})
        images.append(program.image)
    assert images[0] == images[1]


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_listed_zeros_are_no_operations(form):
    lists = SparseMatrix(
        shape=(3, 2),
        start=np.array([0, 2, 3]),
        target=np.array([0, 2, 1]),
        value=np.array([5, 0, -1], np.int8),
    )
    projection = Projection(source="a", target="b", delay=0, weight=lists, form=form)
    assert fan_out_of(projection).tolist() == ([3, 3] if form == "dense" else [1, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": np.array([0, 3, 2, 3])}, "start must ascend from 0 to 3"),
        ({"target": np.array([0, 1, 9])}, "targets must be from 0 to 3, not 0 to 9"),
        ({"target": np.array([1, 1, 0])}, "targets of a source must ascend; 1 follows 1"),
        ({"value": np.zeros(3, np.int16)}, "int8 of values"),
        ({"value": np.zeros(2, np.int8)}, r"lists must have the shapes \(4,\), \(m,\) and \(m,\)"),
        ({"shape": (4, 9)}, r"sparse weights of shape \(\d+, \d+\)"),
    ],
)
def test_wrong_lists_are_refused_by_name(change, message):
    network = random_network(np.random.default_rng(0))
    first = network.projections[0]
    n_target, n_source = first.matrix.shape
    lists = SparseMatrix(
        shape=(4, 3),
        start=np.array([0, 2, 2, 3]),
        target=np.array([0, 3, 1]),
        value=np.ones(3, np.int8),
    )
    wrong = replace(lists, **change)
    if "shape" not in change:
        assert wrong.complaint() is not None
        with pytest.raises(AssertionError, match=message):
            assert wrong.complaint() is None, wrong.complaint()
        return
    assert (n_target, n_source) != wrong.shape
    broken = replace(
        network, projections=(replace(first, weight=wrong, form="sparse"), *network.projections[1:])
    )
    with pytest.raises(ImageError, match=message):
        check_network(broken)
