"""Pooling of feature maps ``(C, H, W)``; padding is at most half of the kernel, as in PyTorch."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from talon.ir.checks import ParameterError, check_bool, check_pair
from talon.ir.node import Node, register_node
from talon.ir.types import Array, Dims, Shape
from talon.ir.utils import pool2d_output_shape


class _Pool(Node):
    """What all pools share; the fields belong to the subclasses."""

    kernel_size: Any
    stride: Any
    padding: Any
    ceil_mode: bool

    def _check_pool(self) -> None:
        kind = type(self).__name__
        self.kernel_size = check_pair(f"{kind}.kernel_size", self.kernel_size, 1)
        given = self.kernel_size if self.stride is None else self.stride
        self.stride = check_pair(f"{kind}.stride", given, 1)
        self.padding = check_pair(f"{kind}.padding", self.padding, 0)
        self.ceil_mode = check_bool(f"{kind}.ceil_mode", self.ceil_mode)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ParameterError(
                f"{kind}.padding must be at most half of kernel_size {self.kernel_size}, "
                f"got {self.padding}"
            )

    def _pooled(self, shape: Dims, dilation: Dims) -> Dims:
        if len(shape) != 3:
            raise ParameterError("takes (C, H, W)")
        try:
            return pool2d_output_shape(
                shape, self.kernel_size, self.stride, self.padding, dilation, self.ceil_mode
            )
        except ValueError as exc:
            raise ParameterError(f"has a window that does not fit: {exc}") from None


@register_node
@dataclass(eq=False, repr=False)
class MaxPool2d(_Pool):
    """The largest value of each window; padding never is the largest.

    Parameters
    ----------
    kernel_size, stride, padding, dilation
        Pairs, or one number for both; the stride is the kernel if not given.
    ceil_mode
        Whether a last window may reach beyond the edge.
    """

    kernel_size: Any = (2, 2)
    stride: Any = None
    padding: Any = (0, 0)
    dilation: Any = (1, 1)
    ceil_mode: bool = False
    input_type: Shape | None = None
    output_type: Shape | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_pool()
        self.dilation = check_pair("MaxPool2d.dilation", self.dilation, 1)
        self._derive_output()

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``(C, H', W')``."""
        pooled = self._pooled(shape, self.dilation)
        if self.dilation != (1, 1):
            self._check_windows(shape, pooled)
        return pooled

    def _check_windows(self, shape: Dims, pooled: Dims) -> None:
        """Raise if a window takes nothing but padding, where there is no largest value."""
        for axis, (n, n_out) in enumerate(zip(shape[1:], pooled[1:], strict=True)):
            step, space = self.stride[axis], self.dilation[axis]
            taken = [k * space - self.padding[axis] for k in range(self.kernel_size[axis])]
            if any(all(not 0 <= at * step + k < n for k in taken) for at in range(n_out)):
                raise ParameterError(
                    f"has a window that takes nothing but padding of {'HW'[axis]}={n}; "
                    "reduce dilation or padding"
                )


@register_node
@dataclass(eq=False, repr=False)
class AvgPool2d(_Pool):
    """The mean of each window.

    Parameters
    ----------
    kernel_size, stride, padding
        Pairs, or one number for both; the stride is the kernel if not given.
    ceil_mode
        Whether a last window may reach beyond the edge.
    count_include_pad
        Whether the zeros of the padding count in the mean; what lies beyond it never does.
    """

    kernel_size: Any = (2, 2)
    stride: Any = None
    padding: Any = (0, 0)
    ceil_mode: bool = False
    count_include_pad: bool = True
    input_type: Shape | None = None
    output_type: Shape | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_pool()
        self.count_include_pad = check_bool("AvgPool2d.count_include_pad", self.count_include_pad)
        self._derive_output()

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``(C, H', W')``."""
        return self._pooled(shape, (1, 1))

    def window_sizes(self, shape: Dims) -> list[Array]:
        """Return how many rows, and how many columns, count in the mean of each window."""
        found: list[Array] = []
        for n, n_out, kernel, stride, padding in zip(
            shape[1:], self.output_shape(shape)[1:], self.kernel_size, self.stride, self.padding,
            strict=True,
        ):  # fmt: skip
            start = np.arange(n_out) * stride - padding
            stop = np.minimum(start + kernel, n + padding)
            if not self.count_include_pad:
                start, stop = np.maximum(start, 0), np.minimum(stop, n)
            found.append(stop - start)
        return found


@register_node
@dataclass(eq=False, repr=False)
class SumPool2d(_Pool):
    """The sum of each window.

    Parameters
    ----------
    kernel_size, stride, padding
        Pairs, or one number for both; the stride is the kernel if not given.
    ceil_mode
        Whether a last window may reach beyond the edge.
    """

    kernel_size: Any = (2, 2)
    stride: Any = None
    padding: Any = (0, 0)
    ceil_mode: bool = False
    input_type: Shape | None = None
    output_type: Shape | None = None

    is_extension: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_pool()
        self._derive_output()

    def output_shape(self, shape: Dims) -> Dims:
        """Return ``(C, H', W')``."""
        return self._pooled(shape, (1, 1))
