"""The workloads of the benchmark: the float simulation fires what an exact oracle fires."""

import importlib
from pathlib import Path

import pytest

from talon.backend.cpu import FloatModel, Record

BENCHMARKS = Path(__file__).parents[4] / "benchmarks"


@pytest.mark.parametrize(
    ("name", "batch"), [("W1", 1), ("W1", 5), ("W2", 1), ("W2", 3), ("W3", 1), ("W3", 2)]
)
def test_spikes_are_those_of_an_exact_oracle(name, batch, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    workloads = importlib.import_module("float_workloads")
    contestants = importlib.import_module("float_contestants")
    workloads.make_workload(tmp_path / "workload.npz", name, batch)
    data = workloads.load_workload(str(tmp_path / "workload.npz"))
    model = FloatModel(contestants.make_graph(name, data))
    assert min(data["counts"]) > 0
    for record in (Record.nothing(), Record()):
        counts = model.run(data["raster"], record=record).spike_counts
        assert list(counts.values()) == data["counts"]
