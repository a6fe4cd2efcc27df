"""How long a timestep of a live run takes, and how many events a second come over UDP.

Events at a million a second through a network of 2 x 34 x 34 inputs, 128 hidden and 10 output
neurons, a timestep a millisecond, on the golden model: from a file that is read as fast as it goes,
and from a socket of this host by the clock, with a sender in a process of its own. Figures are wall
time, since latency is: other work on the machine shows in them, and a sender that is kept from
sending for longer than the run waits loses events.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from talon import ir
from talon.backend.programs import Program, compile
from talon.io.ethernet import UDPEventReceiver
from talon.io.h5 import H5EventReader, write_h5
from talon.io.sequence import joined
from talon.io.streaming import generate_random_events

SENSOR = (34, 34)
STEP_US = 1000

SENDER = """
import sys, time
from talon.io.ethernet import UDPEventSender
from talon.io.h5 import H5EventReader
path, port, step, rest = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
begin = time.monotonic()
with UDPEventSender("127.0.0.1", port) as sender, H5EventReader(path) as reader:
    events = reader.read_all()
    for k in range(int(events["t"][-1]) // step + 1):
        first, last = events["t"].searchsorted([k * step, (k + 1) * step])
        sender.send(events[first:last])
        time.sleep(max(0.0, begin + (k + 1) * rest - time.monotonic()))
"""


def network() -> Program:
    """Return the program."""
    rng = np.random.default_rng(0)

    def affine(n: int, m: int) -> ir.Affine:
        weight = rng.normal(0.02, 1 / np.sqrt(m), (n, m)).astype(np.float32)
        return ir.Affine(weight, np.zeros(n, np.float32))

    def neurons(n: int) -> ir.LIF:
        return ir.LIF(*(np.full(n, value, np.float32) for value in (10, 1, 0, 1)))

    nodes: dict[str, ir.Node] = {
        "input": ir.Input([2, *SENSOR]),
        "flatten": ir.Flatten(0),
        "fc1": affine(128, 2 * 34 * 34),
        "hidden": neurons(128),
        "fc2": affine(10, 128),
        "lif": neurons(10),
        "output": ir.Output([10]),
    }
    return compile(ir.Graph(nodes, list(itertools.pairwise(nodes))), hw="zynq_us_plus")


def told(name: str, seconds: list[float]) -> None:
    """Print percentiles in milliseconds."""
    p50, p99, most = np.percentile(seconds, [50, 99, 100]) * 1e3
    print(f"{name:44} p50 {p50:7.3f}  p99 {p99:7.3f}  max {most:7.3f} ms")


def from_socket(path: Path, rest: float) -> tuple[UDPEventReceiver, subprocess.Popen[bytes]]:
    """Return a receiver, and the process that sends to it."""
    receiver = UDPEventReceiver(poll_s=0.0005)
    words = [sys.executable, "-c", SENDER, str(path), str(receiver.port), str(STEP_US), str(rest)]
    return receiver, subprocess.Popen(words)


def main() -> None:
    """Print latencies and rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2000)
    options = parser.parse_args()
    n = options.steps * STEP_US
    events = generate_random_events(n, SENSOR, n, seed=0)
    program = network()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.h5"
        write_h5(path, events)
        start = time.perf_counter()
        run = program.stream(H5EventReader(path), timestep_us=STEP_US)
        steps = list(run)
        taken = time.perf_counter() - start
        print(
            f"file: {run.counts['n_events'] / taken / 1e6:.2f} M events/s, {len(steps)} timesteps"
        )
        told("file: events to spikes of a timestep", [step.process_s for step in steps])

        receiver, sender = from_socket(path, STEP_US / 1e6)
        with receiver:
            run = program.stream(
                receiver, timestep_us=STEP_US, wait_us=50 * STEP_US, max_lag_us=100 * STEP_US
            )
            lags = [step.lag_s for step in run if step.lag_s is not None]
        sender.wait()
        told("socket: end of a timestep to its spikes", lags)
        print(f"socket: {run.counts}, lost {receiver.counts.lost} packets")

        receiver, sender = from_socket(path, 0)
        with receiver:
            start = time.process_time()
            found = joined(list(receiver))
            taken = time.process_time() - start
        sender.wait()
        print(
            f"socket alone: {found.size / taken / 1e6:.2f} M events/s of CPU time, "
            f"{100 * found.size / n:.1f} % came of a sender at full speed"
        )


if __name__ == "__main__":
    main()
