"""The workloads of ``golden_speed.py`` as integer networks, with an oracle in plain int64.

W1, W2 and W3 take weights, inputs and thresholds of ``float_workloads.py``, which peers run in
float32. As an integer network a neuron is ``V = trunc(0.9 V) + I`` with 4 fractional bits, and
the graded layer of W2 is requantized to 8 bits, so a few spikes differ from those of the floats:
each side has its own oracle, and both are exact.

W4  16,384 neurons, 2.7 million synapses from each to 1 % of all, a timestep late; 80 % of the
    neurons excite (+8), 20 % inhibit (-32), both spread by 3; threshold 256; Poisson counts of 0.5
    a neuron and timestep drive them. T = 1000. About 2 % fire.

The oracle takes sums from float64 products, which hold them, and never imports the golden model.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from float_workloads import LAYERS, SHAPES, _pool, _weigh

N, FAN_OUT, W4_STEPS, W4_THRESHOLD, W4_DRIVE = 16384, 0.01, 1000, 256, 33
FRAC, DECAY = 4, 58982  # 0.9 * 65536, rounded
PAYLOAD_MAX = {"W1": 1, "W2": 255, "W3": 1, "W4": 15}


def make_w4(path: Path) -> None:
    """Write the synapses of W4, source by source, its drive, and the spikes of the floats."""
    rng = np.random.default_rng(4)
    counts = rng.binomial(N, FAN_OUT, N)
    target = np.concatenate([np.sort(rng.choice(N, n, replace=False)) for n in counts])
    excites = np.repeat(np.arange(N) < 0.8 * N, counts)
    value = np.where(excites, 8, -32) + rng.integers(-3, 4, len(target))
    drive = np.minimum(rng.poisson(0.5, (W4_STEPS, 1, N)), PAYLOAD_MAX["W4"]).astype(np.uint8)
    data = {
        "start": np.concatenate(([0], np.cumsum(counts))),
        "target": target.astype(np.int32),
        "value": value.astype(np.int8),
        "raster": drive,
    }
    np.savez(path, counts=[float_oracle_w4(data)], **data)


def float_oracle_w4(data: dict) -> int:
    """Return the number of spikes of ``v = 0.9 v + I``, in float64."""
    v, arrives, n_spikes = np.zeros(N), np.zeros(N), 0
    for drive in data["raster"][:, 0]:
        v = 0.9 * v + (arrives + W4_DRIVE * drive.astype(np.float64)) / W4_THRESHOLD
        spikes = v > 1
        v[spikes] -= 1
        n_spikes += int(spikes.sum())
        arrives = _deliver(data, np.flatnonzero(spikes))
    return n_spikes


def _deliver(data: dict, sources: np.ndarray) -> np.ndarray:
    """Return the sums that spikes of these sources make."""
    start, target, value = data["start"], data["target"], data["value"]
    sums = np.zeros(N)
    for source in sources:
        part = slice(start[source], start[source + 1])
        sums[target[part]] += value[part]
    return sums


def add_multiplier(path: Path) -> None:
    """Add to W2's file the multiplier with which its largest sum makes a payload of 255."""
    with np.load(path) as file:
        data = {key: file[key] for key in file.files}
    largest = _weigh(data["raster"].astype(np.float64), data["w0"], LAYERS["W2"][0][3]).max()
    np.savez(path, **data, multiplier=int(255 / largest * 65536))


def integer_workload(name: str, path: str) -> dict:
    """Return integer weights, thresholds, payloads (T, B, n), and the multiplier of W2."""
    with np.load(path) as file:
        data = {key: file[key] for key in file.files}
    if name == "W4":
        return {**data, "payloads": data["raster"]}
    raster = data["raster"]
    n_weights = sum(key[0] == "w" for key in data)
    weights = [data[f"w{i}"] for i in range(n_weights)]
    scales = [float(data[f"s{i}"]) for i in range(n_weights)]
    multiplier = None
    if name == "W2":
        multiplier = int(data["multiplier"])
        scales[1] *= scales[0] / (multiplier / 65536)
        scales = scales[1:]
    thresholds = [round(float(data[f"t{i}"]) / scale) << FRAC for i, scale in enumerate(scales)]
    return {
        "weights": weights,
        "thresholds": thresholds,
        "multiplier": multiplier,
        "payloads": raster.reshape(*raster.shape[:2], -1).astype(np.uint8),
    }


