"""Two frames in one number are the two frames, for every sum that may be."""

from __future__ import annotations

import numpy as np
import pytest

from talon.testing.kernels import conv_kernel
from talon_sim.golden import pairs
from talon_sim.golden.maps import MapSynapses
from talon_sim.golden.pairs import MOST, PairedProduct, largest_sum, pack, part
from talon_sim.golden.synapses import Synapses


@pytest.mark.parametrize("unit", [1, 16, 128])
def test_sums_are_parted_up_to_the_limit(unit):
    a = np.arange(-MOST, MOST + 1)[:, None]
    b = np.array([-MOST, -MOST + 1, -1, 0, 1, MOST - 1, MOST])
    b = np.concatenate([b, np.random.default_rng(1).integers(-MOST, MOST + 1, 200)])
    ratio = pairs._RATIO
    assert MOST * (ratio + 1) <= 1 << 24  # so that float32 holds it
    sums = ((a + ratio * b) * unit).astype(np.float32)
    np.testing.assert_array_equal(sums, (a + ratio * b) * float(unit))
    second, spare = np.empty_like(sums), np.empty_like(sums)
    part(sums, second, spare, unit)
    np.testing.assert_array_equal(sums, np.broadcast_to(a * unit, sums.shape))
    np.testing.assert_array_equal(second, np.broadcast_to(b, sums.shape))


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.int16, np.int64])
@pytest.mark.parametrize("n_frames", [1, 2, 5])
def test_frames_are_packed_half_by_half(n_frames, kind):
    low, high = {"b": (0, 2), "u": (0, 256)}.get(np.dtype(kind).kind, (-255, 256))
    events = np.random.default_rng(2).integers(low, high, (n_frames, 7)).astype(kind)
    half = -(-n_frames // 2)
    packed = np.full((half, 7), 9, np.float32)  # what stood there is no frame
    pack(events, packed)
    expected = events[:half].astype(int)
    expected[: n_frames - half] += pairs._RATIO * events[half:].astype(int)
    np.testing.assert_array_equal(packed, expected)


@pytest.mark.parametrize("kind", [np.bool_, np.uint8])
@pytest.mark.parametrize("n_frames", [1, 2, 5])
def test_small_payloads_are_packed_in_16_bits(n_frames, kind):
    largest = 1 if kind == np.bool_ else pairs._NARROW
    events = np.full((n_frames, 7), largest, kind)
    events[:, ::3] = 0
    wide, narrow = np.empty((2, -(-n_frames // 2), 7), np.float32)
    pack(events, wide)
    pack(events, narrow, np.full(narrow.shape, 9, np.uint16))
    np.testing.assert_array_equal(narrow, wide)
    assert narrow.max() == largest * (1 + (n_frames > 1) * pairs._RATIO)


def saturated_weight(n_target, n_source):
    """Return weights whose rows reach the limit, up or down, where all sources of a part send."""
    weight = np.zeros((n_target, n_source), np.int8)
    per_part = MOST // 127
    for k in range(0, n_source, 100):
        weight[0::2, k : k + per_part] = 127
        weight[1::2, k + 7 : k + 7 + per_part] = -127
    return weight


@pytest.fixture
def paired_always(monkeypatch):
    monkeypatch.setattr("talon_sim.golden.pairs._LEAST_PRODUCT", 0)


@pytest.mark.parametrize("n_frames", [1, 2, 3, 8])
@pytest.mark.parametrize("kind", [np.float64, np.int32])
def test_a_product_keeps_to_the_limit_part_by_part(n_frames, kind, paired_always):
    weight = saturated_weight(64, 300)
    synapses = Synapses(weight, frac=3, payload_max=1, signed=False)
    assert synapses._paired is not None
    assert len(synapses._paired._parts) == 3
    events = np.ones((n_frames, 300), np.uint8)
    events[-1, ::3] = 0
    drive = np.empty((n_frames, 64), kind)
    synapses.write_to(drive, events, np.array(5, kind))
    np.testing.assert_array_equal(drive, (events.astype(int) @ weight.T.astype(int) << 3) + 5)


@pytest.mark.parametrize("seed", range(10))
def test_random_products_in_pairs_are_the_products(seed, paired_always):
    rng = np.random.default_rng(seed)
    payload_max, signed = int(rng.choice([1, 3])), bool(rng.integers(2))
    weight = rng.integers(-25, 26, (70, 500)).astype(np.int8)
    if payload_max > 1:
        weight //= 4
    synapses = Synapses(weight, frac=4, payload_max=payload_max, signed=signed)
    assert synapses._paired is not None
    n_frames = int(rng.integers(1, 9))
    low = -payload_max if signed else 0
    events = rng.integers(low, payload_max + 1, (n_frames, 500)).astype(np.int16)
    drive = np.empty((n_frames, 70))
    synapses.write_to(drive, events, np.zeros(()))
    np.testing.assert_array_equal(drive, events.astype(int) @ weight.T.astype(int) << 4)


@pytest.mark.parametrize("payload_max", [pairs._NARROW, pairs._NARROW + 1, 255])
def test_bytes_too_large_for_16_bits_are_packed_as_floats(payload_max, paired_always):
    weight = np.zeros((64, 100), np.int8)
    weight[:, ::10] = np.random.default_rng(4).integers(-1, 2, (64, 10))
    synapses = Synapses(weight, frac=1, payload_max=payload_max, signed=False)
    assert synapses._paired is not None
    events = np.full((5, 100), payload_max, np.uint8)
    events[1::2, ::20] = 0
    drive = np.empty((5, 64), np.int32)
    synapses.write_to(drive, events, np.zeros((), np.int32))
    np.testing.assert_array_equal(drive, events.astype(int) @ weight.T.astype(int) << 1)


def test_what_a_part_could_not_hold_is_not_paired():
    weight = np.full((64, 200), 29, np.int8)  # 100 of them pass the limit
    matrix = np.ascontiguousarray(weight.T, np.float32)
    assert PairedProduct.of(weight, matrix, 1, frac=0, signed=False) is None
    weight[:] = 28
    assert PairedProduct.of(weight, matrix, 1, frac=0, signed=False) is not None
    weight[:, ::2] = -28  # a sum of one sign has half of them, but payloads have both
    assert largest_sum(weight, 1, signed=False) == 2800
    assert largest_sum(weight, 1, signed=True) == 5600


KERNELS = {
    "plain": {},
    "strided": {"stride": (2, 2), "padding": (1, 1)},
    "padded": {"padding": (2, 1)},
    "dilated": {"dilation": (2, 1)},
}


@pytest.mark.parametrize("n_frames", [1, 2, 3, 9])
@pytest.mark.parametrize("name", KERNELS)
def test_kernels_in_pairs_are_the_dense_products(name, n_frames):
    rng = np.random.default_rng(7)
    taps = rng.integers(-40, 41, (3, 3, 6, 5)).astype(np.int8)
    kernel = conv_kernel(taps, (9, 8), **KERNELS[name])
    synapses = MapSynapses(kernel, frac=2, payload_max=1, signed=False)
    assert synapses._is_paired
    events = (rng.random((n_frames, kernel.n_source)) < 0.5).astype(np.uint8)
    expected = events.astype(int) @ kernel.dense().T.astype(int) << 2
    drive = np.empty((n_frames, kernel.n_target), np.int32)
    synapses.write_to(drive, events, np.zeros((), np.int32))
    np.testing.assert_array_equal(drive, expected)
    synapses.add_to(drive, events)
    np.testing.assert_array_equal(drive, 2 * expected)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_kernel_at_the_limit_is_exact(sign):
    taps = np.zeros((2, 2, 8, 3), np.int8)
    taps.reshape(-1, 3)[: MOST // 127] = sign * 127
    kernel = conv_kernel(taps, (4, 4))
    synapses = MapSynapses(kernel, frac=7, payload_max=1, signed=False)
    assert synapses._is_paired
    events = np.ones((4, kernel.n_source), np.bool_)
    drive = np.empty((4, kernel.n_target))
    synapses.write_to(drive, events, np.zeros(()))
    np.testing.assert_array_equal(drive, events.astype(int) @ kernel.dense().T.astype(int) << 7)


def test_a_kernel_past_the_limit_is_not_paired():
    taps = np.full((2, 2, 8, 3), 88, np.int8)  # 32 of them make 2816
    kernel = conv_kernel(taps, (4, 4))
    assert not MapSynapses(kernel, frac=0, payload_max=1, signed=False)._is_paired
    taps[:] = 87
    assert MapSynapses(kernel, frac=0, payload_max=1, signed=False)._is_paired
    assert not MapSynapses(kernel, frac=0, payload_max=2, signed=False)._is_paired
