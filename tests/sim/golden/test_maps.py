"""Feature maps: the golden model is the scalar contract, whatever path the synapses take."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talon.compiler.kernel import Kernel
from talon.testing import MapLimits, map_networks, random_map_network, random_map_payloads
from talon_sim.golden import golden_run
from talon_sim.trace import compare

_spec = importlib.util.spec_from_file_location("scalar", Path(__file__).with_name("scalar.py"))
scalar = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scalar)

SMALL = MapLimits(max_channels=4, max_size=5, max_populations=4, per_neuron=0.3)


def assert_same(golden, expected):
    result = compare(golden, expected)
    assert result.equal, result.first
    assert set(golden.potentials) == set(expected.potentials)
    assert set(golden.spikes) == set(expected.spikes)
    assert golden.counters == expected.counters


@pytest.mark.parametrize("seed", range(80))
def test_golden_equals_the_scalar_contract(seed):
    rng = np.random.default_rng(seed)
    network = random_map_network(rng, SMALL)
    n_steps = int(rng.integers(1, 7))
    inputs = random_map_payloads(rng, network, n_steps=n_steps, n_samples=2)
    assert_same(golden_run(network, inputs), scalar.run_scalar(network, inputs))


@settings(max_examples=60, deadline=None)
@given(
    network=map_networks(max_channels=3, max_size=4, per_neuron=0.2),
    seed=st.integers(0, 2**31),
    n_steps=st.integers(1, 5),
    n_samples=st.integers(1, 3),
    rate=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
)
def test_golden_equals_the_scalar_contract_in_any_shape(network, seed, n_steps, n_samples, rate):
    rng = np.random.default_rng(seed)
    inputs = random_map_payloads(rng, network, n_steps=n_steps, n_samples=n_samples, rate=rate)
    assert_same(golden_run(network, inputs), scalar.run_scalar(network, inputs))


def random_table(rng, n_target, n_source, n_taps):
    """Return any table: taps repeat, sources and targets may have none."""
    table = rng.integers(-1, n_taps, (n_target, n_source))
    kind = rng.random()
    if kind < 0.3:
        table[rng.random(table.shape) < 0.5] = -1
    elif kind < 0.5:  # each target takes a tap from one source
        table[:] = -1
        table[np.arange(n_target), rng.integers(0, n_source, n_target)] = 0
    return table.astype(np.int16)


def with_random_tables(rng, network):
    """Return the network with tables that no geometry gives."""
    projections = tuple(
        replace(p, weight=with_tables(rng, p.weight)) if isinstance(p.weight, Kernel) else p
        for p in network.projections
    )
    return replace(network, projections=projections)


def with_tables(rng, kernel):
    n_rows, n_columns = kernel.taps.shape[:2]
    return Kernel(
        taps=(kernel.taps // 8).astype(np.int8),  # taps repeat, so sums are larger
        rows=random_table(rng, *kernel.rows.shape, n_rows),
        columns=random_table(rng, *kernel.columns.shape, n_columns),
    )


@pytest.mark.parametrize("seed", range(60))
def test_any_table_is_the_matrix_that_it_stands_for(seed):
    rng = np.random.default_rng(seed)
    network = with_random_tables(rng, random_map_network(rng, SMALL))
    inputs = random_map_payloads(rng, network, n_steps=3, n_samples=2)
    assert_same(golden_run(network, inputs), scalar.run_scalar(network, inputs))
