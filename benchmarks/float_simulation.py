"""The float simulation against snnTorch, torch and jax on three workloads, in one run.

The workloads are those of ``float_workloads.py``, the peers those of ``float_contestants.py``.
Counts of spikes are compared with an exact oracle; who differs is shown. That is snnTorch on W3 and
on the larger batches, whose reset by subtraction takes two timesteps where a potential is beyond
twice the threshold; it is as fast as it is, so its bar stands, but the fastest exact peer is
another.

A time is that of one timestep of the whole batch, median over rounds; every round is a fresh
process, and the processes of a round follow each other, so that a slow minute hits all. CPU time
of the process is compared with one thread, wall time with more. Building a model, and compiling
it, is not timed, for anyone; ``talon, one call`` is our own call that does all.

The peers need torch, snntorch and jax, which Talon does not depend on: name a Python that has
them; those that are missing are left out.

    python benchmarks/float_simulation.py --peers /path/to/venv/bin/python
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

from float_contestants import CONTESTANTS, NEEDS
from float_workloads import STEPS, load_workload, make_workload

CASES = (("W1", 1), ("W1", 128), ("W2", 1), ("W2", 128), ("W3", 1), ("W3", 32))
BATCHED_BAR = 1.5
BARS = {"W1": 15.0, "W2": 5.0, "W3": 5.0}
"""Times as fast as snnTorch that one sample must be; for batches it is ``BATCHED_BAR``."""
PEER_BAR = 1.3
W1_PEER_BAR = 2.0
"""Share of the fastest exact peer's time that may be taken; the second for W1 with one sample."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def work(contestant: str, name: str, path: str, seconds: float) -> None:
    """Measure one contestant in this process and print the result as JSON."""
    if os.environ["CONTEST_THREADS"] == "1" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # jax heeds no variable
    run = CONTESTANTS[contestant](name, load_workload(path))
    counts = run()  # warm
    cpu, wall, end = [], [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(cpu) < 3:
        start = time.process_time(), time.perf_counter()
        run()
        cpu.append(time.process_time() - start[0])
        wall.append(time.perf_counter() - start[1])
    to_step = 1e6 / STEPS[name]
    times = {"cpu_us": statistics.median(cpu), "wall_us": statistics.median(wall)}
    print(json.dumps({**{k: v * to_step for k, v in times.items()}, "counts": counts}))


def measure(
    python: str, contestant: str, name: str, path: Path, seconds: float, threads: int
) -> dict:
    """Run one contestant in a fresh process."""
    own = contestant not in NEEDS and not path.stem.endswith("b1")  # Talon shares the samples
    env = {**os.environ, **dict.fromkeys(THREADS, "1" if own else str(threads))}
    env["CONTEST_THREADS"] = str(threads)
    command = [python, __file__, "--worker", contestant, "--data", str(path)]
    command += ["--cases", name, "--seconds", str(seconds)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{contestant} with {python} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def present(python: str) -> list[str]:
    """Return the contestants that this machine has the libraries for."""
    wanted = sorted({module for modules in NEEDS.values() for module in modules})
    code = (
        "import importlib.util as u, json;"
        f"print(json.dumps([m for m in {wanted} if u.find_spec(m)]))"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    found = set(json.loads(done.stdout))
    return [name for name in CONTESTANTS if found.issuperset(NEEDS.get(name, ()))]


def summarize(name: str, batch: int, results: dict, counts: list[int], key: str) -> dict:
    """Return medians, ratios and which bars are reached."""
    rows = {
        contestant: {
            "cpu_us": statistics.median(r["cpu_us"] for r in rounds),
            "wall_us": statistics.median(r["wall_us"] for r in rounds),
            "exact": all(r["counts"] == counts for r in rounds),
        }
        for contestant, rounds in results.items()
    }
    own = rows["talon"][key]
    exact = [r[key] for n, r in rows.items() if n in NEEDS and r["exact"]]
    bars = {}
    if "snnTorch" in rows:
        bars["times snnTorch"] = {
            "is": rows["snnTorch"][key] / own,
            "least": BARS[name] if batch == 1 else BATCHED_BAR,
        }
        bars["times snnTorch"]["passes"] = (
            bars["times snnTorch"]["is"] >= bars["times snnTorch"]["least"]
        )
    if exact:
        most = W1_PEER_BAR if (name, batch) == ("W1", 1) else PEER_BAR
        share = own / min(exact)
        bars["of the fastest exact peer"] = {"is": share, "most": most, "passes": share <= most}
    passes = rows["talon"]["exact"] and all(bar["passes"] for bar in bars.values())
    return {"rows": rows, "bars": bars, "counts": counts, "passes": passes}


def show(title: str, report: dict) -> None:
    """Print the report of one case."""
    print(f"{title}; spikes by layer {report['counts']}")
    for name, row in report["rows"].items():
        right = "exact" if row["exact"] else "other spikes"
        print(f"  {name:20} CPU {row['cpu_us']:9.1f}  wall {row['wall_us']:9.1f}  {right}")
    for name, bar in report["bars"].items():
        limit = f"at least {bar['least']}" if "least" in bar else f"at most {bar['most']}"
        print(f"  {bar['is']:.2f} {name} ({limit}): {'reached' if bar['passes'] else 'MISSED'}")


def main() -> None:
    """Measure all contestants and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", default=sys.executable, help="Python with torch, snntorch, jax")
    parser.add_argument("--cases", nargs="*", help="for example W1b1 W3b32; all if not given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--worker", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.worker, args.cases[0], args.data, args.seconds)
        return
    contestants = present(args.peers)
    key = "cpu_us" if args.threads == 1 else "wall_us"
    reports = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, batch in CASES:
            case = f"{name}b{batch}"
            if args.cases and case not in args.cases:
                continue
            path = Path(folder) / f"{case}.npz"
            make_workload(path, name, batch)
            counts = load_workload(str(path))["counts"]
            results: dict[str, list] = {contestant: [] for contestant in contestants}
            for _ in range(args.rounds):
                for contestant, rounds in results.items():
                    python = args.peers if contestant in NEEDS else sys.executable
                    rounds.append(
                        measure(python, contestant, name, path, args.seconds, args.threads)
                    )
            path.unlink()
            reports[case] = summarize(name, batch, results, counts, key)
            if not args.json:
                show(f"{case}, us a timestep, threads: {args.threads}", reports[case])
    if args.json:
        print(json.dumps(reports))
    if not all(report["passes"] for report in reports.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
