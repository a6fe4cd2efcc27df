"""Every primitive, plain and compressed, is read as it was written, by us and by h5py."""

import itertools
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talon import ir
from talon.errors import T1CFormatError
from talon.testing import assert_same, assert_same_graph, graphs_of_primitives


@settings(deadline=None, max_examples=80)
@given(graph=graphs_of_primitives(), compression=st.sampled_from([None, "gzip"]))
def test_every_primitive_survives(tmp_path_factory, graph, compression):
    path = tmp_path_factory.mktemp("t1c") / "a.t1c"
    ir.write(path, graph, compression=compression)
    assert_same_graph(ir.read(path), graph)


def network(weight, **changes):
    nodes = {
        "in": ir.Input(np.array([weight.shape[1]])),
        "fc": ir.Affine(weight, np.zeros(len(weight), np.float32)),
        "out": ir.Output(np.array([len(weight)])),
    }
    return ir.Graph(nodes, [("in", "fc"), ("fc", "out")], **changes)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_h5py_reads_what_we_write(tmp_path, dtype, compression):
    weight = (np.arange(100 * 30).reshape(100, 30) % 97).astype(dtype)
    ir.write(tmp_path / "a.t1c", network(weight), compression=compression)
    with h5py.File(tmp_path / "a.t1c") as file:
        found = file["graph/nodes/fc/weight"]
        assert found.dtype == weight.dtype
        assert found.compression == compression
        np.testing.assert_array_equal(found[()], weight)
        assert file["version"].asstr()[()] == "0.0.1"
        assert file["graph/edges/src"].asstr()[:].tolist() == ["in", "fc"]
    assert_same_graph(ir.read(tmp_path / "a.t1c"), network(weight))


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", ">i4", "i8", "u1", "u8", "?"])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_arrays_of_integers_survive(tmp_path, dtype, compression):
    codes = (np.arange(3000).reshape(100, 30) % 97).astype(dtype)
    metadata = {"codes": codes, "none": codes[:0], "one": codes[3, 3:4].reshape(())}
    ir.write(tmp_path / "a.t1c", ir.Graph({}, [], metadata=metadata), compression=compression)
    with h5py.File(tmp_path / "a.t1c") as file:
        np.testing.assert_array_equal(file["graph/metadata/codes"][()], codes)
        assert file["graph/metadata/codes"].dtype == codes.dtype
    found = ir.read(tmp_path / "a.t1c").metadata
    for name in ("codes", "none"):
        assert_same(found[name], metadata[name], name)
    assert found["one"] == metadata["one"]


