"""How fast values become spikes, next to the usual line of NumPy, in the same run.

A million values, a hundred timesteps each, one thread, CPU time, the median of some runs. The bar
is four times ``random(float32) < p`` with the error of the mean rate below 1e-4.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from talon.io.encoding import latency_encode, rate_encode, temporal_encode


def seconds(work: Callable[[], object], n_runs: int) -> float:
    """Return the median CPU time of some runs, after one that is not counted."""
    work()
    found = []
    for _ in range(n_runs):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return statistics.median(found)


def main() -> None:
    """Print rates and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    n, n_steps = options.values, options.steps
    p = np.random.default_rng(0).random(n, np.float32)
    rng = np.random.default_rng(1)
    out = np.empty((n_steps, n), np.bool_)
    ways: dict[str, Callable[[], object]] = {
        "numpy random(float32) < p": lambda: rng.random((n_steps, n), np.float32) < p,
        "rate_encode, bool, out=": lambda: rate_encode(p, n_steps, seed=1, out=out),
        "rate_encode, bool": lambda: rate_encode(p, n_steps, seed=1, dtype=bool),
        "rate_encode, float32": lambda: rate_encode(p, n_steps, seed=1),
        "latency_encode, uint8": lambda: latency_encode(p, n_steps, dtype=np.uint8),
        "temporal_encode, uint8": lambda: temporal_encode(p, n_steps, dtype=np.uint8),
    }
    base = None
    print(f"{n:,} values x {n_steps} timesteps")
    for name, work in ways.items():
        taken = seconds(work, options.runs)
        base = base or taken
        print(f"{name:28} {n * n_steps / taken / 1e6:8,.0f} M values/s {base / taken:6.2f} x")
    rate_encode(p, n_steps, seed=1, out=out)
    error = abs(float(out.mean()) - float(p.mean(dtype=np.float64)))
    print(f"error of the mean rate: {error:.1e}")


if __name__ == "__main__":
    main()
