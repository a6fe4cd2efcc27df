"""Compiled kernels are NumPy in every spike, potential and counter, on any network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talon.arch import numerics
from talon.compiler.kernel import Kernel
from talon.compiler.network import IntNetwork, Projection
from talon.compiler.sparse import SparseMatrix
from talon.testing import MapLimits, random_map_network, random_map_payloads
from talon_sim.golden import GoldenModel
from talon_sim.testing import random_network, random_payloads
from talon_sim.trace import compare

pytest.importorskip("numba", reason="the extra [fast] is not installed")


def assert_equal(network, inputs, *, probe=True):
    fast = GoldenModel(network, fast=True).run(inputs, probe=probe)
    numpy = GoldenModel(network, fast=False).run(inputs, probe=probe)
    result = compare(fast, numpy)
    assert result.equal, result.first
    assert set(fast.spikes) == set(numpy.spikes)
    assert set(fast.potentials) == set(numpy.potentials)
    assert fast.counters == numpy.counters
    return fast


@pytest.mark.parametrize("probe", [True, False])
@pytest.mark.parametrize("seed", range(120))
def test_random_networks(seed, probe):
    rng = np.random.default_rng(seed)
    currents, doubles = (0.3, 0.0) if seed % 2 else (0.0, 0.3 * (seed % 4))
    network = random_network(rng, max_neurons=40, currents=currents, doubles=doubles)
    inputs = random_payloads(rng, network, n_steps=int(rng.integers(1, 20)), n_samples=3)
    assert_equal(network, inputs, probe=probe)


@pytest.mark.parametrize("probe", [True, False])
@pytest.mark.parametrize("seed", range(120))
def test_random_maps(seed, probe):
    rng = np.random.default_rng(seed)
    counts = 0.4 if seed % 3 == 0 else 0.0
    tables = 0.6 if seed % 5 < 2 else 0.0
    limits = (
        MapLimits(counts=counts, tables=tables)
        if seed % 2
        else MapLimits(max_channels=6, max_size=9, per_neuron=0.3, counts=counts, tables=tables)
    )
    network = random_map_network(rng, limits)
    inputs = random_map_payloads(rng, network, n_steps=6, n_samples=2)
    assert_equal(network, inputs, probe=probe)


@pytest.mark.parametrize("seed", range(10))
def test_chunks_and_samples_do_not_change_the_result(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    network = random_map_network(rng, MapLimits())
    inputs = random_map_payloads(rng, network, n_steps=7, n_samples=5)
    whole = assert_equal(network, inputs)
    monkeypatch.setattr("talon_sim.golden.fast.stages.FastStage.room", 100)
    assert compare(whole, assert_equal(network, inputs)).equal


@pytest.mark.parametrize(("n_steps", "n_samples"), [(0, 2), (3, 0)])
@pytest.mark.parametrize("seed", range(4))
def test_nothing_to_run(seed, n_steps, n_samples):
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    inputs = random_payloads(rng, network, n_steps=3, n_samples=2)
    few = {name: values[:n_steps, :n_samples] for name, values in inputs.items()}
    fast, numpy = (GoldenModel(network, fast=choice).run(few) for choice in (True, False))
    assert fast.counters == numpy.counters
    assert fast.counters["updates"] == 0
    shapes = [{name: v.shape for name, v in trace.spikes.items()} for trace in (fast, numpy)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("seed", range(10))
def test_held_frames(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    frames = random_payloads(rng, network, n_steps=1, n_samples=3)
    held = {name: np.broadcast_to(f, (9, *f.shape[1:])) for name, f in frames.items()}
    repeated = {name: np.repeat(f, 9, axis=0) for name, f in frames.items()}
    left, right = assert_equal(network, held), assert_equal(network, repeated)
    assert compare(left, right).equal


def test_payloads_of_any_type_and_any_strides():
    rng = np.random.default_rng(1)
    network = random_network(rng)
    inputs = random_payloads(rng, network, n_steps=6, n_samples=4)
    plain = assert_equal(network, inputs)
    for kind in (np.int8, np.int16, np.int32, np.int64):
        if all(np.array_equal(values, values.astype(kind)) for values in inputs.values()):
            given = {name: values.astype(kind) for name, values in inputs.items()}
            assert compare(plain, assert_equal(network, given)).equal
    strided = {
        name: np.asfortranarray(np.repeat(values, 2, axis=1))[:, ::2]
        for name, values in inputs.items()
    }
    assert compare(plain, assert_equal(network, strided)).equal


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_saturating_neurons_clamp_and_count_alike(reset):
    rng = np.random.default_rng(3)
    network = random_network(rng, max_neurons=20)
    steep = [
        replace(
            p,
            bias=np.where(np.arange(p.n) % 2, numerics.V_MAX, numerics.V_MIN).astype(np.int32),
            decay=np.full(p.n, numerics.DECAY_ONE, np.int32),
            reset=reset,
            reset_next=False,
        )
        if p.kind == "spike" and p.current is None
        else p
        for p in network.populations
    ]
    network = replace(network, populations=tuple(steep))
    trace = assert_equal(network, random_payloads(rng, network, n_steps=6, n_samples=2))
    assert trace.counters["saturations"] > 0


def with_lists(network: IntNetwork) -> IntNetwork:
    def listed(projection: Projection) -> Projection:
        if isinstance(projection.weight, Kernel):
            return projection
        return replace(projection, weight=SparseMatrix.of(projection.matrix))

    return replace(network, projections=tuple(map(listed, network.projections)))


@pytest.mark.parametrize("seed", range(20))
def test_lists_of_weights(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng, max_neurons=30)
    inputs = random_payloads(rng, network, n_steps=8, n_samples=3)
    assert compare(assert_equal(network, inputs), assert_equal(with_lists(network), inputs)).equal


def test_threads_may_share_a_model():
    from concurrent.futures import ThreadPoolExecutor

    rng = np.random.default_rng(5)
    network = random_map_network(rng, MapLimits())
    inputs = random_map_payloads(rng, network, n_steps=8, n_samples=4)
    model = GoldenModel(network, fast=True)
    expected = model.run(inputs)
    with ThreadPoolExecutor(4) as pool:
        for trace in pool.map(lambda _: model.run(inputs), range(8)):
            assert compare(trace, expected).equal
