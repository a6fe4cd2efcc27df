"""Golden model against snnTorch and a hand-written torch loop on one workload, in one run.

W1: an MLP 784-128-10 of LIF neurons (decay 0.9, subtract, strict), T = 100, Bernoulli input of
10 %, thresholds set for firing rates of about 10 %. All run the same int8 weights times a power
of two and the same input: a float32 raster (T, B, 784). Golden pays for turning that raster into
payloads, for checking it, and for its counters; ``golden (payloads)`` starts from payloads.

A time is that of one timestep of the whole batch, median over rounds; every round is a fresh
process, and the processes of a round follow each other, so that a slow minute hits all. CPU time
of the process is compared (one thread each), wall time is printed beside it. Building the model
is not timed, for anyone.

The peers need torch and snntorch, which Talon does not depend on: name a Python that has them.

    python benchmarks/golden_w1.py --peers /path/to/venv/bin/python
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

BATCHES = (1, 128)
BARS = {1: 10.0, 128: 1.5}
"""Times as fast as snnTorch that the golden model must be, by batch size."""

T, SIZES = 100, (784, 128, 10)
FRAC = 4
SCALE = 2.0**-7  # of an int8 weight; exact in every float format
DECAY = 58982  # 0.9 * 65536, rounded
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def make_network(weights, thresholds):
    """Return the integer network; thresholds are floats."""
    from talon.compiler.network import (
        InputPort,
        IntNetwork,
        OutputPort,
        Population,
        Projection,
    )

    names = ("in", "hidden", "out")
    populations = []
    for name, weight, threshold in zip(names[1:], weights, thresholds, strict=True):
        n = len(weight)
        zeros = np.zeros(n, np.int32)
        populations.append(
            Population(
                name=name,
                shape=(n,),
                kind="spike",
                frac=FRAC,
                threshold=zeros + np.int32(threshold / SCALE * 2**FRAC),
                bias=zeros,
                v_reset=zeros,
                decay=zeros + DECAY,
                reset="subtract",
                reset_next=False,
                strict=True,
                v_scale=np.full(n, SCALE / 2**FRAC),
            )
        )
    return IntNetwork(
        inputs=(InputPort(name="in", shape=(SIZES[0],), scale=1.0, payload_max=1),),
        populations=tuple(populations),
        projections=tuple(
            Projection(source=a, target=b, delay=0, weight=w)
            for a, b, w in zip(names, names[1:], weights, strict=False)
        ),
        outputs=(OutputPort(name="out", population="out", shape=(SIZES[2],), kind="spike"),),
    )


def make_workload(path: Path, batch: int) -> None:
    """Write weights, thresholds and input; search thresholds for rates of 10 %."""
    from talon_sim.golden import golden_run

    rng = np.random.default_rng(1)
    weights = [
        np.clip(np.rint(rng.normal(2, 28, (n, m))), -127, 127).astype(np.int8)
        for m, n in pairwise(SIZES)
    ]
    raster = (rng.random((T, batch, SIZES[0])) < 0.1).astype(np.float32)
    thresholds = [100.0, 100.0]
    for layer, name in enumerate(("hidden", "out")):
        low, high = 0.0, 100.0
        for _ in range(25):
            thresholds[layer] = round((low + high) / 2 / SCALE) * SCALE
            network = make_network(weights, thresholds)
            rate = golden_run(network, {"in": raster.astype(np.int8)}).spikes[name].mean()
            low, high = (thresholds[layer], high) if rate > 0.1 else (low, thresholds[layer])
    np.savez(path, w0=weights[0], w1=weights[1], thresholds=thresholds, raster=raster)


def golden_runner(data, *, from_payloads: bool):
    """Return a function that runs the golden model once and returns spikes of both layers."""
    from talon.compiler.inputs import quantize_inputs
    from talon_sim.golden import GoldenModel

    network = make_network([data["w0"], data["w1"]], data["thresholds"])
    model = GoldenModel(network)
    raster = data["raster"]
    payloads = quantize_inputs(network, {"in": raster})

    def run():
        given = payloads if from_payloads else quantize_inputs(network, {"in": raster})
        trace = model.run(given, probe=False)
        return int(trace.counters["spikes"]), int(trace.spikes["out"].sum())

    return run


def snntorch_runner(data):
    """Return the same for snnTorch, with modules as its tutorials have them."""
    import snntorch as snn
    import torch

    torch.set_num_threads(1)
    linears, leakies = [], []
    for key, threshold in zip(("w0", "w1"), data["thresholds"], strict=True):
        weight = torch.from_numpy(data[key].astype(np.float32) * np.float32(SCALE))
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        linear.weight.data = weight
        linears.append(linear)
        leakies.append(snn.Leaky(beta=0.9, threshold=float(threshold), reset_delay=False))
    raster = torch.from_numpy(data["raster"])

    @torch.no_grad()
    def run():
        v0, v1 = (leaky.reset_mem() for leaky in leakies)
        hidden, out = [], []
        for frame in raster:
            spikes, v0 = leakies[0](linears[0](frame), v0)
            hidden.append(spikes)
            spikes, v1 = leakies[1](linears[1](spikes), v1)
            out.append(spikes)
        fired = int(torch.stack(out).sum())
        return int(torch.stack(hidden).sum()) + fired, fired

    return run


def torch_runner(data):
    """Return the same for a plain torch loop, in place where that helps."""
    import torch

    torch.set_num_threads(1)
    weights = [
        torch.from_numpy(data[key].astype(np.float32) * np.float32(SCALE)).T.contiguous()
        for key in ("w0", "w1")
    ]
    thresholds = [float(value) for value in data["thresholds"]]
    raster = torch.from_numpy(data["raster"])

    @torch.no_grad()
    def run():
        batch = raster.shape[1]
        v = [torch.zeros(batch, size) for size in SIZES[1:]]
        record = [torch.empty(T, batch, size) for size in SIZES[1:]]
        for t in range(T):
            x = raster[t]
            for layer in range(2):
                v[layer].mul_(0.9).add_(x @ weights[layer])
                x = (v[layer] > thresholds[layer]).float()
                v[layer].sub_(x, alpha=thresholds[layer])
                record[layer][t] = x
        fired = int(record[1].sum())
        return int(record[0].sum()) + fired, fired

    return run


RUNNERS = {
    "golden": lambda data: golden_runner(data, from_payloads=False),
    "golden (payloads)": lambda data: golden_runner(data, from_payloads=True),
    "torch loop": torch_runner,
    "snnTorch": snntorch_runner,
}


def work(name: str, path: str, seconds: float) -> None:
    """Measure one contestant in this process and print the result as JSON."""
    with np.load(path) as file:
        data = {key: file[key] for key in file.files}
    run = RUNNERS[name](data)
    spikes = run()  # warm
    cpu, wall, end = [], [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(cpu) < 3:
        start = time.process_time(), time.perf_counter()
        run()
        cpu.append(time.process_time() - start[0])
        wall.append(time.perf_counter() - start[1])
    to_step = 1e6 / T
    print(
        json.dumps(
            {
                "cpu_us": statistics.median(cpu) * to_step,
                "wall_us": statistics.median(wall) * to_step,
                "spikes": spikes,
            }
        )
    )


def measure(python: str, name: str, path: Path, seconds: float) -> dict:
    """Run one contestant in a fresh process with one thread."""
    env = {**os.environ, **dict.fromkeys(THREADS, "1")}
    command = [python, __file__, "--worker", name, "--data", str(path), "--seconds", str(seconds)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} with {python} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure all contestants and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", default=sys.executable, help="Python with torch and snntorch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--worker", choices=RUNNERS, help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.worker, args.data, args.seconds)
        return
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        for batch in BATCHES:
            path = Path(folder) / f"w1_{batch}.npz"
            make_workload(path, batch)
            results = {name: [] for name in RUNNERS}
            for _ in range(args.rounds):
                for name, rounds in results.items():
                    python = sys.executable if name.startswith("golden") else args.peers
                    rounds.append(measure(python, name, path, args.seconds))
            report[batch] = summarize(batch, results)
    if args.json:
        print(json.dumps(report))
    else:
        show(report)
    if not all(row["passes"] for row in report.values()):
        sys.exit(1)


def summarize(batch: int, results: dict) -> dict:
    """Return medians, ratios to snnTorch and whether the bar is reached."""
    times = {
        name: {key: statistics.median(r[key] for r in rounds) for key in ("cpu_us", "wall_us")}
        | {"spikes": rounds[0]["spikes"]}
        for name, rounds in results.items()
    }
    ratio = times["snnTorch"]["cpu_us"] / times["golden"]["cpu_us"]
    return {"times": times, "ratio": ratio, "bar": BARS[batch], "passes": ratio >= BARS[batch]}


def show(report: dict) -> None:
    """Print the report."""
    for batch, row in report.items():
        peer = row["times"]["snnTorch"]["cpu_us"]
        print(f"W1 {'-'.join(map(str, SIZES))}, T={T}, batch {batch}: us a timestep, one thread")
        for name, t in row["times"].items():
            print(
                f"  {name:18} CPU {t['cpu_us']:8.1f}  wall {t['wall_us']:8.1f}  "
                f"{peer / t['cpu_us']:6.1f} x snnTorch  spikes (all, output) {t['spikes']}"
            )
        verdict = "reached" if row["passes"] else "MISSED"
        print(f"  bar: {row['bar']} x snnTorch: {verdict} ({row['ratio']:.1f} x)")


if __name__ == "__main__":
    main()
