import numpy as np
import pytest

from talon import ir
from talon.errors import ModelError


def ones(*shape):
    return np.ones(shape, np.float32)


def lif(n=3, **changes):
    fields = {"tau": ones(n) * 10, "r": ones(n), "v_leak": ones(n) * 0, "v_threshold": ones(n)}
    return ir.LIF(**{**fields, **changes})


def test_list_of_primitives_is_in_documented_order():
    names = ir.list_primitives()
    assert names[:4] == ["Affine", "SpikingAffine", "Conv1d", "Conv2d"]
    assert len(names) == len(set(names)) == 36
    assert not {"Graph", "Input", "Output"} & set(names)


def test_str_to_node_finds_classes_and_nothing_else():
    assert ir.str_to_node("LIF") is ir.LIF
    with pytest.raises(ValueError, match=r"^Unknown node type: os\.system$"):
        ir.str_to_node("os.system")


def test_registering_takes_node_classes_only():
    with pytest.raises(TypeError, match="takes a subclass of Node, got <class 'int'>"):
        ir.register_node(int)


def test_affine_types_follow_the_weights():
    node = ir.Affine(ones(2, 3), ones(2))
    assert node.input_type["input"].tolist() == [3]
    assert node.output_type["output"].tolist() == [2]
    assert node.to_dict().keys() == {"type", "weight", "bias"}


def test_hardware_keywords_are_kept_and_checked():
    node = ir.Affine(ones(2, 3), ones(2), precision="int8", core_id=4, hardware_hints={"a": 1})
    again = ir.Affine.from_dict(node.to_dict())
    assert (again.precision, again.core_id, again.hardware_hints) == ("int8", 4, {"a": 1})
    with pytest.raises(ModelError, match=r"^Affine\.core_id must be an int >= 0, got -4$"):
        ir.Affine(ones(2, 3), ones(2), core_id=-4)
    with pytest.raises(ModelError, match=r"^LIF\.reuse_factor must be an int >= 1, got 0$"):
        lif(reuse_factor=0)
    with pytest.raises(TypeError, match=r"Affine\.precision must be a str or None, got 8"):
        ir.Affine(ones(2, 3), ones(2), precision=8)


@pytest.mark.parametrize("kind", [ir.Affine, ir.SpikingAffine])
@pytest.mark.parametrize(
    ("weight", "bias", "error", "message"),
    [
        ([[1.0]], ones(1), TypeError, r"weight must be np\.ndarray, got list"),
        (ones(2, 3), None, TypeError, r"bias must be np\.ndarray, got NoneType"),
        (ones(2, 3).astype(int), ones(2), TypeError, "weight must have floating dtype, got int64"),
        (ones(2, 3) > 0, ones(2), TypeError, "weight must hold real numbers, got dtype bool"),
        (ones(3), ones(3), ModelError, r"weight must be exactly 2D .*, got shape \(3,\)"),
        (ones(0, 3), ones(0), ModelError, r"weight must have at least one row .* \(0, 3\)"),
        (ones(2, 3), ones(3), ModelError, r"bias must be 1D with 2 elements, got shape \(3,\)"),
        (ones(2, 3), ones(2, 1), ModelError, r"bias must be 1D with 2 elements"),
        (
            ones(2, 3) * np.nan,
            ones(2),
            ModelError,
            r"weight must be finite, got nan .*0, 0\)",
        ),
        (
            ones(2, 3),
            np.array([0, np.inf]),
            ModelError,
            r"bias must be finite, got inf .*1,\)",
        ),
    ],
)
def test_dense_layers_refuse_bad_arrays(kind, weight, bias, error, message):
    with pytest.raises(error, match=rf"^{kind.__name__}\.{message}"):
        kind(weight, bias)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"spike_mode": "foo"}, ModelError, r"spike_mode must be one of \('binary'.*got 'foo'"),
        ({"weight_bits": 0}, ModelError, r"weight_bits must be in \[1, 32\], got 0"),
        ({"weight_bits": 8.5}, TypeError, r"weight_bits must be in \[1, 32\], got 8\.5"),
        ({"weight_bits": True}, TypeError, r"weight_bits must be in \[1, 32\], got True"),
        ({"accumulator_bits": 65}, ModelError, r"accumulator_bits must be in \[1, 64\], got 65"),
        ({"accumulator_bits": 4}, ModelError, r"accumulator_bits must be >= weight_bits=8, got 4"),
        ({"metadata": 3}, TypeError, "metadata must be a dict with string keys, got 3"),
    ],
)
def test_spiking_affine_refuses_bad_hints(options, error, message):
    with pytest.raises(error, match=rf"^SpikingAffine\.{message}"):
        ir.SpikingAffine(ones(2, 3), ones(2), **options)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"tau": 3.0}, TypeError, r"LIF\.tau must be np\.ndarray, got float"),
        (
            {"r": ones(2)},
            ModelError,
            r"All LIF parameters must have same .* tau=\(3,\), r",
        ),
        ({"v_reset": ones(2)}, ModelError, r"All LIF parameters .* v_reset=\(2,\)"),
        (
            {"tau": np.array([1, 0.5, 2])},
            ModelError,
            r"LIF\.tau must be >= 1 timestep, got 0\.5",
        ),
        ({"tau": -ones(3)}, ModelError, r"LIF\.tau must be >= 1 timestep, got -1\.0 at"),
        ({"tau": ones(3) * np.inf}, ModelError, r"LIF\.tau must be finite .* use IF\), got inf"),
        ({"tau": ones(3) * np.nan}, ModelError, r"LIF\.tau must be finite .*, got nan"),
        (
            {"v_threshold": ones(3) * np.nan},
            ModelError,
            r"LIF\.v_threshold must be finite",
        ),
        ({"r": ones(3) * np.inf}, ModelError, r"LIF\.r must be finite, got inf at index \(0,\)"),
        ({"v_leak": ones(3) * np.nan}, ModelError, r"LIF\.v_leak must be finite"),
        ({"reset": "hard"}, ModelError, r"LIF\.reset must be one of .*, got 'hard'"),
        ({"reset_delay": 1}, TypeError, r"LIF\.reset_delay must be a bool, got 1"),
        ({"strict": None}, TypeError, r"LIF\.strict must be a bool, got None"),
    ],
)
def test_lif_refuses_bad_parameters(changes, error, message):
    with pytest.raises(error, match=f"^{message}"):
        lif(**changes)


