"""How fast event files are written and read, next to raw columns of h5py with the same filters.

Ten million events of a 1280 x 720 sensor, CPU time of one thread, the best of some runs, all in one
process; the original package, if its interpreter is given, in one of its own. The bars: written and
read back, as columns, at 0.8 of the rate of raw columns, and four times that of the original with
its default; a window of 1 % twenty times as fast as all. Structured events have to be put together
besides, which raw columns are not: without compression that takes as long as reading them.

    python benchmarks/event_store.py --original /path/to/venv/bin/python
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from talon.io.h5 import H5EventReader, write_h5
from talon.io.h5_layout import CHUNK, filters_of
from talon.io.streaming import generate_random_events

SENSOR = (1280, 720)

ORIGINAL = """
import sys, time
import numpy as np
from talon.io.h5 import H5EventReader, H5EventWriter
path, n, runs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with np.load(sys.argv[4]) as file:
    events = file["events"]
best = [1e9, 1e9]
for _ in range(runs):
    start = time.process_time()
    with H5EventWriter(path) as writer:
        writer.write(events)
    middle = time.process_time()
    found = H5EventReader(path).read_all()
    end = time.process_time()
    best = [min(best[0], middle - start), min(best[1], end - middle)]
    assert (found == events).all()
print(*best)
"""


def seconds(work: Callable[[], object], runs: int) -> float:
    """Return the least CPU time of some runs."""
    found = []
    for _ in range(runs):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def raw_write(path: Path, events: np.ndarray, filters: dict) -> None:
    """Write the columns with h5py alone."""
    import h5py

    with h5py.File(path, "w") as file:
        for name in "txyp":
            file.create_dataset(
                f"events/{name}",
                data=np.ascontiguousarray(events[name]),
                chunks=(CHUNK,),
                maxshape=(None,),
                **filters,
            )


def raw_read(path: Path) -> list[np.ndarray]:
    """Read the columns with h5py alone; they are not put together as events."""
    import h5py

    with h5py.File(path) as file:
        return [file[f"events/{name}"][:] for name in "txyp"]


def line(name: str, n: int, write: float, read: float, path: Path, base: float) -> None:
    """Print one row."""
    print(
        f"{name:26} {n / write / 1e6:7.1f} {n / read / 1e6:7.1f} M events/s, "
        f"{path.stat().st_size / n:5.2f} B/event, written and read {base / (write + read):5.2f} x"
    )


def compare(codec: str | None, events: np.ndarray, runs: int, folder: Path) -> float:
    """Print the rows of a codec, and return the seconds of writing and reading."""
    path, other, n = folder / "events.h5", folder / "raw.h5", events.size
    filters = filters_of(codec)
    raw = [
        seconds(lambda: raw_write(other, events, filters), runs),
        seconds(lambda: raw_read(other), runs),
    ]
    own = [
        seconds(lambda: write_h5(path, events, compression=codec), runs),
        seconds(lambda: H5EventReader(path).read_all(), runs),
    ]
    line(f"h5py columns, {codec}", n, *raw, other, sum(raw))
    line(f"talon.io, {codec}", n, *own, path, sum(raw))
    reader = H5EventReader(path)
    columns = seconds(reader.read_columns, runs)
    print(
        f"{'  as columns':26} {'':7} {n / columns / 1e6:7.1f} M events/s, {'':13}"
        f"written and read {sum(raw) / (own[0] + columns):5.2f} x"
    )
    assert np.array_equal(reader.read_all(), events)
    start, stop = n // 2, n // 2 + n // 100
    window = seconds(lambda: reader.read_time_window(start, stop), 20)
    inside = (events["t"] >= start) & (events["t"] < stop)
    assert np.array_equal(reader.read_time_window(start, stop), events[inside])
    print(f"{'  window of 1 %':26} {1e3 * window:.2f} ms, {own[1] / window:.0f} x all")
    return sum(own)


def original(python: str, events: np.ndarray, runs: int, folder: Path) -> float:
    """Print the row of the original package, and return the seconds of writing and reading."""
    source, path = folder / "events.npz", folder / "original.h5"
    np.savez(source, events=events)
    found = subprocess.run(
        [python, "-c", ORIGINAL, str(path), str(events.size), str(runs), str(source)],
        check=True,
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PATH": "", "HOME": str(folder)},
    ).stdout
    write, read = (float(x) for x in found.split())
    line("original, its default", events.size, write, read, path, write + read)
    return write + read


def main() -> None:
    """Print rates and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--original", help="a Python with talon-io 0.0.1")
    options = parser.parse_args()
    n, runs = options.events, options.runs
    events = generate_random_events(n, SENSOR, n, seed=0)
    print(f"{n:,} events: rate of writing, of reading; the last column is to raw columns of h5py")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        taken = {c: compare(c, events, runs, folder) for c in ("pack", "gzip", "lzf", None)}
        if options.original:
            base = original(options.original, events, runs, folder)
            for codec, own in taken.items():
                print(f"talon.io, {codec}: written and read {base / own:.1f} x the original")


if __name__ == "__main__":
    main()
