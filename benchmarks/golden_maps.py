"""Golden model on feature maps against torch and our own float simulation, in one run.

W2 spikes   28x28 spikes of 10 %, conv 16 3x3 pad 1 - graded ReLU - maxpool 2 - fc 128 - LIF -
            fc 10 - LIF; T = 25
W2 frame    the same with an 8-bit frame that is held: what does not change is computed once, by
            golden (``once`` and ``hold``) and by the torch loop alike
W3 max      2x34x34 spikes of 2 %, conv 12 5x5 pad 1 - LIF - maxpool 2 - conv 32 3x3 pad 1 - LIF -
            maxpool 2 - fc 10 - LIF; T = 25
W3 sum      the same with sums over windows

Neurons leak by 0.9 and subtract; thresholds differ by channel and are set for rates of about 10 %.
Peers take the same weights in float32; their leak does not truncate, so a few spikes differ.
``golden`` starts from payloads and keeps its counters; ``golden (floats)`` turns floats into
payloads first, and ``golden (probes)`` records the potentials of all neurons.

A time is that of one timestep of the whole batch, median over rounds; every round is a fresh
process with one thread, and the processes of a round follow each other. CPU time is compared.
Building a model is not timed, for anyone. Torch is left out if the Python of the peers lacks it.

    python benchmarks/golden_maps.py --peers /path/to/venv/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

T, FRAC, DECAY = 25, 4, 58982
CASES = ("W2 spikes", "W2 frame", "W3 max", "W3 sum")
BATCHES = (1, 32)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

CONV, FC = "conv", "fc"
LAYERS = {
    # kind, weight (O, C, rows, columns) or (O, C), padding, what the neurons are, pool
    "W2": [
        (CONV, (16, 1, 3, 3), 1, "graded", 2),
        (FC, (128, 3136), 0, "spike", 0),
        (FC, (10, 128), 0, "spike", 0),
    ],
    "W3": [
        (CONV, (12, 2, 5, 5), 1, "spike", 2),
        (CONV, (32, 12, 3, 3), 1, "spike", 2),
        (FC, (10, 2048), 0, "spike", 0),
    ],
}
SHAPES = {"W2": (1, 28, 28), "W3": (2, 34, 34)}
RATES = {"W2 spikes": 0.1, "W3 max": 0.02, "W3 sum": 0.02}


def make_network(case: str, weights, thresholds):
    """Return the integer network; ``thresholds`` are those of a layer, or its multiplier."""
    from talon.compiler.network import IntNetwork, OutputPort, Pool, Projection

    layers, is_frame = LAYERS[case[:2]], case == "W2 frame"
    source, shape = _port(case), SHAPES[case[:2]]
    populations, projections, name = [], [], source.name
    for i, (layer, weight, level) in enumerate(zip(layers, weights, thresholds, strict=True)):
        kind, _, padding, neuron, size = layer
        kernel, shape = _synapses(kind, weight, padding, shape)
        pool = Pool(kind="sum" if case == "W3 sum" else "max", size=(size, size)) if size else None
        population = _population(f"layer{i}", shape, neuron, level, pool, is_frame and i == 0)
        projections.append(
            Projection(
                source=name,
                target=population.name,
                delay=0,
                weight=kernel,
                form="map" if kind == CONV else "dense",
                hold=is_frame and i < 2,
            )
        )
        populations.append(population)
        name, shape = population.name, population.sent_shape
    return IntNetwork(
        inputs=(source,),
        populations=tuple(populations),
        projections=tuple(projections),
        outputs=(OutputPort(name="out", population=name, shape=shape, kind="spike"),),
    )


def _port(case: str):
    from talon.compiler.network import InputPort

    largest = 255 if case == "W2 frame" else 1
    return InputPort(name="in", shape=SHAPES[case[:2]], scale=1.0, payload_max=largest)


def _synapses(kind: str, weight, padding: int, shape):
    """Return the weights as the network has them, and the shape of their targets."""
    from talon.testing.kernels import conv_kernel

    if kind == FC:
        return weight, (len(weight),)
    kernel = conv_kernel(weight.transpose(2, 3, 1, 0).copy(), shape[1:], padding=(padding,) * 2)
    return kernel, kernel.target_shape


def _population(name: str, shape, kind: str, level, pool, once: bool):
    """Return neurons whose thresholds (or multipliers) are ``level``, spread over channels."""
    from talon.compiler.network import Population

    n = int(np.prod(shape))
    zeros = np.zeros(n, np.int32)
    spread = np.repeat(channel_spread(shape[0]), n // shape[0])
    is_graded = kind == "graded"
    of_channel = np.rint(level * spread * (65536 if is_graded else 1 << FRAC)).astype(np.int32)
    return Population(
        name=name,
        shape=shape,
        kind=kind,
        frac=0 if is_graded else FRAC,
        threshold=zeros + 255 if is_graded else of_channel,
        bias=zeros,
        v_reset=zeros,
        decay=of_channel if is_graded else zeros + DECAY,
        reset="none" if is_graded else "subtract",
        reset_next=False,
        strict=not is_graded,
        v_scale=np.ones(n),
        pool=pool,
        once=once,
    )


def channel_spread(n: int):
    """Return factors of the channels' thresholds."""
    return np.linspace(0.9, 1.1, n)


