"""Nothing is lost on the way from one form to the other and back."""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from talon import ir
from talon import nir as exchange
from talon.nir.files import read_file
from talon.nir.objects import from_objects
from talon.testing import (
    GraphLimits,
    assert_same_graph,
    random_exchange_graph,
    random_graph,
)

# The fixtures hold no state, and a folder is written anew by every example.
several = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
seeds, sizes = st.integers(0, 2**32 - 1), st.integers(1, 9)


@several
@given(seed=seeds, n_layers=sizes)
def test_our_graphs_come_back_to_the_last_bit(tmp_path, seed, n_layers):
    graph = random_exchange_graph(np.random.default_rng(seed), n_layers)
    exchange.write(tmp_path / "net.nir", graph)
    assert_same_graph(exchange.read(tmp_path / "net.nir"), graph)


@several
@given(seed=seeds, dt=st.sampled_from([1e-3, 3.3e-5, 1.0, 0.7]))
def test_our_graphs_come_back_with_any_timestep(tmp_path, seed, dt):
    graph = random_exchange_graph(np.random.default_rng(seed), 5)
    exchange.write(tmp_path / "net.nir", graph, dt=dt)
    assert_same_graph(exchange.read(tmp_path / "net.nir"), graph)


@several
@given(seed=seeds)
def test_spiking_networks_with_skips_and_delays_come_back(tmp_path, seed):
    graph = random_graph(np.random.default_rng(seed), GraphLimits(max_neurons=12))
    joins = [node for node in graph.nodes.values() if isinstance(node, ir.Skip)]
    if any(node.mode == "concatenate" for node in joins):
        with pytest.raises(exchange.NIRError, match=r"'\w+' \(Skip\): NIR sums inputs"):
            exchange.write(tmp_path / "net.nir", graph)
    else:
        exchange.write(tmp_path / "net.nir", graph)
        assert_same_graph(exchange.read(tmp_path / "net.nir"), graph)


@several
@given(seed=seeds, n_layers=sizes)
def test_the_nir_package_reads_what_we_write_and_we_read_what_it_made_of_it(
    tmp_path, seed, n_layers
):
    nir = pytest.importorskip("nir")
    graph = random_exchange_graph(np.random.default_rng(seed), n_layers)
    exchange.write(tmp_path / "net.nir", graph)
    theirs = nir.read(tmp_path / "net.nir", type_check=True)
    assert_same_graph(exchange.from_nir(theirs), graph)
    nir.write(tmp_path / "theirs.nir", theirs)
    assert_same_graph(exchange.read(tmp_path / "theirs.nir"), graph)
    assert_same_graph(exchange.from_nir(exchange.to_nir(graph)), graph)


@several
@given(seed=seeds, n_layers=sizes, is_nested=st.booleans())
def test_graphs_of_nir_come_back_through_files_of_both_formats(
    tmp_path, make_nir, same_record, seed, n_layers, is_nested
):
    nir = pytest.importorskip("nir")
    theirs = make_nir(seed, n_layers, is_nested=is_nested)
    nir.write(tmp_path / "theirs.nir", theirs)
    graph = exchange.read(tmp_path / "theirs.nir", dt=1e-4)
    ir.write(tmp_path / "net.t1c", graph)
    exchange.write(tmp_path / "ours.nir", ir.read(tmp_path / "net.t1c"))
    same_record(read_file(tmp_path / "theirs.nir"), read_file(tmp_path / "ours.nir"))
    nir.read(tmp_path / "ours.nir", type_check=True)


@several
@given(seed=seeds, n_layers=sizes, is_nested=st.booleans())
def test_graphs_of_nir_come_back_in_memory(make_nir, same_record, seed, n_layers, is_nested):
    theirs = make_nir(seed, n_layers, is_nested=is_nested)
    graph = exchange.from_nir(theirs, dt=1e-4)
    same_record(from_objects(theirs), from_objects(exchange.to_nir(graph)))


def test_what_comes_from_memory_shares_nothing_with_it(make_nir):
    theirs = make_nir(3, 6)
    before = from_objects(theirs)
    graph = exchange.from_nir(theirs, dt=1e-4)
    for node in graph.nodes.values():
        for value in vars(node).values():
            if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.flags.writeable:
                np.add(value, 1, out=value)
    after = from_objects(theirs)
    for name, node in before.nodes.items():
        for key, value in node.fields.items():
            assert np.array_equal(value, after.nodes[name].fields[key])


def test_the_same_graph_gives_the_same_bytes(tmp_path):
    graph = random_exchange_graph(np.random.default_rng(7), 8)
    for name in ("a", "b"):
        exchange.write(tmp_path / f"{name}.nir", graph)
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()


def test_large_arrays_are_compressed(tmp_path):
    nodes = {
        "input": ir.Input([300]),
        "fc": ir.Affine(np.zeros((300, 300), np.float32), np.zeros(300, np.float32)),
        "output": ir.Output([300]),
    }
    exchange.write(tmp_path / "net.nir", ir.Graph(nodes, list(itertools.pairwise(nodes))))
    assert (tmp_path / "net.nir").stat().st_size < 30_000
