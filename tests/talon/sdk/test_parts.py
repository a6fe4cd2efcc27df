"""The commands on programs of several parts: passes, and what the host computes."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from talon import ir
from talon.sdk.cli import main

HW = ("--hw", "tiny_2x2")
N_PASSES = 3


def invoke(*arguments: object, status: int = 0) -> dict[str, Any]:
    """Run a command with --json and return its object."""
    result = CliRunner().invoke(main, [*map(str, arguments), "--json"])
    assert result.exit_code == status, (arguments, result.stderr, result.exception)
    return json.loads(result.stdout)


def affine(rng: np.random.Generator, n_out: int, n_in: int) -> ir.Affine:
    weight = rng.normal(0, 2 / np.sqrt(n_in), (n_out, n_in)).astype(np.float32)
    return ir.Affine(weight, np.zeros(n_out, np.float32))


def network() -> ir.Graph:
    """Return a network in three passes on a small array, with both ends on the host."""
    rng = np.random.default_rng(2)
    nodes: dict[str, ir.Node] = {
        "input": ir.Input((40,)),
        "norm": ir.LayerNorm((40,), np.ones(40, np.float32), np.zeros(40, np.float32)),
    }
    for k, (n_in, n) in enumerate(pairwise((40, 120, 100, 100, 10)), 1):
        nodes[f"fc{k}"] = affine(rng, n, n_in)
        nodes[f"n{k}"] = ir.IF(np.ones(n, np.float32))
    del nodes["n4"]
    nodes |= {"soft": ir.Softmax(10), "out": ir.Output((10,))}
    return ir.Graph(nodes, list(pairwise(nodes)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model, inputs for it, and its program."""
    folder = tmp_path_factory.mktemp("parts")
    ir.write(folder / "net.t1c", network())
    rng = np.random.default_rng(0)
    raster = rng.normal(size=(5, 3, 40)).astype(np.float32)
    np.savez(folder / "x.npz", raster=raster, labels=np.zeros(3, int))
    invoke(
        *("compile", folder / "net.t1c", "-o", folder / "net.talon", *HW),
        *("--calibrate", folder / "x.npz"),
    )
    return folder


def test_plan_says_how_many_passes_and_where_each_node_is(folder: Path) -> None:
    model = ("plan", folder / "net.t1c", *HW, "--calibrate", folder / "x.npz")
    found = invoke(*model)
    assert found["fits"] is True and len(found["passes"]) == N_PASSES
    where = {node["node"]: node["where"] for node in found["nodes"]}
    assert [where[name] for name in ("norm", "fc1", "n3", "fc4", "soft")] == [
        *("host", "chip", "chip", "chip", "host"),
    ]
    cycles = [one["prediction"]["cycles_per_inference"] for one in found["passes"]]
    assert found["prediction"]["cycles_per_inference"] == sum(cycles)
    shown = CliRunner().invoke(main, list(map(str, model))).stdout
    assert "Passes, one after another" in shown and "before the array" in shown
    refused = invoke(*model, "--passes", 1, status=1)
    assert refused["fits"] is False and "does not fit on 'tiny_2x2'" in refused["reason"]
    refused = invoke(*model, "--passes", 2, status=1)
    assert f"needs {N_PASSES} passes" in refused["reason"]


def test_compile_says_where_each_node_is(folder: Path, tmp_path: Path) -> None:
    arguments = ["compile", folder / "net.t1c", "-o", tmp_path / "p", *HW]
    arguments += ["--calibrate", folder / "x.npz"]
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 0 and "before the array" in result.stdout
    assert f"runs in {N_PASSES} passes" in result.stderr
    assert (tmp_path / "p").read_bytes() == (folder / "net.talon").read_bytes()
    found = invoke(*arguments)
    assert found["passes"] == N_PASSES and {n["where"] for n in found["nodes"]} == {"chip", "host"}


def test_wrong_number_of_passes_is_status_2(folder: Path) -> None:
    for value in ("0", "some", "-1"):
        result = CliRunner().invoke(main, ["plan", str(folder / "net.t1c"), "--passes", value])
        assert result.exit_code == 2 and "must be 'auto' or a number" in result.stderr


@pytest.mark.parametrize("target", ["interpreter", pytest.param("cosim", marks=pytest.mark.cosim)])
def test_the_file_alone_runs_on_every_target(folder: Path, target: str) -> None:
    common = ("simulate", folder / "net.talon", "--input", folder / "x.npz", "--probe")
    golden = invoke(*common, "-o", folder / "golden.npz")
    found = invoke(*common, "--target", target, "-o", folder / "other.npz")
    assert found["passes"] == N_PASSES and found["answers"] == golden["answers"]
    with np.load(folder / "golden.npz") as left, np.load(folder / "other.npz") as right:
        assert set(left.files) == set(right.files) - {"cycles"}
        assert left["output:out"].shape == (5, 3, 10)
        for name in left.files:
            np.testing.assert_array_equal(left[name], right[name])
        classes = left["output:out"].sum(axis=0).argmax(axis=1)
    assert golden["answers"] == classes.tolist()
    if target == "cosim":
        per_pass = found["cycles_per_pass"]
        assert len(per_pass) == N_PASSES
        assert sum(per_pass) == pytest.approx(found["cycles_per_inference"])


def test_verify_compares_all_passes(folder: Path) -> None:
    found = invoke(
        *("verify", folder / "net.t1c", "--input", folder / "x.npz", *HW, "--without", "rtl")
    )
    assert found["equal"] is True and found["interpreter_v_mismatches"] == 0
    assert found["interpreter_v_compared"] == 5 * 3 * (120 + 100 + 100 + 10)


def test_compare_with_the_golden_model_knows_the_ends(folder: Path) -> None:
    found = invoke(
        *("compare", folder / "net.t1c", "--against", "golden", "--input", folder / "x.npz", *HW),
        *("--at-least", "0.5"),
    )
    assert set(found["accuracy"]) == {"float", "golden"}


def test_image_commands_know_the_parts(folder: Path, tmp_path: Path) -> None:
    program = folder / "net.talon"
    assert invoke("image", "verify", program, *HW)["valid"] is True
    dumped = invoke("image", "dump", program)
    assert {row.get("pass") for row in dumped["sections"]} == {None, *range(N_PASSES)}
    names = [row["section"] for row in dumped["sections"] if "pass" not in row]
    assert names == ["NETWORK", "PREFIX", "SUFFIX"] and len(dumped["manifests"]) == N_PASSES
    assert invoke("image", "diff", program, program)["equal"] is True
    other = network()
    other.nodes["norm"].weight[0] = 2
    ir.write(tmp_path / "other.t1c", other)
    calibration = ("--calibrate", folder / "x.npz")
    invoke("compile", tmp_path / "other.t1c", "-o", tmp_path / "other", *HW, *calibration)
    found = invoke("image", "diff", program, tmp_path / "other", status=1)
    assert {"prefix", "graph hash"} <= set(found["differences"])
    invoke(
        *("compile", folder / "net.t1c", "-o", tmp_path / "large", *calibration),
        *("--hw", "zynq_2x2"),
    )
    assert (
        "passes: 3 and 1"
        in invoke("image", "diff", program, tmp_path / "large", status=1)["differences"]
    )


def test_a_program_is_refused_by_another_array(folder: Path) -> None:
    result = CliRunner().invoke(
        main, ["image", "verify", str(folder / "net.talon"), "--hw", "tiny_1x1"]
    )
    assert result.exit_code == 1 and "Image is for array 'tiny_2x2'" in result.stderr
