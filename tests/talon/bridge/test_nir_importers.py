"""NIR files as other frameworks run them, through their own importers.

snnTorch and Norse are part of the torch environment. Sinabs is not, since it asks for an older nir
and for samna, whose source is closed: it is run where someone has installed it beside them.
"""

import itertools
import json
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from talon import ir
from talon import nir as exchange
from talon.bridge.errors import BridgeError
from talon.bridge.nir_importers import FRAMEWORKS, choose_framework, deviations, read_nir
from talon.sdk.cli import main

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("TALON_SHARED_DATA", ROOT.parent / "shared" / "data"))


WITHOUT = {
    "sinabs": "sinabs asks for nir<=1.0.4 and for samna, whose source is closed; to run this: "
    "pip install --no-deps sinabs==3.1.3 pbr, and pip install matplotlib",
}
"""Why a framework is not part of the torch environment."""


def needs(name):
    pytest.importorskip("torch")
    for module in ("nir", "nirtorch", name):
        pytest.importorskip(module, reason=WITHOUT.get(module))


def corpus(name):
    path = SHARED / "nir" / f"{name}.nir"
    if not path.exists():
        pytest.skip(f"no test data at {path}; TALON_SHARED_DATA names their folder")
    return path


def network(neurons):
    rng = np.random.default_rng(3)
    weight = rng.normal(0.3, 0.6, (6, 8)).astype(np.float32)
    nodes = {
        "input": ir.Input([8]),
        "fc": ir.Affine(weight, np.zeros(6, np.float32)),
        "lif": neurons,
        "output": ir.Output([6]),
    }
    return ir.Graph(nodes, list(itertools.pairwise(nodes)))


def lif(tau=5.0):
    taus = np.full(6, tau, np.float32)
    return ir.LIF(taus, taus.copy(), np.zeros(6), np.ones(6), strict=True)


@pytest.fixture
def samples(tmp_path):
    def make(*shape, steps=60, rate=0.3):
        raster = np.random.default_rng(1).random((steps, 2, *shape)) < rate
        np.savez(tmp_path / "x.npz", raster=raster.astype(np.float32), labels=np.array([0, 1]))
        return tmp_path / "x.npz"

    return make


def compare(*words, status):
    result = CliRunner().invoke(main, ["compare", *map(str, words), "--json"])
    assert result.exit_code == status, (result.output, result.stderr, result.exception)
    return json.loads(result.stdout)


def refused(*words):
    result = CliRunner().invoke(main, ["compare", *map(str, words)])
    assert result.exit_code in (1, 2)
    return " ".join(result.stderr.split())


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_that_is_not_installed_is_named_with_what_to_install(name):
    framework = FRAMEWORKS[name]
    if framework.is_installed():
        assert choose_framework(None, name) is framework
        return
    with pytest.raises(BridgeError, match=f"{framework.title}.*pip install {framework.packages}"):
        choose_framework(None, name)


def test_a_framework_that_there_is_not_is_refused():
    with pytest.raises(BridgeError, match=r"one of \['norse', 'sinabs', 'snntorch'\], got 'brian'"):
        choose_framework(None, "brian")


def test_only_nir_files_are_run_by_importers(tmp_path, samples):
    ir.write(tmp_path / "net.t1c", network(lif()))
    words = (tmp_path / "net.t1c", "--input", samples(8), "--against")
    assert "give MODEL as a .nir file" in refused(*words, "nir")
    assert "or as package.module:function" in refused(*words, "snntorch")
    assert "give both" in refused(*words, "golden", "--framework", "norse")


def test_what_is_known_of_an_importer_is_told_only_where_it_matters():
    nir = pytest.importorskip("nir")
    one = np.ones(4, np.float32)
    plain = nir.LIF(tau=one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)
    graph = nir.NIRGraph({"lif": plain}, [], type_check=False)
    assert deviations(FRAMEWORKS["norse"], graph, 1e-4) == []
    assert deviations(FRAMEWORKS["snntorch"], graph, 1e-4) == []
    (text,) = deviations(FRAMEWORKS["snntorch"], graph, 1e-3)
    assert "1e-4" in text
    plain.r = 2 * one
    plain.v_reset = one
    assert [text.split()[1] for text in deviations(FRAMEWORKS["norse"], graph, 1e-4)] == [
        "leaves",
        "resets",
    ]


