# pyright: reportMissingImports=false
"""Weights of a PyTorch module rounded to a number format, in place (fake quantization).

This tells what a format costs before anything is compiled. What the array computes is another
matter, :func:`talon.bridge.quantize_aware_training`: one scale a neuron, integer potentials.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

PRECISIONS = ("fp32", "fp16", "int32", "int16", "int8", "int4")
METHODS = ("minmax", "percentile")
PRECISION = "_talon_precision"
WEIGHT_SCALE, BIAS_SCALE = "_talon_weight_scale", "_talon_bias_scale"


@dataclass(frozen=True, kw_only=True)
class QuantizationConfig:
    """How the layers of a module are rounded.

    Parameters
    ----------
    default_precision
        One of ``PRECISIONS``.
    per_node_precision
        Precisions of single layers, by the name of the module.
    accumulator_bits
        Width of sums, noted for the export.
    symmetric
        Whether the grid of integers is symmetric to zero; else it spans the values.
    calibration_method
        ``"minmax"``: the grid reaches the largest magnitude. ``"percentile"``: it reaches that
        percentile of the magnitudes, and larger ones are clipped.
    percentile
        That percentile, above 0 and at most 100.
    """

    default_precision: str = "int8"
    per_node_precision: Mapping[str, str] = field(default_factory=dict)
    accumulator_bits: int = 16
    symmetric: bool = True
    calibration_method: str = "minmax"
    percentile: float = 99.99

    def __post_init__(self) -> None:
        """Check the fields."""
        object.__setattr__(self, "per_node_precision", dict(self.per_node_precision or {}))
        for precision in (self.default_precision, *self.per_node_precision.values()):
            if precision not in PRECISIONS:
                raise ValueError(f"Unknown precision: {precision}. Use one of {list(PRECISIONS)}")
        if self.calibration_method not in METHODS:
            raise ValueError(
                f"calibration_method must be one of {list(METHODS)}, "
                f"got {self.calibration_method!r}"
            )
        if not 0 < self.percentile <= 100:
            raise ValueError(f"percentile must be above 0 and at most 100, got {self.percentile}")
        if not 1 <= self.accumulator_bits <= 64:
            raise ValueError(f"accumulator_bits must be in [1, 64], got {self.accumulator_bits}")


def quantize(module: Any, config: QuantizationConfig | None = None) -> Any:
    """Round weights and biases of dense layers and convolutions in place; return the module.

    Each tensor has a scale of its own, kept beside it as ``_talon_weight_scale`` and
    ``_talon_bias_scale`` where the format is one of integers.

    Raises
    ------
    ValueError
        ``per_node_precision`` names what is no such layer.
    """
    chosen = config or QuantizationConfig()
    layers = _layers(module)
    if unknown := sorted(set(chosen.per_node_precision) - set(layers)):
        raise ValueError(
            f"per_node_precision names {unknown}, which are no dense layers or convolutions; "
            f"there are {sorted(layers)}"
        )
    with torch.no_grad():
        for name, layer in layers.items():
            precision = chosen.per_node_precision.get(name, chosen.default_precision)
            setattr(layer, PRECISION, precision)
            for key, scale_key in (("weight", WEIGHT_SCALE), ("bias", BIAS_SCALE)):
                tensor = getattr(layer, key, None)
                if tensor is not None:
                    rounded, scale = _rounded(tensor, precision, chosen)
                    tensor.copy_(rounded)
                    setattr(layer, scale_key, scale)
    return module


def get_precision_map(module: Any) -> dict[str, str]:
    """Return the precision of every layer that was quantized, by name."""
    return {
        name: getattr(layer, PRECISION)
        for name, layer in _layers(module).items()
        if hasattr(layer, PRECISION)
    }


def _layers(module: Any) -> dict[str, Any]:
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d)
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, kinds)}


def _rounded(tensor: Any, precision: str, config: QuantizationConfig) -> tuple[Any, float | None]:
    """Return a tensor on the grid of a format, and the step of that grid if it is of integers."""
    if precision == "fp32":
        return tensor.float().to(tensor.dtype), None
    if precision == "fp16":
        return tensor.half().to(tensor.dtype), None
    bits = int(precision[3:])
    exact = tensor.double()
    low, high = _range(exact, config)
    levels = 2 ** (bits - 1) - 1
    if config.symmetric:
        step = max(-low, high) / levels
        zero, least, most = 0.0, -levels, levels
    else:
        step = (high - low) / (2 * levels + 1)
        zero = 0.0 if step == 0 else round(-low / step)
        least, most = 0, 2 * levels + 1
    if step == 0:
        return tensor.clone(), 0.0
    codes = (torch.round(exact / step) + zero).clamp(least, most)
    return ((codes - zero) * step).to(tensor.dtype), step


def _range(values: Any, config: QuantizationConfig) -> tuple[float, float]:
    """Return the least and the largest value that the grid must hold; zero is always held."""
    if not values.numel():
        return 0.0, 0.0
    low, high = min(values.min().item(), 0.0), max(values.max().item(), 0.0)
    if config.calibration_method == "percentile":
        bound = torch.quantile(values.abs().flatten(), config.percentile / 100).item()
        low, high = max(low, -bound), min(high, bound)
    return low, high
