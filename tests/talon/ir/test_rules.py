"""Every rule of a field is told with the field, the rule and the value."""

import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from talon import ir
from talon.errors import ModelError


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def conv(**changes: Any) -> ir.Conv2d:
    return ir.Conv2d(**{"weight": ones(4, 3, 3, 3), "bias": ones(4), **changes})


def separable(**changes: Any) -> ir.SepConv2d:
    given = {"depthwise_weight": ones(3, 1, 3, 3), "pointwise_weight": ones(5, 3, 1, 1)}
    return ir.SepConv2d(**{**given, **changes})


def norm(**changes: Any) -> ir.BatchNorm2d:
    names = ("weight", "bias", "running_mean", "running_var")
    return ir.BatchNorm2d(**{"num_features": 3, **dict.fromkeys(names, ones(3)), **changes})


def ghost(**changes: Any) -> ir.SGhostConv:
    given = {
        "primary_weight": ones(4, 3, 1, 1),
        "primary_bias": ones(4),
        "cheap_weight": ones(4, 1, 3, 3),
        "cheap_bias": ones(4),
    }
    return ir.SGhostConv(**{**given, **changes})


def head(**changes: Any) -> ir.SDDetect:
    given: dict[str, Any] = {"num_classes": 3, "reg_max": 4, "stride": 8}
    for name, last in (("cv2", 16), ("cv3", 3)):
        for k, shape in enumerate([(6, 5, 3, 3), (6, 6, 3, 3), (last, 6, 1, 1)]):
            given |= {f"{name}_w{k}": ones(*shape), f"{name}_b{k}": ones(shape[0])}
    return ir.SDDetect(**{**given, **changes})


def block1(**changes: Any) -> ir.GhostBasicBlock1:
    given: dict[str, Any] = {}
    for prefix, n_in, n in (("cvres_", 6, 2), ("cv0_", 6, 4), ("cv2_", 4, 2)):
        given |= {
            f"{prefix}primary_weight": ones(n, n_in, 1, 1),
            f"{prefix}primary_bias": ones(n),
            f"{prefix}cheap_weight": ones(n, 1, 3, 3),
            f"{prefix}cheap_bias": ones(n),
        }
    return ir.GhostBasicBlock1(**{**given, **changes})


