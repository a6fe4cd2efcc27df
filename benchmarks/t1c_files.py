"""Reading and writing ``.t1c`` files against the original packages, side by side in one run.

Two graphs of 2,000 nodes and more, and one model of 50 million parameters. A time is the best of
some rounds; every contestant is a fresh process, and the processes of a case follow each other,
so that a slow minute hits both. The memory of the large model is the peak of its process beyond
that of a process that only imports the package, as a multiple of the size of the file.

    python benchmarks/t1c_files.py --original /path/to/venv/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CASES = ("chain2000", "resnet2000")
ROUNDS = 3
SPEED_BAR = 5.0
LARGE_SECONDS_BAR = 2.0
LARGE_MEMORY_BAR = 1.5


def make_graph(case: str):
    """Return the graph of a case, with constructors that both packages have."""
    import numpy as np

    from talon import ir

    rng = np.random.default_rng(0)
    nodes, edges = {}, []

    def add(name, node, *sources):
        nodes[name] = node
        edges.extend((source, name) for source in sources)
        return name

    def neurons(n):
        return ir.LIF(*(np.full(n, value, np.float32) for value in (10, 10, 0, 1)))

    def conv():
        weight = rng.normal(size=(16, 16, 3, 3)).astype(np.float32)
        return ir.Conv2d(weight, np.zeros(16, np.float32), (1, 1), (1, 1), (1, 1), 1)

    if case == "chain2000":
        at = add("input", ir.Input(np.array([16])))
        for k in range(1000):
            weight = rng.normal(size=(16, 16)).astype(np.float32)
            at = add(f"fc{k}", ir.Affine(weight, np.zeros(16, np.float32)), at)
            at = add(f"lif{k}", neurons(16), at)
        add("output", ir.Output(np.array([16])), at)
    elif case == "resnet2000":
        at = add("input", ir.Input(np.array([16, 8, 8])))
        for k in range(400):
            first = add(f"a{k}", conv(), at)
            spikes = add(f"b{k}", neurons(1024), first)
            second = add(f"c{k}", conv(), spikes)
            joined = add(f"d{k}", ir.Skip("residual"), second, at)
            at = add(f"e{k}", neurons(1024), joined)
        add("output", ir.Output(np.array([16, 8, 8])), at)
    else:
        at = add("input", ir.Input(np.array([7168])))
        weight = rng.normal(size=(7168, 7168)).astype(np.float32)
        at = add("fc", ir.Affine(weight, np.zeros(7168, np.float32)), at)
        add("output", ir.Output(np.array([7168])), at)
    return ir.Graph(nodes, edges)


def timed(call) -> float:
    """Return the best wall time of a call in seconds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def work(case: str, path: str) -> None:
    """Measure one case in this process and print the result as JSON."""
    from talon import ir

    graph = make_graph(case)
    write_s = timed(lambda: ir.write(path, graph))
    print(json.dumps({"write_s": write_s, "read_s": timed(lambda: ir.read(path))}))


def work_large(path: str) -> None:
    """Read a large file once in this process and print time and memory as JSON."""
    from talon import ir

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    ir.read(path)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(
        json.dumps({"seconds": seconds, "times_its_size": 1024 * peak / Path(path).stat().st_size})
    )


def run(python: str, case: str, path: Path) -> dict:
    """Run one contestant in a fresh process, away from this folder's packages."""
    command = [python, "-P", str(Path(__file__).resolve()), "--worker", case, "--file", str(path)]
    own = python == sys.executable  # another one must not find our packages in PYTHONPATH
    done = subprocess.run(
        command,
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
        env={key: text for key, text in os.environ.items() if own or key != "PYTHONPATH"},
    )
    if done.returncode:
        raise SystemExit(f"{case} with {python} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    """Print a table; exit with 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--original", help="Python that has the original packages")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        if options.worker == "read-large":
            work_large(options.file)
        elif options.worker == "write-large":
            from talon import ir

            ir.write(options.file, make_graph("large"))
            print("{}")
        else:
            work(options.worker, options.file)
        return 0
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            ours = run(sys.executable, case, Path(folder) / f"{case}.t1c")
            theirs = {}
            if options.original:
                theirs = run(options.original, case, Path(folder) / f"{case}_original.t1c")
            for what in ("write_s", "read_s"):
                line = f"{case:12} {what[:-2]:6} {1e3 * ours[what]:8.1f} ms"
                if theirs:
                    ratio = theirs[what] / ours[what]
                    missed |= ratio < SPEED_BAR
                    line += f"   original {1e3 * theirs[what]:8.1f} ms   {ratio:5.1f} times as fast"
                print(line)
        large = Path(folder) / "large.t1c"
        run(sys.executable, "write-large", large)
        found = run(sys.executable, "read-large", large)
        missed |= found["seconds"] > LARGE_SECONDS_BAR
        missed |= found["times_its_size"] > LARGE_MEMORY_BAR
        print(
            f"large        read   {1e3 * found['seconds']:8.1f} ms   {found['times_its_size']:.2f} "
            f"times its {large.stat().st_size / 1e6:.0f} MB of memory"
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
