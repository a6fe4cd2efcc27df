"""Weights on the grid of a number format."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from talon.bridge import QuantizationConfig, get_precision_map, quantize  # noqa: E402


def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(36, 5)
    )


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_integers_are_on_a_grid_of_their_own_step(bits):
    plain, done = model(), quantize(model(), QuantizationConfig(default_precision=f"int{bits}"))
    for before, after in ((plain[0], done[0]), (plain[3], done[3])):
        for key, scale in (("weight", "_talon_weight_scale"), ("bias", "_talon_bias_scale")):
            old, new = (getattr(m, key).detach().double() for m in (before, after))
            step = getattr(after, scale)
            assert step == pytest.approx(old.abs().max().item() / (2 ** (bits - 1) - 1))
            codes = new / step
            torch.testing.assert_close(codes, codes.round(), atol=1e-3 * 2 ** (bits - 8), rtol=0)
            assert (new - old).abs().max() <= step * 0.501
    assert get_precision_map(done) == {"0": f"int{bits}", "3": f"int{bits}"}


def test_half_precision_is_half_precision():
    done = quantize(model(), QuantizationConfig(default_precision="fp16"))
    weight = model()[3].weight
    torch.testing.assert_close(done[3].weight, weight.half().float(), atol=0, rtol=0)
    assert done[3]._talon_weight_scale is None


def test_single_layers_have_their_own_precision():
    config = QuantizationConfig(per_node_precision={"3": "int4", "0": "fp32"})
    done = quantize(model(), config)
    assert get_precision_map(done) == {"0": "fp32", "3": "int4"}
    assert torch.equal(done[0].weight, model()[0].weight)
    assert len(done[3].weight.unique()) <= 15


def test_percentile_clips_what_is_beyond_it():
    layer = torch.nn.Linear(100, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-1, 1, 100))
        layer.weight[0, 0] = -50
    config = QuantizationConfig(calibration_method="percentile", percentile=95)
    quantize(layer, config)
    assert layer.weight.abs().max() < 1.01
    assert layer._talon_weight_scale < 0.01


def test_grid_that_is_not_symmetric_spans_the_values():
    layer = torch.nn.Linear(64, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(0, 1, 64))
    quantize(layer, QuantizationConfig(default_precision="int4", symmetric=False))
    assert layer._talon_weight_scale == pytest.approx(1 / 15)
    assert len(layer.weight.unique()) == 16
    np.testing.assert_allclose(layer.weight.max().item(), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"default_precision": "int2"}, r"Unknown precision: int2\. Use one of \['fp32', 'fp16'"),
        ({"per_node_precision": {"a": "x"}}, "Unknown precision: x"),
        ({"calibration_method": "entropy"}, "calibration_method must be one of"),
        ({"percentile": 0}, "percentile must be above 0 and at most 100, got 0"),
        ({"accumulator_bits": 0}, r"accumulator_bits must be in \[1, 64\], got 0"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        QuantizationConfig(**options)


def test_unknown_layers_are_named():
    with pytest.raises(ValueError, match=r"per_node_precision names \['1'\], which are no dense"):
        quantize(model(), QuantizationConfig(per_node_precision={"1": "int8"}))
