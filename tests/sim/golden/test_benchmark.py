"""The benchmark must keep running; its figures are for a quiet machine, not for a test."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
SCRIPT = BENCHMARKS / "golden_w1.py"


def load(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    return benchmark


@pytest.mark.parametrize("case", ["W2 spikes", "W2 frame", "W3 max", "W3 sum"])
def test_maps_fire_as_described_in_integers_and_in_floats(tmp_path, monkeypatch, case):
    benchmark = load("golden_maps")
    monkeypatch.setattr(benchmark, "T", 8)
    path = tmp_path / "maps.npz"
    benchmark.make_workload(path, case, 1)
    with np.load(path) as file:
        data = {key: file[key] for key in file.files}
    data["weights"] = [data[f"w{i}"] for i in range(3)]
    spikes = {
        name: benchmark.RUNNERS[name](case, data)()
        for name in ("golden", "golden (floats)", "golden (probes)", "talon floats")
    }
    assert spikes["golden"] == spikes["golden (floats)"] == spikes["golden (probes)"]
    assert 0 < spikes["golden"] < 0.3 * 8 * 10
    assert abs(spikes["golden"] - spikes["talon floats"]) <= 3


def test_the_workload_is_the_one_described_and_both_entries_agree(tmp_path):
    benchmark = load("golden_w1")
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


def load_speed(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return load("golden_workloads"), load("float_workloads")


def fired(workloads, name, path):
    """Return the spikes that the golden model and the oracle count, layer by layer."""
    from talon_sim.golden import golden_run

    work = workloads.integer_workload(name, str(path))
    network = workloads.make_network(name, work)
    trace = golden_run(network, {"in": work["payloads"]}, probe=True)
    counts = [int(np.count_nonzero(trace.spikes[p.name])) for p in network.populations]
    return counts, workloads.oracle(name, work)


@pytest.mark.parametrize("name", ["W1", "W2", "W3"])
def test_workloads_of_the_speed_have_the_spikes_of_their_oracle(tmp_path, monkeypatch, name):
    workloads, floats = load_speed(monkeypatch)
    path = tmp_path / "work.npz"
    floats.make_workload(path, name, 1)
    if name == "W2":
        workloads.add_multiplier(path)
    counts, right = fired(workloads, name, path)
    assert counts == right
    with np.load(path) as file:
        of_floats = int(file["counts"][-1])
    assert abs(counts[-1] - of_floats) <= 0.1 * of_floats + 2


def test_the_recurrent_workload_has_the_spikes_of_its_oracle(tmp_path, monkeypatch):
    workloads, _ = load_speed(monkeypatch)
    monkeypatch.setattr(workloads, "N", 1500)
    monkeypatch.setattr(workloads, "W4_STEPS", 60)
    path = tmp_path / "work.npz"
    workloads.make_w4(path)
    counts, right = fired(workloads, "W4", path)
    assert counts == right
    assert 0.002 < counts[0] / (1500 * 60) < 0.1


def test_the_worker_of_the_speed_measures_what_it_says(tmp_path, monkeypatch):
    _, floats = load_speed(monkeypatch)
    path = tmp_path / "work.npz"
    floats.make_workload(path, "W1", 1)
    script = BENCHMARKS / "golden_speed.py"
    command = [sys.executable, script, "--worker", "golden", "--cases", "W1", "--data", path]
    done = subprocess.run(
        [*map(str, command), "--seconds", "0"], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["us"] > 0
    assert found["mb"] > 10
    assert found["counts"][0] > found["counts"][1] > 0


@pytest.mark.parametrize("batch", [1, 16])
def test_the_floor_names_every_part_of_a_run(batch):
    command = [sys.executable, BENCHMARKS / "golden_floor.py", "--batch", batch, "--rounds", 1]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
    times = dict(line.rsplit(maxsplit=2)[:2] for line in done.stdout.splitlines()[:6])
    assert list(times) == ["run", "multiply", "in pairs", "convert", "neurons", "check"]
    assert all(float(us) > 0 for us in times.values())
    assert "in pairs:        floor" in done.stdout
