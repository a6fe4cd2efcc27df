"""Every way in which neurons advance follows the contract, and no proof says too much."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from talon.compiler.network import Population
from talon_sim.golden.neurons import _FEW, _SMALL, Neurons

_spec = importlib.util.spec_from_file_location("scalar", Path(__file__).with_name("scalar.py"))
scalar = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scalar)

LARGEST = 300
"""Of the drives."""


def population(rng, *, n, reset, least):
    """Return neurons that leak, each with a threshold and a reset value of its own."""
    return Population(
        name="a",
        shape=(n,),
        kind="spike",
        frac=0,
        threshold=rng.integers(least, least + 200, n).astype(np.int32),
        bias=np.zeros(n, np.int32),
        v_reset=rng.integers(-50, 51, n).astype(np.int32),
        decay=rng.integers(58000, 64000, n).astype(np.int32),
        reset=reset,
        reset_next=False,
        strict=False,
        v_scale=np.ones(n),
    )


def run_scalar(neurons, drive):
    """Return who fired, and potentials, of drives (steps, samples, n)."""
    spikes, v = np.zeros(drive.shape, np.bool_), np.zeros(drive.shape, np.int32)
    for b in range(drive.shape[1]):
        for j, neuron in enumerate(neurons):
            neuron.rest()
            for t, x in enumerate(drive[:, b, j]):
                spikes[t, b, j], v[t, b, j], clamped = neuron.update(int(x))
                assert not clamped
    return spikes, v


@pytest.mark.parametrize("records", [False, True])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize(
    ("n_samples", "least"), [(2, 100), (180, 100), (180, 560)], ids=["small", "many", "few"]
)
def test_resets_at_once(n_samples, least, reset, records):
    rng = np.random.default_rng(6)
    n, n_steps = 23, 7
    neurons = population(rng, n=n, reset=reset, least=least)
    drive = rng.integers(-LARGEST, LARGEST + 1, (n_steps, n_samples, n))
    expected, expected_v = run_scalar(scalar.neurons_of(neurons), drive)
    per_step = np.count_nonzero(expected, axis=(1, 2))
    size = n_samples * n
    assert (size <= _SMALL) == (n_samples == 2)
    assert per_step.max() > 1
    if size > _SMALL:  # few in all timesteps, or many in some
        assert (per_step.max() * _FEW <= size) == (least == 560)

    started = Neurons(neurons, reach=LARGEST).start(n_samples, n_steps)
    spikes, v = np.empty(drive.shape, np.bool_), np.empty(drive.shape, np.int32)
    # Potentials that are not wanted show in the last timestep, where they are.
    first = 0 if records else n_steps - 1
    started.advance(drive[:first].astype(float), spikes[:first])
    if not records:
        np.testing.assert_array_equal(spikes[:first], expected[:first])
    started.advance(drive[first:].astype(float), spikes[first:], v[first:])
    np.testing.assert_array_equal(spikes, expected)
    np.testing.assert_array_equal(v[first:], expected_v[first:])
    assert started.saturations == 0


def test_what_a_reset_leaves_counts_in_the_proof():
    neurons = population(np.random.default_rng(0), n=1, reset="zero", least=100)
    neurons = replace(neurons, v_reset=np.array([8_300_000], np.int32))
    reach = 1_000_000  # two of which are far from the limit
    assert not Neurons(neurons, reach=reach).is_safe_for(2)
    assert Neurons(replace(neurons, v_reset=np.zeros(1, np.int32)), reach=reach).is_safe_for(2)
    drive = np.full((2, 1, 1), float(reach))
    started = Neurons(replace(neurons, decay=np.array([65536], np.int32)), reach=reach).start(1, 2)
    v = np.empty((2, 1, 1), np.int32)
    started.advance(drive, np.empty(drive.shape, np.bool_), v)
    assert v.ravel().tolist() == [8_300_000, 8_300_000]  # reset, raised to the limit, reset again
    assert started.saturations == 1
