"""Sums of kernels by convolution are those of the matrix that the kernel stands for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from talon.bridge.integer_synapses import KernelSums, sums_of  # noqa: E402
from talon.compiler.kernel import Kernel  # noqa: E402
from talon.testing import MapLimits, random_map_network  # noqa: E402
from talon.testing.kernels import conv_kernel  # noqa: E402

PAYLOAD_MAX = 255


def assert_matrix(kernel, rng):
    events = rng.integers(-PAYLOAD_MAX, PAYLOAD_MAX + 1, (3, kernel.n_source)).astype(np.float64)
    expected = events @ kernel.dense().astype(np.float64).T
    found = sums_of(kernel)(torch.from_numpy(events)).numpy()
    np.testing.assert_array_equal(found, expected)
    return np.count_nonzero(expected)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_kernels_of_networks(seed):
    """Convolutions, their transposes, upsampling, sums over windows, identities."""
    rng = np.random.default_rng(seed)
    network = random_map_network(rng, MapLimits(odd=0.5, residual=0.5, heads=0.0))
    kernels = [p.weight for p in network.projections if isinstance(p.weight, Kernel)]
    assert kernels
    for kernel in kernels:
        assert_matrix(kernel, rng)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_tables_of_taps(seed):
    """Nothing about the places of taps is taken for granted."""
    rng = np.random.default_rng(seed)
    n_rows, n_columns, n_in, n_out = rng.integers(1, 4, 4)
    height, width, p, q = rng.integers(1, 6, 4)
    kernel = Kernel(
        taps=rng.integers(-127, 128, (n_rows, n_columns, n_in, n_out)).astype(np.int8),
        rows=rng.integers(-1, n_rows, (p, height)).astype(np.int16),
        columns=rng.integers(-1, n_columns, (q, width)).astype(np.int16),
    )
    assert_matrix(kernel, rng)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_groups_of_channels_are_found(groups):
    rng = np.random.default_rng(groups)
    taps = np.zeros((3, 3, 6, 12), np.int8)
    for g in range(groups):
        ins, outs = (slice(g * n // groups, (g + 1) * n // groups) for n in (6, 12))
        taps[:, :, ins, outs] = rng.integers(1, 128, taps[:, :, ins, outs].shape)
    kernel = conv_kernel(taps, (7, 5), stride=(2, 1), padding=(1, 1))
    assert KernelSums(kernel).groups == groups
    assert assert_matrix(kernel, rng) > 100


def test_sums_beyond_float32_are_exact():
    taps = np.full((5, 5, 20, 1), 127, np.int8)
    kernel = conv_kernel(taps, (5, 5))
    events = torch.full((1, kernel.n_source), 255.0).double()
    events[0, 0] = 254
    assert sums_of(kernel)(events).item() == 127 * (255 * 500 - 1)
