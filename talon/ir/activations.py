"""Point-wise functions of graded values, and Softmax.

``features`` is the number of features that a layer has: all of ``C*H*W``, or the ``C`` channels.
"""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from talon.ir.checks import (
    ParameterError,
    check_array,
    check_bool,
    check_finite,
    check_int,
    check_mapping,
    check_number,
)
from talon.ir.node import ARRAY, Node, register_node
from talon.ir.types import Array, Dims, Shape

_METADATA = frozenset({"metadata"})


class Pointwise(Node):
    """What acts on every feature for itself; the fields belong to the subclasses."""

    features: int
    metadata: dict[str, Any]

    def _check_features(self) -> None:
        kind = type(self).__name__
        if (
            isinstance(self.features, bool)
            or not isinstance(self.features, int | np.integer)
            or self.features < 1
        ):
            raise ParameterError(f"{kind}.features must be a positive int, got {self.features!r}")
        self.features = int(self.features)
        check_mapping(f"{kind}.metadata", self.metadata)

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``shape``, which has ``features`` features or channels."""
        if self.features not in (math.prod(shape), shape[0]):
            raise ParameterError(f"takes {self.features} features or channels")
        return shape


@register_node
@dataclass(eq=False, repr=False)
class ReLU(Pointwise):
    """``y = x`` where ``x > 0``, else ``negative_slope * x``."""

    features: int
    negative_slope: float = 0.0
    metadata: dict[str, Any] = field(default_factory=dict)
    input_type: Shape | None = None
    output_type: Shape | None = None

    omitted_defaults: ClassVar[frozenset[str]] = _METADATA | {"negative_slope"}

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_features()
        self.negative_slope = check_number("ReLU.negative_slope", self.negative_slope)
        self._derive_output()


@register_node
@dataclass(eq=False, repr=False)
class Sigmoid(Pointwise):
    """``y = 1 / (1 + exp(-x))``."""

    features: int
    metadata: dict[str, Any] = field(default_factory=dict)
    input_type: Shape | None = None
    output_type: Shape | None = None

    omitted_defaults: ClassVar[frozenset[str]] = _METADATA

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_features()
        self._derive_output()


@register_node
@dataclass(eq=False, repr=False)
class Tanh(Pointwise):
    """``y = tanh(x)``."""

    features: int
    metadata: dict[str, Any] = field(default_factory=dict)
    input_type: Shape | None = None
    output_type: Shape | None = None

    omitted_defaults: ClassVar[frozenset[str]] = _METADATA

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_features()
        self._derive_output()


@register_node
@dataclass(eq=False, repr=False)
class Softmax(Pointwise):
    """``y = exp(x) / sum(exp(x))`` along dimension ``dim``, which counts without batch."""

    features: int
    dim: int = -1
    metadata: dict[str, Any] = field(default_factory=dict)
    input_type: Shape | None = None
    output_type: Shape | None = None

    omitted_defaults: ClassVar[frozenset[str]] = _METADATA | {"dim"}

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_features()
        self.dim = check_int("Softmax.dim", self.dim, -32, 31)
        self._derive_output()

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``shape``, which has the dimension ``dim``."""
        if not -len(shape) <= self.dim < len(shape):
            raise ParameterError(f"has dim={self.dim}, which counts without batch")
        return super().output_shape(shape)


@register_node
@dataclass(eq=False, repr=False)
class GELU(Pointwise):
    """``y = x * Phi(x)``; ``approximate`` takes the form with tanh (Hendrycks, Gimpel 2016)."""

    features: int
    approximate: bool = True
    metadata: dict[str, Any] = field(default_factory=dict)
    input_type: Shape | None = None
    output_type: Shape | None = None

    omitted_defaults: ClassVar[frozenset[str]] = _METADATA | {"approximate"}

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_features()
        self.approximate = check_bool("GELU.approximate", self.approximate)
        self._derive_output()


@register_node
@dataclass(eq=False, repr=False)
class ELU(Pointwise):
    """``y = x`` where ``x > 0``, else ``alpha * (exp(x) - 1)``."""

    features: int
    alpha: float = 1.0
    metadata: dict[str, Any] = field(default_factory=dict)
    input_type: Shape | None = None
    output_type: Shape | None = None

    omitted_defaults: ClassVar[frozenset[str]] = _METADATA | {"alpha"}

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_features()
        self.alpha = check_number("ELU.alpha", self.alpha)
        self._derive_output()


@register_node
@dataclass(eq=False, repr=False)
class PReLU(Pointwise):
    """``y = x`` where ``x > 0``, else ``weight * x``.

    Parameters
    ----------
    features
        Number of features or channels.
    weight
        One slope for all, or one for each channel; a number or an array.
    """

    features: int
    weight: Array = field(metadata=ARRAY)
    metadata: dict[str, Any] = field(default_factory=dict)
    input_type: Shape | None = None
    output_type: Shape | None = None

    omitted_defaults: ClassVar[frozenset[str]] = _METADATA

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_features()
        given = self.weight
        if not isinstance(given, np.ndarray) or given.ndim != 1 or given.dtype.kind != "f":
            try:
                self.weight = np.atleast_1d(np.asarray(given, np.float32))
            except (TypeError, ValueError):
                raise TypeError(f"PReLU.weight must be numbers, got {given!r}") from None
        weight = check_array("PReLU.weight", self.weight)
        check_finite("PReLU.weight", weight)
        if weight.ndim != 1 or weight.size not in (1, self.features):
            raise ParameterError(
                f"PReLU.weight must have 1 or features={self.features} elements, "
                f"got shape {weight.shape}"
            )
        self._derive_output()

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``shape``, whose channels have a slope each."""
        if self.weight.size > 1 and self.weight.size != shape[0]:
            raise ParameterError(f"takes {self.weight.size} channels")
        return super().output_shape(shape)


@register_node
@dataclass(eq=False, repr=False)
class SiLU(Pointwise):
    """``y = x / (1 + exp(-x))`` (Hendrycks, Gimpel 2016), also called swish."""

    features: int
    metadata: dict[str, Any] = field(default_factory=dict)
    input_type: Shape | None = None
    output_type: Shape | None = None

    omitted_defaults: ClassVar[frozenset[str]] = _METADATA
    is_extension: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_features()
        self._derive_output()


@register_node
@dataclass(eq=False, repr=False)
class HardSwish(Pointwise):
    """``y = x * min(max(x + 3, 0), 6) / 6`` (Howard et al. 2019)."""

    features: int
    metadata: dict[str, Any] = field(default_factory=dict)
    input_type: Shape | None = None
    output_type: Shape | None = None

    omitted_defaults: ClassVar[frozenset[str]] = _METADATA
    is_extension: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_features()
        self._derive_output()


@register_node
@dataclass(eq=False, repr=False)
class Softplus(Pointwise):
    """``y = log(1 + exp(beta * x)) / beta``; ``beta`` is above zero."""

    features: int
    beta: float = 1.0
    metadata: dict[str, Any] = field(default_factory=dict)
    input_type: Shape | None = None
    output_type: Shape | None = None

    omitted_defaults: ClassVar[frozenset[str]] = _METADATA
    is_extension: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_features()
        self.beta = check_number("Softplus.beta", self.beta)
        if not self.beta > 0:
            raise ParameterError(f"Softplus.beta must be above 0, got {self.beta!r}")
        self._derive_output()
