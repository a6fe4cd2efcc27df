"""Cycles of an inference of 784-128-10 on the RTL, against the least that any mapping can take.

The shipped network with 10 timesteps of Bernoulli spikes at 10 %, on the full array. Cycles are
simulated: the host bridge counts them from the first event of a sample to its last output word.
The floor is one stream word a cycle, events and tokens of the host; the prediction is that of
``talon plan``. Both objectives of the compiler run, and every output is compared with golden.

    python benchmarks/latency.py [--samples 16]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from talon import ir
from talon.backend.programs import compile as compile_graph
from talon.backend.programs import plan
from talon_sim.trace import compare

MODEL = Path(__file__).resolve().parent.parent / "examples/mnist/mnist_784_128_10.t1c"
BAR = 1600
"""Cycles that an inference may take with the objective latency."""

T, RATE, SEED = 10, 0.1, 7


def main() -> int:
    """Run the benchmark; return 0 if the bar is met and golden agrees."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=16)
    n_samples = parser.parse_args().samples
    graph = ir.read(MODEL)
    rng = np.random.default_rng(SEED)
    raster = (rng.random((T, n_samples, 784)) < RATE).astype(np.float32)
    floor = (np.count_nonzero(raster, axis=(0, 2)) + T).mean()
    print(f"784-128-10, T={T}, {RATE:.0%} input spikes, {n_samples} samples, zynq_us_plus")
    print(f"{'objective':<10}{'cores':>6}{'cycles':>16}{'floor':>8}{'ratio':>7}{'predicted':>11}")
    ok = True
    for objective in ("latency", "cores"):
        program = compile_graph(graph, calibration=raster, objective=objective)
        golden = program.run(raster, target="golden", probe=False)
        rtl = program.run(raster, target="cosim", probe=False)
        predicted = plan(graph, calibration=raster, objective=objective).prediction
        same = compare(golden, rtl).equal
        mean, worst = rtl.cycles.mean(), rtl.cycles.max()
        cores = len({group["core"] for group in program.manifest["groups"]})
        print(
            f"{objective:<10}{cores:>6}{mean:>8.0f} <={worst:>5}{floor:>8.0f}{mean / floor:>7.2f}"
            f"{predicted.cycles_per_inference:>11}{'' if same else '  DIFFERS FROM GOLDEN'}"
        )
        ok = ok and same and (objective != "latency" or worst <= BAR)
    print(f"bar: {BAR} cycles with the objective latency: {'met' if ok else 'MISSED'}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
