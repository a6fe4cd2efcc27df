"""What the stateless primitives compute, in floats: the registry, and dense layers.

A kernel takes ``(n, *input_shape)``, where ``n`` counts timesteps and samples together, and
returns ``(n, *output_shape)``. A primitive gets one by registering with :func:`build_kernel`.
Arrays may lie in memory in any order, and feature maps mostly lie channel-last, see
:mod:`talon.backend.cpu.convolution`; a kernel must not write to its input.
"""

from collections.abc import Sequence
from functools import singledispatch

import numpy as np

from talon.backend.cpu.convolution import Kernel, build_conv2d
from talon.errors import BackendError
from talon.ir import (
    Affine,
    Concat,
    Conv1d,
    Conv2d,
    Flatten,
    Node,
    Output,
    SepConv2d,
    Skip,
    SpikingAffine,
)
from talon.ir.routing import ChannelSplit
from talon.ir.types import Dims, FloatArray

__all__ = ["Kernel", "build_kernel", "join"]


@singledispatch
def build_kernel(node: Node, shape: Dims, dtype: np.dtype) -> Kernel:
    """Return what a node computes for inputs of a feature shape.

    Parameters
    ----------
    node
        A node that is neither an input nor a neuron.
    shape
        Shape of its inputs together, without batch and time.
    dtype
        Floating point type of the computation.

    Raises
    ------
    BackendError
        No kernel is registered for the type of the node.
    """
    del shape, dtype
    kind = type(node).__name__
    raise BackendError(
        f"The float simulation has no rule for {kind}; give it one with "
        f"talon.backend.cpu.kernels.build_kernel.register({kind})"
    )


@build_kernel.register(Affine)
@build_kernel.register(SpikingAffine)
def _build_dense(node: Affine | SpikingAffine, shape: Dims, dtype: np.dtype) -> Kernel:
    del shape
    weight = node.weight.astype(dtype, copy=False).T
    bias = node.bias.astype(dtype) if np.any(node.bias) else None
    n_calls = 0

    def transform(x: FloatArray) -> FloatArray:
        nonlocal weight, n_calls
        n_calls += 1
        if n_calls == 2:  # products of few frames take half the time, but a copy takes as long
            weight = np.ascontiguousarray(weight)
        y = x @ weight
        if bias is not None:
            y += bias
        return y

    return transform


@build_kernel.register
def _build_conv2d(node: Conv2d, shape: Dims, dtype: np.dtype) -> Kernel:
    return build_conv2d(
        node.weight,
        node.bias,
        stride=node.stride,
        padding=node.padding,
        dilation=node.dilation,
        groups=node.groups,
        shape=shape,
        dtype=dtype,
    )


@build_kernel.register
def _build_conv1d(node: Conv1d, shape: Dims, dtype: np.dtype) -> Kernel:
    convolve = build_conv2d(
        node.weight[:, :, np.newaxis],
        node.bias,
        stride=(1, node.stride),
        padding=(0, node.padding),
        dilation=(1, node.dilation),
        groups=node.groups,
        shape=(shape[0], 1, shape[1]),
        dtype=dtype,
    )
    return lambda x: convolve(x[:, :, np.newaxis])[:, :, 0]


@build_kernel.register
def _build_separable(node: SepConv2d, shape: Dims, dtype: np.dtype) -> Kernel:
    depthwise = build_conv2d(
        node.depthwise_weight,
        node.depthwise_bias,
        stride=node.stride,
        padding=node.padding,
        dilation=node.dilation,
        groups=node.in_channels,
        shape=shape,
        dtype=dtype,
    )
    pointwise = build_conv2d(
        node.pointwise_weight,
        node.pointwise_bias,
        stride=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        groups=1,
        shape=(node.in_channels, *node.output_shape(shape)[1:]),
        dtype=dtype,
    )
    return lambda x: pointwise(depthwise(x))


@build_kernel.register
def _build_flatten(node: Flatten, shape: Dims, dtype: np.dtype) -> Kernel:
    del dtype
    flat = node.output_shape(shape)
    return lambda x: x.reshape(x.shape[0], *flat)


@build_kernel.register(Skip)
@build_kernel.register(Concat)
@build_kernel.register(ChannelSplit)  # its edges take their sections, see Graph.ports
@build_kernel.register(Output)
def _build_identity(node: Node, shape: Dims, dtype: np.dtype) -> Kernel:
    del node, shape, dtype
    return lambda x: x


def join(node: Node, parts: Sequence[FloatArray], *, axis: int) -> FloatArray:
    """Return the inputs of a node as one; ``axis`` is that of the first feature dimension."""
    if len(parts) == 1:
        return parts[0]
    if not node.sums_inputs:
        dim = getattr(node, "dim", 0) % (parts[0].ndim - axis)
        return np.concatenate(parts, axis=axis + dim)
    total = parts[0] + parts[1]
    for part in parts[2:]:
        total += part
    return total
