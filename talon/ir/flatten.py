"""Reshaping of features."""

import math
from dataclasses import dataclass

from talon.ir.checks import ParameterError, check_int, port_shape
from talon.ir.node import Node, register_node
from talon.ir.types import Dims, Shape

_MAX_RANK = 32


@register_node
@dataclass(eq=False, repr=False)
class Flatten(Node):
    """Join the dimensions ``start_dim`` to ``end_dim``, both inclusive, into one (row-major).

    Dimensions are counted without batch: the default turns ``(32, 8, 8)`` into ``(2048,)``.
    """

    start_dim: int = 0
    end_dim: int = -1
    input_type: Shape | None = None
    output_type: Shape | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.start_dim = check_int("Flatten.start_dim", self.start_dim, -_MAX_RANK, _MAX_RANK)
        self.end_dim = check_int("Flatten.end_dim", self.end_dim, -_MAX_RANK, _MAX_RANK)
        declared = self.required_shape()
        if declared is not None:
            try:
                self.output_type = port_shape("output", self.output_shape(declared))
            except ParameterError as exc:
                raise ParameterError(f"Flatten {exc}") from None

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``shape`` with the chosen dimensions joined."""
        start = _normalize("start_dim", self.start_dim, shape)
        end = _normalize("end_dim", self.end_dim, shape)
        if start > end:
            raise ParameterError(
                f"start_dim={self.start_dim} (normalized: {start}) must be <= "
                f"end_dim={self.end_dim} (normalized: {end})"
            )
        return (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])


def _normalize(name: str, dim: int, shape: Dims) -> int:
    normalized = dim + len(shape) if dim < 0 else dim
    if not 0 <= normalized < len(shape):
        raise ParameterError(
            f"{name}={dim} (normalized: {normalized}) out of bounds for input shape {shape} "
            f"with {len(shape)} dimensions"
        )
    return normalized