@pytest.mark.parametrize("n_nodes", [0, 1, 7, 8, 9, 255, 256, 257, 9000])
def test_h5py_finds_every_name_in_groups_of_any_size(tmp_path, n_nodes):
    nodes = {f"n{k * 7919 % 100003}é": ir.ReLU(3) for k in range(n_nodes)}
    names = list(nodes)
    edges = list(itertools.pairwise(names))
    ir.write(tmp_path / "a.t1c", ir.Graph(nodes, edges))
    with h5py.File(tmp_path / "a.t1c") as file:
        assert sorted(file["graph/nodes"]) == sorted(nodes)
        for name in names[:: max(1, n_nodes // 50)]:
            assert file["graph/nodes"][name]["type"].asstr()[()] == "ReLU"
    assert ir.read(tmp_path / "a.t1c").edges == edges


def test_compressed_arrays_of_many_chunks_survive(tmp_path):
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 3, (1025, 2050)).astype(np.float32)
    plain, packed = tmp_path / "a.t1c", tmp_path / "b.t1c"
    ir.write(plain, network(weight))
    ir.write(packed, network(weight), compression="gzip")
    assert packed.stat().st_size < plain.stat().st_size / 4
    assert_same_graph(ir.read(packed), network(weight))


def test_other_compressions_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^compression must be 'gzip' or None, got 'lzf'$"):
        ir.write(tmp_path / "a.t1c", network(np.ones((2, 2))), compression="lzf")


def test_limits_hold_for_the_file_and_for_what_it_unpacks_to(tmp_path):
    path, weight = tmp_path / "a.t1c", np.zeros((10000, 2000), np.float32)
    ir.write(path, network(weight), compression="gzip")
    with pytest.raises(
        T1CFormatError, match=r"80000000 bytes are declared.*max_bytes sets another"
    ):
        ir.read(path)
    with pytest.raises(T1CFormatError, match="all data may have max_bytes=1000000 together"):
        ir.read(path, max_bytes=1_000_000)
    with pytest.raises(T1CFormatError, match=r"it has \d+ bytes, more than max_bytes=999"):
        ir.read(path, max_bytes=999)
    assert ir.read(path, max_bytes=90_000_000).nodes["fc"].weight.shape == (10000, 2000)


def test_large_arrays_can_be_written_to_and_share_nothing(tmp_path):
    weight = np.ones((600, 600), np.float32)
    ir.write(tmp_path / "a.t1c", network(weight))
    first, second = ir.read(tmp_path / "a.t1c"), ir.read(tmp_path / "a.t1c")
    first.nodes["fc"].weight[0, 0] = 5
    assert second.nodes["fc"].weight[0, 0] == 1
    assert ir.read(tmp_path / "a.t1c").nodes["fc"].weight[0, 0] == 1


def test_small_arrays_can_be_written_to_and_share_nothing(tmp_path):
    neurons = {f"n{k}": ir.IF(np.ones(4, np.float32), input_type={"input": [4]}) for k in range(5)}
    ir.write(tmp_path / "a.t1c", ir.Graph(neurons, []))
    first, *others = ir.read(tmp_path / "a.t1c").nodes.values()
    for array in (first.v_threshold, first.input_type["input"], first.output_type["output"]):
        assert array.flags.owndata
        array[0] = 7
    for other in others:
        assert other.v_threshold[0] == 1
        assert other.input_type["input"][0] == other.output_type["output"][0] == 4


@pytest.mark.parametrize("size", [0, 1, 15, 16384, 16385, 65535, 65536, 65537, 300_000])
def test_arrays_of_any_size_lie_where_the_file_says(tmp_path, size):
    arrays = {f"a{k}": np.arange(size, dtype=np.float32) + k for k in range(3)}
    graph = ir.Graph({}, [], metadata={**arrays, "bytes": np.arange(size % 300, dtype=np.uint8)})
    ir.write(tmp_path / "a.t1c", graph)
    assert (tmp_path / "a.t1c").read_bytes() == ir.to_bytes(graph)
    with h5py.File(tmp_path / "a.t1c") as file:
        for name, array in arrays.items():
            np.testing.assert_array_equal(file[f"graph/metadata/{name}"][()], array)
    assert_same_graph(ir.read(tmp_path / "a.t1c"), graph)


def test_notes_of_other_tools_survive(tmp_path):
    graph = network(
        np.ones((2, 2), np.float32),
        partition_metadata={"cores": {"0": ["fc"]}, "algorithm": "greedy", "cost": 1.5},
        execution_schedule=[["in"], ["fc"], ["out"]],
        target_hardware="zynq_us_plus",
    )
    ir.write(tmp_path / "a.t1c", graph)
    assert_same_graph(ir.read(tmp_path / "a.t1c"), graph)


def test_edges_of_a_file_share_the_names_of_its_nodes(tmp_path: Path) -> None:
    nodes = {"in": ir.Input([2]), "a node": ir.Skip(), "out": ir.Output([2])}
    ir.write(tmp_path / "x.t1c", ir.Graph(nodes, [("in", "a node"), ("a node", "out")]))
    graph = ir.read(tmp_path / "x.t1c")
    names = {id(name) for name in graph.nodes}
    assert all(id(name) in names for edge in graph.edges for name in edge)