VALUE_RULES: list[tuple[Callable[[], object], str]] = [
    (lambda: conv(weight=ones(4, 3)), "Conv2d.weight must be 4D (out_ch, in_ch, kH, kW), got sha"),
    (lambda: conv(weight=ones(4, 0, 3, 3)), "Conv2d.weight must not be empty, got shape (4, 0"),
    (lambda: conv(weight=ones(4, 3, 3, 3) * np.nan), "Conv2d.weight must be finite, got nan at"),
    (lambda: conv(bias=ones(3)), "Conv2d.bias must be 1D with 4 elements, got shape (3,)"),
    (lambda: conv(bias=ones(4) * np.inf), "Conv2d.bias must be finite, got inf at index (0,)"),
    (lambda: conv(stride=0), "Conv2d.stride must be >= 1, got 0"),
    (lambda: conv(stride=(1, 2, 3)), "Conv2d.stride must be an int or 2 of them, got (1, 2, 3)"),
    (lambda: conv(padding=(-1, 0)), "Conv2d.padding must be >= 0, got (-1, 0)"),
    (lambda: conv(padding="full"), "Conv2d.padding must be numbers, 'valid' or 'same', got 'full'"),
    (lambda: conv(padding="same", stride=2), "Conv2d.padding='same' needs stride 1, got (2, 2)"),
    (
        lambda: conv(weight=ones(4, 3, 2, 3), padding="same"),
        "Conv2d.padding='same' needs [1, 2] rows and columns in all",
    ),
    (lambda: conv(dilation=0), "Conv2d.dilation must be >= 1, got 0"),
    (lambda: conv(groups=0), "Conv2d.groups must be a positive int, got 0"),
    (lambda: conv(groups=3), "Conv2d.groups must divide the 4 output channels, got 3"),
    (
        lambda: ir.SDConv(ones(8, 3, 3, 3), ones(8)),
        "SDConv requires groups == in_channels == out_channels, got groups=1, in_ch=3, out_ch=8",
    ),
    (
        lambda: separable(depthwise_weight=ones(3, 2, 3, 3)),
        "SepConv2d.depthwise_weight dim 1 must be 1, got 2",
    ),
    (
        lambda: separable(pointwise_weight=ones(5, 3, 3, 3)),
        "SepConv2d.pointwise_weight must have kernel size (1, 1), got (3, 3)",
    ),
    (
        lambda: separable(pointwise_weight=ones(5, 4, 1, 1)),
        "SepConv2d pointwise in_channels must match depthwise in_channels 3, got 4",
    ),
    (lambda: separable(pointwise_bias=ones(3)), "SepConv2d.pointwise_bias must be 1D with 5 elem"),
    (lambda: ir.Conv1d(ones(4, 3), ones(4)), "Conv1d.weight must be 3D (out_ch, in_ch/groups, k"),
    (lambda: ir.MaxPool2d(0), "MaxPool2d.kernel_size must be >= 1, got 0"),
    (lambda: ir.MaxPool2d(2, padding=2), "MaxPool2d.padding must be at most half of kernel_size"),
    (lambda: ir.AvgPool2d(2, stride=(1, 0)), "AvgPool2d.stride must be >= 1, got (1, 0)"),
    (lambda: ir.Upsample(None), "Upsample requires either scale_factor or size to be specified"),
    (lambda: ir.Upsample(0), "Upsample scale_factor must be >= 1, got 0"),
    (lambda: ir.Upsample(2, mode="bicubic"), "Upsample mode must be 'nearest' or 'bilinear', got"),
    (lambda: ir.Upsample(2, size=8), "Upsample size must be (H, W) tuple, got 8"),
    (lambda: ir.Upsample(2, align_corners=True), "Upsample.align_corners needs mode 'bilinear'"),
    (lambda: ir.ReLU(0), "ReLU.features must be a positive int, got 0"),
    (lambda: ir.ReLU(3, negative_slope=np.nan), "ReLU.negative_slope must be finite, got nan"),
    (lambda: ir.Softmax(3, dim=40), "Softmax.dim must be in [-32, 31], got 40"),
    (lambda: ir.Softplus(3, beta=0.0), "Softplus.beta must be above 0, got 0.0"),
    (lambda: ir.SiLU(0), "SiLU.features must be a positive int, got 0"),
    (
        lambda: ir.PReLU(8, ones(3)),
        "PReLU.weight must have 1 or features=8 elements, got shape (3,",
    ),
    (lambda: norm(running_var=-ones(3)), "BatchNorm2d.running_var must be >= 0, got -1.0 at index"),
    (lambda: norm(bias=ones(4)), "BatchNorm2d.bias must have shape (3,), got (4,)"),
    (lambda: norm(eps=0), "BatchNorm2d.eps must be > 0, got 0"),
    (lambda: ir.LayerNorm(0, ones(1), ones(1)), "LayerNorm.normalized_shape must be positive in"),
    (lambda: ir.LayerNorm((2, 3), ones(2), ones(2, 3)), "LayerNorm.weight must have shape (2, 3)"),
    (lambda: ir.Dropout(3, p=1.5), "Dropout probability must be in [0, 1], got: 1.5"),
    (lambda: ir.HybridRegion("foo", 3), "mode must be 'snn' or 'ann', got: foo"),
    (lambda: ir.ChannelSplit(()), "split_sections must be non-empty"),
    (lambda: ir.ChannelSplit((True, 2)), "All split_sections must be positive integers, got (Tru"),
    (lambda: ir.ChannelSplit((2, 0)), "All split_sections must be positive integers, got (2, 0)"),
    (lambda: ir.Concat(1), "Concat requires at least 2 inputs, got 1"),
    (
        lambda: ghost(cheap_weight=ones(3, 1, 3, 3)),
        "cheap_out_channels (3) must match primary_out_c",
    ),
    (
        lambda: ghost(cheap_weight=ones(4, 2, 3, 3)),
        "cheap_weight must be depthwise (shape[1]=1), go",
    ),
    (lambda: ghost(primary_bias=ones(3)), "SGhostConv.primary_bias must be 1D with 4 elements"),
    (
        lambda: block1(cv2_primary_weight=ones(2, 3, 1, 1)),
        "GhostBasicBlock1.cv2_primary_weight input channels (3) must equal cv0 primary output ch",
    ),
    (
        lambda: block1(cvres_primary_weight=ones(2, 5, 1, 1)),
        "GhostBasicBlock1.cvres_primary_weight input channels (5) must equal cv0 input channe",
    ),
    (lambda: head(stride=7), "stride must be 4, 8, or 16, got 7"),
    (lambda: head(reg_max=2), "cv2_w2 output channels (16) must be 4 * reg_max = 8"),
    (
        lambda: head(cv3_w1=ones(6, 4, 3, 3)),
        "SDDetect.cv3_w1 input channels (4) must equal the out",
    ),
    (lambda: head(cv3_b2=ones(2)), "SDDetect.cv3_b2 must be 1D with 3 elements, got shape (2,)"),
    (lambda: ir.DFLDecode(4, ones(3)), "dfl_weights must have shape (4,), got (3,)"),
    (
        lambda: ir.DFLDecode(2**40),
        "reg_max must be <= 65536 unless dfl_weights are given, got 10995",
    ),
    (lambda: ir.Dist2BBox(5), "stride must be 4, 8, or 16, got 5"),
    (lambda: ir.Dist2BBox(8, anchors=ones(3)), "Dist2BBox.anchors must have shape (2, anchors), g"),
    (lambda: ir.NMS(score_threshold=1.5), "score_threshold must be in [0, 1], got 1.5"),
    (lambda: ir.NMS(iou_threshold=0), "iou_threshold must be in (0, 1], got 0"),
    (lambda: ir.NMS(max_detections=-1), "max_detections must be >= 0 (0=unlimited), got -1"),
    (lambda: ir.NMS(layout="boxes"), "NMS.layout must be one of ('rows', 'channels'), got 'boxes'"),
]

