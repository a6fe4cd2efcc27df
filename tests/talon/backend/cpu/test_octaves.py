"""Shares of values by octaves: whatever the order, and near those of the values themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon.backend.cpu.octaves import octaves_of


@given(
    st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=60),
    st.integers(1, 59),
)
def test_parts_count_as_the_whole(values, at):
    values = np.array(values)
    whole = octaves_of(values)
    parts = octaves_of(values[at:]) + octaves_of(values[:at])
    assert np.array_equal(parts.counts, whole.counts)
    assert (parts.largest, parts.n) == (whole.largest, whole.n) == (abs(values).max(), len(values))
    assert parts.counts.sum() == np.count_nonzero(values)


def test_a_share_is_that_of_values_spread_evenly():
    values = np.random.default_rng(0).uniform(-3, 3, 200_000)
    values[::2] = 0
    found = octaves_of(values)
    for parts in (2, 3, 7, 100, 510):
        wanted = (np.abs(values) >= np.abs(values).max() / parts).mean()
        assert found.share(parts) == pytest.approx(wanted, abs=0.005)


def test_spikes_and_held_values_count_each_time():
    found = octaves_of(np.array([[0.0, 1.0, 1.0, 0.0]], np.float32), repeats=5)
    assert (found.share(510), found.n) == (0.5, 20)


def test_silence_and_values_that_are_no_numbers_have_no_share():
    assert octaves_of(np.zeros(4)).share(510) == 0
    assert octaves_of(np.array([np.inf, 1.0])).share(510) == 0
