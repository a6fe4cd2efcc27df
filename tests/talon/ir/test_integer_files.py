"""Files hold true integers where the weights lie on a grid, and give back the same floats."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talon import ir, sdk
from talon.errors import T1CFormatError
from talon.testing import assert_same_graph, graphs_of_primitives


def network(weight):
    nodes = {
        "in": ir.Input([weight.shape[1]]),
        "fc": ir.Affine(weight, np.zeros(len(weight), np.float32)),
        "out": ir.Output([len(weight)]),
    }
    return ir.Graph(nodes, [("in", "fc"), ("fc", "out")])


def quantized(bits=8, shape=(101, 31), dtype=np.float32, *, per_channel=True):
    weight = np.random.default_rng(3).normal(size=shape).astype(dtype)
    return sdk.quantize_weights(
        network(weight), bits=bits, per_channel=per_channel, storage="integer"
    )


@settings(deadline=None, max_examples=60)
@given(
    graph=graphs_of_primitives(),
    bits=st.integers(2, 8),
    per_channel=st.booleans(),
    compression=st.sampled_from([None, "gzip"]),
)
def test_every_quantized_primitive_survives(
    tmp_path_factory, graph, bits, per_channel, compression
):
    made = sdk.quantize_weights(graph, bits=bits, per_channel=per_channel, storage="integer")
    path = tmp_path_factory.mktemp("t1c") / "a.t1c"
    ir.write(path, made, compression=compression)
    found = ir.read(path)
    assert_same_graph(found, made)
    assert sdk.fingerprint_graph(found) == sdk.fingerprint_graph(made)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("bits", "stored", "shape"), [(8, "i1", (101, 31)), (4, "u1", (1566,))])
def test_integers_are_in_the_file(tmp_path, bits, stored, shape, dtype):
    made = quantized(bits, dtype=dtype)
    ir.write(tmp_path / "a.t1c", made)
    with h5py.File(tmp_path / "a.t1c") as file:
        data = file["graph/nodes/fc/weight"]
        assert (data.dtype, data.shape) == (np.dtype(stored), shape)
        codes = data[()]
        scale = file["graph/quantization_config/scales/fc/weight"][()]
        assert file["version"].asstr()[()] == "0.1.0"
    if bits == 4:
        halves = np.stack([codes & 15, codes >> 4], axis=1).reshape(-1)[: 101 * 31]
        codes = np.where(halves > 7, halves.astype(np.int8) - 16, halves).reshape(101, 31)
    np.testing.assert_array_equal(
        codes.astype(dtype) * scale[:, None].astype(dtype), made.nodes["fc"].weight
    )
    assert_same_graph(ir.read(tmp_path / "a.t1c"), made)


def test_file_is_a_quarter_or_an_eighth(tmp_path):
    sizes = {}
    for bits, graph in (
        (32, network(np.ones((400, 500), np.float32))),
        (8, quantized(8, (400, 500))),
        (4, quantized(4, (400, 500))),
    ):
        ir.write(tmp_path / "a.t1c", graph)
        sizes[bits] = (tmp_path / "a.t1c").stat().st_size
    assert sizes[8] < 0.28 * sizes[32]
    assert sizes[4] < 0.15 * sizes[32]


def test_weights_that_were_changed_since_stay_floats(tmp_path):
    made = quantized()
    made.nodes["fc"].weight[0, 0] += 1e-3
    ir.write(tmp_path / "a.t1c", made)
    with h5py.File(tmp_path / "a.t1c") as file:
        assert file["graph/nodes/fc/weight"].dtype == np.float32
    assert_same_graph(ir.read(tmp_path / "a.t1c"), made)


def test_negative_zero_stays_one(tmp_path):
    made = quantized()
    made.nodes["fc"].weight[0, 0] = -0.0
    ir.write(tmp_path / "a.t1c", made)
    assert np.signbit(ir.read(tmp_path / "a.t1c").nodes["fc"].weight[0, 0])


@pytest.mark.parametrize(
    "config",
    [
        {"scales": 3},
        {"scales": {"fc": 3}},
        {"scales": {"fc": {"weight": "x"}}},
        {"scales": {"fc": {"weight": np.ones(7)}}},
        {"scales": {"fc": {"weight": -1.0, "nothing": 1.0}, "nobody": {"weight": 1.0}}},
        {"scales": {"fc": {"weight": float("nan")}}},
    ],
)
def test_facts_of_another_form_leave_floats(tmp_path, config):
    made = quantized()
    made.quantization_config = config
    ir.write(tmp_path / "a.t1c", made)
    np.testing.assert_array_equal(
        ir.read(tmp_path / "a.t1c").nodes["fc"].weight, made.nodes["fc"].weight
    )


def _without_scale(file):
    del file["graph/quantization_config"]


def _negative_scale(file):
    file["graph/quantization_config/scales/fc/weight"][0] = -1


def _attribute(name, value):
    def change(file):
        file["graph/nodes/fc/weight"].attrs[name] = value

    return change


@pytest.mark.parametrize(
    ("bits", "change", "message"),
    [
        (8, _without_scale, "(weight|bias): quantization_config does not have its scale"),
        (8, _negative_scale, "a scale must be a positive number"),
        (8, _attribute("talon_format", "int2"), "number format 'int2' is unknown; int8, int4"),
        (8, _attribute("talon_dtype", "object"), "integers cannot stand for 'object'"),
        (8, _attribute("talon_format", "int4"), "must be uint8 of shape"),
        (4, _attribute("talon_shape", [101, 3]), "must be uint8 of shape"),
        (4, _attribute("talon_shape", [-101, -31]), "talon_shape must be a list of sizes"),
        (4, _attribute("talon_shape", [2**62, 2**62]), "must be uint8 of shape"),
        (4, _attribute("talon_shape", 1.5), "talon_shape must be a list of sizes"),
    ],
)
def test_integers_that_do_not_fit_are_refused(tmp_path, bits, change, message):
    path = tmp_path / "a.t1c"
    ir.write(path, quantized(bits))
    with (
        h5py.File(path, "r") as source,
        h5py.File(tmp_path / "b.t1c", "w", libver="earliest") as made,
    ):
        for name in source:
            source.copy(name, made)
        change(made)
    with pytest.raises(T1CFormatError, match=message):
        ir.read(tmp_path / "b.t1c")


def test_what_integers_unpack_to_is_limited(tmp_path):
    ir.write(tmp_path / "a.t1c", quantized(4, (400, 500)))
    n_bytes = (tmp_path / "a.t1c").stat().st_size
    with pytest.raises(T1CFormatError, match="integers are 801600 bytes as floats"):
        ir.read(tmp_path / "a.t1c", max_bytes=2 * n_bytes)
