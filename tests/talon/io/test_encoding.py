"""Codes are what their formulas say, spike for spike."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from talon.io.encoding import delta_encode, latency_encode, rate_encode, temporal_encode

values = arrays(
    np.float32, array_shapes(max_dims=3, max_side=4), elements=st.floats(0, 1.5, width=32)
)


@given(values, st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_seeded_rates_are_those_of_numpy(data: np.ndarray, n: int, seed: int) -> None:
    spikes = rate_encode(data, n, rate_scale=0.7, seed=seed)
    chance = np.clip(data.astype(np.float64) * 0.7, 0, 1)
    expected = np.random.default_rng(seed).binomial(1, chance, (n, *data.shape))
    assert spikes.dtype == np.float32 and np.array_equal(spikes, expected)


def test_rates_without_a_seed_are_those_of_the_values() -> None:
    data = np.linspace(-0.2, 1.2, 15).astype(np.float32)
    mean = rate_encode(np.tile(data, (200, 1)), 500).mean(axis=(0, 1))
    np.testing.assert_allclose(mean, np.clip(data, 0, 1), atol=0.01)


@given(values, st.integers(1, 30), st.sampled_from([0.5, 5.0, 40.0]))
def test_latency_is_the_logarithm(data: np.ndarray, n: int, tau: float) -> None:
    spikes = latency_encode(data, n, tau=tau, threshold=0.01)
    assert spikes.shape == (n, *data.shape)
    for index, x in np.ndenumerate(data):
        fired = np.flatnonzero(spikes[(slice(None), *index)])
        if x < np.float32(0.01):
            assert fired.size == 0
        else:
            exact = -tau * math.log(min(float(x), 1.0))
            (t,) = fired
            assert t == min(math.floor(exact), n - 1) or abs(exact - round(exact)) < 1e-4


@given(values, st.integers(1, 30))
def test_temporal_code_is_linear(data: np.ndarray, n: int) -> None:
    spikes = temporal_encode(data, n)
    for index, x in np.ndenumerate(data):
        fired = np.flatnonzero(spikes[(slice(None), *index)])
        if x < np.float32(0.01):
            assert fired.size == 0
        else:
            exact = (1 - min(float(x), 1.0)) * n
            (t,) = fired
            assert t == min(math.floor(exact), n - 1) or abs(exact - round(exact)) < 1e-4


def test_changes_fire_up_and_down() -> None:
    sequence = np.array([[0, 0.5], [0.2, 0.5], [0.15, 0.1], [0.25, 0.1]], np.float32)
    spikes = delta_encode(sequence, threshold=0.1)
    assert spikes.shape == (3, 2, 2)
    assert spikes[:, 0].tolist() == [[1, 0], [0, 0], [0, 0]]  # 0.1 itself is not more than 0.1
    assert spikes[:, 1].tolist() == [[0, 0], [0, 1], [0, 0]]
    assert delta_encode(sequence, 0.05, off_spikes=False).tolist() == [[1, 0], [0, 0], [1, 0]]
    assert delta_encode(np.zeros((50, 32)), 0.1).shape == (49, 2, 32)


def test_bytes_do_not_wrap() -> None:
    assert delta_encode(np.array([[250], [3]], np.uint8), 10)[0].tolist() == [[0], [1]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: rate_encode(x, 0), ValueError, "n_steps must be at least 1, got 0"),
        (lambda x: rate_encode(x, 2.5), TypeError, "n_steps must be an int, got 2.5"),
        (lambda x: latency_encode(x, 3, tau=0), ValueError, "tau must be finite and above 0, got"),
        (lambda x: latency_encode(x, 3, threshold=0), ValueError, "threshold must be finite and"),
        (lambda x: rate_encode(x * np.nan, 3), ValueError, "data must be finite"),
        (lambda x: temporal_encode(np.array(["a"]), 3), TypeError, "data must be an array of num"),
        (lambda x: delta_encode(x[:1]), ValueError, r"at least 2 frames, got shape \(1,\)"),
        (lambda x: delta_encode(x, -1), ValueError, "threshold must be finite and >= 0, got -1"),
    ],
)
def test_mistakes_are_named(call, error, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=message):
        call(np.ones(3, np.float32))
