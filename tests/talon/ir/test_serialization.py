import itertools
import zlib

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talon import ir
from talon.errors import ModelError, T1CFormatError
from talon.testing import assert_same, assert_same_graph, graphs, ring


def affine(n_out, n_in):
    return ir.Affine(np.ones((n_out, n_in), np.float32), np.zeros(n_out, np.float32))


def simple(**changes):
    """784-128-10, as the documentation's first network."""
    rng = np.random.default_rng(0)
    nodes = {"input": ir.Input(np.array([784]))}
    for k, (n_out, n_in) in enumerate([(128, 784), (10, 128)], 1):
        weight = rng.normal(size=(n_out, n_in)).astype(np.float32)
        nodes[f"fc{k}"] = ir.Affine(weight, np.zeros(n_out, np.float32))
        values = (10, 1, 0, 1)
        nodes[f"lif{k}"] = ir.LIF(*(np.full(n_out, value, np.float32) for value in values))
    nodes["output"] = ir.Output(np.array([10]))
    names = list(nodes)
    return ir.Graph(nodes, list(itertools.pairwise(names)), **changes)


def test_what_was_written_is_read(tmp_path):
    graph = simple(metadata={"name": "mnist", "n_steps": 10})
    ir.write(tmp_path / "a.t1c", graph)
    assert_same_graph(ir.read(tmp_path / "a.t1c"), graph)
    assert ir.read_version(str(tmp_path / "a.t1c")) == "0.0.1"


@settings(deadline=None, max_examples=60)
@given(graphs())
def test_every_random_network_survives(tmp_path_factory, graph):
    path = tmp_path_factory.mktemp("t1c") / "a.t1c"
    ir.write(path, graph)
    assert_same_graph(ir.read(path), graph)


def test_layout_is_the_documented_one(tmp_path):
    ir.write(tmp_path / "a.t1c", simple())
    with h5py.File(tmp_path / "a.t1c") as file:
        assert file["version"].asstr()[()] == "0.0.1"
        assert file["graph/type"].asstr()[()] == "Graph"
        assert file["graph/edges/src"].asstr()[:2].tolist() == ["input", "fc1"]
        assert file["graph/edges/dst"].asstr()[:2].tolist() == ["fc1", "lif1"]
        assert "delay" not in file["graph/edges"]
        assert file["graph/nodes/input/shape"][:].tolist() == [784]
        assert file["graph/nodes/fc1/type"].asstr()[()] == "Affine"
        assert file["graph/nodes/fc1/weight"].dtype == np.float32
        assert file["graph/nodes/fc1/weight"].chunks is None
        assert sorted(file["graph/nodes/lif1"]) == ["r", "tau", "type", "v_leak", "v_threshold"]


def write_as_the_original(path, version="0.0.1"):
    """Write a file as the original library lays it out: no attributes, no checksum."""
    text = h5py.string_dtype("utf-8")
    with h5py.File(path, "w", libver="earliest") as file:
        file.create_dataset("version", data=version, dtype=text)
        graph = file.create_group("graph")
        graph.create_dataset("type", data="Graph", dtype=text)
        graph["allow_cycles"] = True
        edges = graph.create_group("edges")
        edges.create_dataset("src", data=np.array(["input", "z"], object), dtype=text)
        edges.create_dataset("dst", data=np.array(["z", "output"], object), dtype=text)
        fields = {
            "input": {"type": "Input", "shape": np.array([3])},
            "z": {
                "type": "SpikingAffine",
                "weight": np.arange(6.0).reshape(2, 3).astype(">f8"),
                "bias": np.zeros(2, np.float16),
                "spike_mode": "graded",
                "weight_bits": np.int64(4),
                "accumulator_bits": np.int64(8),
            },
            "output": {"type": "Output", "shape": np.array([2])},
        }
        for name, values in fields.items():
            for key, value in values.items():
                kind = text if isinstance(value, str) else None
                graph.create_dataset(f"nodes/{name}/{key}", data=value, dtype=kind)
        graph["nodes/z/hardware_hints/lanes"] = np.int64(16)


def test_files_of_the_original_are_read(tmp_path):
    write_as_the_original(tmp_path / "a.t1c")
    graph = ir.read(tmp_path / "a.t1c")
    graph.validate()
    assert list(graph.nodes) == ["input", "output", "z"]
    dense = graph.nodes["z"]
    assert dense.weight.dtype == np.dtype(">f8")
    assert dense.weight.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert dense.bias.dtype == np.float16
    assert (dense.spike_mode, dense.weight_bits, dense.accumulator_bits) == ("graded", 4, 8)
    assert type(dense.weight_bits) is int
    assert dense.hardware_hints == {"lanes": 16}
    assert graph.allow_cycles is True


