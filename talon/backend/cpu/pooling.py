"""Pools and Upsample in floats.

Both directions of a window are reduced one after the other, rows first: there whole rows of a
channel-last frame are compared or added at once.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from talon.backend.cpu.convolution import Kernel
from talon.backend.cpu.kernels import build_kernel
from talon.ir import AvgPool2d, MaxPool2d, SumPool2d, Upsample
from talon.ir.types import Dims, FloatArray


@build_kernel.register
def _build_max_pool(node: MaxPool2d, shape: Dims, dtype: np.dtype) -> Kernel:
    _, *sizes = node.output_shape(shape)
    pad = _build_pad(
        shape, sizes, node.kernel_size, node.stride, node.padding, node.dilation, -np.inf, dtype
    )

    def pool(x: FloatArray) -> FloatArray:
        y = pad(x)
        for axis in (2, 3):
            i = axis - 2
            y = _reduce(
                np.maximum, y, axis, sizes[i], node.kernel_size[i], node.stride[i], node.dilation[i]
            )
        return y

    return pool


@build_kernel.register
def _build_mean_pool(node: AvgPool2d, shape: Dims, dtype: np.dtype) -> Kernel:
    add = _build_sum(node, shape, dtype)
    divisor = np.multiply.outer(*node.window_sizes(shape)).astype(dtype)
    return lambda x: add(x) / divisor


@build_kernel.register
def _build_sum_pool(node: SumPool2d, shape: Dims, dtype: np.dtype) -> Kernel:
    return _build_sum(node, shape, dtype)


def _build_sum(node: AvgPool2d | SumPool2d, shape: Dims, dtype: np.dtype) -> Kernel:
    """Return what adds up each window; beyond the edges there are zeros."""
    _, *sizes = node.output_shape(shape)
    pad = _build_pad(shape, sizes, node.kernel_size, node.stride, node.padding, (1, 1), 0.0, dtype)

    def pool(x: FloatArray) -> FloatArray:
        y = pad(x)
        for axis in (2, 3):
            i = axis - 2
            y = _reduce(np.add, y, axis, sizes[i], node.kernel_size[i], node.stride[i], 1)
        return y

    return pool


def _build_pad(
    shape: Dims,
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    fill: float,
    dtype: np.dtype,
) -> Kernel:
    """Return what surrounds frames by all that their windows reach."""
    reach = [
        (size - 1) * s + d * (k - 1) + 1
        for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True)
    ]
    height, width = (max(n + p, r) for n, p, r in zip(shape[1:], padding, reach, strict=True))
    top, left = padding
    if (height, width) == shape[1:]:
        return lambda x: x
    rows, columns = slice(top, top + shape[1]), slice(left, left + shape[2])

    def pad(x: FloatArray) -> FloatArray:
        padded = np.full((len(x), height, width, shape[0]), fill, dtype)
        padded[:, rows, columns] = x.transpose(0, 2, 3, 1)
        return padded.transpose(0, 3, 1, 2)

    return pad


def _reduce(
    function: np.ufunc,
    x: FloatArray,
    axis: int,
    size: int,
    kernel: int,
    stride: int,
    dilation: int,
) -> FloatArray:
    """Reduce the windows along one axis by a function of two values."""
    index: list[Any] = [slice(None)] * x.ndim

    def tap(k: int) -> FloatArray:
        start = k * dilation
        index[axis] = slice(start, start + (size - 1) * stride + 1, stride)
        return x[tuple(index)]

    if kernel == 1:
        return tap(0)
    y = function(tap(0), tap(1))
    for k in range(2, kernel):
        function(y, tap(k), out=y)
    return y


@build_kernel.register
def _build_upsample(node: Upsample, shape: Dims, dtype: np.dtype) -> Kernel:
    places = node.neighbours(shape)
    if node.mode == "nearest":
        (rows, *_), (columns, *_) = places
        return lambda x: (
            x.transpose(0, 2, 3, 1).take(rows, axis=1).take(columns, axis=2).transpose(0, 3, 1, 2)
        )

    def upsample(x: FloatArray) -> FloatArray:
        y = x.transpose(0, 2, 3, 1)
        for axis, (low, high, share) in zip((1, 2), places, strict=True):
            portion = share.astype(dtype).reshape(-1, *(1,) * (3 - axis))
            y = y.take(low, axis) * (1 - portion) + y.take(high, axis) * portion
        return y.transpose(0, 3, 1, 2)

    return upsample
