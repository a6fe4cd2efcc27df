"""Wide populations, whose potentials are int32, follow the scalar contract; rooms are lent."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from talon.compiler.sparse import SparseMatrix
from talon.testing import MapLimits, random_map_network, random_map_payloads
from talon.testing.kernels import conv_kernel
from talon_sim.golden import GoldenModel, golden_run, wide
from talon_sim.golden.maps import MapSynapses
from talon_sim.golden.rooms import Loan, Rooms
from talon_sim.golden.synapses import Synapses
from talon_sim.testing import random_network, random_payloads
from talon_sim.trace import compare

_spec = importlib.util.spec_from_file_location("scalar", Path(__file__).with_name("scalar.py"))
scalar = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scalar)


@pytest.fixture
def all_wide(monkeypatch):
    """Every population that may be is wide; return those that have been."""
    found = []

    class Noted(wide.WideNeurons):
        def __init__(self, neurons, n_samples):
            super().__init__(neurons, n_samples)
            kinds = ("subtract" if neurons.subtracts else "zero", neurons.threshold.ndim)
            found.append((*kinds, neurons.leaks, bool(neurons.base.any())))

    monkeypatch.setattr(wide, "_WIDE", 1)
    monkeypatch.setattr(wide, "WideNeurons", Noted)
    return found


def assert_same(golden, expected):
    result = compare(golden, expected)
    assert result.equal, result.first
    assert golden.counters == expected.counters


def test_wide_populations_equal_the_scalar_contract(all_wide):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        network = random_network(rng, max_neurons=10)
        inputs = random_payloads(rng, network, n_steps=int(rng.integers(1, 9)), n_samples=2)
        expected = scalar.run_scalar(network, inputs)
        assert_same(golden_run(network, inputs), expected)
    found = set(all_wide)
    assert {case[0] for case in found} == {"subtract", "zero"}
    assert {case[1] for case in found} == {0, 1}  # one threshold, and one of each neuron
    assert {case[2] for case in found} == {case[3] for case in found} == {True, False}


@pytest.mark.parametrize("seed", range(30))
def test_wide_maps_equal_the_scalar_contract(seed, all_wide):
    rng = np.random.default_rng(seed)
    limits = MapLimits(max_channels=4, max_size=5, max_populations=4, per_neuron=0.3)
    network = random_map_network(rng, limits)
    inputs = random_map_payloads(rng, network, n_steps=int(rng.integers(1, 7)), n_samples=2)
    assert_same(golden_run(network, inputs), scalar.run_scalar(network, inputs))


def test_runs_at_once_do_not_share_rooms(monkeypatch):
    monkeypatch.setattr("talon_sim.golden.rooms._SMALLEST", 0)
    rng = np.random.default_rng(3)
    network = random_network(rng, max_neurons=40)
    inputs = [random_payloads(rng, network, n_steps=40, n_samples=3) for _ in range(8)]
    expected = [golden_run(network, values) for values in inputs]
    model = GoldenModel(network)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for found, right in zip(pool.map(model.run, inputs), expected, strict=True):
                assert_same(found, right)


def test_a_room_is_lent_to_one_at_a_time(monkeypatch):
    monkeypatch.setattr("talon_sim.golden.rooms._SMALLEST", 0)
    rooms = Rooms()
    first, second = rooms.lend(), rooms.lend()
    a, b = first.take((4, 5), np.int32), second.take((40,), np.bool_)
    assert not np.shares_memory(a, b)
    first.give_back()
    again = rooms.lend()
    c, d = again.take((10,), np.int64), again.take((10,), np.int64)
    assert np.shares_memory(a, c)
    assert not np.shares_memory(c, d)
    assert c.dtype == np.int64
    assert c.shape == (10,)


class Raced(list):
    """A list of which another thread takes the last just when this one has seen it."""

    def __len__(self):
        return 1

    def pop(self):
        raise IndexError


def test_another_thread_may_take_the_last_room(monkeypatch):
    monkeypatch.setattr("talon_sim.golden.rooms._SMALLEST", 0)
    assert Loan(Raced()).take((3, 5), np.int32).shape == (3, 5)
    rng = np.random.default_rng(5)
    kernel = conv_kernel(rng.integers(-9, 10, (3, 3, 2, 3)).astype(np.int8), (5, 5))
    maps = MapSynapses(kernel, frac=2)
    sparse = (rng.integers(-9, 10, (60, 50)) * (rng.random((60, 50)) < 0.1)).astype(np.int8)
    lists = Synapses(SparseMatrix.of(sparse), frac=2)
    maps._spare, lists._sparse._spare = {False: Raced(), True: Raced()}, Raced()
    for synapses, weight in ((maps, kernel.dense()), (lists, sparse)):
        events = rng.integers(0, 2, (4, synapses.n_source)).astype(np.uint8)
        drive = np.zeros((4, synapses.n_target))
        synapses.add_to(drive, events)
        np.testing.assert_array_equal(drive, events.astype(int) @ weight.T.astype(int) << 2)


def test_a_loan_that_ends_again_gives_back_what_it_took_since(monkeypatch):
    monkeypatch.setattr("talon_sim.golden.rooms._SMALLEST", 0)
    rooms = Rooms()
    loan = rooms.lend()
    loan.take((40,), np.uint8)
    loan.give_back()
    loan.take((40,), np.uint8)
    loan.give_back()
    first, second = rooms.lend().take((40,), np.uint8), rooms.lend().take((40,), np.uint8)
    assert not np.shares_memory(first, second)


def test_rooms_for_more_than_a_stage_takes_are_not_kept(monkeypatch):
    monkeypatch.setattr("talon_sim.golden.rooms._LARGEST", 100)
    monkeypatch.setattr("talon_sim.golden.rooms._SMALLEST", 0)
    rooms = Rooms()
    loan = rooms.lend()
    large = loan.take((101,), np.uint8)
    loan.give_back()
    assert not np.shares_memory(large, rooms.lend().take((101,), np.uint8))
