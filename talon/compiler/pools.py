"""Pooling as a matrix: a sum over a window is linear."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from talon.ir import SumPool2d


def pooling_matrix(node: SumPool2d, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the matrix (outputs, inputs) of a pool over ``shape``, which is ``(C, H, W)``."""
    pooled = node.output_shape(shape)
    rows, columns = (
        _windows(n_in, n_out, kernel, stride, padding)
        for n_in, n_out, kernel, stride, padding in zip(
            shape[1:], pooled[1:], node.kernel_size, node.stride, node.padding, strict=True
        )
    )
    plane = np.einsum("yi,xj->yxij", rows, columns)
    plane = plane.reshape(math.prod(pooled[1:]), math.prod(shape[1:]))
    return np.kron(np.eye(shape[0]), plane)


def _windows(n_in: int, n_out: int, kernel: int, stride: int, padding: int) -> NDArray[np.float64]:
    """Return which inputs of one axis are in the window of each output."""
    first = np.arange(n_out)[:, None] * stride - padding
    index = np.arange(n_in)[None, :]
    return ((first <= index) & (index < first + kernel)).astype(np.float64)
