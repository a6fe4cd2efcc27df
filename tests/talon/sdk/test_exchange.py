"""``talon import`` and ``talon export``."""

import itertools
import json
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from talon import ir, nir
from talon.sdk.cli import main
from talon.testing import assert_same_graph


def network(*more):
    nodes = {
        "input": ir.Input([2]),
        "fc": ir.Affine(np.eye(2, dtype=np.float32), np.zeros(2, np.float32)),
        **dict(more),
        "lif": ir.LIF(*(np.full(2, v, np.float32) for v in (9, 9, 0, 1)), reset="subtract"),
        "output": ir.Output([2]),
    }
    return ir.Graph(nodes, list(itertools.pairwise(nodes)))


def run(*arguments):
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_export_and_import_give_the_network_back(tmp_path):
    ir.write(tmp_path / "a.t1c", network())
    result = run("export", tmp_path / "a.t1c", "-o", tmp_path / "a.nir", "--dt", "1e-3", "--json")
    facts = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (facts["nodes"], facts["edges"], facts["warnings"]) == (4, 3, [])
    assert facts["bytes"] == (tmp_path / "a.nir").stat().st_size
    assert run("import", tmp_path / "a.nir", "-o", tmp_path / "b.t1c").exit_code == 0
    assert_same_graph(ir.read(tmp_path / "b.t1c"), network())


def test_export_lists_what_nir_cannot_say(tmp_path):
    ir.write(tmp_path / "a.t1c", network(("relu", ir.ReLU(2))))
    result = run("export", tmp_path / "a.t1c", "-o", tmp_path / "a.nir", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["kind"] == "NIRError"
    assert "'relu' (ReLU): use spiking neurons" in result.stderr
    assert not (tmp_path / "a.nir").exists()
    ir.write(tmp_path / "a.t1c", network())
    result = run("export", tmp_path / "a.t1c", "-o", tmp_path / "a.t1c")
    assert result.exit_code == 1
    assert "must end with .nir" in result.stderr


def test_import_asks_for_a_timestep_and_tells_deviations(tmp_path):
    package = pytest.importorskip("nir")
    ones = np.ones(2)
    nodes = {
        "in": package.Input({"input": np.array([2])}),
        "lif": package.LIF(ones / 100, ones, 0 * ones, ones),
        "out": package.Output({"output": np.array([2])}),
    }
    edges = [("in", "lif"), ("lif", "out")]
    package.write(tmp_path / "a.nir", package.NIRGraph(nodes, edges))
    result = run("import", tmp_path / "a.nir", "-o", tmp_path / "a.t1c")
    assert result.exit_code == 1
    assert "give dt (--dt)" in result.stderr
    assert run("import", tmp_path / "a.nir", "-o", tmp_path / "a.t1c", "--dt", "0").exit_code == 2
    result = run("import", tmp_path / "a.nir", "-o", tmp_path / "a.t1c", "--dt", "1e-3")
    assert result.exit_code == 0
    np.testing.assert_allclose(ir.read(tmp_path / "a.t1c").nodes["lif"].tau, 10)
    dangling = package.NIRGraph(nodes, [*edges, ("lif", "gone")], type_check=False)
    package.write(tmp_path / "b.nir", dangling)
    assert run("import", tmp_path / "b.nir", "-o", tmp_path / "b.t1c", "--dt", "1").exit_code == 1
    result = run(
        *("import", tmp_path / "b.nir", "-o", tmp_path / "b.t1c", "--dt", "1e-3"),
        *("--lenient", "--json"),
    )
    assert len(json.loads(result.stdout)["warnings"]) == 1
    assert "warning: Edges of graph 'node' name 'gone'" in result.stderr


def test_import_takes_functions_and_files_of_ours(tmp_path, monkeypatch):
    (tmp_path / "made_here.py").write_text(
        "import numpy as np\nfrom talon import ir\n\n\ndef net():\n"
        "    nodes = {'input': ir.Input([3]), 'output': ir.Output([3])}\n"
        "    return ir.Graph(nodes, [('input', 'output')])\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert run("import", "made_here:net", "-o", tmp_path / "a.t1c").exit_code == 0
    assert ir.read(tmp_path / "a.t1c").input_type == {"input": (3,)}
    assert run("import", tmp_path / "a.t1c", "-o", tmp_path / "b.t1c").exit_code == 0
    assert_same_graph(ir.read(tmp_path / "b.t1c"), ir.read(tmp_path / "a.t1c"))
    sys.modules.pop("made_here")


def test_commands_that_need_a_model_say_how_to_make_one_of_a_nir_file(tmp_path):
    nir.write(tmp_path / "a.nir", network())
    result = run("export", tmp_path / "a.nir", "-o", tmp_path / "b.nir")
    assert result.exit_code == 1
    assert "is a NIR file; make a model of it: talon import" in result.stderr


def test_import_lets_neurons_fire_several_times(tmp_path):
    nir.write(tmp_path / "a.nir", network(), dt=1e-3)
    words = ("import", tmp_path / "a.nir", "-o", tmp_path / "b.t1c", "--max-spikes", 15)
    assert run(*words).exit_code == 0
    node = ir.read(tmp_path / "b.t1c").nodes["lif"]
    assert (node.max_spikes, node.reset, node.strict) == (15, "subtract", False)
    refused = run("import", tmp_path / "b.t1c", "-o", tmp_path / "c.t1c", "--max-spikes", 15)
    assert refused.exit_code == 1
    assert "max_spikes is for networks of NIR" in " ".join(refused.stderr.split())
    assert run(*words[:-1], 1).exit_code == 2
