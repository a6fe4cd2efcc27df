"""Descriptors hold what the network holds, read back the same, and distrust what they read."""

import base64
import json
import struct
import zlib

import numpy as np
import pytest

from talon import ir
from talon.backend import CompileConfig, HardwareDescriptor, get_backend
from talon.backend.cpu.describe import quantize
from talon.backend.errors import DescriptorError
from talon.errors import BackendError
from talon.testing.primitives import random_graph_of_primitives

F = np.float32


def compiled(seed=0, precision="int8", **config):
    graph = random_graph_of_primitives(np.random.default_rng(seed), 10)
    config = CompileConfig(target_precision=precision, **config)
    return graph, get_backend("cpu").compile(graph, config)


def dense(weight=None, **fields):
    weight = np.arange(-6, 6, dtype=F).reshape(3, 4) if weight is None else weight
    node = ir.Affine(weight, np.array([1, 2, 3], F), **fields)
    return ir.Graph(
        {"input": ir.Input(np.array([4])), "fc": node, "output": ir.Output(np.array([3]))},
        [("input", "fc"), ("fc", "output")],
    )


def same(left, right):
    assert left.neuron_configs == right.neuron_configs
    assert left.routing_tables == right.routing_tables
    assert left.execution_schedule == right.execution_schedule
    assert left.metadata == right.metadata
    assert left.weight_tables.keys() == right.weight_tables.keys()
    for core, table in left.weight_tables.items():
        assert table.keys() == right.weight_tables[core].keys()
        for key, array in table.items():
            other = right.weight_tables[core][key]
            assert (array.dtype, array.shape) == (other.dtype, other.shape)
            assert array.tobytes() == other.tobytes()


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int16", "int8", "int4"])
@pytest.mark.parametrize("seed", range(4))
def test_files_read_back_the_same_and_are_the_same_bytes(tmp_path, seed, precision):
    _, found = compiled(seed, precision)
    found.to_json(tmp_path / "a.json")
    found.to_binary(tmp_path / "a.bin")
    from_json = HardwareDescriptor.from_json(tmp_path / "a.json")
    from_binary = HardwareDescriptor.from_binary(tmp_path / "a.bin")
    same(found, from_json)
    same(found, from_binary)
    from_json.to_binary(tmp_path / "b.bin")
    from_binary.to_json(tmp_path / "b.json")
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize(
    ("precision", "bytes_per_weight"), [("fp32", 4), ("fp16", 2), ("int8", 1), ("int4", 0.5)]
)
def test_sizes_are_those_of_the_precision(tmp_path, precision, bytes_per_weight):
    weight = np.random.default_rng(0).normal(size=(300, 400)).astype(F)
    graph = ir.Graph(
        {
            "input": ir.Input(np.array([400])),
            "fc": ir.Affine(weight, np.zeros(300, F)),
            "output": ir.Output(np.array([300])),
        },
        [("input", "fc"), ("fc", "output")],
    )
    found = get_backend("cpu").compile(graph, CompileConfig(target_precision=precision))
    found.to_binary(tmp_path / "a.bin")
    found.to_json(tmp_path / "a.json")
    net = weight.size * bytes_per_weight
    assert net < (tmp_path / "a.bin").stat().st_size < net + 4096
    assert (tmp_path / "a.json").stat().st_size < 1.4 * net + 4096
    assert net <= found.weight_bytes <= net + 2 * 4 * 300


