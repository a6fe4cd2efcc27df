"""How fast event files are read: NumPy and ``[fast]`` next to readers that others wrote.

Two million events of a 1280 x 720 sensor, one a microsecond, in files that Talon writes (``evt3v``:
EVT 3.0 with three vectors a row). A time is the CPU time of reading a whole file into columns or an
array, the least of all rounds; every round is a fresh process on one thread, and the processes of a
round follow each other, so that a slow minute hits all. Who reads other events than the rest does
not count. The bars: NumPy takes at most twice the time of the fastest of expelliarmus, faery and
tonic, ``[fast]`` at most its time. evt3 is compared with as well.

    python benchmarks/event_files.py --peers /path/to/venv/bin/python

Peers are expelliarmus, faery, evt3 and tonic, which Talon does not depend on: name a Python that
has them; those that are missing are left out, and so is ``[fast]`` without Numba.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

N = 2_000_000
FILES = {
    "evt2": "evt2.raw",
    "evt3": "evt3.raw",
    "evt3v": "evt3v.raw",
    "dat": "events.dat",
    "nmnist": "events.bin",
    "aedat2": "aedat2.aedat",
    "aedat3": "aedat3.aedat",
}
BARS = {"talon": 2.0, "talon [fast]": 1.0}
WITHOUT_BAR = ("evt3",)
Columns = tuple[Any, Any, Any, Any]


def talon(path: str, *, fast: bool) -> Columns:
    """Read with Talon."""
    from talon.io import read_events

    events = read_events(path, fast=fast)
    return tuple(events[name] for name in "txyp")


def expelliarmus(path: str) -> Columns:
    """Read with expelliarmus."""
    from expelliarmus import Wizard

    encoding = "dat" if path.endswith("dat") else Path(path).stem[:4]
    events = Wizard(encoding=encoding).read(path)
    return tuple(events[name] for name in "txyp")


def faery(path: str) -> Columns:
    """Read with faery."""
    import faery as package

    events = package.events_stream_from_file(path).to_array()
    return tuple(events[name] for name in ("t", "x", "y", "on"))


def evt3(path: str) -> Columns:
    """Read with evt3."""
    import evt3 as package

    events = package.decode_file(path)
    return events.timestamp, events.x, events.y, events.polarity


def tonic(path: str) -> Columns:
    """Read with tonic, whose reader of a DAVIS and of packets takes addresses apart itself."""
    import tonic.io as package

    if path.endswith(".bin"):
        kind = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])
        events = package.read_mnist_file(path, kind)
        return tuple(events[name] for name in "txyp")
    events = package.read_davis_346(path)[2]
    return tuple(events[name] for name in "txyp")


READERS: dict[str, tuple[str, str, Callable[[str], Columns]]] = {
    "talon": ("numpy", " ".join(FILES), lambda path: talon(path, fast=False)),
    "talon [fast]": ("numba", "evt2 evt3 evt3v dat", lambda path: talon(path, fast=True)),
    "expelliarmus": ("expelliarmus", "evt2 evt3 evt3v dat", expelliarmus),
    "faery": ("faery", "evt2 evt3 evt3v dat", faery),
    "evt3": ("evt3", "evt3 evt3v", evt3),
    "tonic": ("tonic", "nmnist aedat2", tonic),
}
"""Module, files and function of each reader."""


def make_files(folder: Path) -> None:
    """Write all files."""
    from talon.io import EVENT_DTYPE, write_events

    rng = np.random.default_rng(0)
    events = np.empty(N, EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(0, N, N))
    events["x"], events["y"] = rng.integers(0, 1280, N), rng.integers(0, 720, N)
    events["p"] = rng.integers(0, 2, N)
    for case in ("evt2", "evt3", "dat"):
        write_events(folder / FILES[case], events, case, sensor_size=(1280, 720))
    events["x"] %= 346
    events["y"] %= 240
    for case in ("aedat2", "aedat3"):
        write_events(folder / FILES[case], events, case, sensor_size=(346, 260))
    events["x"] %= 34
    write_events(folder / FILES["nmnist"], events, "nmnist")
    head = b"% evt 3.0\n% format EVT3;height=720;width=1280\n% end\n"
    (folder / FILES["evt3v"]).write_bytes(head + vectors(rng).tobytes())


def vectors(rng: np.random.Generator) -> np.ndarray:
    """Return words of EVT 3.0: time, row, base and three vectors of which a quarter is set."""
    n = N // 8
    words = np.empty((n, 7), "<u2")
    t = np.arange(n) * 8
    words[:, 0] = 0x8000 | (t >> 12) & 0xFFF
    words[:, 1] = 0x6000 | t & 0xFFF
    words[:, 2] = rng.integers(0, 720, n)
    words[:, 3] = 0x3000 | rng.integers(0, 1248, n) | rng.integers(0, 2, n) << 11
    for k, (kind, width) in enumerate(((4, 12), (4, 12), (5, 8)), 4):
        bits = rng.integers(0, 1 << width, n) & rng.integers(0, 1 << width, n)
        words[:, k] = kind << 12 | bits
    return words.ravel()


def work(reader: str, path: str, runs: int) -> None:
    """Read a file some times, and print the least CPU time of an event, and what was read."""
    read = READERS[reader][2]
    best = float("inf")
    for _ in range(runs):
        before = time.process_time()
        columns = read(path)
        best = min(best, time.process_time() - before)
    n = len(columns[0])
    sums = [int(np.asarray(column).astype(np.int64).sum()) for column in columns]
    print(json.dumps({"ns": best / n * 1e9, "read": [n, *sums]}))


def measure(python: str, reader: str, path: Path, runs: int) -> dict[str, Any]:
    """Run one reader in a fresh process on one thread."""
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [python, __file__, "--worker", reader, "--file", str(path), "--runs", str(runs)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{reader} with {python} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def readers_of(case: str, peers: str) -> dict[str, str]:
    """Return who reads a file, and with which Python."""
    found = {}
    for reader, (module, cases, _) in READERS.items():
        python = sys.executable if reader in BARS else peers
        code = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
        if (
            case in cases.split()
            and not subprocess.run([python, "-c", code], check=False).returncode
        ):
            found[reader] = python
    return found


def run_case(case: str, folder: Path, args: argparse.Namespace) -> bool:
    """Measure and print one file; return whether every bar is met."""
    readers = readers_of(case, args.peers)
    best: dict[str, dict[str, Any]] = {}
    for _ in range(args.rounds):
        for reader, python in readers.items():
            found = measure(python, reader, folder / FILES[case], args.runs)
            if reader not in best or found["ns"] < best[reader]["ns"]:
                best[reader] = found
    right = best["talon"]["read"]
    agreed = {r: b["ns"] for r, b in best.items() if r not in BARS and b["read"] == right}
    marks = [reader for reader in agreed if reader not in WITHOUT_BAR]
    fastest = min(marks, key=agreed.__getitem__) if marks else None
    met = True
    print(f"{case}: {right[0]:,} events")
    for reader, result in best.items():
        line = f"  {reader:14} {result['ns']:7.2f} ns  {1e3 / result['ns']:6.1f} M/s"
        if reader in BARS and fastest is not None:
            share = result["ns"] / agreed[fastest]
            verdict = "ok" if share <= BARS[reader] else "MISSED"
            met &= verdict == "ok"
            line += f"  {share:5.2f} of {fastest}, bar {BARS[reader]}: {verdict}"
            for other in agreed.keys() & WITHOUT_BAR:
                line += f"; {result['ns'] / agreed[other]:.2f} of {other}"
        elif result["read"] != right:
            line += "  reads other events: does not count"
        print(line)
    return met


def main() -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", default=sys.executable, help="a Python that has the peers")
    parser.add_argument("--cases", nargs="+", default=list(FILES), choices=list(FILES))
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.worker, args.file, args.runs)
        return 0
    if importlib.util.find_spec("talon") is None:
        raise SystemExit("Talon is not installed in this Python")
    with tempfile.TemporaryDirectory() as folder:
        make_files(Path(folder))
        met = [run_case(case, Path(folder), args) for case in args.cases]
    return 0 if all(met) else 1


if __name__ == "__main__":
    raise SystemExit(main())
