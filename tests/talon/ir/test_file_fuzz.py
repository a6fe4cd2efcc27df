"""Thousands of damaged files, read in a process with little memory: a graph or an error, soon."""

import subprocess
import sys

import pytest

WORKER = """
import faulthandler, resource, struct, sys, tempfile, time
from pathlib import Path
import numpy as np
from talon import ir
from talon.errors import ModelError, T1CFormatError
from talon.sdk.convert import quantize_weights
from talon.testing import random_graph_of_primitives

n_files, seed, patience = int(sys.argv[1]), int(sys.argv[2]), 5
rng = np.random.default_rng(seed)
folder = Path(tempfile.mkdtemp(dir=sys.argv[3]))
bases = []
kinds = set()
for k in range(12):
    graph = random_graph_of_primitives(np.random.default_rng(k), 10)
    kinds |= {type(node).__name__ for node in graph.nodes.values()}
    if k % 2:
        graph = quantize_weights(graph, bits=4 + k % 4 // 2 * 4, storage="integer")
    path = folder / f"base{k}.t1c"
    ir.write(path, graph, compression="gzip" if k % 3 == 0 else None)
    bases.append(path.read_bytes()[:-20])  # without the checksum, which would find all changes
assert any("Ghost" in kind for kind in kinds) and "Conv2d" in kinds, kinds
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
path, counts = folder / "a.t1c", {"graph": 0, "error": 0}
for _ in range(n_files):
    base = bases[int(rng.integers(len(bases)))]
    changed = bytearray(base)
    words = np.frombuffer(base[: len(base) // 8 * 8], "<u8")
    places = np.flatnonzero((words > 0) & (words < len(base)))
    way = int(rng.integers(4))
    if way == 0:
        for at in rng.integers(0, len(base), int(rng.choice([1, 2, 8, 60]))):
            changed[at] = rng.integers(256)
    elif way == 1:
        for word in rng.choice(places, 2):
            struct.pack_into("<Q", changed, 8 * int(word), int(words[rng.choice(places)]))
    elif way == 2:
        for word in rng.choice(places, 2):
            huge = int(rng.choice([2**31 - 1, 2**32, 2**40, 2**62, 3]))
            struct.pack_into("<Q", changed, 8 * int(word), huge)
    else:
        start, end = sorted(rng.integers(0, len(base), 2).tolist())
        changed[start:end] = base[end:] if rng.random() < 0.5 else b""
    path.write_bytes(changed)
    faulthandler.dump_traceback_later(30, exit=True)
    started = time.monotonic()
    try:
        ir.read(path)
        counts["graph"] += 1
    except (T1CFormatError, ModelError) as exc:
        assert not isinstance(exc.__cause__, MemoryError)
        counts["error"] += 1
    took = time.monotonic() - started
    assert took < patience, took
faulthandler.cancel_dump_traceback_later()
assert counts["graph"] and counts["error"], counts
print(counts, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "MiB")
"""


def fuzz(n_files, seed, folder):
    command = [sys.executable, "-c", WORKER, str(n_files), str(seed), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_damaged_files_do_no_harm(tmp_path):
    fuzz(500, 1, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_thousand_damaged_files_do_no_harm(tmp_path):
    fuzz(20_000, 2, tmp_path)
