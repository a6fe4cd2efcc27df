"""The workloads of ``float_simulation.py``: networks of integers, data, and an exact oracle.

All neurons follow ``v = 0.9 v + I; s = v > threshold; v -= s * threshold`` in float32, in this
order. Weights are int8 numbers times a power of two, and inputs are spikes or 8-bit pixels, such
that every sum of a layer, in any order, is an integer below 2**24 times that power: exact in
float32. So whoever computes right fires exactly the same spikes, and counts are compared for
equality. The oracle sums in float64, layer by layer.

W1  784-128-10, T=100, Bernoulli input of 10 %.
W2  the ConvSNN of the tutorial: 28x28, conv 16 3x3 pad 1 - ReLU - maxpool 2 - fc 128 - LIF -
    fc 10 - LIF, T=10, a new 8-bit frame each timestep.
W3  2x34x34, conv 16 5x5 - LIF - maxpool 2 - conv 32 3x3 - LIF - maxpool 2 - fc 10 - LIF, T=30,
    moving blobs of 6.6 %.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

DECAY = np.float32(0.9)
LAYERS = {
    # kind, size of the weight, spread of the weight, padding; "lif", "relu" and "pool" have none
    "W1": [("fc", (128, 784), 28, 0), ("lif",), ("fc", (10, 128), 28, 0), ("lif",)],
    "W2": [
        ("conv", (16, 1, 3, 3), 1, 1),
        ("relu",),
        ("pool",),
        ("fc", (128, 3136), 2, 0),
        ("lif",),
        ("fc", (10, 128), 28, 0),
        ("lif",),
    ],
    "W3": [
        ("conv", (16, 2, 5, 5), 28, 0),
        ("lif",),
        ("pool",),
        ("conv", (32, 16, 3, 3), 28, 0),
        ("lif",),
        ("pool",),
        ("fc", (10, 1152), 28, 0),
        ("lif",),
    ],
}
SHAPES = {"W1": (784,), "W2": (1, 28, 28), "W3": (2, 34, 34)}
STEPS = {"W1": 100, "W2": 10, "W3": 30}
RATES = {"W1": (0.1, 0.1), "W2": (0.1, 0.098), "W3": (0.076, 0.075, 0.09)}
INPUT_RATE = {"W1": 0.1, "W3": 0.066}
EXACT = 1 << 24


def make_workload(path: Path, name: str, batch: int) -> None:
    """Write weights, thresholds, input, and the counts of spikes that are right."""
    rng = np.random.default_rng(1)
    weights = _make_weights(rng, name)
    raster = _make_input(rng, name, batch)
    x = raster.astype(np.float64)
    rates = iter(RATES[name])
    data: dict[str, np.ndarray] = {}
    counts: list[int] = []
    x_scale, weight = 1.0, iter(enumerate(weights))
    for layer in LAYERS[name]:
        if layer[0] in ("fc", "conv"):
            i, w = next(weight)
            scale = _scale(w, x)
            data[f"w{i}"], data[f"s{i}"] = w, np.float32(scale)
            x = _weigh(x, w, layer[3])
            x_scale *= scale
        elif layer[0] == "relu":
            x = np.maximum(x, 0)
        elif layer[0] == "pool":
            x = _pool(x)
        else:
            current = (x * x_scale).astype(np.float32)
            threshold = _find_threshold(current[:, :4], next(rates), x_scale)
            x = _fire(current, threshold).astype(np.float64)
            x_scale = 1.0
            data[f"t{len(counts)}"] = threshold
            counts.append(int(x.sum()))
    np.savez(path, raster=raster, counts=counts, **data)


def load_workload(path: str) -> dict:
    """Return the arrays of a workload; weights as float32, with their scale."""
    with np.load(path) as file:
        data = {key: file[key] for key in file.files}
    n = sum(key[0] == "w" for key in data)
    weights = [data[f"w{i}"].astype(np.float32) * data[f"s{i}"] for i in range(n)]
    thresholds = [float(data[f"t{i}"]) for i in range(len(data["counts"]))]
    return {
        "raster": data["raster"],
        "weights": weights,
        "thresholds": thresholds,
        "counts": data["counts"].tolist(),
    }


def _make_weights(rng: np.random.Generator, name: str) -> list[np.ndarray]:
    found = []
    for layer in LAYERS[name]:
        if layer[0] in ("fc", "conv"):
            _, shape, spread, _ = layer
            mean = spread / 14
            w = np.rint(rng.normal(mean, spread, shape))
            found.append(np.clip(w, -127, 127).astype(np.int8))
    return found


def _make_input(rng: np.random.Generator, name: str, batch: int) -> np.ndarray:
    n_steps, shape = STEPS[name], SHAPES[name]
    if name == "W1":
        return (rng.random((n_steps, batch, *shape)) < INPUT_RATE[name]).astype(np.float32)
    if name == "W2":
        return rng.integers(0, 256, (n_steps, batch, *shape)).astype(np.float32)
    return _make_blobs(rng, n_steps, batch)


def _make_blobs(rng: np.random.Generator, n_steps: int, batch: int) -> np.ndarray:
    """Return what a camera of events sees of a disc that moves: on before it, off behind it."""
    y, x = np.mgrid[:34, :34]
    start, speed = rng.uniform(8, 26, (2, batch)), rng.uniform(-0.3, 0.3, (2, batch))
    raster = np.empty((n_steps, batch, 2, 34, 34), np.float32)
    for t in range(n_steps):
        cy, cx = (start + speed * t)[:, :, None, None]
        near = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 50)
        chance = np.stack((near * (x > cx), near * (x <= cx)), axis=1)
        chance *= INPUT_RATE["W3"] / chance.mean()
        raster[t] = rng.random(chance.shape) < chance
    return raster


def _scale(w: np.ndarray, x: np.ndarray) -> float:
    """Return the power of two of a weight, after a proof that float32 sums it exactly."""
    largest = np.abs(w.reshape(len(w), -1)).sum(axis=1, dtype=np.int64).max() * np.abs(x).max()
    if x.max() > 1:  # graded: the bound of the input at hand
        flat = np.abs(x).reshape(x.shape[0] * x.shape[1], -1)
        if w.ndim == 2:
            largest = (flat @ np.abs(w.T.astype(np.float64))).max()
    if largest >= EXACT:
        raise SystemExit(f"sums up to {largest:.0f} are not exact in float32")
    return 2.0 ** -np.ceil(np.log2(largest / 16))


def _weigh(x: np.ndarray, w: np.ndarray, padding: int) -> np.ndarray:
    """Return the integer sums of a layer; float64 holds them exactly."""
    w = w.astype(np.float64)
    if w.ndim == 2:
        return x.reshape(*x.shape[:2], -1) @ w.T
    pad = [(0, 0)] * 3 + [(padding, padding)] * 2
    windows = sliding_window_view(np.pad(x, pad), w.shape[2:], axis=(3, 4))
    return np.stack(
        [np.tensordot(frames, w, axes=((1, 4, 5), (1, 2, 3))) for frames in windows]
    ).transpose(0, 1, 4, 2, 3)


def _pool(x: np.ndarray) -> np.ndarray:
    x = x[..., : x.shape[-2] // 2 * 2, : x.shape[-1] // 2 * 2]
    rows = np.maximum(x[..., ::2, :], x[..., 1::2, :])
    return np.maximum(rows[..., ::2], rows[..., 1::2])


def _fire(current: np.ndarray, threshold: np.float32) -> np.ndarray:
    """Return the spikes of neurons, in float32 and in the order of the equation."""
    v = np.zeros(current.shape[1:], np.float32)
    spikes = np.empty(current.shape, np.float32)
    for t, x in enumerate(current):
        v = DECAY * v + x
        spikes[t] = v > threshold
        v = v - spikes[t] * threshold
    return spikes


def _find_threshold(current: np.ndarray, rate: float, unit: float) -> np.float32:
    """Return the multiple of 64 units at which neurons fire at about a rate."""
    low, high = 0.0, float(current.max()) * 10
    for _ in range(18):
        middle = np.float32(max(1, round((low + high) / 2 / unit / 64)) * 64 * unit)
        fired = _fire(current, middle).mean()
        low, high = (float(middle), high) if fired > rate else (low, float(middle))
    return np.float32(high)
