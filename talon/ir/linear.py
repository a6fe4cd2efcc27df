"""Dense layers."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from talon.ir.checks import (
    ParameterError,
    check_choice,
    check_finite,
    check_floating,
    check_int,
    check_mapping,
    port_shape,
)
from talon.ir.node import ARRAY, Node, register_node
from talon.ir.types import Array, Dims, Shape, SpikeMode

SPIKE_MODES = ("binary", "graded", "rate")


class Dense(Node):
    """What dense layers share; the fields belong to the subclasses."""

    weight: Array
    bias: Array
    input_type: Shape | None
    output_type: Shape | None

    def _check_dense(self) -> None:
        kind = type(self).__name__
        weight = check_floating(f"{kind}.weight", self.weight)
        if weight.ndim != 2:
            raise ParameterError(
                f"{kind}.weight must be exactly 2D (out_features, in_features), "
                f"got shape {weight.shape}"
            )
        if 0 in weight.shape:
            raise ParameterError(
                f"{kind}.weight must have at least one row and one column, got shape {weight.shape}"
            )
        bias = check_floating(f"{kind}.bias", self.bias)
        if bias.shape != weight.shape[:1]:
            raise ParameterError(
                f"{kind}.bias must be 1D with {weight.shape[0]} elements, got shape {bias.shape}"
            )
        check_finite(f"{kind}.weight", weight)
        check_finite(f"{kind}.bias", bias)
        self.input_type = self.input_type or port_shape("input", weight.shape[1:])
        self._derive_output()

    @property
    def in_features(self) -> int:
        """Width of the input."""
        return int(self.weight.shape[1])

    @property
    def out_features(self) -> int:
        """Width of the output."""
        return int(self.weight.shape[0])

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``(out_features,)`` for an input of ``(in_features,)``."""
        n_out, n_in = self.weight.shape
        if shape != (n_in,):
            raise ParameterError(f"takes ({n_in},)")
        return (n_out,)

    def intrinsic_shape(self) -> Dims | None:
        """Return ``(out_features,)``."""
        return self.weight.shape[:1]


@register_node
@dataclass(eq=False, repr=False)
class Affine(Dense):
    """``y = weight @ x + bias``.

    Parameters
    ----------
    weight
        Floating point array of shape ``(out_features, in_features)``.
    bias
        Floating point array of shape ``(out_features,)``.
    """

    weight: Array = field(metadata=ARRAY)
    bias: Array = field(metadata=ARRAY)
    input_type: Shape | None = None
    output_type: Shape | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_dense()


@register_node
@dataclass(eq=False, repr=False)
class SpikingAffine(Dense):
    """``y = weight @ x + bias`` with hints on how spikes and weights are to be represented.

    Parameters
    ----------
    weight, bias
        As in :class:`Affine`.
    spike_mode
        ``"binary"``, ``"graded"`` or ``"rate"``.
    weight_bits
        Width of a quantized weight, 1 to 32.
    accumulator_bits
        Width of the accumulator, ``weight_bits`` to 64.
    """

    weight: Array = field(metadata=ARRAY)
    bias: Array = field(metadata=ARRAY)
    spike_mode: SpikeMode = "binary"
    weight_bits: int = 8
    accumulator_bits: int = 16
    input_type: Shape | None = None
    output_type: Shape | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    omitted_defaults: ClassVar[frozenset[str]] = frozenset({"metadata"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_dense()
        mode = check_choice("SpikingAffine.spike_mode", self.spike_mode, SPIKE_MODES)
        self.spike_mode = cast("SpikeMode", mode)
        self.weight_bits = check_int("SpikingAffine.weight_bits", self.weight_bits, 1, 32)
        self.accumulator_bits = check_int(
            "SpikingAffine.accumulator_bits", self.accumulator_bits, 1, 64
        )
        if self.accumulator_bits < self.weight_bits:
            raise ParameterError(
                f"SpikingAffine.accumulator_bits must be >= weight_bits={self.weight_bits}, "
                f"got {self.accumulator_bits}"
            )
        check_mapping("SpikingAffine.metadata", self.metadata)