def test_integers_and_scales_are_those_of_a_hand_computed_layer():
    graph = dense(np.array([[-14, 7, 0, 1], [0, 0, 0, 0], [3, 2, 1, 0]], F))
    found = get_backend("cpu").compile(graph, CompileConfig(target_precision="int4"))
    table = found.weight_tables[0]
    assert table["fc.weight"].tolist() == [[-7, 4, 0, 0], [0, 0, 0, 0], [7, 5, 2, 0]]
    assert table["fc.weight.scale"].tolist() == [2.0, 1.0, F(3 / 7)]
    assert table["fc.bias"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(found.value("fc", "weight")[0], [-14, 8, 0, 0])
    (config,) = found.neuron_configs[0]
    assert config.arrays == {"weight": "int4", "weight.scale": "float32", "bias": "float32"}


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_no_weight_is_off_by_more_than_half_a_step(bits):
    weight = np.random.default_rng(bits).normal(size=(5, 3, 2, 2))
    integers, scale = quantize(weight, bits)
    back = integers * scale[:, None, None, None].astype(np.float64)
    assert (np.abs(back - weight) <= 0.5001 * scale[:, None, None, None]).all()
    assert np.abs(integers).max() == 2 ** (bits - 1) - 1


def test_scales_that_the_graph_brings_are_used():
    graph = dense(np.array([[0.5, 1.0, -1.0, 0.0]] * 3, F), weight_t="int4")
    graph.quantization_config = {"scales": {"fc": {"weight": np.full(3, 0.5, F)}}}
    found = get_backend("cpu").compile(graph)
    assert found.weight_tables[0]["fc.weight"].tolist() == [[1, 2, -2, 0]] * 3
    assert found.neuron_configs[0][0].arrays["weight"] == "int4"


def test_the_precision_of_a_node_comes_before_that_of_the_configuration():
    found = get_backend("cpu").compile(dense(precision="fp32"))
    assert found.weight_tables[0]["fc.weight"].dtype == F


def test_parameters_of_neurons_are_never_quantized():
    shape = (2, 3, 3)
    full = np.full(shape, 1.3, F)
    graph = ir.Graph(
        {
            "input": ir.Input(np.array(shape)),
            "lif": ir.LIF(full, full, full, full),
            "output": ir.Output(np.array(shape)),
        },
        [("input", "lif"), ("lif", "output")],
    )
    found = get_backend("cpu").compile(graph)
    assert set(found.neuron_configs[0][0].arrays.values()) == {"float32"}


def test_every_array_and_field_of_a_network_is_described():
    for seed in range(5):
        graph, found = compiled(seed, "fp32")
        described = {config.node_name: config for config in found.neuron_configs[0]}
        for name, node in graph.nodes.items():
            if isinstance(node, ir.Input | ir.Output):
                assert name not in described
                continue
            for key, value in node.to_dict().items():
                if isinstance(value, np.ndarray):
                    stored = found.value(name, key)
                    np.testing.assert_array_equal(stored, value.astype(stored.dtype))
                elif key not in ("type", "metadata", "precision", "core_id"):
                    assert key in described[name].parameters


def test_stages_wait_for_earlier_stages_alone():
    graph, found = compiled(3)
    order = [name for stage in found.execution_schedule[0] for name in stage]
    assert sorted(order) == sorted(
        n for n, node in graph.nodes.items() if not isinstance(node, ir.Input | ir.Output)
    )
    stage_of = {n: k for k, stage in enumerate(found.execution_schedule[0]) for n in stage}
    for src, dst in graph.edges:
        if src in stage_of and dst in stage_of and not graph.delay(src, dst):
            assert stage_of[src] < stage_of[dst]


def test_a_partitioned_graph_is_described_core_by_core():
    graph = ir.Graph(
        {
            "input": ir.Input(np.array([4])),
            "a": ir.Affine(np.ones((3, 4), F), np.ones(3, F), core_id=2),
            "b": ir.Affine(np.ones((3, 3), F), np.ones(3, F), core_id=5),
            "output": ir.Output(np.array([3])),
        },
        [("input", "a"), ("a", "b"), ("b", "output")],
    )
    graph.partition_metadata = {
        "assignments": {"input": 2, "a": 2, "b": 5, "output": 5},
        "routing": {"forward_routes": {"2->5": [2, 3, 4, 5]}, "feedback_routes": {}},
    }
    found = get_backend("cpu").compile(graph)
    assert found.execution_schedule == {2: [["a"]], 5: [["b"]]}
    assert sorted(found.weight_tables[2]) == ["a.bias", "a.weight", "a.weight.scale"]
    assert [config.node_name for config in found.neuron_configs[5]] == ["b"]
    route = {"source": "a", "target": "b", "core": 5, "path": [2, 3, 4, 5], "delay": 0}
    assert found.routing_tables == {2: [route]}


def test_a_cycle_is_not_executed_as_a_dag():
    graph = dense(np.zeros((3, 3), F))
    graph = ir.Graph(
        {
            "input": ir.Input(np.array([3])),
            "fc": ir.Affine(np.zeros((3, 3), F), np.zeros(3, F)),
            "output": ir.Output(np.array([3])),
        },
        [("input", "fc"), ("fc", "fc"), ("fc", "output")],
        delays={("fc", "fc"): 1},
    )
    with pytest.raises(BackendError, match=r"has a cycle, but CompileConfig.execution_mode is"):
        get_backend("cpu").compile(graph, CompileConfig(execution_mode="dag"))
    assert get_backend("cpu").compile(graph).metadata["execution_mode"] == "cyclic"


def test_a_weight_beyond_its_format_is_refused():
    graph = dense(np.full((3, 4), 1e6, F))
    with pytest.raises(BackendError, match=r"^Array 'fc.weight' has values beyond fp16; use"):
        get_backend("cpu").compile(graph, CompileConfig(target_precision="fp16"))


def test_an_array_that_is_not_there_is_named():
    _, found = compiled()
    with pytest.raises(KeyError, match=r"Core 0 has no array 'x.weight'; it has"):
        found.value("x", "weight")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"target_precision": "int3"}, r"^CompileConfig.target_precision must be one of \('fp32'"),
        ({"optimize_for": "x"}, r"^CompileConfig.optimize_for must be one of"),
        ({"execution_mode": "x"}, r"^CompileConfig.execution_mode must be one of \('dag'"),
        ({"max_iterations": 0}, r"^CompileConfig.max_iterations must be an int >= 1, got 0$"),
        ({"convergence_threshold": 0.0}, r"^CompileConfig.convergence_threshold must be finite"),
    ],
)
def test_configurations_are_checked(fields, message):
    with pytest.raises(ValueError, match=message):
        CompileConfig(**fields)


