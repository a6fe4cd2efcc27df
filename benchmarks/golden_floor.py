"""What the steps of W1 take with NumPy where each runs alone: the floor of the golden model's run.

W1 is the perceptron 784-128-10 of ``golden_workloads.py``. Each row is the CPU time of one
timestep of the whole batch, median over rounds in which all rows follow each other:

``multiply``   the products of float32, a frame a row
``in pairs``   what replaces the larger one: two frames in one number, packed, multiplied, parted
``convert``    payloads to float32, and sums to what neurons take
``neurons``    the six calls (seven of wide populations) that a timestep of a population takes
``check``      payloads within limits, and counted

The run does them all, on data that are not near. A network of few neurons waits for calls: there
the floor is their number times ``call``, what NumPy takes for one of a few numbers.

    python benchmarks/golden_floor.py --batch 128
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from float_workloads import STEPS, make_workload
from golden_workloads import FRAC, integer_workload, make_network

N_CALLS = 6
"""Leak and truncation, sum, comparison, difference, and the copy of those who fired."""


def steps_of(path: Path, batch: int) -> dict[str, Callable[[], object]]:
    """Return what runs each part of W1 once, over all timesteps, by its name."""
    from talon_sim.golden import GoldenModel
    from talon_sim.golden.pairs import PairedProduct
    from talon_sim.golden.ports import Ports

    work = integer_workload("W1", str(path))
    network = make_network("W1", work)
    payloads, n_steps = work["payloads"], len(work["payloads"])
    model = GoldenModel(network, fast=False)
    trace = model.run({"in": payloads})
    sent = (payloads, trace.spikes["layer0"])
    matrices = [np.ascontiguousarray(w.T, np.float32) * (1 << FRAC) for w in work["weights"]]
    chunk = 2 if batch > 1 else n_steps  # as the run does it
    frames = [events[:chunk].reshape(-1, events.shape[2]) for events in sent]
    floats = [events.astype(np.float32) for events in frames]
    sums = [x @ m for x, m in zip(floats, matrices, strict=True)]
    states = [_at_rest(network, name, batch, chunk) for name in trace.spikes]
    drives = [s.astype(n.base.dtype) for s, n in zip(sums, states, strict=True)]
    paired = PairedProduct.of(work["weights"][0], matrices[0], 1, frac=FRAC, signed=False)
    assert paired is not None
    ports = Ports(network)

    def multiply() -> None:
        for x, matrix, out in zip(floats, matrices, sums, strict=True):
            np.matmul(x, matrix, out=out)

    def in_pairs() -> None:
        paired.write_to(drives[0], frames[0])
        np.matmul(floats[1], matrices[1], out=sums[1])

    def convert() -> None:
        for x, events, drive, total in zip(floats, frames, drives, sums, strict=True):
            np.copyto(x, events.view(np.uint8))
            np.copyto(drive, total, casting="unsafe")

    def neurons() -> None:
        for state, drive in zip(states, drives, strict=True):
            given = drive.reshape(chunk, batch, -1)
            state.advance(given, np.empty(given.shape, np.bool_))

    times = n_steps // chunk
    return {
        "run": lambda: model.run({"in": payloads}, probe=False),
        "multiply": _repeated(multiply, times),
        "in pairs": _repeated(in_pairs, times),
        "convert": _repeated(convert, times),
        "neurons": _repeated(neurons, times),
        "check": lambda: ports.check({"in": payloads}),
    }


def _at_rest(network, name: str, batch: int, n_steps: int):
    """Return the neurons of a population, started."""
    from talon_sim.golden.kinds import neurons_of
    from talon_sim.golden.reach import drive_reach
    from talon_sim.golden.wide import started

    population = next(p for p in network.populations if p.name == name)
    return started(neurons_of(population, drive_reach(network)[name]), batch, n_steps)


def _repeated(part: Callable[[], None], times: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(times):
            part()

    return run


def call_us() -> float:
    """Return microseconds of one call of NumPy on 128 numbers, in place."""
    v = np.zeros(128)
    before = time.process_time()
    for _ in range(20000):
        np.add(v, v, v)
    return (time.process_time() - before) / 20000 * 1e6


def measure(parts: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median microseconds of a timestep of each part."""
    times: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name, part in parts.items():
            before = time.process_time()
            part()
            times[name].append(time.process_time() - before)
    return {name: statistics.median(t) / STEPS["W1"] * 1e6 for name, t in times.items()}


def main() -> None:
    """Print each part and the floors that they make."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "W1.npz"
        make_workload(path, "W1", args.batch)
        found = measure(steps_of(path, args.batch), args.rounds)
    for name, us in found.items():
        print(f"{name:10} {us:8.2f} us")
    around = found["neurons"] + found["check"]
    print(f"one frame a row: floor {found['multiply'] + found['convert'] + around:8.2f} us")
    print(f"in pairs:        floor {found['in pairs'] + around:8.2f} us")
    n_calls = 2 * N_CALLS
    print(f"calls: {n_calls} a timestep, {call_us():.2f} us each: {n_calls * call_us():.2f} us")


if __name__ == "__main__":
    main()
