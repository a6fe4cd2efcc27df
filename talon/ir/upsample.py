"""Enlarging of feature maps ``(C, H, W)``."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from talon.ir.checks import ParameterError, check_bool, check_pair
from talon.ir.node import Node, register_node
from talon.ir.types import Array, Dims, Shape


class UpsampleMode(str, Enum):
    """How values between those of the input are found."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"


@register_node
@dataclass(eq=False, repr=False)
class Upsample(Node):
    """Feature maps of another size, as PyTorch's Upsample makes them.

    Parameters
    ----------
    scale_factor
        Factor on height and width, at least 1; the sizes are rounded down.
    size
        Height and width instead; it wins if both are given.
    mode
        ``"nearest"`` or ``"bilinear"``.
    align_corners
        Whether the corners of input and output have equal values; with ``"bilinear"`` alone.
    """

    scale_factor: Any = 2
    size: Any = None
    mode: str = "nearest"
    align_corners: bool = False
    input_type: Shape | None = None
    output_type: Shape | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.mode, UpsampleMode):
            self.mode = self.mode.value
        if self.mode not in ("nearest", "bilinear"):
            raise ParameterError(
                f"Upsample mode must be 'nearest' or 'bilinear', got {self.mode!r}"
            )
        if self.scale_factor is None and self.size is None:
            raise ParameterError("Upsample requires either scale_factor or size to be specified")
        if self.scale_factor is not None:
            self._check_scale()
        if self.size is not None:
            if isinstance(self.size, int):
                raise ParameterError(f"Upsample size must be (H, W) tuple, got {self.size!r}")
            self.size = check_pair("Upsample size", self.size, 1)
            self.scale_factor = None  # a file leaves out what is None, and size wins
        self.align_corners = check_bool("Upsample.align_corners", self.align_corners)
        if self.align_corners and self.mode == "nearest":
            raise ParameterError("Upsample.align_corners needs mode 'bilinear', got 'nearest'")
        self._derive_output()

    def _check_scale(self) -> None:
        scale = self.scale_factor
        if isinstance(scale, bool) or not isinstance(scale, int | float | np.number):
            raise TypeError(
                f"Upsample scale_factor must be one number, got {scale!r}; or give size"
            )
        if not (math.isfinite(scale) and scale >= 1):
            raise ParameterError(f"Upsample scale_factor must be >= 1, got {scale}")
        self.scale_factor = scale.item() if isinstance(scale, np.generic) else scale

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``(C, H', W')``."""
        if len(shape) != 3:
            raise ParameterError("takes (C, H, W)")
        if self.size is not None:
            return (shape[0], *self.size)
        return (shape[0], *(math.floor(n * self.scale_factor) for n in shape[1:]))

    def neighbours(self, shape: Dims) -> list[tuple[Array, Array, Array]]:
        """Return for rows and columns the two source coordinates of each target coordinate.

        The third array is the share of the second source; with ``"nearest"`` both are the same.
        """
        _, *sizes = self.output_shape(shape)
        found: list[tuple[Array, Array, Array]] = []
        for n, size in zip(shape[1:], sizes, strict=True):
            scale = 1 / self.scale_factor if self.size is None else n / size
            if self.mode == "nearest":
                low = _nearest(n, size, scale)
                found.append((low, low, np.zeros(size)))
            else:
                found.append(_between(n, size, scale, align_corners=self.align_corners))
        return found


def _nearest(n: int, size: int, scale: float) -> Array:
    """Return where each output value comes from, with PyTorch's float32 arithmetic.

    As there, the factor counts only where the size is neither the same nor exactly twice as large.
    """
    if size in (n, 2 * n):
        return np.arange(size) * n // size
    places = np.arange(size, dtype=np.float32) * np.float32(scale)
    return np.minimum(np.floor(places).astype(np.intp), n - 1)


def _between(n: int, size: int, scale: float, *, align_corners: bool) -> tuple[Array, Array, Array]:
    """Return the two neighbours of each output value and the share of the second."""
    at = np.arange(size)
    if align_corners:
        places = at * ((n - 1) / (size - 1) if size > 1 else 0.0)
    else:
        places = np.maximum(scale * (at + 0.5) - 0.5, 0)
    low = np.minimum(places.astype(np.intp), n - 1)
    return low, np.minimum(low + 1, n - 1), places - low