def test_compressed_arrays_are_read(tmp_path):
    path = tmp_path / "a.t1c"
    write_as_the_original(path)
    weight = np.random.default_rng(1).normal(size=(2, 3)).astype(np.float32)
    for options in (
        {"chunks": (1, 2)},
        {"chunks": (2, 2), "compression": "gzip"},
        {"chunks": (2, 3), "compression": "gzip", "shuffle": True},
    ):
        with h5py.File(path, "r+", libver="earliest") as file:
            del file["graph/nodes/z/weight"]
            file.create_dataset("graph/nodes/z/weight", data=weight, **options)
        np.testing.assert_array_equal(ir.read(path).nodes["z"].weight, weight)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "<f8"])
def test_floating_types_are_kept(tmp_path, dtype):
    weight = np.linspace(-1, 1, 6).reshape(2, 3).astype(dtype)
    graph = ir.Graph({"fc": ir.Affine(weight, weight[:, 0].copy())}, [])
    ir.write(tmp_path / "a.t1c", graph)
    assert_same(ir.read(tmp_path / "a.t1c").nodes["fc"].weight, weight)


def test_integer_and_scalar_parameters_are_kept(tmp_path):
    node = ir.LIF(*(np.full((), value, np.int16) for value in (4, 1, 0, 2)))
    ir.write(tmp_path / "a.t1c", ir.Graph({"lif": node}, []))
    again = ir.read(tmp_path / "a.t1c").nodes["lif"]
    assert (again.tau.dtype, again.tau.shape, int(again.tau)) == (np.int16, (), 4)


def test_extensions_raise_the_version(tmp_path):
    path = tmp_path / "a.t1c"
    ones = np.ones(2, np.float32)
    for node in (
        ir.IF(ones, reset="subtract"),
        ir.IF(ones, reset_delay=True),
        ir.IF(ones, strict=True),
        ir.IF(ones, r=ones * 2),
        ir.IF(ones, v_reset=ones),
    ):
        ir.write(path, ir.Graph({"a": node}, []))
        assert ir.read_version(path) == "0.1.0"
        assert_same(ir.read(path).nodes["a"].to_dict(), node.to_dict())
    ir.write(path, ring(3, delay=2))
    assert ir.read_version(path) == "0.1.0"
    assert ir.read(path).delays == {("next", "neuron"): 2}
    ir.write(path, ir.Graph({"a": ir.IF(ones)}, []))
    assert ir.read_version(path) == "0.0.1"


def test_graph_without_nodes_or_edges_is_kept(tmp_path):
    ir.write(tmp_path / "a.t1c", ir.Graph({}, []))
    assert ir.read(tmp_path / "a.t1c").to_dict() == ir.Graph({}, []).to_dict()


metadata = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(value=metadata)
def test_metadata_is_kept_as_it_is(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("t1c") / "a.t1c"
    ir.write(path, ir.Graph({}, [], metadata={"value": value}))
    again = ir.read(path).metadata["value"]
    assert again == value
    assert type(again) is type(value)


def test_notes_of_other_tools_are_kept(tmp_path):
    notes = {
        "quantization_config": {"default_precision": "int8", "per_node": {}},
        "execution_schedule": [["a", "b"], ["c"]],
        "target_hardware": "zynq",
        "cyclic_config": {"window": (1, 2)},
        "partition_metadata": {"assignments": {"a": 1}, "bounds": np.arange(3)},
    }
    ir.write(tmp_path / "a.t1c", ir.Graph({}, [], **notes))
    again = ir.read(tmp_path / "a.t1c").to_dict()
    assert_same({key: again[key] for key in notes}, notes)


def test_bytes_depend_on_the_graph_alone(tmp_path):
    ir.write(tmp_path / "a.t1c", simple(metadata={"a": [1, 2]}))
    ir.write(tmp_path / "b.t1c", ir.read(tmp_path / "a.t1c"))
    assert (tmp_path / "a.t1c").read_bytes() == (tmp_path / "b.t1c").read_bytes()


def test_last_bytes_are_a_checksum(tmp_path):
    ir.write(tmp_path / "a.t1c", ring(3, delay=1))
    data = (tmp_path / "a.t1c").read_bytes()
    assert int.from_bytes(data[-4:], "little") == zlib.crc32(data[:-20])


def test_folders_are_made(tmp_path):
    ir.write(tmp_path / "models" / "new" / "a.t1c", ring(3, delay=1))
    assert [p.name for p in (tmp_path / "models" / "new").iterdir()] == ["a.t1c"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "metadata/bad: a object cannot be stored"),
        ({"a/b": 1}, r"Key 'a/b' below /graph/metadata/bad cannot name anything in a file"),
        ({5: 1}, "Keys below /graph/metadata/bad must be strings, got 5"),
        ("a\0b", "metadata/bad: text with a NUL character cannot be stored"),
        (np.zeros(2, complex), "arrays of dtype complex128 cannot be stored"),
    ],
)
def test_failed_write_leaves_the_old_file(tmp_path, value, message):
    path = tmp_path / "a.t1c"
    ir.write(path, simple())
    before = path.read_bytes()
    with pytest.raises((TypeError, ValueError), match=message):
        ir.write(path, simple(metadata={"good": 1, "bad": value}))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_link_stays_a_link(tmp_path):
    ir.write(tmp_path / "real.t1c", simple())
    (tmp_path / "link.t1c").symlink_to(tmp_path / "real.t1c")
    ir.write(tmp_path / "link.t1c", ring(2, delay=1))
    assert (tmp_path / "link.t1c").is_symlink()
    assert list(ir.read(tmp_path / "real.t1c").nodes) == list(ring(2, delay=1).nodes)