def make_workload(path: Path, case: str, batch: int) -> None:
    """Write weights, thresholds and input; search thresholds for rates of about 10 %."""
    from talon_sim.golden import golden_run

    rng = np.random.default_rng(1)
    spreads = (28, 4, 28) if case.startswith("W2") else (28, 28, 28)
    weights = [
        np.clip(np.rint(rng.normal(spread / 14, spread, shape)), -127, 127).astype(np.int8)
        for (_, shape, *_), spread in zip(LAYERS[case[:2]], spreads, strict=True)
    ]
    shape = (T, batch, int(np.prod(SHAPES[case[:2]])))
    if case == "W2 frame":
        payloads = np.repeat(rng.integers(0, 256, (1, *shape[1:])), T, axis=0).astype(np.uint8)
        thresholds = [0.01, 1e4, 1e3]
    else:
        payloads = (rng.random(shape) < RATES[case]).astype(np.uint8)
        thresholds = [0.9 if case.startswith("W2") else 100.0, 1e4, 1e3]
    few = {"in": payloads[:, :2]}
    for i, layer in enumerate(LAYERS[case[:2]]):
        low, high = 0.0, 5e4
        for _ in range(22 if layer[3] == "spike" else 0):
            thresholds[i] = (low + high) / 2
            network = make_network(case, weights, thresholds)
            rate = golden_run(network, few).spikes[f"layer{i}"].mean()
            low, high = (thresholds[i], high) if rate > 0.1 else (low, thresholds[i])
    arrays = {f"w{i}": w for i, w in enumerate(weights)}
    np.savez(path, thresholds=thresholds, payloads=payloads, **arrays)


def golden_runner(case: str, data, *, floats: bool = False, probe: bool = False):
    """Return a function that runs the golden model once and counts the spikes of the output."""
    from talon.compiler.inputs import quantize_inputs
    from talon_sim.golden import GoldenModel

    network = make_network(case, data["weights"], data["thresholds"])
    model, payloads = GoldenModel(network), {"in": data["payloads"]}
    raster = data["payloads"].reshape(*data["payloads"].shape[:2], *SHAPES[case[:2]])
    values = {"in": raster.astype(np.float32)}

    def run() -> int:
        given = quantize_inputs(network, values) if floats else payloads
        return int(model.run(given, probe=probe).spikes["layer2"].sum())

    return run