DECLARED: list[tuple[Callable[[ir.Shape], ir.Node], str]] = [
    (
        lambda given: ir.Affine(ones(2, 3), ones(2), input_type=given),
        "Affine takes (3,), but input_type is (5, 4, 4)",
    ),
    (
        lambda given: ir.IF(ones(3), input_type=given),
        "IF has parameters of shape (3,), but input_type is (5, 4, 4)",
    ),
    (
        lambda given: conv(input_type=given),
        "Conv2d takes (3, H, W), but input_type is (5, 4, 4)",
    ),
    (
        lambda given: ir.ReLU(3, input_type=given),
        "ReLU takes 3 features or channels, but input_type is (5, 4, 4)",
    ),
    (
        lambda given: ir.ChannelSplit((1, 2), input_type=given),
        "split_sections sum (3) must equal input dim 0 (5), but input_type is (5, 4, 4)",
    ),
    (
        lambda given: ir.LayerNorm((3, 4), ones(3, 4), ones(3, 4), input_type=given),
        "LayerNorm normalizes (3, 4), but input_type is (5, 4, 4)",
    ),
]


@pytest.mark.parametrize(("make", "message"), DECLARED, ids=[m for _, m in DECLARED])
def test_declared_input_must_fit(make: Callable[[ir.Shape], ir.Node], message: str) -> None:
    with pytest.raises(ModelError, match=re.escape(message)):
        make({"input": np.array([5, 4, 4])})


def test_output_follows_a_declared_input() -> None:
    given = {"input": np.array([3, 4, 4])}
    for node in (ir.IF(ones(3), input_type=given), ir.Skip("add", input_type=given)):
        assert node.output_type is not None
        assert node.output_type["output"].tolist() == [3, 4, 4]
    wrong = {"output": np.array([7])}
    assert ir.Affine(ones(2, 3), ones(2), output_type=wrong).output_type["output"].tolist() == [2]