# --- files that mean harm -------------------------------------------------------------------------


def sealed(head, body=b"", version=2, zero=0):
    text = json.dumps(head).encode()
    data = struct.pack("<4sHHI", b"T1CB", version, zero, len(text)) + text + body
    return data + struct.pack("<I", zlib.crc32(data))


def head_of(entry=None, arrays=None):
    config = {
        "node_name": "a", "node_type": "Affine", "core_id": 0, "precision": "int8",
        "parameters": {}, "arrays": arrays if arrays is not None else {"w": "int8"},
    }  # fmt: skip
    return {
        "metadata": {},
        "neuron_configs": {"0": [config]},
        "routing_tables": {},
        "execution_schedule": {"0": [["a"]]},
        "weight_tables": {"0": {"a.w": entry or {"dtype": "int8", "shape": [2]}}},
    }


def refused(tmp_path, data, message):
    path = tmp_path / "x.bin"
    path.write_bytes(data)
    with pytest.raises(DescriptorError, match=message):
        HardwareDescriptor.from_binary(path)


def test_the_smallest_file_is_read(tmp_path):
    (tmp_path / "x.bin").write_bytes(sealed(head_of(), b"\x01\xff"))
    found = HardwareDescriptor.from_binary(tmp_path / "x.bin")
    assert found.weight_tables[0]["a.w"].tolist() == [1, -1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"x\.bin: A descriptor has more than 0 bytes; is it truncated\?$"),
        (b"ABCD" + bytes(30), r"begins with b'T1CB', got b'ABCD'"),
        (sealed(head_of(), b"\x01\xff", version=1), r"version must be 2, got 1; version 1 holds"),
        (sealed(head_of(), b"\x01\xff")[:-1] + b"\0", r"The checksum is wrong"),
        (sealed(head_of(), b"\x01\xff", zero=1), r"The checksum is wrong"),
        (sealed(head_of(), b"\x01"), r"Array 'a.w' has 2 bytes, 1 are left"),
        (sealed(head_of(), b"\x01\xff\0"), r"1 bytes follow the last array"),
        (sealed([]), r"must be an object, got list"),
        (sealed({}), r"has no \['metadata'"),
        (sealed({**head_of(), "weight_tables": []}), r"weight_tables must be an object"),
        (sealed({**head_of(), "weight_tables": {"-1": {"a.w": {}}}}), r"must be a number from 0"),
        (sealed({**head_of(), "weight_tables": {"0": []}}), r"weight table of core '0' must be"),
        (sealed(head_of({"dtype": "object", "shape": [1]})), r"the unknown dtype 'object'"),
        (sealed(head_of({"dtype": "int8", "shape": [-1]})), r"has the shape \[-1\]"),
        (sealed(head_of({"dtype": "int8", "shape": [True]})), r"has the shape \[True\]"),
        (sealed(head_of({"dtype": "int8", "shape": [1] * 9})), r"has the shape"),
        (sealed(head_of({"dtype": "int8", "shape": [1 << 31, 1 << 31]})), r"2 \*\*|are left"),
        (sealed(head_of(arrays={"v": "int8"}), b"\0\0"), r"arrays of its nodes differ: \['a.v'"),
        (sealed(head_of(arrays={"w": "uint8"}), b"\0\0"), r"stored as int8, its node says 'uint8'"),
        (sealed({**head_of(), "metadata": []}, b"\0\0"), r"metadata must be an object"),
        (sealed({**head_of(), "neuron_configs": []}, b"\0\0"), r"neuron_configs must be an object"),
        (sealed({**head_of(), "neuron_configs": {"0": {}}}, b"\0\0"), r"must hold lists, got dict"),
        (sealed({**head_of(), "neuron_configs": {"0": [{}]}}, b"\0\0"), r"must have the keys"),
        (sealed({**head_of(), "execution_schedule": {"0": [[1]]}}, b"\0\0"), r"names of nodes"),
        (sealed({**head_of(), "metadata": {"x": float("nan")}}, b"\0\0"), r"the number NaN"),
    ],
)  # fmt: skip
def test_damaged_and_hostile_files_are_refused(tmp_path, data, message):
    refused(tmp_path, data, message)


