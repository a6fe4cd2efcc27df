"""Normalisation as it is at inference, and Dropout, which then is nothing."""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from talon.ir.activations import Pointwise
from talon.ir.checks import (
    ParameterError,
    check_dims,
    check_everywhere,
    check_finite,
    check_int,
    check_mapping,
    check_number,
)
from talon.ir.node import ARRAY, Node, register_node
from talon.ir.types import Array, Dims, Shape


def _as_floats(field_name: str, value: object, shape: Dims) -> Array:
    """Return finite floating point numbers of a shape; others become float32."""
    if value is None:
        raise TypeError(f"{field_name} must be numbers, got None")
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        array = value
    else:
        try:
            array = np.asarray(value, np.float32)
        except (TypeError, ValueError):
            raise TypeError(f"{field_name} must be numbers, got {value!r}") from None
    if array.shape != shape:
        raise ParameterError(f"{field_name} must have shape {shape}, got {array.shape}")
    check_finite(field_name, array)
    return array


class BatchNorm(Node):
    """What both batch norms share; the fields belong to the subclasses."""

    num_features: int
    weight: Array
    bias: Array
    running_mean: Array
    running_var: Array
    eps: float
    momentum: float
    metadata: dict[str, Any]

    ranks: ClassVar[tuple[int, ...]] = ()
    """How many dimensions the input may have."""

    def _check_norm(self) -> None:
        kind = type(self).__name__
        self.num_features = check_int(f"{kind}.num_features", self.num_features, 1)
        for name in ("weight", "bias", "running_mean", "running_var"):
            array = _as_floats(f"{kind}.{name}", getattr(self, name), (self.num_features,))
            setattr(self, name, array)
        variance = self.running_var
        check_everywhere(f"{kind}.running_var", ">= 0", variance, np.asarray(variance >= 0))
        self.eps = check_number(f"{kind}.eps", self.eps, above=0)
        self.momentum = check_number(f"{kind}.momentum", self.momentum)
        check_mapping(f"{kind}.metadata", self.metadata)
        self._derive_output()

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``shape``, which has ``num_features`` channels."""
        if len(shape) not in self.ranks or shape[0] != self.num_features:
            raise ParameterError(
                f"takes {self.num_features} channels in {' or '.join(map(str, self.ranks))} "
                "dimensions"
            )
        return shape


@register_node
@dataclass(eq=False, repr=False)
class BatchNorm1d(BatchNorm):
    """Normalisation of ``(C,)`` or ``(C, L)`` by the statistics of the training (Ioffe 2015).

    ``y = weight * (x - running_mean) / sqrt(running_var + eps) + bias``

    Parameters
    ----------
    num_features
        Channels.
    weight, bias, running_mean, running_var
        Arrays of shape ``(num_features,)``.
    eps
        Keeps the root from zero.
    momentum
        Of training; it changes nothing here.
    """

    num_features: int
    weight: Array = field(metadata=ARRAY)
    bias: Array = field(metadata=ARRAY)
    running_mean: Array = field(metadata=ARRAY)
    running_var: Array = field(metadata=ARRAY)
    eps: float = 1e-5
    momentum: float = 0.1
    metadata: dict[str, Any] = field(default_factory=dict)
    input_type: Shape | None = None
    output_type: Shape | None = None

    ranks: ClassVar[tuple[int, ...]] = (1, 2)
    omitted_defaults: ClassVar[frozenset[str]] = frozenset({"eps", "momentum", "metadata"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_norm()


@register_node
@dataclass(eq=False, repr=False)
class BatchNorm2d(BatchNorm):
    """:class:`BatchNorm1d` over feature maps ``(C, H, W)``."""

    num_features: int
    weight: Array = field(metadata=ARRAY)
    bias: Array = field(metadata=ARRAY)
    running_mean: Array = field(metadata=ARRAY)
    running_var: Array = field(metadata=ARRAY)
    eps: float = 1e-5
    momentum: float = 0.1
    metadata: dict[str, Any] = field(default_factory=dict)
    input_type: Shape | None = None
    output_type: Shape | None = None

    ranks: ClassVar[tuple[int, ...]] = (3,)
    omitted_defaults: ClassVar[frozenset[str]] = frozenset({"eps", "momentum", "metadata"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_norm()


@register_node
@dataclass(eq=False, repr=False)
class LayerNorm(Node):
    """``y = weight * (x - mean) / sqrt(var + eps) + bias`` over the last dimensions (Ba 2016).

    Parameters
    ----------
    normalized_shape
        The last dimensions of the input, a number or a sequence.
    weight, bias
        Arrays of that shape.
    eps
        Keeps the root from zero.
    """

    normalized_shape: Any
    weight: Array = field(metadata=ARRAY)
    bias: Array = field(metadata=ARRAY)
    eps: float = 1e-5
    metadata: dict[str, Any] = field(default_factory=dict)
    input_type: Shape | None = None
    output_type: Shape | None = None

    omitted_defaults: ClassVar[frozenset[str]] = frozenset({"eps", "metadata"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.normalized_shape = check_dims("LayerNorm.normalized_shape", self.normalized_shape)
        for name in ("weight", "bias"):
            array = _as_floats(f"LayerNorm.{name}", getattr(self, name), self.normalized_shape)
            setattr(self, name, array)
        self.eps = check_number("LayerNorm.eps", self.eps, above=0)
        check_mapping("LayerNorm.metadata", self.metadata)
        self._derive_output()

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``shape``, whose last dimensions are ``normalized_shape``."""
        if shape[-len(self.normalized_shape) :] != self.normalized_shape:
            raise ParameterError(f"normalizes {self.normalized_shape}")
        return shape


@register_node
@dataclass(eq=False, repr=False)
class Dropout(Pointwise):
    """``y = x``: what is dropped with probability ``p`` is dropped in training alone."""

    features: int
    p: float = 0.5
    metadata: dict[str, Any] = field(default_factory=dict)
    input_type: Shape | None = None
    output_type: Shape | None = None

    omitted_defaults: ClassVar[frozenset[str]] = frozenset({"p", "metadata"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_features()
        self.p = check_number("Dropout.p", self.p)
        if not 0 <= self.p <= 1 or math.isnan(self.p):
            raise ParameterError(f"Dropout probability must be in [0, 1], got: {self.p}")
        self._derive_output()
