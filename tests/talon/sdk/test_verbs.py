"""The verbs of the SDK on the command line: each with --json, each with its exit status."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from talon import ir, sdk
from talon.sdk.cli import main


@pytest.fixture
def model(conv_snn: ir.Graph, tmp_path: Path) -> Path:
    ir.write(tmp_path / "conv.t1c", conv_snn)
    return tmp_path / "conv.t1c"


def invoke(*arguments: object, status: int = 0) -> dict[str, Any]:
    """Run a command as text and with --json; return the object."""
    words = [*map(str, arguments)]
    text = CliRunner().invoke(main, words)
    assert text.exit_code == status, (words, text.output, text.exception)
    result = CliRunner().invoke(main, [*words, "--json"])
    assert result.exit_code == status, (words, result.stderr, result.exception)
    return json.loads(result.stdout)


def test_looking_at_a_model(model: Path) -> None:
    assert invoke("info")["talon.ir"] == "0.0.1"
    primitives = invoke("primitives")["primitives"]
    assert sum(not item["extension"] for item in primitives) == 36
    assert [i["primitive"] for i in primitives] == ir.list_primitives(extensions=True)
    found = invoke("inspect", model)
    assert [node["type"] for node in found["nodes"]][:3] == ["Input", "Conv2d", "ReLU"]
    assert found["nodes"][3]["output_shape"] == [16, 14, 14]
    assert invoke("validate", model)["valid"] is True
    node = invoke("node", model, "fc1")
    assert node["parameters"]["weight"]["shape"] == [128, 3136]
    found = invoke("trace", model, "input", "pool")
    assert found["paths"] == [["input", "conv1", "relu", "pool"]]
    assert invoke("trace", model, "pool", "input", status=1)["paths"] == []
    error = invoke("node", model, "nope", status=1)["error"]
    assert "has no node 'nope'; it has input, conv1" in error["message"]


def test_figures(model: Path) -> None:
    found = invoke("analyze", model)
    assert (found["total_params"], found["depth"]) == (403_538, 9)
    assert len(found["layers"]) == 10
    assert invoke("profile", model)["mac_ops"] == 515_584
    found = invoke("energy", model, "--timesteps", 10)
    assert found["total_uj"] == sdk.estimate_energy(model, timesteps=10).total_uj


def test_one_file_has_one_energy(model: Path) -> None:
    run = invoke("run", model, "-n", 10)
    profile = invoke("profile-hw", model, "-n", 10)
    pipeline = invoke("pipeline", model, "-n", 10)
    assert run["energy_uj"] == profile["energy_estimate_uj"] == pipeline["energy"]["total_uj"]
    assert run["spike_counts"] == profile["spike_counts"] == pipeline["spike_counts"]
    assert profile["energy_preset"] == "45nm_cmos"


def test_data_enter_a_run(model: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((2, 1, 28, 28)).astype(np.float32)
    np.savez(tmp_path / "x.npz", images=images)
    found = invoke("run", model, "-n", 4, "--input", tmp_path / "x.npz")
    from talon.backend import get_backend

    expected = get_backend("cpu").simulate(ir.read(model), images, 4, layout="images")
    assert found["spike_counts"] == expected.spike_counts


def test_lint_tells_by_its_status(model: Path, tmp_path: Path) -> None:
    assert invoke("lint", model)["issues"] == []
    graph = ir.read(model)
    graph.nodes["lif1"].tau[:] = 200
    ir.write(tmp_path / "slow.t1c", graph)
    (issue,) = invoke("lint", tmp_path / "slow.t1c")["issues"]
    assert (issue["code"], issue["severity"]) == ("LIF_HIGH_TAU", "warning")
    assert invoke("lint", tmp_path / "slow.t1c", "--strict", status=1)["is_valid"] is False


def test_which_network_it_is(model: Path, tmp_path: Path) -> None:
    fingerprint = sdk.fingerprint_graph(model)
    assert invoke("hash", model)["fingerprint"] == fingerprint
    assert invoke("hash", model, "--expect", fingerprint)["matches"] is True
    assert invoke("hash", model, "--expect", "00", status=1)["matches"] is False
    stamped = tmp_path / "stamped.t1c"
    found = invoke("stamp", model, "-o", stamped, "--notes", "first", "--quant-bits", 8)
    assert found["fingerprint_full"] == fingerprint
    assert sdk.get_stamp(stamped)["notes"] == "first"
    assert invoke("compare", model, stamped)["identical"] is True
    error = invoke("stamp", model, "-o", stamped, "--git", "auto", status=1)["error"]
    assert "is in no git repository; give --git COMMIT" in error["message"]
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    invoke("stamp", model, "-o", stamped, "--git", "auto", status=1)  # no commit yet


def test_models_from_models(model: Path, tmp_path: Path) -> None:
    spiking = tmp_path / "conv_spiking.t1c"
    found = invoke("convert", model, "--spiking", "--weight-bits", 4)
    assert found["output"] == str(spiking)
    assert ir.read(spiking).nodes["fc1"].weight_bits == 4
    assert invoke("compare", model, spiking, status=1)["identical"] is False
    quantized = tmp_path / "conv_int4.t1c"
    assert invoke("quantize", model, "--precision", "int4")["output"] == str(quantized)
    assert len(np.unique(ir.read(quantized).nodes["fc2"].weight[0])) <= 15
    both = tmp_path / "both.t1c"
    assert invoke("merge", model, spiking, "-o", both)["nodes"] == 20
    result = CliRunner().invoke(main, ["convert", str(model)])
    assert result.exit_code == 2 and "else nothing changes" in result.stderr
    result = CliRunner().invoke(main, ["quantize", str(model), "--precision", "int2"])
    assert result.exit_code == 2


def test_pipeline_tells_where_it_stopped(model: Path, tmp_path: Path) -> None:
    graph = ir.read(model)
    graph.nodes["fc1"].weight[0, 0] = 1e38
    graph.nodes["fc1"].weight[0, 1] = 1e38
    graph.nodes["fc1"].bias[0] = 3e38
    ir.write(tmp_path / "huge.t1c", graph)
    np.savez(tmp_path / "x.npz", images=np.ones((1, 1, 28, 28), np.float32) * 9)
    found = invoke(
        *("pipeline", tmp_path / "huge.t1c", "-n", 3, "--input", tmp_path / "x.npz"), status=1
    )
    assert not found["success"] and "exceeds the range of float32" in found["errors"][0]
    assert found["parameters"] == 403_538 and found["energy"] is None


def test_a_model_is_put_onto_cores(model: Path, tmp_path: Path) -> None:
    output, page = tmp_path / "parts.t1c", tmp_path / "parts.html"
    found = invoke("partition", model, "-o", output, "--html", page)
    assert found["fits_hardware"] and found["planned"] and 8 <= found["cores_used"] <= 32
    assert found["cores_available"] == 32 and len(found["cores"]) == found["cores_used"]
    assert sum(core["weight_bytes"] for core in found["cores"]) >= 144 + 401_408 + 1_280
    assert ir.read(output).partition_metadata["num_cores_used"] == found["cores_used"]
    assert page.read_text().startswith("<!doctype html>")
    assert page.read_text().count("<section class=") == 2  # the network, and its cores in the mesh
    error = invoke("partition", model, "--num-cores", 2, status=1)["error"]
    assert error["kind"] == "MappingError" and "weight memory" in error["message"]
    found = invoke("partition", model, "--algorithm", "edgemap", "--num-cores", 24)
    assert found["algorithm"] == "edgemap" and found["cores_available"] == 24


def test_a_model_is_drawn(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("export-html", model)["output"] == "conv.html"
    assert invoke("visualize", model, "--no-browser", "-o", "x.html")["opened"] is False
    assert (tmp_path / "x.html").stat().st_size < 60_000


def test_pipeline_partitions(model: Path) -> None:
    found = invoke("pipeline", model, "-n", 2, "--partition")
    assert found["success"] and found["partition"]["num_cores_used"] >= 8
    found = invoke("pipeline", model, "-n", 2, "--partition", "--num-cores", 2, status=1)
    assert "cores" in found["errors"][0] and found["energy"] is None
