"""Codes are what their formulas say, spike for spike."""

import math
import zlib

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
def test_binomial_rates_are_those_of_numpy(data: np.ndarray, n: int, seed: int) -> None:
    spikes = rate_encode(data, n, rate_scale=0.7, seed=seed, stream="binomial")
    chance = np.clip(data.astype(np.float64) * 0.7, 0, 1)
    expected = np.random.default_rng(seed).binomial(1, chance, (n, *data.shape))
    assert spikes.dtype == np.float32 and np.array_equal(spikes, expected)


@given(values, st.integers(1, 30), st.integers(0, 2**32 - 1), st.integers(-4, 3))
def test_a_seed_is_one_result_in_every_form(data: np.ndarray, n: int, seed: int, axis: int) -> None:
    axis = axis % (data.ndim + 1)
    spikes = rate_encode(data, n, seed=seed)
    assert spikes.dtype == np.float32 and set(np.unique(spikes)) <= {0, 1}
    moved = np.moveaxis(spikes, 0, axis)
    for dtype in (bool, np.uint8, np.int32, np.float64):
        found = rate_encode(data, n, seed=seed, dtype=dtype, time_axis=axis)
        assert found.dtype == dtype and np.array_equal(found, moved)
        out = np.full_like(found, 1)
        assert rate_encode(data, n, seed=seed, out=out, time_axis=axis) is out
        assert np.array_equal(out, moved)
    if data.ndim:
        later = np.ones((2 * n, *data.shape), np.uint8)[::2]  # not contiguous
        assert np.array_equal(rate_encode(data, n, seed=seed, out=later), spikes)


PINNED = (
    (7, 3, 11, 509506060),
    (1000, 40, 19997, 1170918849),
    (300_000, 5, 749207, 2196540863),
)


def test_seeds_of_large_arrays_are_pinned() -> None:
    """Whoever changes the bits of a seed changes what users have; the docs must say so."""
    for n, n_steps, total, digest in PINNED:
        found = rate_encode(np.linspace(0, 1, n), n_steps, seed=5, dtype=np.uint8)
        assert (int(found.sum()), zlib.crc32(found.tobytes())) == (total, digest)


CHANCES = np.array(
    [
        *(0, 1, 1e-6, 1e-4, 1 / 257, 1 / 256, 0.1, 1 / 3, 0.4999, 0.5, 0.5001),
        *(0.7, 0.9, 254.5 / 256, 255 / 256, 0.9999, 1 - 1e-6),
    ]
)


