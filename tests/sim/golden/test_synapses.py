"""Every way in which golden synapses turn events into currents is the same matrix product."""

from dataclasses import replace

import numpy as np
import pytest

from talon.compiler.network import InputPort, IntNetwork, Population, Projection
from talon.errors import ImageError
from talon_sim.golden.checks import check_network
from talon_sim.golden.synapses import Synapses


@pytest.mark.parametrize("density", [0.002, 0.01, 0.05, 1.0])
@pytest.mark.parametrize("n_rows", [1, 7])
@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_graded_payloads_weigh_in_every_storage(density, n_rows, rate):
    rng = np.random.default_rng(3)
    weight = rng.integers(-127, 128, (90, 400)).astype(np.int8)
    weight[rng.random(weight.shape) >= density] = 0
    payloads = rng.integers(-255, 256, (n_rows, 400)) * (rng.random((n_rows, 400)) < rate)
    synapses = Synapses(weight, frac=3)
    expected = payloads.astype(np.int64) @ weight.T.astype(np.int64) << 3
    np.testing.assert_array_equal(synapses.currents(payloads.astype(np.int16)), expected)


@pytest.mark.parametrize("n_rows", [1, 2, 16, 17])
@pytest.mark.parametrize("n_source", [100, 101, 149])
def test_a_product_in_parts_has_all_its_sources(n_rows, n_source, monkeypatch):
    monkeypatch.setattr("talon_sim.golden.synapses._SMALL", 3000)
    rng = np.random.default_rng(4)
    weight = rng.integers(-127, 128, (30, n_source)).astype(np.int8)
    payloads = rng.integers(1, 256, (n_rows, n_source)).astype(np.int16)
    synapses = Synapses(weight, frac=1)
    expected = payloads.astype(np.int64) @ weight.T.astype(np.int64) << 1
    np.testing.assert_array_equal(synapses.currents(payloads), expected)


def two_projections(n_sources):
    zeros = np.zeros(1, np.int32)
    weight = np.full((1, n_sources), 127, np.int8)
    inputs = tuple(
        InputPort(name=name, shape=(n_sources,), scale=1.0, payload_max=255) for name in "xy"
    )
    target = Population(
        name="a", shape=(1,), kind="spike", frac=0, threshold=zeros, bias=zeros, v_reset=zeros,
        decay=zeros, reset="none", reset_next=False, strict=False, v_scale=np.ones(1),
    )  # fmt: skip
    projections = tuple(
        Projection(source=name, target="a", delay=0, weight=weight) for name in "xy"
    )
    return IntNetwork(inputs=inputs, populations=(target,), projections=projections, outputs=())


def test_proof_adds_what_all_projections_can_bring():
    n_sources = 200  # one projection reaches 6,477,000, two pass 2^23
    network = two_projections(n_sources)
    check_network(replace(network, projections=network.projections[:1]))
    with pytest.raises(ImageError, match=r"^Population 'a' neuron 0: .* not 12954000$"):
        check_network(network)
