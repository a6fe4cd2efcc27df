"""``talon report``: what the page of a run has, of models and programs, in one pass or several."""

from __future__ import annotations

import itertools
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from talon import ir
from talon.backend.performance import Recorder, performance_of_passes
from talon.backend.programs import compile as compile_graph
from talon.sdk.cli import main
from talon.sdk.execution import Feed
from talon.sdk.gathering import gather
from talon.sdk.reporting import run_page
from talon.viz.report import render_report


def invoke(*arguments: object, status: int = 0) -> dict[str, Any]:
    result = CliRunner().invoke(main, [*map(str, arguments), "--json"])
    assert result.exit_code == status, (arguments, result.stderr, result.exception)
    return json.loads(result.stdout)


def headings(path: str) -> list[str]:
    return [unescape(text) for text in re.findall(r"<h2>([^<]*)</h2>", Path(path).read_text())]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model, inputs for it, and its program."""
    folder = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(2)
    weights = [rng.normal(size=shape).astype(np.float32) for shape in ((40, 30), (10, 40))]
    nodes: dict[str, ir.Node] = {"input": ir.Input([30])}
    for k, weight in enumerate(weights, 1):
        n = len(weight)
        nodes[f"fc{k}"] = ir.Affine(weight, np.zeros(n, np.float32))
        nodes[f"lif{k}"] = ir.LIF(*(np.full(n, v, np.float32) for v in (4, 4, 0, 1)))
    nodes["output"] = ir.Output([10])
    ir.write(folder / "net.t1c", ir.Graph(nodes, list(itertools.pairwise(nodes))))
    raster = rng.random((9, 3, 30)) < 0.3
    np.savez(folder / "x.npz", raster=raster, labels=np.zeros(3, int))
    return folder


def test_report_of_a_model_has_everything(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    found = invoke(
        *("report", folder / "net.t1c", "--input", folder / "x.npz", "--hw", "tiny_2x2"),
        *("-o", page, "--sample", 2),
    )
    assert found["report"] == str(page.resolve()) and found["bytes"] == page.stat().st_size
    assert found["samples"] == 3 and found["timesteps"] == 9 and found["passes"] == 1
    assert headings(found["report"]) == [
        "Network",
        "Mapping",
        "Schedule",
        "Spikes of sample 2",
        "Membrane potentials of sample 2",
        "Energy",
        "What each node became",
        "How to read the figures",
    ]
    graph = ir.read(folder / "net.t1c")
    inputs = Feed(path=str(folder / "x.npz"), n_steps=None, n_samples=None).read(graph)
    program = compile_graph(graph, hw="tiny_2x2", calibration=inputs)
    (performance,) = performance_of_passes(program, program.payloads(inputs))
    assert found["cycles_per_inference_estimated"] == performance.cycles.mean()
    run = program.run(inputs)
    assert found["spikes"] == {name: int(s.sum()) for name, s in run.spikes.items()}
    assert found["energy_uj_per_inference_estimated"] > 0


def test_report_of_a_program_has_no_network(folder: Path, tmp_path: Path) -> None:
    program = tmp_path / "net.talon"
    invoke("compile", folder / "net.t1c", "-o", program, "--hw", "tiny_2x2")
    found = invoke("report", program, "--input", folder / "x.npz", "-o", tmp_path / "p.html")
    shown = headings(found["report"])
    assert "Network" not in shown and "What each node became" not in shown
    assert shown[:2] == ["Mapping", "Schedule"]
    wrong = CliRunner().invoke(
        main, ["report", str(program), "--input", str(folder / "x.npz"), "--sample", "3"]
    )
    assert wrong.exit_code == 2 and "one of the 3 samples, from 0" in wrong.stderr


def test_report_shows_every_pass(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    nodes: dict[str, ir.Node] = {"input": ir.Input([64])}
    last = 64
    for k in range(3):
        weight = (rng.normal(size=(200, last)) / 8).astype(np.float32)
        nodes[f"fc{k}"] = ir.Affine(weight, np.zeros(200, np.float32))
        nodes[f"lif{k}"] = ir.LIF(*(np.full(200, v, np.float32) for v in (4, 4, 0, 1)))
        last = 200
    nodes["output"] = ir.Output([200])
    ir.write(tmp_path / "big.t1c", ir.Graph(nodes, list(itertools.pairwise(nodes))))
    np.savez(tmp_path / "x.npz", raster=rng.random((4, 2, 64)) < 0.3)
    found = invoke(
        *("report", tmp_path / "big.t1c", "--input", tmp_path / "x.npz", "--hw", "tiny_2x2"),
        *("-o", tmp_path / "p.html"),
    )
    n = found["passes"]
    assert n > 1
    shown = headings(found["report"])
    assert [text for text in shown if text.startswith("Mapping")] == [
        f"Mapping, pass {k + 1} of {n}" for k in range(min(n, 4))
    ]


def test_recorder_keeps_what_the_golden_model_did(folder: Path) -> None:
    graph = ir.read(folder / "net.t1c")
    inputs = Feed(path=str(folder / "x.npz"), n_steps=None, n_samples=None).read(graph)
    program = compile_graph(graph, hw="tiny_2x2", calibration=inputs)
    recorder = Recorder()
    run = program.run(inputs, target=recorder, probe=False)
    (one,) = recorder.passes
    assert one.run is run and set(run.spikes) == {"lif1", "lif2"}
    np.testing.assert_array_equal(one.inputs["input"], program.payloads(inputs)["input"])


def test_gathered_run_is_a_page_that_notebooks_show(folder: Path) -> None:
    graph = ir.read(folder / "net.t1c")
    inputs = Feed(path=str(folder / "x.npz"), n_steps=None, n_samples=None).read(graph)
    program = compile_graph(graph, hw="tiny_2x2", calibration=inputs)
    found = gather(program, inputs, name="net", graph=graph, sample=2)
    figures = found.to_dict()
    assert figures["model"] == "net" and figures["samples"] == 3
    assert figures["spikes"] == {n: int(s.sum()) for n, s in program.run(inputs).spikes.items()}
    page = run_page(found)
    shown = page._repr_html_()
    assert shown.startswith("<iframe ") and shown.count("<") == 2
    assert 'sandbox="allow-scripts"' in shown
    start = shown.index('srcdoc="') + 8
    text = unescape(shown[start : shown.index('"', start)])
    assert text == render_report(page)
    assert "Spikes of sample 2" in re.findall(r"<h2>([^<]*)</h2>", text)


@pytest.mark.parametrize("sample", [-1, 3])
def test_sample_that_is_not_there_cannot_be_shown(folder: Path, sample: int) -> None:
    graph = ir.read(folder / "net.t1c")
    inputs = Feed(path=str(folder / "x.npz"), n_steps=None, n_samples=None).read(graph)
    program = compile_graph(graph, hw="tiny_2x2", calibration=inputs)
    with pytest.raises(ValueError, match=rf"^Sample {sample} is none of the 3 samples, from 0$"):
        gather(program, inputs, name="net", sample=sample)


@pytest.mark.cosim
def test_report_with_rtl_compares_every_value(folder: Path, tmp_path: Path) -> None:
    found = invoke(
        *("report", folder / "net.t1c", "--input", folder / "x.npz", "--hw", "tiny_2x2"),
        *("-o", tmp_path / "p.html", "--rtl"),
    )
    assert found["rtl_v_mismatches"] == found["rtl_spike_mismatches"] == 0
    assert found["rtl_values_compared"] == 2 * 9 * 3 * 50
    assert found["cycles_per_inference_simulated"] == pytest.approx(
        found["cycles_per_inference_estimated"], abs=1
    )
    assert "Golden model and RTL" in headings(found["report"])
    assert "agree, value for value" in (tmp_path / "p.html").read_text()