def test_if_refuses_bad_parameters():
    with pytest.raises(TypeError, match=r"^IF\.v_threshold must be np\.ndarray, got float"):
        ir.IF(1.0)
    with pytest.raises(ModelError, match=r"^IF neuron count must be >= 1, got 0"):
        ir.IF(ones(0))
    with pytest.raises(ModelError, match=r"^All IF parameters .* r=\(2,\)"):
        ir.IF(ones(3), r=ones(2))


def test_defaults_of_neurons_are_the_documented_equation():
    neurons = lif()
    assert (neurons.reset, neurons.reset_delay, neurons.strict) == ("zero", False, False)
    assert not neurons.v_reset.any()
    assert neurons.to_dict().keys() == {"type", "tau", "r", "v_leak", "v_threshold"}
    assert ir.IF(ones(3)).to_dict().keys() == {"type", "v_threshold"}
    assert ir.IF(ones(3)).r.tolist() == [1, 1, 1]


def test_parameters_broadcast_over_channels_and_flat_maps():
    per_channel = ir.IF(np.arange(1, 3, dtype=np.float32))
    spread = per_channel.broadcast(per_channel.v_threshold, (2, 3, 4))
    assert (spread[0] == 1).all()
    assert (spread[1] == 2).all()
    flat = ir.IF(np.arange(1, 25, dtype=np.float32))
    assert flat.broadcast(flat.v_threshold, (2, 3, 4))[1, 2, 3] == 24
    scalar = ir.IF(np.full((), 2, np.float32))
    assert scalar.broadcast(scalar.v_threshold, (2, 2)).tolist() == [[2, 2], [2, 2]]
    with pytest.raises(ModelError, match=r"has parameters of shape \(2,\)"):
        per_channel.broadcast(per_channel.v_threshold, (3, 2))


@pytest.mark.parametrize(
    ("dims", "shape", "expected"),
    [
        ((0, -1), (32, 8, 8), (2048,)),
        ((0, 1), (2, 3, 4), (6, 4)),
        ((-2, -1), (2, 3, 4), (2, 12)),
        ((1, 1), (2, 3), (2, 3)),
    ],
)
def test_flatten_counts_dimensions_without_batch(dims, shape, expected):
    assert ir.Flatten(*dims).output_shape(shape) == expected
    declared = ir.Flatten(*dims, input_type={"input": np.array(shape)})
    assert tuple(declared.output_type["output"]) == expected


def test_flatten_refuses_dimensions_that_are_not_there():
    with pytest.raises(ModelError, match=r"start_dim=1 \(normalized: 1\) out of bounds .* \(24,\)"):
        ir.Flatten(1, input_type={"input": (24,)})
    with pytest.raises(ModelError, match=r"start_dim=2 .* must be <= end_dim=1"):
        ir.Flatten(2, 1).output_shape((2, 3, 4))


def test_skip_knows_its_aliases():
    modes = [ir.Skip(kind).mode for kind in ("add", "concat", "identity", "residual")]
    assert modes == ["residual", "concatenate", "passthrough", "residual"]
    with pytest.raises(ModelError, match=r"skip_type must be one of .*, got 'foo'"):
        ir.Skip("foo")


@pytest.mark.parametrize("shape", [784, (784,), [784], np.array([784]), {"input": [784]}])
def test_input_takes_a_shape_in_many_forms(shape):
    assert ir.Input(shape).shape == (784,)


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        (None, TypeError, "must be a sequence of integers, got None"),
        ("hello", TypeError, "must be a sequence of integers, got 'hello'"),
        ([1.5], TypeError, "must be a sequence of integers"),
        ([], TypeError, "must be a sequence of integers"),
        ([[1]], TypeError, "must be a sequence of integers"),
        ([[1], [1, 2]], TypeError, "must be a sequence of integers"),
        ([3, 0], ModelError, r"must be positive in every dimension, got \[3, 0\]"),
        ({"x": [3]}, ModelError, "requires '(input|output)' key in (input|output)_type dict, got"),
    ],
)
@pytest.mark.parametrize("kind", [ir.Input, ir.Output])
def test_input_and_output_refuse_bad_shapes(kind, shape, error, message):
    with pytest.raises(error, match=message):
        kind(shape)


def test_repr_does_not_print_weights():
    assert repr(ir.Affine(ones(64, 64), ones(64))) == (
        "Affine(weight=<float32 64x64>, bias=<float32 64>)"
    )
