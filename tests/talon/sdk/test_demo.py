from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from talon import ir
from talon.backend.cpu.record import Record
from talon.backend.cpu.simulator import simulate_float
from talon.backend.inputs import load_inputs, prepare_inputs
from talon.errors import BackendError
from talon.sdk.cli import main
from talon.sdk.examples import CONVSNN, EXAMPLES, MNIST, Example
from talon.sdk.pages import N_SHOWN, chosen

ASKED_FOR = {
    *("model", "float_accuracy", "golden_accuracy", "images", "rtl_samples", "timesteps"),
    *("rtl_v_mismatches", "rtl_spike_mismatches", "rtl_output_mismatches", "cores_used"),
    *("cycles_per_inference", "sops_per_inference", "lane_occupancy", "cosim_cycles_per_s"),
    *("clock_hz_assumed", "latency_us_estimated", "report", "hw"),
}


def simulate(example: Example, target: str) -> dict[str, Any]:
    model, images = map(str, example.require())
    arguments = ["simulate", model, "--input", images, "--target", target, "--json"]
    if target != "reference":
        arguments += ["--hw", example.hw]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_model_and_images_are_found_in_the_checkout(example: Example) -> None:
    model, images = example.require()
    assert (model.name, images.name) == (example.model, example.images)
    assert (model.parent / example.script).is_file()
    with np.load(images) as arrays:
        assert np.bincount(arrays["labels"]).min() >= 20


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_model_and_images_are_found_in_an_installation(
    example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import talon
    from talon.sdk import examples

    monkeypatch.setattr(talon, "__file__", str(tmp_path / "site-packages/talon/__init__.py"))
    monkeypatch.setattr(examples.sysconfig, "get_path", lambda name: str(tmp_path / name))
    assert example.find() is None
    rule = f"{example.images} are neither in a checkout nor in this .*; .*{example.script}"
    with pytest.raises(BackendError, match=rule):
        example.require()
    folder = tmp_path / "data" / "share" / "talon" / "mnist"
    folder.mkdir(parents=True)
    (folder / example.model).touch()
    assert example.find() is None
    (folder / example.images).touch()
    assert example.find() == folder


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_a_wheel_holds_model_and_images(example: Example) -> None:
    root = Path(__file__).resolve().parents[3]
    lines = (root / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    for name in (example.model, example.images):
        assert f'"examples/mnist/{name}" = "share/talon/mnist/{name}"' in lines


@pytest.mark.parametrize(("example", "least"), [(MNIST, 0.955), (CONVSNN, 0.98)])
def test_shipped_network_is_as_good_in_integers_as_in_floats(
    example: Example, least: float
) -> None:
    reference, golden = (simulate(example, target) for target in ("reference", "golden"))
    assert reference["accuracy"] >= least
    assert abs(golden["accuracy"] - reference["accuracy"]) <= 0.005


def test_convolutional_network_is_that_of_the_tutorial(conv_snn: ir.Graph) -> None:
    graph = ir.read(CONVSNN.require()[0])
    assert graph.edges == conv_snn.edges
    assert {name: type(node) for name, node in graph.nodes.items()} == {
        name: type(node) for name, node in conv_snn.nodes.items()
    }
    assert graph.infer_shapes() == conv_snn.infer_shapes()
    for name in ("lif1", "lif2"):
        lif = graph.nodes[name]
        assert isinstance(lif, ir.LIF)
        assert (lif.reset, lif.reset_delay, lif.strict) == ("subtract", True, True)
        assert np.allclose(lif.tau, 10) and np.array_equal(lif.tau, lif.r)
        assert np.all(lif.v_threshold == 1) and not np.any(lif.v_leak)


def test_few_features_of_convolutional_network_are_above_zero() -> None:
    model, images = CONVSNN.require()
    graph = ir.read(model)
    inputs = prepare_inputs(graph, load_inputs(images), 1)
    record = Record(spikes=False, potentials=False, activity=True)
    active = simulate_float(graph, inputs, record=record).activity["fc1"]
    share = active.sum() / (3136 * inputs.n_samples)
    assert 0.01 < share < 0.2


def test_page_shows_wrong_answers_first_and_then_every_class() -> None:
    labels = np.array([3, 3, 1, 1, 0, 3, 2])
    given = np.array([3, 3, 1, 0, 0, 2, 1])
    assert chosen(labels, given, 7) == [3, 5, 4, 2, 6, 0, 1]
    assert chosen(labels, given, 3) == [2, 0, 1]
    assert chosen(None, given, 3) == [0, 1, 2]
    assert len(chosen(np.zeros(50, int), np.zeros(50, int), 50)) == N_SHOWN


def demo(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    page = tmp_path / "folder" / "demo.html"
    result = CliRunner().invoke(main, ["demo", *arguments, "--report", str(page), "--json"])
    assert result.exit_code == 0, (result.stderr, result.exception)
    found = json.loads(result.stdout)
    assert set(found) >= ASKED_FOR
    assert found["rtl_v_mismatches"] == found["rtl_spike_mismatches"] == 0
    assert found["rtl_output_mismatches"] == 0
    assert 0 < found["lane_occupancy"] <= found["synapse_engine_occupancy"] <= 1
    latency = found["cycles_per_inference"] / found["clock_hz_assumed"] * 1e6
    assert found["latency_us_estimated"] == pytest.approx(latency)
    text = page.read_text(encoding="utf-8")
    assert text.count('role="tabpanel"') == found["rtl_samples"]
    assert "Golden model and RTL agree, value for value" in text
    assert len(text.encode()) < 1_000_000
    return found


def test_unknown_example_is_refused_with_those_that_there_are() -> None:
    result = CliRunner().invoke(main, ["demo", "nmist"])
    assert result.exit_code == 2
    assert "'nmist' is not one of 'mnist', 'convsnn'" in result.stderr


@pytest.mark.cosim
def test_demo_on_few_images(tmp_path: Path) -> None:
    found = demo(tmp_path, "--samples", "12", "--probed", "3")
    assert (found["model"], found["hw"]) == (MNIST.model, MNIST.hw)
    assert found["rtl_outputs_compared"] == 12 * 10 * found["timesteps"]
    assert found["rtl_values_compared"] == 2 * 3 * (128 + 10) * found["timesteps"]
    assert found["cycles_lower_bound"] * 0.9 < found["cycles_per_inference"] < 1600


@pytest.mark.cosim
def test_demo_of_the_convolutional_network_on_few_images(tmp_path: Path) -> None:
    found = demo(tmp_path, "convsnn", "--samples", "6", "--probed", "2")
    assert (found["model"], found["hw"]) == (CONVSNN.model, CONVSNN.hw)
    assert found["rtl_outputs_compared"] == 6 * 10 * found["timesteps"]
    assert found["rtl_samples"] == 2
    # The convolution's neurons, all 12,544 of them, are compared as well as the 138 that spike.
    assert found["rtl_values_compared"] >= 2 * 2 * (16 * 28 * 28 + 138)
    assert 800 < found["cycles_per_inference"] < 6000