def test_rates_are_exact() -> None:
    """Every rate, those of 0 and 1 and tiny ones among them, is met within its chance."""
    n = 2_000_000
    block = np.repeat(CHANCES, 1000)
    found = np.zeros(CHANCES.size)
    for seed in range(4):
        spikes = rate_encode(block, n // 4000, seed=seed, dtype=np.uint8)
        found += spikes.reshape(-1, CHANCES.size, 1000).sum(axis=(0, 2))
    assert found[0] == 0 and found[1] == n
    sigma = np.sqrt(n * CHANCES[2:] * (1 - CHANCES[2:]))
    assert (np.abs(found[2:] - n * CHANCES[2:]) < 4.5 * sigma).all()


def test_the_mean_rate_of_the_benchmark_is_within_1e_4() -> None:
    data = np.random.default_rng(3).random(1_000_000)
    spikes = rate_encode(data, 100, seed=0, dtype=bool)
    # The spikes' own chance is 4e-5; a quantized rate would be off by up to 2e-3.
    assert abs(spikes.mean() - data.mean()) < 1e-4
    band = (data > 0.2 + 1 / 512) & (data < 0.2 + 1 / 256)  # between two levels of a byte
    chance = np.sqrt(0.16 / (100 * band.sum()))
    assert abs(spikes[:, band].mean() - data[band].mean()) < 5 * chance


def test_spikes_of_neighbours_and_of_timesteps_are_independent() -> None:
    for p in (0.002, 0.3, 0.997):
        spikes = rate_encode(np.full(4000, p), 500, seed=1, dtype=bool)
        x = spikes.astype(np.float64) - p
        for other in (x[1:] * x[:-1], x[:, 1:] * x[:, :-1]):
            assert abs(other.mean()) < 5 * p * (1 - p) / np.sqrt(other.size)
        counts = np.bincount(spikes.sum(axis=0), minlength=501)
        k = np.arange(501)
        variance = (counts * (k - 500 * p) ** 2).sum() / 4000
        # The variance of 4000 counts is that of a binomial to 5 standard errors.
        assert abs(variance / (500 * p * (1 - p)) - 1) < 5 * np.sqrt(2 / 4000)


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


@given(values, st.integers(1, 12), st.integers(0, 3))
def test_time_stands_where_it_is_wanted(data: np.ndarray, n: int, axis: int) -> None:
    axis %= data.ndim + 1
    for encode in (latency_encode, temporal_encode):
        moved = np.moveaxis(encode(data, n), 0, axis)
        out = np.full(moved.shape, 7, np.uint8)
        assert encode(data, n, time_axis=axis, out=out) is out and np.array_equal(out, moved)
        assert np.array_equal(encode(data, n, time_axis=axis - moved.ndim, dtype=bool), moved)


@given(arrays(np.float32, (5, 3, 2), elements=st.floats(-2, 2, width=32)), st.booleans())
def test_changes_over_any_axis(sequence: np.ndarray, off: bool) -> None:
    first = delta_encode(sequence, 0.25, off)
    last = delta_encode(np.moveaxis(sequence, 0, -1), 0.25, off, time_axis=-1, dtype=np.uint8)
    front = [-2, -1] if off else [-1]
    assert np.array_equal(np.moveaxis(last, front, list(range(len(front)))), first)


@given(arrays(np.float32, (12, 4), elements=st.floats(-2, 2, width=32)))
def test_changes_since_the_last_spike(sequence: np.ndarray) -> None:
    spikes = delta_encode(sequence, 0.5, reference="spike")
    for k in range(4):
        last = sequence[0, k]
        for t, value in enumerate(sequence[1:, k]):
            change = value - last
            assert spikes[t, :, k].tolist() == [change > 0.5, change < -0.5]
            last = value if abs(change) > 0.5 else last


def test_slow_drift_fires_where_spikes_are_the_reference() -> None:
    ramp = np.arange(0, 2, 0.0625, dtype=np.float32)[:, None]
    assert delta_encode(ramp, 0.25).sum() == 0
    assert delta_encode(ramp, 0.25, reference="spike")[:, 0].sum() == 6


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
        (lambda x: rate_encode(x, 3, np.inf), ValueError, "rate_scale must be finite, got inf"),
        (lambda x: rate_encode(x, 3, stream="old"), ValueError, "stream must be 'talon' or"),
        (lambda x: rate_encode(x, 3, time_axis=2), ValueError, "time_axis must be from -2 to 1, g"),
        (lambda x: rate_encode(x, 3, time_axis=0.5), TypeError, "time_axis must be an int, got 0"),
        (lambda x: rate_encode(x, 3, out=x), ValueError, r"of shape \(3, 3\), got \(3,\)"),
        (lambda x: rate_encode(x, 3, dtype="U3"), TypeError, "Spikes must be of a type of num"),
        (lambda x: delta_encode(x, reference="mean"), ValueError, "reference must be 'previous'"),
        (lambda x: delta_encode(x, -1), ValueError, "threshold must be finite and >= 0, got -1"),
    ],
)
def test_mistakes_are_named(call, error, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=message):
        call(np.ones(3, np.float32))


def test_edges_of_shapes_and_values() -> None:
    assert rate_encode(np.zeros((0, 3)), 5, seed=0).shape == (5, 0, 3)
    assert rate_encode(np.float32(1), 5, seed=0).tolist() == [1] * 5
    assert rate_encode(np.array([1e300, -1e300]), 2, 1e300, seed=0).tolist() == [[1, 0]] * 2
    bits = rate_encode(np.array([True, False]), 4, seed=0, dtype=bool)
    assert bits.tolist() == [[True, False]] * 4
    assert rate_encode(np.array([255, 0], np.uint8), 3, 1 / 255, seed=0)[:, 0].all()
