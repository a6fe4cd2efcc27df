"""`talon compare --against`: floats, integers and other models side by side."""

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import talon
from talon import ir
from talon.backend.inputs import prepare_inputs
from talon.errors import TalonError
from talon.sdk.cli import main
from talon.sdk.diagnosis import find_silent
from talon.sdk.factories import is_factory, make_model
from talon.sdk.side_by_side import agree, float_execution, golden_execution


def lif(n, threshold=1.0):
    return ir.LIF(*(np.full(n, value, np.float32) for value in (5, 5, 0, threshold)))


def network(seed=0):
    rng = np.random.default_rng(seed)

    def dense(n_out, n_in):
        weight = rng.normal(0, 1.5 / np.sqrt(n_in), (n_out, n_in)).astype(np.float32)
        return ir.Affine(weight, np.zeros(n_out, np.float32))

    nodes = {
        "input": ir.Input([20]),
        "fc1": dense(16, 20),
        "lif1": lif(16),
        "fc2": dense(4, 16),
        "lif2": lif(4),
        "output": ir.Output([4]),
    }
    names = list(nodes)
    return ir.Graph(nodes, list(itertools.pairwise(names)))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    ir.write(tmp_path / "net.t1c", network())
    labels = rng.integers(0, 4, 6)
    np.savez(tmp_path / "x.npz", raster=(rng.random((12, 6, 20)) < 0.3).astype("f4"), labels=labels)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*words, status=0):
    text = CliRunner().invoke(main, [*map(str, words)])
    assert text.exit_code == status, (text.output, text.exception)
    result = CliRunner().invoke(main, [*map(str, words), "--json"])
    assert result.exit_code == status, (result.stderr, result.exception)
    return text.output, json.loads(result.stdout)


def runs(graph, raster, calibration=None):
    inputs = prepare_inputs(graph, raster)
    fitted = inputs if calibration is None else prepare_inputs(graph, calibration)
    program = talon.compile(graph, calibration=fitted)
    trace = program.run(inputs, target="golden", probe=True)
    return program, inputs, float_execution(graph, inputs), golden_execution(program, trace)


def test_integers_beside_floats(folder):
    text, found = invoke("compare", "net.t1c", "--against", "golden", "--input", "x.npz")
    (each,) = found["comparisons"]
    assert [layer["layer"] for layer in each["layers"]] == ["lif1", "lif2"]
    graph = ir.read("net.t1c")
    raster = np.load("x.npz")["raster"]
    _, _, floats, golden = runs(graph, raster)
    for layer in each["layers"]:
        ours, theirs = floats.spikes[layer["layer"]], golden.spikes[layer["layer"]]
        assert layer["n_differ"] == int((ours != theirs).sum())
        assert layer["agreement"] == pytest.approx(1 - (ours != theirs).mean())
        assert layer["rates"] == {"float": ours.mean(), "golden": theirs.mean()}
    labels = np.load("x.npz")["labels"]
    assert found["accuracy"]["float"] == (floats.classes == labels).mean()
    assert "accuracy in golden: " in text and "lif2 " in text
    assert found["silent_layers"] == []


def test_first_difference_is_the_first(folder):
    graph = network()
    other = network()
    other.nodes["lif2"].v_threshold[2] = 1.5
    raster = np.load("x.npz")["raster"]
    inputs = prepare_inputs(graph, raster)
    left, right = float_execution(graph, inputs), float_execution(other, inputs, name="other")
    found = agree(left, right, graph.topological_order())
    assert found.layers[0].n_differ == 0 < found.layers[1].n_differ
    differs = left.spikes["lif2"] != right.spikes["lif2"]
    first = found.first
    assert (first.timestep, first.sample, first.neuron) == tuple(np.argwhere(differs)[0])
    assert (first.layer, first.fired) == ("lif2", "float")
    at = (first.timestep, first.sample, first.neuron)
    assert first.potentials["other"] == right.potentials["lif2"][at]
    # the command says the same, and its status that they differ
    ir.write("other.t1c", other)
    text, told = invoke(
        "compare", "net.t1c", "--against", "other.t1c", "--input", "x.npz", status=1
    )
    assert told["comparisons"][0]["first"]["timestep"] == first.timestep
    assert "first difference: layer 'lif2', timestep " in text and "fires in float alone" in text
    invoke("compare", "net.t1c", "--against", "net.t1c", "--input", "x.npz")


