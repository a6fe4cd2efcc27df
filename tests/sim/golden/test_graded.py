"""Windows of graded neurons: found phase by phase, and requantized in float32."""

from __future__ import annotations

import numpy as np
import pytest

from talon.arch import numerics
from talon.compiler.kernel import Kernel
from talon.testing.kernels import conv_kernel
from talon_sim.golden.graded import highest_values, lowest_sums
from talon_sim.golden.phases import by_phase


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("options", [{"padding": (1, 1)}, {"stride": (2, 2)}, {"dilation": (1, 2)}])
def test_a_kernel_by_phase_has_the_sums_of_all_neurons_of_a_window(size, options):
    rng = np.random.default_rng(5)
    kernel = conv_kernel(rng.integers(-9, 10, (3, 3, 2, 4)).astype(np.int8), (16, 16), **options)
    _, n_rows, n_columns = kernel.target_shape
    n_rows, n_columns = n_rows // size[0] * size[0], n_columns // size[1] * size[1]
    kernel = Kernel(taps=kernel.taps, rows=kernel.rows[:n_rows], columns=kernel.columns[:n_columns])
    found = by_phase(kernel, size)
    if options == {"dilation": (1, 2)} and size[1] > 1:
        assert found is None  # neighbours look at other columns
        return
    assert found is not None
    events = rng.integers(0, 9, (3, kernel.n_source))
    sums = (events @ kernel.dense().T).reshape(3, 4, n_rows, n_columns)
    phases = (events @ found.dense().T).reshape(
        3, *size, 4, n_rows // size[0], n_columns // size[1]
    )
    for i, j in np.ndindex(size):
        assert np.array_equal(phases[:, i, j], sums[..., i :: size[0], j :: size[1]])


@pytest.mark.parametrize("largest", [1, 15, 255])
@pytest.mark.parametrize("multiplier", [0, 1, 2, 163, 40_000, 65_535, 65_536])
def test_limits_of_requantized_values_are_those_of_the_contract(multiplier, largest):
    one = np.array([multiplier], np.int32)
    high, low = highest_values(one, largest)[0], lowest_sums(one, np.zeros(1, np.int32))[0]
    ends = [0, int(high), int(min(low, numerics.ACC_MAX)), numerics.ACC_MAX]
    values = np.unique([v + d for v in ends for d in (*range(-300, 301), -70_000, 70_000)])
    values = values[np.abs(values) <= numerics.ACC_MAX]
    limited = np.maximum(np.minimum(values.astype(np.float32), high), 0)
    scaled = limited * np.float32(multiplier / numerics.DECAY_ONE) + np.float32(0.5)
    assert scaled.dtype == np.float32
    params = numerics.GradedParams(multiplier=multiplier, offset=0, payload_max=largest)
    expected = [numerics.graded(int(value), params) for value in values]
    assert scaled.astype(np.int64).tolist() == expected
    assert [bool(value >= low) for value in values] == [payload > 0 for payload in expected]
