"""Ghost convolutions and the blocks of them, in floats; what they compute is in the IR."""

from collections.abc import Sequence

import numpy as np

from talon.backend.cpu.convolution import Kernel, build_conv2d
from talon.backend.cpu.kernels import build_kernel
from talon.ir import GhostBasicBlock1, GhostBasicBlock2, SGhostConv, SGhostEncoderLite
from talon.ir.conv import convolved
from talon.ir.ghost import half_of
from talon.ir.types import Array, Dims, FloatArray


def build_conv(
    weight: Array,
    bias: Array,
    shape: Dims,
    dtype: np.dtype,
    *,
    stride: Sequence[int] = (1, 1),
    padding: Dims | None = None,
    groups: int = 1,
) -> tuple[Kernel, Dims]:
    """Return a convolution, padded by half of its kernel if nothing is said, and its shape."""
    pad = half_of(weight) if padding is None else padding
    kernel = build_conv2d(
        weight,
        bias,
        stride=stride,
        padding=pad,
        dilation=(1, 1),
        groups=groups,
        shape=shape,
        dtype=dtype,
    )
    after = convolved(shape, weight, groups, stride=tuple(stride), padding=pad, dilation=(1, 1))
    return kernel, after


def _build_part(
    arrays: Sequence[Array],
    shape: Dims,
    dtype: np.dtype,
    *,
    stride: Sequence[int] = (1, 1),
    padding: Dims | None = None,
    cheap_stride: Sequence[int] = (1, 1),
    cheap_padding: Dims | None = None,
) -> tuple[Kernel, Dims]:
    """Return ``concat(p, cheap(p))`` with ``p = primary(x)``, and its shape."""
    weight, bias, cheap_weight, cheap_bias = arrays
    primary, middle = build_conv(weight, bias, shape, dtype, stride=stride, padding=padding)
    cheap, _ = build_conv(
        cheap_weight,
        cheap_bias,
        middle,
        dtype,
        stride=cheap_stride,
        padding=cheap_padding,
        groups=middle[0],
    )

    def ghost(x: FloatArray) -> FloatArray:
        p = primary(x)
        return np.concatenate([p, cheap(p)], axis=1)

    return ghost, (2 * middle[0], *middle[1:])


@build_kernel.register
def _build_ghost(node: SGhostConv, shape: Dims, dtype: np.dtype) -> Kernel:
    kernel, _ = _build_part(
        node.arrays(""),
        shape,
        dtype,
        stride=node.primary_stride,
        padding=node.primary_padding,
        cheap_stride=node.cheap_stride,
        cheap_padding=node.effective_cheap_padding,
    )
    return kernel


@build_kernel.register
def _build_encoder(node: SGhostEncoderLite, shape: Dims, dtype: np.dtype) -> Kernel:
    stride = (node.stride, node.stride)
    first, middle = build_conv(node.conv1_weight, node.conv1_bias, shape, dtype, stride=stride)
    second, _ = _build_part(node.arrays("ghost_"), middle, dtype)
    return lambda x: second(first(x))


@build_kernel.register
def _build_block1(node: GhostBasicBlock1, shape: Dims, dtype: np.dtype) -> Kernel:
    stride = (node.stride, node.stride)
    cv0, both = _build_part(node.arrays("cv0_"), shape, dtype, stride=stride)
    residual, _ = _build_part(node.arrays("cvres_"), shape, dtype, stride=stride)
    half = both[0] // 2
    cv2, _ = _build_part(node.arrays("cv2_"), (half, *both[1:]), dtype)

    def block(x: FloatArray) -> FloatArray:
        z = cv0(x)
        return np.concatenate([z[:, :half], cv2(z[:, half:]) + residual(x)], axis=1)

    return block


@build_kernel.register
def _build_block2(node: GhostBasicBlock2, shape: Dims, dtype: np.dtype) -> Kernel:
    cv0, both = _build_part(node.arrays("cv0_"), shape, dtype)
    half = both[0] // 2
    cv2, _ = _build_part(node.arrays("cv2_"), (half, *both[1:]), dtype)

    def block(x: FloatArray) -> FloatArray:
        z = cv0(x)
        return np.concatenate([z[:, :half], cv2(z[:, half:])], axis=1)

    return block