TYPE_RULES: list[tuple[Callable[[], object], str]] = [
    (lambda: conv(weight=[1.0]), "Conv2d.weight must be np.ndarray, got list"),
    (lambda: conv(stride=1.5), "Conv2d.stride must be an int or 2 of them, got 1.5"),
    (lambda: conv(stride=(1.5, 1)), "Conv2d.stride must be an int or 2 of them, got (1.5, 1)"),
    (lambda: ir.MaxPool2d(2, ceil_mode=1), "MaxPool2d.ceil_mode must be a bool, got 1"),
    (lambda: ir.Upsample((2, 3)), "Upsample scale_factor must be one number, got (2, 3); or give"),
    (lambda: ir.ELU(3, alpha="1"), "ELU.alpha must be a number, got '1'"),
    (lambda: ir.PReLU(3, "x"), "PReLU.weight must be numbers, got 'x'"),
    (lambda: ir.GELU(3, approximate="tanh"), "GELU.approximate must be a bool, got 'tanh'"),
    (lambda: norm(running_mean=None), "BatchNorm2d.running_mean must be numbers, got None"),
    (lambda: ir.ChannelSplit(3), "split_sections must be a sequence of ints, got 3"),
    (lambda: norm(num_features=3.0), "BatchNorm2d.num_features must be an int >= 1, got 3.0"),
    (lambda: ir.NMS(max_detections=1.5), "max_detections must be an int >= 0, got 1.5"),
]


@pytest.mark.parametrize(("make", "message"), VALUE_RULES, ids=[m for _, m in VALUE_RULES])
def test_value_that_breaks_a_rule_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ModelError, match=re.escape(message)) as caught:
        make()
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(("make", "message"), TYPE_RULES, ids=[m for _, m in TYPE_RULES])
def test_wrong_python_type_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    "make",
    [conv, separable, norm, ghost, head, block1, lambda: ir.SDConv(ones(8, 1, 3, 3), ones(8))],
)
def test_sound_nodes_survive_their_dictionary(make: Callable[[], ir.Node]) -> None:
    node = make()
    again = type(node).from_dict(node.to_dict())
    assert again.to_dict().keys() == node.to_dict().keys()
    for name, value in node.to_dict().items():
        assert np.array_equal(again.to_dict()[name], value), name


def test_counts_of_blocks() -> None:
    assert block1().out_channels == 8 and block1().in_channels == 6
    assert head().box_out_channels == 16
    assert ghost().param_count == 12 + 4 + 36 + 4
    assert ghost().output_shape((3, 5, 5)) == (8, 5, 5)
    assert block1().output_shape((6, 8, 9)) == (8, 4, 5)
    assert head().output_shape((5, 8, 9)) == (19, 8, 9)
    assert ir.DFLDecode(4).output_shape((19, 8, 9)) == (7, 8, 9)
    assert ir.Dist2BBox().output_shape((7, 8, 9)) == (7, 8, 9)
    assert ir.NMS(max_detections=20).output_shape((7, 8, 9)) == (20, 8)
    assert ir.NMS(max_detections=0).output_shape((50, 85)) == (50, 85)


def test_a_number_from_a_file_costs_no_memory() -> None:
    assert ir.Concat(2**62, input_type={"input_0": np.array([3])}).output_type is None
    assert ir.NMS(max_detections=2**62).output_shape((5, 6)) == (2**62, 6)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("at", [(0, 0), (700, 3), (2047, 1023)])
def test_a_large_array_is_looked_at_to_the_last_element(order: Any, at: tuple[int, int]) -> None:
    weight = np.ones((2048, 1024), np.float32, order=order)
    weight[at] = -np.inf
    message = re.escape(f"Affine.weight must be finite, got -inf at index {at}")
    with pytest.raises(ModelError, match=f"^{message}$"):
        ir.Affine(weight, ones(2048))


def test_a_large_array_is_looked_at_without_a_large_copy() -> None:
    weight, bias = ones(2048, 2048), ones(2048)
    tracemalloc.start()
    try:
        assert ir.Affine(weight, bias).weight is weight
        assert tracemalloc.get_traced_memory()[1] < weight.size / 4
    finally:
        tracemalloc.stop()