def test_snntorch_runs_a_file_as_we_do(tmp_path, samples):
    needs("snntorch")
    exchange.write(tmp_path / "net.nir", network(lif()), dt=1e-4)
    words = (tmp_path / "net.nir", "--input", samples(8), "--against")
    for found in (compare(*words, "nir", status=0), compare(*words, "snntorch", status=0)):
        (each,) = found["comparisons"]
        assert each["right"] == "snntorch" and each["equal"]
        assert each["layers"][0]["layer"] == "lif" and each["layers"][0]["rates"]["float"] > 0.05
        assert found["accuracy"].keys() == {"float", "snntorch"}
        (importer,) = found["importers"]
        assert importer["framework"] == "snntorch" and importer["deviations"] == []


def test_a_timestep_that_snntorch_does_not_keep_is_a_difference_that_is_told(tmp_path, samples):
    needs("snntorch")
    exchange.write(tmp_path / "net.nir", network(lif()), dt=1e-3)
    found = compare(
        *(tmp_path / "net.nir", "--input", samples(8), "--against", "snntorch"), status=1
    )
    (each,) = found["comparisons"]
    assert each["layers"][0]["n_differ"] > 0 and each["first"]["layer"] == "lif"
    assert any("1e-4" in text for text in found["importers"][0]["deviations"])


def test_what_snntorch_cannot_run_is_an_error_with_what_is_known(tmp_path, samples):
    needs("snntorch")
    nodes = network(lif()).nodes
    nodes |= {
        "fc2": ir.Affine(np.ones((6, 6), np.float32), np.zeros(6, np.float32)),
        "if": ir.IF(np.ones(6, np.float32), strict=True),
    }
    order = ["input", "fc", "lif", "fc2", "if", "output"]
    graph = ir.Graph({name: nodes[name] for name in order}, list(itertools.pairwise(order)))
    exchange.write(tmp_path / "net.nir", graph, dt=1e-4)
    said = refused(tmp_path / "net.nir", "--input", samples(8), "--against", "snntorch")
    assert "snnTorch" in said and "by its own importer" in said
    assert "IF becomes a Leaky of beta 0.9" in said


def test_the_file_of_norse_in_snntorch(samples):
    needs("snntorch")
    words = ("--dt", 1e-4, "--input", samples(1, steps=400, rate=0.1), "--against", "nir")
    found = compare(corpus("lif_norse"), *words, "--framework", "snntorch", status=0)
    (each,) = found["comparisons"]
    assert each["equal"] and each["layers"][0]["rates"]["snntorch"] > 0.005
    assert any("scaling weights" in text for text in found["importers"][0]["said"])


def test_recurrent_neurons_of_the_corpus_in_norse(samples):
    needs("norse")
    words = ("--input", samples(12), "--against", "norse")
    found = compare(corpus("braille_noDelay_bias_zero"), *words, status=0)
    (each,) = found["comparisons"]
    assert [layer["layer"] for layer in each["layers"]] == ["lif1.lif", "lif2"]
    assert each["equal"] and each["layers"][1]["rates"]["norse"] > 0.1


def test_the_file_of_sinabs_in_sinabs(samples):
    needs("sinabs")
    words = ("--input", samples(2, 34, 34, steps=20), "--against", "nir")
    found = compare(corpus("cnn_sinabs"), *words, status=1)
    (each,) = found["comparisons"]
    assert each["right"] == "sinabs" and len(each["layers"]) == 5
    # A layer that subtracts and fires several times in a timestep still fires where ours does.
    assert 0.8 < each["layers"][0]["agreement"] < 1
    (importer,) = found["importers"]
    assert any("several times" in text for text in importer["deviations"])


def test_neurons_of_sinabs_are_read_as_they_count(tmp_path, samples):
    """Where no potential is below minus the threshold, the importer's and ours are the same."""
    needs("sinabs")
    graph = network(ir.IF(np.full(6, 0.75, np.float32), strict=True))
    fc = graph.nodes["fc"]
    fc.weight[...] = np.rint(np.abs(fc.weight) * 8) / 8  # sums are exact in any order
    exchange.write(tmp_path / "net.nir", graph, dt=1)
    words = (tmp_path / "net.nir", "--dt", 1, "--input", samples(8), "--against", "sinabs")
    assert compare(*words, status=1)["comparisons"][0]["layers"][0]["n_differ"] > 0
    (each,) = compare(*words, "--max-spikes", 255, status=0)["comparisons"]
    assert each["equal"] and each["layers"][0]["rates"]["sinabs"] > 1


def test_a_file_that_nir_cannot_read_is_named(tmp_path):
    if find_spec("nir") is None:
        with pytest.raises(BridgeError, match="pip install nir"):
            read_nir(tmp_path / "net.nir")
        return
    (tmp_path / "net.nir").write_bytes(b"no HDF5")
    with pytest.raises(BridgeError, match=r"cannot read .*net\.nir"):
        read_nir(tmp_path / "net.nir")
