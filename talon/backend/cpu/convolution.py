"""Convolution in floats, for every primitive that has one.

Frames are kept channel-last in memory, whatever their logical order ``(n, C, H, W)``: results are
transposed views, and a convolution, neurons and pools in a row never move a value to another place.
A patch holds what ``block`` neighbouring output columns need, and the weight becomes a band matrix
of ``block`` shifted copies: fewer values are copied, at the price of products with zero.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import as_strided

from talon.ir.types import Array, Dims, FloatArray

Kernel: TypeAlias = Callable[[FloatArray], FloatArray]

_PATCH_BYTES = 1 << 19
"""Patches of one product; with weights and results they stay in a second-level cache."""
_MAX_BLOCK = 16
# What a choice of block is weighed with, in ns: a run that is copied, a byte of it, a product.
_NS_RUN, _NS_BYTE, _NS_MAC = 12.0, 0.06, 0.025


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """One group of a convolution: sizes, and the number of output columns of a patch."""

    out_size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    channels: int
    block: int

    @property
    def n_blocks(self) -> int:
        """Patches of an output row."""
        return -(-self.out_size[1] // self.block)

    @property
    def span(self) -> int:
        """Input columns of a patch."""
        return (self.block - 1) * self.stride[1] + (self.kernel[1] - 1) * self.dilation[1] + 1

    @property
    def width(self) -> int:
        """Input columns of all patches of a row, the last of which may reach beyond the frame."""
        return (self.n_blocks - 1) * self.block * self.stride[1] + self.span

    def cost(self, n_outputs: int, itemsize: int) -> float:
        """Return about how long a frame takes."""
        length = self.span * self.channels
        n_patches = self.out_size[0] * self.n_blocks
        # Products of few columns are padded to the width of the processor's registers.
        columns = max(self.block * n_outputs, 64 // itemsize)
        copying = self.kernel[0] * (_NS_RUN + _NS_BYTE * itemsize * length)
        return n_patches * (copying + _NS_MAC * itemsize / 4 * self.kernel[0] * length * columns)


def build_conv2d(
    weight: Array,
    bias: Array,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    shape: Dims,
    dtype: np.dtype,
) -> Kernel:
    """Return a convolution, as PyTorch's Conv2d defines it.

    Parameters
    ----------
    weight
        Array of shape ``(out_channels, in_channels / groups, kH, kW)``.
    bias
        Array of shape ``(out_channels,)``.
    stride, padding, dilation
        Pairs for rows and columns.
    groups
        Number of groups of channels.
    shape
        Input ``(in_channels, H, W)``.
    dtype
        Floating point type of the computation.

    Returns
    -------
    Kernel
        Takes ``(n, in_channels, H, W)`` and returns ``(n, out_channels, H', W')``.
    """
    n_out, n_in, *kernel = weight.shape
    if groups > 1 and n_in == 1 and n_out == groups:
        return _build_depthwise(weight, bias, stride, padding, dilation, shape, dtype)
    sizes = _output_sizes(shape, kernel, stride, padding, dilation)
    plan = _choose(
        sizes, kernel, stride, dilation, channels=n_in, n_out=n_out // groups, dtype=dtype
    )
    bands = [
        _band(part, plan, dtype)
        for part in weight.reshape(groups, n_out // groups, *weight.shape[1:])
    ]
    shift = bias.astype(dtype) if np.any(bias) else None
    arrange = _build_arrange(shape, padding, plan.width, dtype)

    def convolve(x: FloatArray) -> FloatArray:
        rows = arrange(x)
        padded = (plan.n_blocks * plan.block, n_out)
        y = np.empty((len(rows), sizes[0], *padded), dtype)
        if groups == 1:
            _multiply(rows, bands[0], plan, y)
        else:
            for g, band in enumerate(bands):
                part = np.ascontiguousarray(rows[..., g * n_in : (g + 1) * n_in])
                z = np.empty((*y.shape[:3], n_out // groups), dtype)
                _multiply(part, band, plan, z)
                y[..., g * (n_out // groups) : (g + 1) * (n_out // groups)] = z
        if shift is not None:
            y += shift
        return y[:, :, : sizes[1]].transpose(0, 3, 1, 2)

    return convolve


def _output_sizes(
    shape: Dims,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> tuple[int, int]:
    rows, columns = (
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(shape[1:], kernel, stride, padding, dilation, strict=True)
    )
    return rows, columns


def _choose(
    sizes: tuple[int, int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    *,
    channels: int,
    n_out: int,
    dtype: np.dtype,
) -> _Plan:
    """Return the plan whose block takes the least time, without columns beyond the frame."""
    plans = [
        _Plan(
            out_size=sizes,
            kernel=(kernel[0], kernel[1]),
            stride=(stride[0], stride[1]),
            dilation=(dilation[0], dilation[1]),
            channels=channels,
            block=block,
        )
        for block in range(1, min(sizes[1], _MAX_BLOCK) + 1)
        if sizes[1] % block == 0 or block * 4 <= sizes[1]
    ]
    return min(plans, key=lambda plan: plan.cost(n_out, dtype.itemsize))


def _band(weight: Array, plan: _Plan, dtype: np.dtype) -> FloatArray:
    """Return the weight of one group as a matrix (patch, block of outputs)."""
    n_out, n_in, rows, columns = weight.shape
    band = np.zeros((rows, plan.span, n_in, plan.block, n_out), dtype)
    turned = weight.transpose(2, 3, 1, 0)  # (kH, kW, in, out)
    for j in range(plan.block):
        first = j * plan.stride[1]
        last = first + (columns - 1) * plan.dilation[1] + 1
        band[:, first : last : plan.dilation[1], :, j] = turned
    return band.reshape(rows * plan.span * n_in, plan.block * n_out)


def _build_arrange(
    shape: Dims, padding: Sequence[int], width: int, dtype: np.dtype
) -> Callable[[FloatArray], FloatArray]:
    """Return what lays frames out as contiguous ``(n, rows, columns, C)``, padded with zeros."""
    channels, height, columns = shape
    top, left = padding
    full = (height + 2 * top, max(columns + 2 * left, width), channels)

    def arrange(x: FloatArray) -> FloatArray:
        frames = x.transpose(0, 2, 3, 1)
        if full == (height, columns, channels):
            return np.ascontiguousarray(frames, dtype)
        rows = np.zeros((len(x), *full), dtype)
        rows[:, top : top + height, left : left + columns] = frames
        return rows

    return arrange


def _multiply(rows: FloatArray, band: FloatArray, plan: _Plan, y: FloatArray) -> None:
    """Write the products of all patches to ``y`` (n, H', n_blocks * block, out), contiguous."""
    n, item = len(rows), rows.itemsize
    height, n_blocks = plan.out_size[0], plan.n_blocks
    depth = band.shape[0]
    flat = y.reshape(n * height * n_blocks, -1)
    if plan.kernel == (1, 1) and plan.block == 1 and plan.stride == (1, 1):
        np.matmul(rows.reshape(-1, depth), band, out=flat)
        return
    assert rows.flags.c_contiguous, "patches are views that trust the strides"
    assert rows.shape[2] >= plan.width, "the last patch of a row would reach beyond it"
    frame, row, column, _ = rows.strides
    step = max(1, _PATCH_BYTES // (height * n_blocks * depth * item))
    for start in range(0, n, step):
        stop = min(n, start + step)
        patches = as_strided(
            rows[start:],
            (stop - start, height, n_blocks, plan.kernel[0], plan.span * plan.channels),
            (
                frame,
                plan.stride[0] * row,
                plan.block * plan.stride[1] * column,
                plan.dilation[0] * row,
                item,
            ),
            writeable=False,
        )
        size = height * n_blocks
        np.matmul(patches.reshape(-1, depth), band, out=flat[start * size : stop * size])


def _build_depthwise(
    weight: Array,
    bias: Array,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    shape: Dims,
    dtype: np.dtype,
) -> Kernel:
    """Return a convolution of each channel with its own filter: a sum of shifted frames."""
    n_rows, n_columns = weight.shape[2:]
    height, width = _output_sizes(shape, (n_rows, n_columns), stride, padding, dilation)
    taps = np.ascontiguousarray(weight[:, 0].transpose(1, 2, 0), dtype)
    shift = bias.astype(dtype)
    arrange = _build_arrange(shape, padding, 0, dtype)
    down, right = stride
    frame_bytes = height * width * shape[0] * dtype.itemsize
    step = max(1, _PATCH_BYTES // frame_bytes)

    def window(rows: FloatArray, u: int, v: int) -> FloatArray:
        top, left = u * dilation[0], v * dilation[1]
        return rows[
            :,
            top : top + (height - 1) * down + 1 : down,
            left : left + (width - 1) * right + 1 : right,
        ]

    def convolve(x: FloatArray) -> FloatArray:
        y = np.empty((len(x), height, width, shape[0]), dtype)
        y[...] = shift
        for start in range(0, len(x), step):
            rows = arrange(x[start : start + step])
            part = y[start : start + step]
            for u in range(n_rows):
                for v in range(n_columns):
                    part += window(rows, u, v) * taps[u, v]
        return y.transpose(0, 3, 1, 2)

    return convolve
