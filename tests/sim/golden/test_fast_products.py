"""Compiled sums of all kinds are the matrix product, at the ends of their types as well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talon.compiler.kernel import Kernel
from talon.compiler.network import (
    InputPort,
    IntNetwork,
    OutputPort,
    Pool,
    Population,
    Projection,
)
from talon.testing import random_map_network, random_map_payloads
from talon.testing.kernels import conv_kernel
from talon_sim.golden import GoldenModel
from talon_sim.testing import random_network, random_payloads
from talon_sim.trace import compare

pytest.importorskip("numba", reason="the extra [fast] is not installed")

from talon_sim.golden.fast.alone import Alone
from talon_sim.golden.fast.llvm import LANES
from talon_sim.golden.fast.stages import FastStage
from talon_sim.golden.fast.synapses import Layout, add_events, synapses_of


def population(shape) -> Population:
    n = int(np.prod(shape))
    zeros = np.zeros(n, np.int32)
    return Population(
        name="a", shape=shape, kind="spike", frac=0, threshold=zeros, bias=zeros, v_reset=zeros,
        decay=zeros, reset="none", reset_next=False, strict=False, v_scale=np.ones(n),
    )  # fmt: skip


def sums_of(weight, events, target_shape, *, is_binary):
    """Return what compiled kernels add to sums that are not zero, and which kernel did."""
    kernels = [weight] if isinstance(weight, Kernel) else []
    layout = Layout(population(target_shape), kernels)
    synapses = synapses_of(
        Projection(
            source="x",
            target="a",
            delay=0,
            weight=weight,
            form="map" if kernels else "dense",
        ),
        layout=layout,
        is_binary=is_binary,
    )
    n_steps, n_samples, _ = events.shape
    n = len(layout.order)
    size = n_steps * n_samples * n
    buffer = np.arange(size + LANES, dtype=np.int32)
    acc = buffer[:size].reshape(n_steps, n_samples, n)
    add_events(synapses, events, range(n_steps), range(n_samples), acc)
    found = np.empty_like(acc)
    found[..., layout.order] = acc - np.arange(size).reshape(acc.shape)
    assert np.array_equal(buffer[size:], np.arange(size, size + LANES)), (
        "what is behind has changed"
    )
    return found, synapses.way(events[0, 0])[0]


def payloads(rng, kind, n_frames, n_source, density):
    """Return payloads (n_frames, 1, n_source), among them the largest."""
    shape = (n_frames, 1, n_source)
    is_sent = rng.random(shape) < density
    if kind == "ones":
        return is_sent.astype(np.uint8)
    if kind == "bytes":
        return (rng.choice([1, 128, 200, 255], shape) * is_sent).astype(np.uint8)
    return (rng.choice([-255, -1, 3, 255], shape) * is_sent).astype(np.int16)


@pytest.mark.parametrize("kind", ["ones", "bytes", "signed"])
@pytest.mark.parametrize("density", [0.0, 0.08, 1.0])
@pytest.mark.parametrize(
    ("n_target", "n_source", "n_frames"),
    [
        *((1, 1, 1), (16, 64, 4), (10, 131, 3), (33, 65, 35), (128, 784, 6), (3, 200, 66)),
        *((250, 600, 5), (32, 40, 10), (48, 7, 12), (20, 30, 41)),
    ],
)
def test_matrices(kind, density, n_target, n_source, n_frames):
    rng = np.random.default_rng(n_source)
    weight = rng.choice([-128, -127, -1, 0, 5, 127], (n_target, n_source)).astype(np.int8)
    weight[:, 0] = 1  # else a matrix of one row may count as sparse
    events = payloads(rng, kind, n_frames, n_source, density)
    found, way = sums_of(weight, events, (n_target,), is_binary=kind == "ones")
    assert np.array_equal(found, events.astype(np.int64) @ weight.T.astype(np.int64))
    if n_target > 1:
        assert way == ("row_product" if density == 1 else "rows")


@pytest.mark.parametrize("kind", ["ones", "bytes", "signed"])
@pytest.mark.parametrize("density", [0.05, 1.0])
@pytest.mark.parametrize(
    ("n_in", "n_out", "size", "taps", "options"),
    [
        (1, 16, (9, 9), (3, 3), {"padding": (1, 1)}),
        (3, 5, (8, 7), (3, 2), {"stride": (2, 1)}),
        (2, 20, (11, 10), (2, 3), {"dilation": (2, 2), "padding": (2, 0)}),
        (9, 4, (6, 5), (1, 1), {}),
        (12, 3, (5, 12), (5, 5), {"padding": (2, 2), "stride": (1, 3)}),
        (1, 1, (4, 4), (4, 4), {}),
    ],
)
def test_kernels(kind, density, n_in, n_out, size, taps, options):
    rng = np.random.default_rng(n_in * n_out)
    values = rng.choice([-128, -127, 1, 127], (*taps, n_in, n_out)).astype(np.int8)
    kernel = conv_kernel(values, size, **options)
    events = payloads(rng, kind, 5, kernel.n_source, density)
    found, way = sums_of(kernel, events, kernel.target_shape, is_binary=kind == "ones")
    assert np.array_equal(found, events.astype(np.int64) @ kernel.dense().T.astype(np.int64))
    assert way == ("map_product" if density == 1 else "windows")


@pytest.mark.parametrize("seed", range(30))
def test_a_stage_in_one_call_is_the_stage_step_by_step(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    if seed % 2:
        network = random_map_network(rng)
        inputs = random_map_payloads(rng, network, n_steps=7, n_samples=5)
    else:
        network = random_network(rng, max_populations=2, currents=0.3)
        inputs = random_payloads(rng, network, n_steps=9, n_samples=5)
    whole = GoldenModel(network, fast=True).run(inputs, probe=seed % 3 > 0)
    monkeypatch.setattr(FastStage, "room", 40)  # a few timesteps of a sample
    pieces = GoldenModel(network, fast=True).run(inputs, probe=seed % 3 > 0)
    monkeypatch.setattr(FastStage, "run_alone", lambda self: False)
    monkeypatch.setattr(Alone, "can_run", lambda self, arrays: False)
    steps = GoldenModel(network, fast=True).run(inputs, probe=seed % 3 > 0)
    for other in (pieces, steps):
        assert compare(whole, other).equal
        assert whole.counters == other.counters


@pytest.mark.parametrize("weight", [-128, 127])
@pytest.mark.parametrize("n_target", [10, 250])
def test_rows_of_more_events_than_16_bits_hold(weight, n_target):
    events = (np.arange(1200) % 2).astype(np.uint8).reshape(1, 1, -1)
    weights = np.full((n_target, 1200), weight, np.int8)
    found, way = sums_of(weights, events, (n_target,), is_binary=True)
    assert way == "rows"
    assert (found == 600 * weight).all()


@pytest.mark.parametrize("is_uniform", [True, False])
@pytest.mark.parametrize("n_out", [1, 5, 16, 20, 40])
@pytest.mark.parametrize(
    ("size", "window", "padding"),
    [((8, 8), (2, 2), 1), ((34, 40), (2, 2), 1), ((9, 12), (3, 1), 1), ((7, 10), (1, 3), 0)],
)
def test_windows_of_a_product_are_those_of_numpy(n_out, size, window, padding, is_uniform):
    rng = np.random.default_rng(n_out)
    taps = rng.integers(-128, 128, (3, 3, 2, n_out)).astype(np.int8)
    kernel = conv_kernel(taps, size, padding=(padding, padding))
    rows, columns = (n - n % k for n, k in zip(kernel.target_shape[1:], window, strict=True))
    kernel = Kernel(taps=taps, rows=kernel.rows[:rows], columns=kernel.columns[:columns])
    channel = np.repeat(np.arange(n_out), rows * columns).astype(np.int32)
    graded = replace(
        population((n_out, rows, columns)),
        kind="graded",
        threshold=np.full(len(channel), 255, np.int32),
        v_reset=0 * channel if is_uniform else channel * 37 - 300,
        decay=0 * channel + 300 if is_uniform else (channel + 1) % 5 * 200,
        pool=Pool(kind="max", size=window),
    )
    sink = replace(population((3,)), name="out", reset="zero", threshold=np.full(3, 900, np.int32))
    weight = rng.integers(-1, 2, (3, graded.n_sent)).astype(np.int8)  # no sum may wrap
    network = IntNetwork(
        inputs=(InputPort(name="x", shape=(2, *size), scale=1.0, payload_max=255),),
        populations=(graded, sink),
        projections=(
            Projection(source="x", target="a", delay=0, weight=kernel, form="map"),
            Projection(source="a", target="out", delay=0, weight=weight, form="dense"),
        ),
        outputs=(OutputPort(name="y", population="out", shape=(3,), kind="spike"),),
    )
    inputs = {"x": rng.integers(0, 256, (3, 2, 2 * size[0] * size[1])).astype(np.uint8)}
    for probe in (False, True):
        fast, numpy = (
            GoldenModel(network, fast=choice).run(inputs, probe=probe) for choice in (True, False)
        )
        assert compare(fast, numpy).equal
        assert fast.counters == numpy.counters
    assert fast.counters["spikes"] > 0
