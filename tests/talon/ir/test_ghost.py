import math

import numpy as np
import pytest

from talon import ir
from talon.errors import ModelError
from talon.ir.costs import count_macs, count_state


def ones(*shape):
    return np.ones(shape, np.float32)


def part(prefix="", n_in=8, n=16, k=1, cheap=3):
    return {
        f"{prefix}primary_weight": ones(n, n_in, k, k),
        f"{prefix}primary_bias": ones(n),
        f"{prefix}cheap_weight": ones(n, 1, cheap, cheap),
        f"{prefix}cheap_bias": ones(n),
    }


def encoder(**changes):
    first = {"conv1_weight": ones(32, 3, 3, 3), "conv1_bias": ones(32)}
    return ir.SGhostEncoderLite(**{**first, **part("ghost_", 32, 16), **changes})


def block1(**changes):
    parts = {**part("cvres_", 32, 8), **part("cv0_", 32, 16, 3), **part("cv2_", 16, 8, 3)}
    return ir.GhostBasicBlock1(**{**parts, **changes})


def block2(**changes):
    return ir.GhostBasicBlock2(**{**part("cv0_", 32, 16, 3), **part("cv2_", 16, 8, 3), **changes})


def test_documented_example_of_a_ghost_convolution_keeps_the_size():
    node = ir.SGhostConv(**part())
    assert (node.in_channels, node.out_channels) == (8, 32)
    assert node.cheap_padding == (0, 0)
    assert node.effective_cheap_padding == (1, 1)
    assert node.output_shape((8, 9, 7)) == (32, 9, 7)
    assert "cheap_padding" in node.to_dict()


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_shapes_of_blocks_follow_stride_and_channels(k, stride):
    size = (math.ceil(13 / stride), math.ceil(10 / stride))
    parts = {**part("cvres_", 6, 2, k, k), **part("cv0_", 6, 4, k, k), **part("cv2_", 4, 2, k, k)}
    node = ir.GhostBasicBlock1(**parts, stride=stride)
    assert node.output_shape((6, 13, 10)) == (8, *size)
    first = {"conv1_weight": ones(5, 6, k, k), "conv1_bias": ones(5)}
    node = ir.SGhostEncoderLite(**first, **part("ghost_", 5, 3, k, k), stride=stride)
    assert node.output_shape((6, 13, 10)) == (6, *size)
    node = ir.SGhostConv(
        **part("", 6, 4, k, k), primary_stride=stride, primary_padding=(k // 2, k // 2)
    )
    assert node.output_shape((6, 13, 10)) == (8, *size)


def test_properties_of_blocks():
    assert (block1().in_channels, block1().out_channels) == (32, 32)
    assert (block2().in_channels, block2().out_channels) == (32, 32)
    assert (encoder().in_channels, encoder().out_channels, encoder().stride) == (3, 32, 2)
    for node in (block1(), block2(), encoder(), ir.SGhostConv(**part())):
        arrays = [v for v in node.to_dict().values() if isinstance(v, np.ndarray)]
        assert node.param_count == sum(a.size for a in arrays)


def test_declared_input_gives_the_output_type():
    node = block1(input_type={"input": np.array([32, 20, 20])})
    assert node.output_type["output"].tolist() == [32, 10, 10]
    with pytest.raises(ModelError, match=r"GhostBasicBlock1 .*input_type is \(31, 20, 20\)"):
        block1(input_type={"input": np.array([31, 20, 20])})


@pytest.mark.parametrize(
    ("build", "changes", "message"),
    [
        (encoder, {"conv1_bias": ones(3)}, r"conv1_bias must be 1D with 32 elements.*\(3,\)"),
        (encoder, {"conv1_weight": ones(32, 3)}, r"conv1_weight must be 4D .*\(32, 3\)"),
        (
            encoder,
            {"ghost_primary_weight": ones(16, 7, 1, 1)},
            r"ghost_primary input channels \(7\) must match conv1 output channels \(32\)",
        ),
        (
            encoder,
            {"ghost_cheap_weight": ones(16, 2, 3, 3)},
            r"ghost_cheap_weight must be dep.*2, 3",
        ),
        (encoder, {"ghost_cheap_weight": ones(8, 1, 3, 3)}, r"\(8\) must match .*\(16\)"),
        (encoder, {"ghost_cheap_bias": ones(15)}, r"ghost_cheap_bias must be 1D with 16 elements"),
        (encoder, {"stride": 0}, r"SGhostEncoderLite\.stride must be an int >= 1, got 0"),
        (block1, {"stride": -1}, r"GhostBasicBlock1\.stride must be an int >= 1, got -1"),
        (
            block1,
            {"cv2_primary_weight": ones(8, 32, 3, 3)},
            r"cv2_primary_weight input channels \(32\) must equal cv0 primary output .* \(16\)",
        ),
        (block1, part("cvres_", 32, 4), r"cvres_primary_weight output channels \(4\) .*\(8\)"),
        (block1, part("cvres_", 31, 8), r"cvres_primary_weight input channels \(31\) .*\(32\)"),
        (block1, {"cv0_cheap_weight": ones(16, 2, 3, 3)}, r"cv0_cheap_weight must be depthwise"),
        (block2, {"cv0_primary_bias": ones(1)}, r"cv0_primary_bias must be 1D with 16 elements"),
        (block2, {"cv2_cheap_weight": ones(8, 1, 3, 3) * np.inf}, r"cv2_cheap_weight .*finite"),
        (
            block2,
            part("cv2_", 15, 8),
            r"GhostBasicBlock2\.cv2_primary_weight input channels \(15\)",
        ),
    ],
)
def test_rules_of_blocks(build, changes, message):
    with pytest.raises(ModelError, match=message):
        build(**changes)


def test_rules_of_a_ghost_convolution():
    with pytest.raises(ModelError, match=r"cheap_out_channels \(8\) must match .* \(16\)"):
        ir.SGhostConv(**{**part(), "cheap_weight": ones(8, 1, 3, 3)})
    with pytest.raises(ModelError, match=r"primary_stride must be .*>= 1, got \(0, 1\)"):
        ir.SGhostConv(**part(), primary_stride=(0, 1))
    with pytest.raises(TypeError, match=r"primary_weight must be np\.ndarray, got list"):
        ir.SGhostConv(**{**part(), "primary_weight": [[1.0]]})
    with pytest.raises(TypeError, match=r"GhostBasicBlock1\.stride must be an int >= 1, got 1\.5"):
        block1(stride=1.5)
    with pytest.raises(ModelError, match=r"makes \(11, 11\) of \(9, 9\): both halves must be of"):
        ir.SGhostConv(**part(), cheap_padding=(2, 2)).output_shape((8, 9, 9))
    with pytest.raises(ModelError, match="both halves must be of one size"):
        ir.SGhostConv(**part(cheap=2)).output_shape((8, 9, 9))


def test_even_kernels_of_a_block_are_refused_with_the_way_out():
    node = block2(cv2_primary_weight=ones(8, 16, 2, 2))
    with pytest.raises(
        ModelError, match=r"cv2 that makes \(10, 10\) of \(9, 9\); give .* odd size"
    ):
        node.output_shape((32, 9, 9))


def macs(n_in, n, k, cells, cheap=3):
    return n * (n_in * k * k + cheap * cheap) * cells


def test_operations_count_every_convolution_at_its_own_size():
    node = encoder(stride=2)
    out = node.output_shape((3, 8, 6))
    assert count_macs(node, (3, 8, 6), out) == 32 * 27 * 12 + macs(32, 16, 1, 12)
    out = block1().output_shape((32, 8, 6))
    expected = macs(32, 8, 1, 12) + macs(32, 16, 3, 12) + macs(16, 8, 3, 12)
    assert count_macs(block1(), (32, 8, 6), out) == expected
    expected = macs(32, 16, 3, 48) + macs(16, 8, 3, 48)
    assert count_macs(block2(), (32, 8, 6), (32, 8, 6)) == expected
    assert count_macs(ir.SGhostConv(**part()), (8, 8, 6), (32, 8, 6)) == macs(8, 16, 1, 48)
    assert count_state(block1(), out) == 0


@pytest.mark.parametrize("build", [encoder, block1, block2, lambda: ir.SGhostConv(**part())])
def test_round_trip_through_a_file(build, tmp_path):
    node = build()
    shape = (node.in_channels, 8, 8)
    nodes = {
        "input": ir.Input(np.array(shape)),
        "ghost": node,
        "output": ir.Output(np.array(node.output_shape(shape))),
    }
    ir.write(tmp_path / "a.t1c", ir.Graph(nodes, [("input", "ghost"), ("ghost", "output")]))
    again = ir.read(tmp_path / "a.t1c").nodes["ghost"]
    assert type(again) is type(node)
    for name, value in node.to_dict().items():
        np.testing.assert_array_equal(again.to_dict()[name], value)
