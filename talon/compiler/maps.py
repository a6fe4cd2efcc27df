"""Nodes over feature maps (C, H, W) as kernels, and nodes that consist of them.

A sequence (C, L) is a map of one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler import kernels, relations
from talon.compiler.expression import (
    MAX_BITS,
    Expression,
    affine,
    check_size,
    concatenated,
    mapped,
    selected,
    summed,
)
from talon.compiler.kernels import FloatArray, MapShape
from talon.ir import (
    AvgPool2d,
    Conv1d,
    Conv2d,
    GhostBasicBlock1,
    GhostBasicBlock2,
    MaxPool2d,
    Node,
    SDDetect,
    SepConv2d,
    SGhostConv,
    SGhostEncoderLite,
    SumPool2d,
    Upsample,
)
from talon.ir.ghost import GhostParts, half_of

Array = NDArray[Any]
Value = tuple[Expression, MapShape]
"""Values of a map, and its shape."""


def map_shape(shape: tuple[int, ...]) -> MapShape | None:
    """Return (C, H, W) of features that are a map or a sequence, None of others."""
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    return (shape[0], 1, shape[1]) if len(shape) == 2 else None


@singledispatch
def passed_through(node: Node, x: Expression, shape: MapShape) -> Expression:
    """Return what a linear node makes of the values of a map."""
    del x, shape
    raise TypeError(f"{type(node).__name__} is no linear node over maps")


@passed_through.register
def _(node: Conv1d, x: Expression, shape: MapShape) -> Expression:
    weight = node.weight[:, :, None]
    return _conv(
        (x, shape),
        (weight, node.bias),
        stride=(1, node.stride),
        padding=(0, node.padding),
        dilation=(1, node.dilation),
        groups=node.groups,
    )[0]


@passed_through.register
def _(node: Conv2d, x: Expression, shape: MapShape) -> Expression:
    return _conv(
        (x, shape),
        (node.weight, node.bias),
        stride=node.stride,
        padding=node.padding,
        dilation=node.dilation,
        groups=node.groups,
    )[0]


@passed_through.register
def _(node: SepConv2d, x: Expression, shape: MapShape) -> Expression:
    middle = _conv(
        (x, shape),
        (node.depthwise_weight, node.depthwise_bias),
        stride=node.stride,
        padding=node.padding,
        dilation=node.dilation,
        groups=node.in_channels,
    )
    return _conv(middle, (node.pointwise_weight, node.pointwise_bias))[0]


@passed_through.register
def _(node: AvgPool2d, x: Expression, shape: MapShape) -> Expression:
    axes = [
        axis / sizes[:, None]
        for axis, sizes in zip(_windows(node, shape), node.window_sizes(shape), strict=True)
    ]
    return _along_axes(x, shape, axes)


@passed_through.register
def _(node: SumPool2d, x: Expression, shape: MapShape) -> Expression:
    return _along_axes(x, shape, _windows(node, shape))


@passed_through.register
def _(node: MaxPool2d, x: Expression, shape: MapShape) -> Expression:
    """Return the sums of windows: of one value each the largest, of spikes how many there are."""
    return _along_axes(x, shape, _windows(node, shape))


@passed_through.register
def _(node: Upsample, x: Expression, shape: MapShape) -> Expression:
    axes: list[FloatArray] = []
    for n, (low, high, share) in zip(shape[1:], node.neighbours(shape), strict=True):
        axis = np.zeros((len(low), n))
        np.add.at(axis, (np.arange(len(low)), low), 1 - share)
        np.add.at(axis, (np.arange(len(low)), high), share)
        axes.append(axis)
    return _along_axes(x, shape, axes)


@passed_through.register
def _(node: SGhostConv, x: Expression, shape: MapShape) -> Expression:
    return _ghost(
        node,
        "",
        (x, shape),
        stride=node.primary_stride,
        padding=node.primary_padding,
        cheap_stride=node.cheap_stride,
        cheap_padding=node.effective_cheap_padding,
    )[0]


@passed_through.register
def _(node: SGhostEncoderLite, x: Expression, shape: MapShape) -> Expression:
    first = _half_padded((x, shape), (node.conv1_weight, node.conv1_bias), node.stride)
    return _ghost_of(node, "ghost_", first)[0]


@passed_through.register
def _(node: GhostBasicBlock1, x: Expression, shape: MapShape) -> Expression:
    first, rest = _halves(_ghost_of(node, "cv0_", (x, shape), node.stride))
    second, last = _ghost_of(node, "cv2_", rest)
    residual, _ = _ghost_of(node, "cvres_", (x, shape), node.stride)
    return concatenated([first[0], summed([second, residual])], [first[1], last])


@passed_through.register
def _(node: GhostBasicBlock2, x: Expression, shape: MapShape) -> Expression:
    first, rest = _halves(_ghost_of(node, "cv0_", (x, shape)))
    second, last = _ghost_of(node, "cv2_", rest)
    return concatenated([first[0], second], [first[1], last])


@passed_through.register
def _(node: SDDetect, x: Expression, shape: MapShape) -> Expression:
    ends: list[Value] = []
    for name in ("cv2", "cv3"):
        value = (x, shape)
        for arrays in node.branch(name):
            value = _half_padded(value, arrays)
        ends.append(value)
    return concatenated([end[0] for end in ends], [end[1] for end in ends])


def _conv(
    value: Value,
    arrays: tuple[Array, Array],
    *,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Value:
    x, shape = value
    weight, bias = arrays
    kernel = kernels.convolution(
        weight, shape, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    return mapped(x, kernel, bias.astype(np.float64)), kernel.target_shape


def _half_padded(value: Value, arrays: tuple[Array, Array], stride: int = 1) -> Value:
    return _conv(value, arrays, stride=(stride, stride), padding=half_of(arrays[0]))


def _ghost_of(node: GhostParts, prefix: str, value: Value, stride: int = 1) -> Value:
    """Return a Ghost convolution whose paddings are half of its kernels."""
    weight, _, cheap, _ = node.arrays(prefix)
    return _ghost(
        node,
        prefix,
        value,
        stride=(stride, stride),
        padding=half_of(weight),
        cheap_stride=(1, 1),
        cheap_padding=half_of(cheap),
    )


def _ghost(
    node: GhostParts,
    prefix: str,
    value: Value,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    cheap_stride: Sequence[int],
    cheap_padding: Sequence[int],
) -> Value:
    """Return ``concat(p, cheap(p))`` with ``p = primary(x)``."""
    weight, bias, cheap, cheap_bias = node.arrays(prefix)
    primary = _conv(value, (weight, bias), stride=stride, padding=padding)
    groups = primary[1][0]
    second = _conv(
        primary, (cheap, cheap_bias), stride=cheap_stride, padding=cheap_padding, groups=groups
    )
    joined = concatenated([primary[0], second[0]], [primary[1], second[1]])
    return joined, (2 * groups, *primary[1][1:])


def _halves(value: Value) -> tuple[Value, Value]:
    x, shape = value
    half = shape[0] // 2
    parts = (slice(0, half), slice(half, shape[0]))
    first, second = (selected(x, shape, 0, part, as_maps=True) for part in parts)
    return (first, (half, *shape[1:])), (second, (shape[0] - half, *shape[1:]))


def _windows(node: AvgPool2d | MaxPool2d | SumPool2d, shape: MapShape) -> list[FloatArray]:
    """Return for rows and columns which sources are in the window of each target."""
    _, *sizes = node.output_shape(shape)
    dilation = node.dilation if isinstance(node, MaxPool2d) else (1, 1)
    return [
        (relations.windows(*ns, stride=stride, padding=padding, dilation=step) + 1).astype(float)
        for *ns, stride, padding, step in zip(
            shape[1:], sizes, node.kernel_size, node.stride, node.padding, dilation, strict=True
        )
    ]


def _along_axes(x: Expression, shape: MapShape, axes: Sequence[FloatArray]) -> Expression:
    """Return each channel with a matrix along its rows and one along its columns."""
    tables, factors = zip(*(_table_of(axis) for axis in axes), strict=True)
    if max(map(len, factors)) > kernels.MAX_TAPS:
        plane = np.kron(*axes)
        check_size(shape[0] * len(plane), x.n)
        matrix: FloatArray = np.kron(np.eye(shape[0]), plane).astype(np.float64)
        return affine(x, matrix, np.zeros(len(matrix)), bits=MAX_BITS)
    weights = np.multiply.outer(*factors)
    kernel = kernels.channelwise(tables[0], tables[1], weights, shape[0])
    return mapped(x, kernel, np.zeros(shape[0]))


def _table_of(matrix: FloatArray) -> tuple[relations.Table, FloatArray]:
    """Return a matrix as a table whose taps are its distinct values."""
    rounded = np.round(matrix, 12)  # shares of a bilinear window differ in the last digits
    values, index = np.unique(rounded, return_inverse=True)
    kept = np.flatnonzero(values)
    places = np.full(len(values), -1, np.int16)
    places[kept] = np.arange(len(kept))
    return places[index.reshape(matrix.shape)], values[kept]
