from __future__ import annotations

import numpy as np
import pytest

from talon_sim.trace import Divergence, Trace, compare


def trace(spikes=None, potentials=None, *, target="left", n_steps=3, n_samples=2):
    return Trace(
        target=target,
        n_steps=n_steps,
        n_samples=n_samples,
        spikes=spikes or {},
        potentials=potentials or {},
    )


def zeros(dtype, n=4):
    return np.zeros((3, 2, n), dtype)


def test_equal_traces_count_what_was_compared():
    left = trace({"a": zeros(bool)}, {"a": zeros(np.int32), "b": zeros(np.int32, 1)})
    result = compare(left, left)
    assert result.equal
    assert (result.n_spikes_compared, result.n_v_compared) == (24, 30)
    assert result.first is None


def test_the_first_divergence_in_time_is_named():
    spikes, v = zeros(bool), zeros(np.int32)
    spikes[2, 0, 1] = True
    v[1, 1, 3] = -7
    v[2, 0, 0] = 5
    left = trace({"a": spikes}, {"a": v})
    right = trace({"a": zeros(bool)}, {"a": zeros(np.int32)}, target="right")
    result = compare(left, right)
    assert not result.equal
    assert (result.spike_mismatches, result.v_mismatches) == (1, 2)
    assert result.first == Divergence(
        quantity="V", population="a", sample=1, timestep=1, neuron=3, left=-7, right=0
    )


def test_populations_that_one_trace_lacks_are_left_out():
    left = trace({"a": zeros(bool)}, {"a": zeros(np.int32), "b": zeros(np.int32)})
    right = trace({"a": zeros(bool)}, {}, target="right")
    result = compare(left, right)
    assert result.equal
    assert (result.n_spikes_compared, result.n_v_compared) == (24, 0)


def test_traces_that_share_nothing_are_refused():
    with pytest.raises(ValueError, match=r"^Traces of left and right share no population$"):
        compare(trace({"a": zeros(bool)}), trace({"b": zeros(bool)}, target="right"))


def test_traces_of_other_sizes_are_refused():
    with pytest.raises(
        ValueError, match=r"same timesteps and samples, not left \(3, 2\) and right"
    ):
        compare(trace(), trace(target="right", n_steps=4))
    left = trace({"a": zeros(bool)})
    right = trace({"a": zeros(bool, 5)}, target="right")
    with pytest.raises(
        ValueError, match=r"^Population 'a' must have one shape, not \(3, 2, 4\) in left and"
    ):
        compare(left, right)
