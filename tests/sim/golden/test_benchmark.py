"""The benchmark must keep running; its figures are for a quiet machine, not for a test."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "golden_w1.py"


def test_the_workload_is_the_one_described_and_both_entries_agree(tmp_path):
    spec = importlib.util.spec_from_file_location("golden_w1", SCRIPT)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    path = tmp_path / "w1.npz"
    benchmark.make_workload(path, 1)
    found = []
    for name in ("golden", "golden (payloads)"):
        command = [sys.executable, SCRIPT, "--worker", name, "--data", path, "--seconds", "0"]
        done = subprocess.run(
            [*map(str, command)], capture_output=True, text=True, check=True, env=os.environ
        )
        found.append(json.loads(done.stdout))
    spikes, fired = found[0]["spikes"]
    assert found[0]["spikes"] == found[1]["spikes"]
    hidden = (spikes - fired) / (benchmark.T * benchmark.SIZES[1])
    assert 0.08 < hidden < 0.12
    assert 0.05 < fired / (benchmark.T * benchmark.SIZES[2]) < 0.15
    assert all(result["cpu_us"] > 0 for result in found)
