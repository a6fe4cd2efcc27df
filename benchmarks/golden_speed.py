"""The golden model and its ``[fast]`` kernels against the fastest peers, in one run.

The workloads are those of ``golden_workloads.py``: W1 a perceptron, W2 and W3 convolutions, each
with one sample and with many, W4 a sparse recurrent network of 16,384 neurons. Spikes of everybody
are compared with an oracle, of integers for the golden model and of floats for peers; peers that
differ from it do not count.

A time is the CPU time of one timestep of the whole batch, median over rounds; every round is a
fresh process on one thread, and the processes of a round follow each other, so that a slow minute
hits all. Building a model is not timed, for anyone, but ``start`` is the CPU time of a process
from its beginning to the end of its first run (without reading the workload), and ``RSS`` is the
most memory that it ever had. Input: payloads for the golden model, float32 for peers.

``floor`` is what the same dense multiply-accumulates would take at the speed of a large product of
this machine's BLAS, measured in the same run.

    python benchmarks/golden_speed.py --peers /path/to/venv/bin/python --cases W1b1 W4b1

Peers need torch, jax and Brian2, which Talon does not depend on: name a Python that has them;
those that are missing are left out, and so is ``[fast]`` without Numba.
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
from pathlib import Path

import numpy as np
from float_workloads import STEPS, load_workload, make_workload
from golden_contestants import GOLDEN, PEERS
from golden_workloads import (
    W4_STEPS,
    add_multiplier,
    integer_workload,
    macs,
    make_w4,
    oracle,
)

MARKS = {
    # share of the fastest peer's time: golden (must, stretch), [fast] (must, stretch)
    ("W1", 1): ((2.0, 1.3), (0.20, 0.08)),
    ("W1", 128): ((1.2, 0.90), (0.45, 0.17)),
    ("W2", 1): ((0.80, 0.55), (0.25, 0.15)),
    ("W2", 128): ((0.70, 0.50), (0.30, 0.17)),
    ("W3", 1): ((0.80, 0.55), (0.25, 0.10)),
    ("W3", 32): ((0.85, 0.60), (0.30, 0.13)),
    ("W4", 1): ((1.0, 0.80), (0.45, 0.20)),
}
MOST_MEMORY = {"W1": 100, "W2": 100, "W3": 100, "W4": 260}  # MB
LONGEST_START = {"W1": 0.15, "W4": 0.7}  # seconds
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_OWN = dict(zip(GOLDEN, (0, 1), strict=True))


def n_steps_of(name: str) -> int:
    """Return the number of timesteps of a workload."""
    return W4_STEPS if name == "W4" else STEPS[name]


def work(contestant: str, name: str, path: str, seconds: float) -> None:
    """Measure one contestant in this process and print the result as JSON."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # jax heeds no variable
    begin = time.process_time()
    load = GOLDEN[contestant] if contestant in GOLDEN else PEERS[contestant][2]
    build = load(name, path)
    reading = time.process_time() - begin
    run = build()
    result = run()
    start = time.process_time() - reading
    cpu, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(cpu) < 3:
        before = time.process_time()
        result = run()
        cpu.append(result[1] if isinstance(result, tuple) else time.process_time() - before)
    counts = result[0] if isinstance(result, tuple) else result
    getattr(run, "close", lambda: None)()
    print(
        json.dumps(
            {
                "us": statistics.median(cpu) / n_steps_of(name) * 1e6,
                "start": start,
                "mb": peak_memory(),
                "counts": counts,
            }
        )
    )