def oracle(name: str, work: dict) -> list[int]:
    """Return the right number of spikes, or payloads, of each layer, in int64."""
    if name == "W4":
        return [_oracle_w4(work)]
    x = work["payloads"].reshape(*work["payloads"].shape[:2], *SHAPES[name]).astype(np.float64)
    weights, thresholds, counts = iter(work["weights"]), iter(work["thresholds"]), []
    for kind, *rest in LAYERS[name]:
        if kind in ("fc", "conv"):
            x = _weigh(x, next(weights), rest[2])
        elif kind == "relu":
            scaled = (x.astype(np.int64) * work["multiplier"] + 32768) >> 16
            x = np.clip(scaled, 0, 255).astype(np.float64)
            counts.append(int(np.count_nonzero(x)))
        elif kind == "pool":
            x = _pool(x)
        else:
            x = _fire(x.astype(np.int64), next(thresholds))
            if x.ndim == 5:  # a pool follows, which never sees what it does not cover
                x = x[..., : x.shape[3] // 2 * 2, : x.shape[4] // 2 * 2]
            counts.append(int(x.sum()))
    return counts


def _step(v: np.ndarray, sums: np.ndarray, threshold: int) -> tuple[np.ndarray, np.ndarray]:
    """Return potentials after a timestep, and who fired."""
    v = np.sign(v) * ((np.abs(v) * DECAY) >> 16) + (sums << FRAC)
    if np.abs(v).max() >= 1 << 23:
        raise SystemExit("the oracle knows no saturation")
    spikes = v > threshold
    return v - spikes * threshold, spikes


def _fire(sums: np.ndarray, threshold: int) -> np.ndarray:
    v = np.zeros(sums.shape[1:], np.int64)
    spikes = np.empty(sums.shape)
    for t, frame in enumerate(sums):
        v, spikes[t] = _step(v, frame, threshold)
    return spikes


def _oracle_w4(work: dict) -> int:
    v, arrives, n_spikes = np.zeros(N, np.int64), np.zeros(N, np.int64), 0
    for drive in work["payloads"][:, 0].astype(np.int64):
        v, spikes = _step(v, arrives + W4_DRIVE * drive, W4_THRESHOLD << FRAC)
        n_spikes += int(spikes.sum())
        arrives = _deliver(work, np.flatnonzero(spikes)).astype(np.int64)
    return n_spikes


def make_network(name: str, work: dict):
    """Return the integer network of a workload."""
    from talon.compiler.network import InputPort, IntNetwork, OutputPort

    shape = (N,) if name == "W4" else SHAPES[name]
    port = InputPort(name="in", shape=shape, scale=1.0, payload_max=PAYLOAD_MAX[name])
    populations, projections = (_w4 if name == "W4" else _layers)(name, work)
    last = populations[-1]
    return IntNetwork(
        inputs=(port,),
        populations=tuple(populations),
        projections=tuple(projections),
        outputs=(OutputPort(name="out", population=last.name, shape=last.shape, kind="spike"),),
    )


def _layers(name: str, work: dict):
    """Return populations and projections of a chain of layers."""
    from talon.compiler.network import Pool, Projection

    weights, thresholds = iter(work["weights"]), iter(work["thresholds"])
    kinds = [*LAYERS[name], (None,)]
    populations, projections = [], []
    source, shape, projection = "in", SHAPES[name], None
    for (kind, *rest), (following, *_) in pairwise(kinds):
        if kind in ("fc", "conv"):
            weight = next(weights)
            if kind == "conv":
                weight = _kernel(weight, shape, rest[2])
            shape = weight.target_shape if kind == "conv" else (len(weight),)
            projection = {"weight": weight, "form": "map" if kind == "conv" else "dense"}
        elif kind in ("relu", "lif"):
            pool = None
            if following == "pool":
                pool = Pool(kind="max", size=(2, 2))
                shape = (shape[0], shape[1] // 2 * 2, shape[2] // 2 * 2)
                projection["weight"] = _cropped(projection["weight"], shape)
            level = work["multiplier"] if kind == "relu" else next(thresholds)
            populations.append(
                _population(f"layer{len(populations)}", shape, kind == "relu", level, pool)
            )
            target = populations[-1]
            projections.append(Projection(source=source, target=target.name, delay=0, **projection))
            source, shape = target.name, target.sent_shape
    return populations, projections


def _kernel(weight: np.ndarray, shape, padding: int):
    from talon.testing.kernels import conv_kernel

    taps = np.ascontiguousarray(weight.transpose(2, 3, 1, 0))
    return conv_kernel(taps, shape[1:], padding=(padding, padding))


def _cropped(kernel, shape):
    """Return the kernel of the targets that windows cover, as the compiler makes it."""
    from talon.compiler.kernel import Kernel

    _, height, width = shape
    return Kernel(taps=kernel.taps, rows=kernel.rows[:height], columns=kernel.columns[:width])


def _w4(name: str, work: dict):
    from talon.compiler.network import Projection
    from talon.compiler.sparse import SparseMatrix

    shape, every = (N, N), np.arange(N + 1)
    weight = SparseMatrix(
        shape=shape, start=work["start"], target=work["target"], value=work["value"]
    )
    drive = SparseMatrix(
        shape=shape, start=every, target=every[:-1], value=np.full(N, W4_DRIVE, np.int8)
    )
    return [_population("all", (N,), False, W4_THRESHOLD << FRAC, None)], [
        Projection(source="in", target="all", delay=0, weight=drive, form="identity"),
        Projection(source="all", target="all", delay=1, weight=weight, form="sparse"),
    ]


def _population(name: str, shape, is_graded: bool, level: int, pool):
    """Return neurons with one threshold, or graded ones with one multiplier."""
    from talon.compiler.network import Population

    n = int(np.prod(shape))
    zeros = np.zeros(n, np.int32)
    return Population(
        name=name,
        shape=shape,
        kind="graded" if is_graded else "spike",
        frac=0 if is_graded else FRAC,
        threshold=zeros + (255 if is_graded else level),
        bias=zeros,
        v_reset=zeros,
        decay=zeros + (level if is_graded else DECAY),
        reset="none" if is_graded else "subtract",
        reset_next=False,
        strict=not is_graded,
        v_scale=np.ones(n),
        pool=pool,
    )


def macs(name: str) -> int:
    """Return multiply-accumulates of a timestep and sample, dense, for the floor of BLAS."""
    total, shape = 0, SHAPES[name]
    for kind, *rest in LAYERS[name]:
        if kind == "fc":
            total += int(np.prod(rest[0]))
            shape = rest[0][:1]
        elif kind == "conv":
            size = [n + 2 * rest[2] - k + 1 for n, k in zip(shape[1:], rest[0][2:], strict=True)]
            total += int(np.prod(rest[0])) * int(np.prod(size))
            shape = (rest[0][0], *size)
        elif kind == "pool":
            shape = (shape[0], shape[1] // 2, shape[2] // 2)
    return total