def test_a_deep_file_is_refused(tmp_path):
    deep = b"[" * 100_000 + b"]" * 100_000
    data = struct.pack("<4sHHI", b"T1CB", 2, 0, len(deep)) + deep
    refused(tmp_path, data + struct.pack("<I", zlib.crc32(data)), r"The descriptor is no JSON")


def test_every_damaged_byte_of_a_binary_file_is_noticed(tmp_path):
    _, found = compiled(1)
    found.to_binary(tmp_path / "a.bin")
    data = (tmp_path / "a.bin").read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(data), 200):
        broken = bytearray(data)
        broken[at] ^= int(rng.integers(1, 256))
        refused(tmp_path, bytes(broken), r"x\.bin: ")
    for n in rng.integers(0, len(data), 50):
        refused(tmp_path, data[:n], r"x\.bin: ")


def test_mutated_json_is_read_or_refused_and_nothing_else(tmp_path):
    _, found = compiled(2)
    path = tmp_path / "a.json"
    found.to_json(path)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    outcomes = set()
    for at in rng.integers(0, len(data), 300):
        broken = bytearray(data)
        broken[at] = int(rng.integers(32, 127))
        path.write_bytes(bytes(broken))
        try:
            HardwareDescriptor.from_json(path)
            outcomes.add("read")
        except DescriptorError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": "1.0"}, r"version must be '2\.0', got '1\.0'"),
        ({"weight_tables": {"0": {"a.w": {"dtype": "int8", "shape": [2]}}}}, r"'a.w' has no data"),
        (
            {"weight_tables": {"0": {"a.w": {"dtype": "int8", "shape": [2], "data": "?"}}}},
            r"'a.w' is no base64",
        ),
        (
            {"weight_tables": {"0": {"a.w": {"dtype": "int8", "shape": [9**9], "data": "AA=="}}}},
            r"'a.w' takes 387420489 bytes, got 1",
        ),
    ],
)
def test_json_that_lies_is_refused(tmp_path, change, message):
    data = base64.b64encode(b"\1\2").decode()
    head = head_of({"dtype": "int8", "shape": [2], "data": data})
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"version": "2.0", **head}))
    assert HardwareDescriptor.from_json(path).weight_tables[0]["a.w"].tolist() == [1, 2]
    path.write_text(json.dumps({"version": "2.0", **head, **change}))
    with pytest.raises(DescriptorError, match=message):
        HardwareDescriptor.from_json(path)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^Descriptor file not found: .*nothing\.json$"):
        HardwareDescriptor.from_json(tmp_path / "nothing.json")
    with pytest.raises(DescriptorError, match=r"is no regular file$"):
        HardwareDescriptor.from_binary(tmp_path)


def test_a_descriptor_whose_nodes_and_arrays_differ_is_not_written(tmp_path):
    _, found = compiled()
    key = next(iter(found.weight_tables[0]))
    del found.weight_tables[0][key]
    with pytest.raises(
        DescriptorError, match=r"^Weight table of core 0 and the arrays of its node"
    ):
        found.to_json(tmp_path / "a.json")
