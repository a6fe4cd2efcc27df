"""The files of the NIR project, and what they do; skipped where they are absent."""

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest

from talon import ir
from talon import nir as exchange
from talon.backend.cpu import simulate_float
from talon.nir.files import read_file
from talon.nir.memory import note_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def bars():
    spec = importlib.util.spec_from_file_location("nir_bars", ROOT / "benchmarks" / "nir_bars.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(path, options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exchange.NIRWarning)
        return exchange.read(path, **options)


def test_every_file_comes_back_through_both_formats(corpus_file, tmp_path, same_record):
    path, options = corpus_file
    ir.write(tmp_path / "net.t1c", read(path, options))
    exchange.write(tmp_path / "net.nir", ir.read(tmp_path / "net.t1c"))
    before, after = read_file(path), read_file(tmp_path / "net.nir")
    if options.get("lenient"):  # one name in one inner graph is mended
        inner = before.nodes["lif1"]
        inner.edges = [tuple("lif1" if n == "lif" else n for n in edge) for edge in inner.edges]
    same_record(before, after)


def test_the_nir_package_reads_every_file_as_we_write_it(corpus_file, tmp_path):
    nir = pytest.importorskip("nir")
    path, options = corpus_file
    exchange.write(tmp_path / "net.nir", read(path, options))
    assert nir.read(tmp_path / "net.nir", type_check=True).nodes


def test_the_nested_file_is_an_error_until_one_is_lenient(shared_data):
    path = shared_data("nir", "braille_noDelay_bias_zero_subgraph.nir")
    with pytest.raises(exchange.NIRError, match="graph 'lif1' name 'lif', which is not there"):
        exchange.read(path)
    with pytest.warns(exchange.NIRWarning, match="'lif1' is taken for 'lif'") as caught:
        exchange.read(path, lenient=True)
    assert len(caught) == 1


def test_both_braille_files_are_one_network(shared_data):
    flat = exchange.read(shared_data("nir", "braille_noDelay_bias_zero.nir"))
    nested = read(shared_data("nir", "braille_noDelay_bias_zero_subgraph.nir"), {"lenient": True})
    names = {"lif1.lif1": "lif1.lif", "lif1.lin": "lif1.w_rec"}
    renamed = {names.get(name, name): node for name, node in nested.nodes.items()}
    assert set(renamed) == set(flat.nodes)
    assert all(not note_of(node, renamed[name]) for name, node in flat.nodes.items())
    edges = {(names.get(src, src), names.get(dst, dst)) for src, dst in nested.edges}
    assert edges == set(flat.edges)
    assert flat.delays == {("lif1.w_rec", "lif1.lif"): 1}
    assert nested.delays == {("lif1.lin", "lif1.lif1"): 1}
    raster = (np.random.default_rng(0).random((100, 4, 12)) < 0.3).astype(np.float32)
    spikes = [simulate_float(graph, raster).outputs["output"] for graph in (flat, nested)]
    assert spikes[0].any()
    assert np.array_equal(*spikes)


def test_lif_norse_spikes_where_the_paper_says(shared_data, bars):
    assert bars.lif_spikes(shared_data("nir")) == bars.SPIKES


def test_cnn_sinabs_counts_in_timesteps_and_has_a_threshold_a_channel(shared_data):
    graph = exchange.read(shared_data("nir", "cnn_sinabs.nir"))
    neurons = [node for node in graph.nodes.values() if isinstance(node, ir.IF)]
    assert [node.v_threshold.shape for node in neurons] == [(16,), (16,), (8,), (256,), (10,)]
    assert all(np.all(node.r == 1) and node.strict for node in neurons)
    with pytest.warns(exchange.NIRWarning, match=r"r = 1, which is a gain of 0\.001"):
        exchange.read(shared_data("nir", "cnn_sinabs.nir"), dt=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_cnn_sinabs_knows_the_digits(shared_data, bars, reset):
    shared_data("nmnist", "labels.csv")
    right, n = bars.cnn_score(bars.DATA, reset=reset)
    assert n == 60
    assert right >= bars.BAR