def _torch_layers(case: str, data):
    """Return functions of the synapses of each layer, and levels of the neurons."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    synapses, levels = [], []
    for layer, weight, level in zip(
        LAYERS[case[:2]], data["weights"], data["thresholds"], strict=True
    ):
        kind, _, padding, _, _ = layer
        w = torch.from_numpy(weight.astype(np.float32))
        spread = torch.from_numpy(channel_spread(len(weight)).astype(np.float32) * float(level))
        if kind == FC:
            synapses.append(lambda x, w=w: functional.linear(x.flatten(1), w))
            levels.append(spread)
        else:
            synapses.append(lambda x, w=w, p=padding: functional.conv2d(x, w, padding=p))
            levels.append(spread[:, None, None])
    shape = data["payloads"].shape[:2]
    raster = torch.from_numpy(data["payloads"].astype(np.float32))
    return torch, synapses, levels, raster.reshape(*shape, *SHAPES[case[:2]])


def _torch_pool(torch, case: str, size: int, x):
    if not size:
        return x
    if case == "W3 sum":
        return torch.nn.functional.avg_pool2d(x, size, divisor_override=1)
    return torch.nn.functional.max_pool2d(x, size)


def torch_loop(case: str, data):
    """Return a plain loop over timesteps, in place where that helps."""
    torch, synapses, levels, raster = _torch_layers(case, data)
    layers = LAYERS[case[:2]]

    def graded(x, i):
        return _torch_pool(torch, case, layers[i][4], torch.relu(x).mul_(levels[i]))

    @torch.no_grad()
    def run() -> int:
        v: list = [None] * len(layers)
        total, current = 0, None
        if case == "W2 frame":
            current = synapses[1](graded(synapses[0](raster[0]), 0))
        for frame in raster:
            x = frame
            for i in range(len(layers)):
                if current is not None and i < 2:
                    if i == 0:
                        continue
                    x = current
                else:
                    x = synapses[i](x)
                if layers[i][3] == "graded":
                    x = graded(x, i)
                    continue
                if v[i] is None:
                    v[i] = torch.zeros_like(x)
                v[i].mul_(0.9).add_(x)
                x = (v[i] > levels[i]).float()
                v[i].sub_(x * levels[i])
                x = _torch_pool(torch, case, layers[i][4], x)
            total += int(x.sum())
        return total

    return run


def torch_batched(case: str, data):
    """Return layers over all timesteps at once, and a loop for the neurons alone."""
    torch, synapses, levels, raster = _torch_layers(case, data)
    layers = LAYERS[case[:2]]

    @torch.no_grad()
    def run() -> int:
        x = raster.flatten(0, 1) if case != "W2 frame" else raster[0]
        for i, layer in enumerate(layers):
            x = synapses[i](x)
            if layer[3] == "graded":
                x = _torch_pool(torch, case, layer[4], torch.relu(x).mul_(levels[i]))
                continue
            is_held = case == "W2 frame" and i == 1
            current = x.expand(T, *x.shape) if is_held else x.unflatten(0, (T, -1))
            spikes, v = torch.empty(current.shape), torch.zeros_like(current[0])
            for t in range(T):
                v.mul_(0.9).add_(current[t])
                torch.gt(v, levels[i], out=spikes[t])
                v.sub_(spikes[t] * levels[i])
            x = _torch_pool(torch, case, layer[4], spikes.flatten(0, 1))
        return int(x.sum())

    return run


def floats_runner(case: str, data):
    """Return a run of our own float simulation."""
    from talon import ir
    from talon.backend.cpu import FloatModel, Record

    shape: tuple[int, ...] = SHAPES[case[:2]]
    nodes: dict[str, ir.Node] = {"in": ir.Input(shape)}
    for i, (layer, weight, level) in enumerate(
        zip(LAYERS[case[:2]], data["weights"], data["thresholds"], strict=True)
    ):
        kind, _, padding, neuron, size = layer
        bias = np.zeros(len(weight), np.float32)
        w = weight.astype(np.float32)
        levels = (channel_spread(len(weight)) * level).astype(np.float32)
        if neuron == "graded":  # ReLU is homogeneous: the multiplier may be in the weights
            w *= levels[:, None, None, None]
        if kind == FC and len(shape) > 1:
            nodes[f"flatten{i}"] = ir.Flatten()
        nodes[f"synapses{i}"] = (
            ir.Affine(w, bias) if kind == FC else ir.Conv2d(w, bias, padding=padding)
        )
        flat = (int(np.prod(shape)),) if kind == FC else shape
        shape = nodes[f"synapses{i}"].output_shape(flat)
        ones = np.ones(len(weight), np.float32)
        nodes[f"neurons{i}"] = (
            ir.ReLU(int(np.prod(shape)))
            if neuron == "graded"
            else ir.LIF(ones * 10, ones * 10, ones * 0, levels, reset="subtract", strict=True)
        )
        if size:
            nodes[f"pool{i}"] = ir.SumPool2d() if case == "W3 sum" else ir.MaxPool2d()
            shape = nodes[f"pool{i}"].output_shape(shape)
    nodes["out"] = ir.Output(shape)
    names = list(nodes)
    model = FloatModel(ir.Graph(nodes, list(pairwise(names))))
    payloads = data["payloads"].reshape(*data["payloads"].shape[:2], *SHAPES[case[:2]])
    raster = payloads.astype(np.float32)
    options = {"n_steps": T, "hold": True} if case == "W2 frame" else {}
    given = raster[0] if case == "W2 frame" else raster
    record = Record.nothing()
    return lambda: int(model.run(given, record=record, **options).outputs["out"].sum())


RUNNERS = {
    "golden": golden_runner,
    "golden (floats)": lambda case, data: golden_runner(case, data, floats=True),
    "golden (probes)": lambda case, data: golden_runner(case, data, probe=True),
    "talon floats": floats_runner,
    "torch loop": torch_loop,
    "torch, layers at once": torch_batched,
}


def work(name: str, case: str, path: str, seconds: float) -> None:
    """Measure one contestant in this process and print the result as JSON."""
    with np.load(path) as file:
        data: dict = {key: file[key] for key in file.files}
    data["weights"] = [data[f"w{i}"] for i in range(len(data["thresholds"]))]
    run = RUNNERS[name](case, data)
    spikes = run()  # warm
    cpu, wall, end = [], [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(cpu) < 3:
        start = time.process_time(), time.perf_counter()
        run()
        cpu.append(time.process_time() - start[0])
        wall.append(time.perf_counter() - start[1])
    times = {"cpu_us": statistics.median(cpu), "wall_us": statistics.median(wall)}
    print(json.dumps({**{k: v * 1e6 / T for k, v in times.items()}, "spikes": spikes}))


def measure(python: str, name: str, case: str, path: Path, seconds: float) -> dict:
    """Run one contestant in a fresh process with one thread."""
    env = {**os.environ, **dict.fromkeys(THREADS, "1")}
    command = [python, __file__, "--worker", name, "--cases", case, "--data", str(path)]
    command += ["--seconds", str(seconds)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} with {python} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def has_torch(python: str) -> bool:
    """Tell whether a Python has torch."""
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


def main() -> None:
    """Measure all contestants on all cases."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", default=sys.executable, help="Python with torch, or without")
    parser.add_argument("--cases", nargs="*", default=CASES, choices=CASES)
    parser.add_argument("--batches", nargs="*", default=BATCHES, type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--worker", choices=RUNNERS, help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.worker, args.cases[0], args.data, args.seconds)
        return
    names = [n for n in RUNNERS if not n.startswith("torch") or has_torch(args.peers)]
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in args.cases:
            for batch in args.batches:
                path = Path(folder) / "workload.npz"
                make_workload(path, case, batch)
                results: dict[str, list[dict]] = {name: [] for name in names}
                for _ in range(args.rounds):
                    for name, rounds in results.items():
                        python = args.peers if name.startswith("torch") else sys.executable
                        rounds.append(measure(python, name, case, path, args.seconds))
                report[f"{case}, batch {batch}"] = rows = {
                    name: {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
                    for name, rounds in results.items()
                }
                if not args.json:
                    show(f"{case}, T={T}, batch {batch}: us a timestep, one thread", rows)
    if args.json:
        print(json.dumps(report))


def show(title: str, rows: dict) -> None:
    """Print the report of one case."""
    print(title)
    base = rows.get("torch loop", rows["talon floats"])["cpu_us"]
    to = "torch loop" if "torch loop" in rows else "talon floats"
    for name, row in rows.items():
        print(
            f"  {name:22} CPU {row['cpu_us']:9.1f}  wall {row['wall_us']:9.1f}  "
            f"{base / row['cpu_us']:6.2f} x {to}  output spikes {row['spikes']:.0f}"
        )


if __name__ == "__main__":
    main()