def measure(python: str, contestant: str, name: str, path: Path, seconds: float) -> dict:
    """Run one contestant in a fresh process on one thread."""
    env = {**os.environ, **dict.fromkeys(THREADS, "1"), "CONTEST_THREADS": "1"}
    if contestant in PEERS and python != sys.executable:
        env.pop("PYTHONPATH", None)  # what we import is not theirs
    command = [python, __file__, "--worker", contestant, "--data", str(path)]
    command += ["--cases", name, "--seconds", str(seconds)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{contestant} with {python} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def peak_memory() -> float:
    """Return the most memory that this process has had, in MB; NaN where Linux does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def has_modules(python: str, modules: tuple[str, ...]) -> bool:
    """Tell whether a Python can import these."""
    code = f"import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, {modules})))"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


def contestants_of(name: str, peers: str) -> dict[str, str]:
    """Return who runs a workload, and with which Python."""
    found = {"golden": sys.executable}
    if has_modules(sys.executable, ("numba",)):
        found["golden [fast]"] = sys.executable
    for contestant, (workloads, modules, _) in PEERS.items():
        if name in workloads.split() and has_modules(peers, modules):
            found[contestant] = peers
    return found


def macs_per_us() -> float:
    """Return the speed of a large float32 product, in multiply-accumulates a microsecond."""
    a = np.ones((1024, 1024), np.float32)
    times = []
    for _ in range(8):
        before = time.process_time()
        a @ a
        times.append(time.process_time() - before)
    return len(a) ** 3 / min(times) / 1e6


def judge(name: str, batch: int, rows: dict, right: dict[str, list[int]]) -> list[dict]:
    """Return what is marked, of the golden model and of ``[fast]``: value, must, stretch."""
    peers = {n: r["us"] for n, r in rows.items() if n in PEERS and r["exact"]}
    marks = []
    for own, column in _OWN.items():
        if own not in rows:
            continue
        row = rows[own]
        if row["counts"] != right["integers"]:
            raise SystemExit(f"{own} fires {row['counts']}, the oracle {right['integers']}")
        if peers:
            must, stretch = MARKS[name, batch][column]
            best = min(peers, key=peers.__getitem__)
            value = row["us"] / peers[best]
            marks.append(_mark(f"{own}: share of {best}", value, must, stretch))
    if batch == 1 and name in LONGEST_START:
        marks.append(_mark("golden: start, s", rows["golden"]["start"], LONGEST_START[name]))
    marks.append(_mark("golden: RSS, MB", rows["golden"]["mb"], MOST_MEMORY[name]))
    return marks


def _mark(what: str, value: float, must: float, stretch: float | None = None) -> dict:
    verdict = "MISSED"
    if value <= must:
        verdict = "stretch" if stretch is not None and value <= stretch else "must"
    return {"what": what, "value": value, "must": must, "stretch": stretch, "verdict": verdict}


def show(case: str, report: dict) -> None:
    """Print the report of one case."""
    floor = "" if report["floor_us"] is None else f", floor {report['floor_us']:.1f} us"
    print(f"{case}{floor}; spikes in all and of the last layer {report['counts']}")
    for name, row in report["rows"].items():
        right = "exact" if row["exact"] else f"other spikes: {row['counts']}"
        print(
            f"  {name:20} {row['us']:9.1f} us  x{row['us'] / report['rows']['golden']['us']:7.2f} "
            f" start {row['start']:6.2f} s  RSS {row['mb']:5.0f} MB  {right}"
        )
    for mark in report["marks"]:
        limits = f"must {mark['must']}"
        if mark["stretch"] is not None:
            limits += f", stretch {mark['stretch']}"
        print(f"  {mark['what']:42} {mark['value']:7.2f}  {limits}: {mark['verdict']}")


def run_case(name: str, batch: int, path: Path, options: argparse.Namespace) -> dict:
    """Measure everybody on one case."""
    if name == "W4":
        make_w4(path)
        floats = int(np.load(path)["counts"][0])
        right = {"floats": [floats, floats]}
    else:
        make_workload(path, name, batch)
        if name == "W2":
            add_multiplier(path)
        counts = load_workload(str(path))["counts"]
        right = {"floats": [sum(counts), counts[-1]]}
    counts = oracle(name, integer_workload(name, str(path)))
    right["integers"] = [sum(counts), counts[-1]]
    contestants = contestants_of(name, options.peers)
    results: dict[str, list[dict]] = {contestant: [] for contestant in contestants}
    for _ in range(options.rounds):
        for contestant, python in contestants.items():
            results[contestant].append(measure(python, contestant, name, path, options.seconds))
    rows = {}
    for contestant, rounds in results.items():
        expected = right["integers" if contestant in GOLDEN else "floats"]
        row = {key: statistics.median(r[key] for r in rounds) for key in ("us", "start", "mb")}
        row["counts"] = rounds[0]["counts"]
        rows[contestant] = {**row, "exact": all(r["counts"] == expected for r in rounds)}
    return {
        "rows": rows,
        "counts": right,
        "floor_us": None if name == "W4" else macs(name) * batch / macs_per_us(),
        "marks": judge(name, batch, rows, right),
    }


def main() -> None:
    """Measure all cases and compare with the marks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", default=sys.executable, help="Python with torch, jax, brian2")
    parser.add_argument("--cases", nargs="*", help="for example W1b1 W3b32; all if not given")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--worker", choices=[*GOLDEN, *PEERS], help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.worker, args.cases[0], args.data, args.seconds)
        return
    cases = {f"{name}b{batch}": (name, batch) for name, batch in MARKS}
    unknown = set(args.cases or ()) - set(cases)
    if unknown:
        parser.error(f"cases must be of {' '.join(cases)}, not {' '.join(sorted(unknown))}")
    reports = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in args.cases or cases:
            path = Path(folder) / f"{case}.npz"
            reports[case] = run_case(*cases[case], path, args)
            path.unlink()
            if not args.json:
                show(case, reports[case])
                sys.stdout.flush()
    if args.json:
        print(json.dumps(reports))
    if any(mark["verdict"] == "MISSED" for r in reports.values() for mark in r["marks"]):
        sys.exit(1)


if __name__ == "__main__":
    main()