def test_arguments_in_the_wrong_order_are_told(tmp_path):
    with pytest.raises(TypeError, match=r"path must be str or Path, got Graph\. Note: write"):
        ir.write(simple(), tmp_path / "a.t1c")
    with pytest.raises(TypeError, match="graph must be a TALON IR Graph, got int"):
        ir.write(tmp_path / "a.t1c", 3)
    with pytest.raises(ValueError, match="Path is a directory, not a file"):
        ir.write(tmp_path, simple())
    with pytest.raises(ValueError, match="Path is not a file"):
        ir.read(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"^TALON IR file not found: .*nope\.t1c$"):
        ir.read(tmp_path / "nope.t1c")


def test_broken_graph_is_not_written(tmp_path):
    graph = simple()
    graph.edges.append(("fc1", "nope"))
    with pytest.raises(ModelError, match="Edge destination 'nope' not found in nodes"):
        ir.write(tmp_path / "a.t1c", graph)
    assert not list(tmp_path.iterdir())


def nested(depth):
    return {"a": nested(depth - 1)} if depth else "end"


def test_what_is_nested_too_deep_to_be_read_is_not_written(tmp_path):
    path = tmp_path / "a.t1c"
    for depth in range(30):
        graph = ir.Graph({}, [], metadata=nested(depth + 1))
        try:
            ir.write(path, graph)
        except ValueError as exc:
            assert "is nested deeper than 16" in str(exc)
            break
        assert ir.read(path).metadata == graph.metadata
    assert depth > 10


def test_thousands_of_nodes_survive(tmp_path):
    ones = np.ones(2, np.float32)
    nodes = {f"neuron {i}": ir.IF(ones * i) for i in range(600, 0, -1)}
    edges = list(itertools.pairwise(nodes))
    ir.write(tmp_path / "a.t1c", ir.Graph(nodes, edges))
    again = ir.read(tmp_path / "a.t1c")
    assert list(again.nodes) == list(nodes)
    assert again.edges == edges
    assert [n.v_threshold[0] for n in again.nodes.values()] == list(range(600, 0, -1))


@pytest.mark.parametrize("version", ["9.9.9", "abc", ""])
def test_unknown_version_is_refused(tmp_path, version):
    path = tmp_path / "a.t1c"
    write_as_the_original(path, version)
    for function in (ir.read, ir.read_version):
        with pytest.raises(T1CFormatError, match=f"{path}: version '{version}' is unknown; 0.0.1"):
            function(path)


def test_node_of_an_unknown_type_is_named_with_those_known(tmp_path):
    path = tmp_path / "a.t1c"
    with h5py.File(path, "w", libver="earliest") as file:
        file["version"] = "0.0.1"
        file["graph/type"] = "Graph"
        file["graph/nodes/conv/type"] = "Conv9d"
        for end in ("src", "dst"):
            file.create_dataset(f"graph/edges/{end}", (0,), h5py.string_dtype())
    with pytest.raises(
        T1CFormatError,
        match=r"a\.t1c: node 'conv': Unknown node type: Conv9d; known are .*Affine.*, and what "
        r"talon\.ir\.register_node makes known$",
    ):
        ir.read(path)


@pytest.mark.parametrize("name", ["é", "日本", "ü" * 900, "[red]", "a:b", "a\nb", " ", "x" * 9000])
def test_names_may_hold_any_characters(tmp_path, name):
    ones = np.ones(2, np.float32)
    neuron = ir.IF(ones, hardware_hints={name: {name: [1, 2]}}, input_type={name: [2]})
    nodes = {"in": ir.Input([2]), name: neuron, "out": ir.Output([2])}
    edges = [("in", name), (name, "out")]
    path = tmp_path / "names.t1c"
    ir.write(path, ir.Graph(nodes, edges, {name: name}, delays={("in", name): 1}))
    back = ir.read(path)
    assert (list(back.nodes), back.edges) == (list(nodes), edges)
    assert back.delays == {("in", name): 1}
    assert back.metadata == {name: name}
    assert back.nodes[name].hardware_hints == {name: {name: [1, 2]}}
    assert list(back.nodes[name].input_type) == [name]
    with h5py.File(path) as file:  # the reader of the original format
        assert sorted(file["graph/nodes"]) == sorted(nodes)


def test_names_in_hints_that_are_no_text_are_refused(tmp_path):
    neuron = ir.IF(np.ones(2, np.float32), hardware_hints={"\ud800": 1})
    with pytest.raises(
        ValueError, match=r"^Name '\\ud800' below /graph/nodes/a/hardware_hints is no"
    ):
        ir.write(tmp_path / "a.t1c", ir.Graph({"a": neuron}, []))
    assert list(tmp_path.iterdir()) == []