def test_how_often_neurons_fire_is_compared(folder):
    graph = network()
    graph.nodes["lif1"] = replace(
        graph.nodes["lif1"], max_spikes=7, reset="subtract", reset_delay=False, strict=False
    )
    graph.nodes["fc1"].weight *= 8
    ir.write("counts.t1c", graph)
    words = ("--input", "x.npz", "--calibrate", "x.npz", "--hw", "zynq_us_plus_multi")
    _, found = invoke("compare", "counts.t1c", "--against", "golden", *words)
    layer = found["comparisons"][0]["layers"][0]
    assert layer["agreement"] > 0.95  # counts of floats beside those of integers, not who fired
    assert min(layer["rates"].values()) > 1
    other = graph.copy()
    other.nodes["lif1"].max_spikes = 1
    ir.write("once.t1c", other)
    text, found = invoke(
        "compare", "counts.t1c", "--against", "once.t1c", "--input", "x.npz", status=1
    )
    first = found["comparisons"][0]["first"]
    assert first["spikes"]["float"] > first["spikes"]["once.t1c"] == 1
    assert f"fires {first['spikes']['float']} times in float and 1 times in once.t1c" in text


def test_a_layer_with_one_huge_weight_falls_silent():
    graph = network()
    graph.nodes["fc1"].weight[:, 0] = 500
    raster = (np.random.default_rng(2).random((20, 3, 20)) < 0.5).astype(np.float32)
    raster[:, :, 0] = 0  # the line of the huge weights never has an event
    program, inputs, floats, golden = runs(graph, raster)
    silent = {each.layer: each for each in find_silent(program, inputs, floats, golden)}
    assert silent["lif1"].golden_rate < 0.1 * silent["lif1"].float_rate
    text = str(silent["lif1"])
    assert re.search(r"\d+ of its 320 weights are less than half a step .* became zero", text)
    assert "quantize_aware_training" in text
    assert "'lif1' before it is silent" in str(silent["lif2"])


def test_inputs_smaller_than_a_step_make_a_layer_silent():
    graph = network()
    rng = np.random.default_rng(3)
    graph.nodes["fc1"].weight[...] *= 400
    raster = (rng.random((20, 3, 20)) * 0.01).astype(np.float32)
    program, inputs, floats, golden = runs(graph, raster, calibration=raster * 1000)
    (first, *_) = find_silent(program, inputs, floats, golden)
    assert first.layer == "lif1" and first.float_rate > 0
    assert "of the values of input 'input' that are not zero are less than half" in str(first)
    assert "calibrate with samples like those that you run" in str(first)


def test_a_sound_network_is_not_called_silent():
    graph = network()
    raster = (np.random.default_rng(4).random((20, 5, 20)) < 0.4).astype(np.float32)
    assert find_silent(*runs(graph, raster)) == []


def test_least_agreement_decides_the_status(folder):
    words = ("compare", "net.t1c", "--against", "golden", "--input", "x.npz", "--at-least")
    _, found = invoke(*words, 0.5)
    least = min(layer["agreement"] for layer in found["comparisons"][0]["layers"])
    assert least < 1
    invoke(*words, 1.0, status=1)


def test_models_of_the_users_own_code(folder):
    Path("own.py").write_text(
        "from talon import ir\n\ndef make():\n    return ir.read('net.t1c')\n\nNUMBER = 3\n"
    )
    assert is_factory("own:make") and not is_factory("net.t1c") and not is_factory("a b:c")
    invoke("compare", "own:make", "net.t1c")
    invoke("compare", "net.t1c", "--against", "own:make", "--input", "x.npz")
    for name, message in (
        ("nowhere_at_all:make", "There is no module 'nowhere_at_all'"),
        ("own:missing", "own has no 'missing'"),
        ("own:NUMBER", "own:NUMBER is int, not a function"),
    ):
        with pytest.raises(TalonError, match=message):
            make_model(name)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["net.t1c"], "give either a second model or --against"),
        (["net.t1c", "net.t1c", "--against", "golden"], "give either a second model or --against"),
        (["net.t1c", "--against", "golden"], "--against needs samples: --input X.npz"),
    ],
)
def test_wrong_words(folder, words, message):
    result = CliRunner().invoke(main, ["compare", *words])
    assert result.exit_code == 2 and message in result.stderr


def test_what_cannot_be_run_is_named(folder):
    for against, message in (
        ("snntorch", "give MODEL as a .nir file, or as package.module:function"),
        ("nir", "--against nir runs the file that MODEL is by another framework"),
        ("nothing", "'nothing' is neither a file nor package.module:function"),
    ):
        words = ["compare", "net.t1c", "--against", against, "--input", "x.npz"]
        _, found = invoke(*words, status=1)
        assert message in found["error"]["message"]
