"""What the stateless primitives compute, in floats.

A kernel takes ``(n, *input_shape)``, where ``n`` counts timesteps and samples together, and
returns ``(n, *output_shape)``. A primitive gets one by registering with :func:`build_kernel`.
"""

from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import TypeAlias

import numpy as np

from talon.errors import BackendError
from talon.ir import Affine, Flatten, Node, Output, Skip, SpikingAffine
from talon.ir.types import Dims, FloatArray

Kernel: TypeAlias = Callable[[FloatArray], FloatArray]


@singledispatch
def build_kernel(node: Node, shape: Dims, dtype: np.dtype) -> Kernel:
    """Return what a node computes for inputs of a feature shape."""
    del shape, dtype
    raise BackendError(f"The float simulation has no rule for {type(node).__name__}")


@build_kernel.register(Affine)
@build_kernel.register(SpikingAffine)
def _build_dense(node: Affine | SpikingAffine, shape: Dims, dtype: np.dtype) -> Kernel:
    del shape
    weight = node.weight.astype(dtype).T
    bias = node.bias.astype(dtype)
    return lambda x: x @ weight + bias


@build_kernel.register
def _build_flatten(node: Flatten, shape: Dims, dtype: np.dtype) -> Kernel:
    del dtype
    flat = node.output_shape(shape)
    return lambda x: x.reshape(x.shape[0], *flat)


@build_kernel.register(Skip)
@build_kernel.register(Output)
def _build_identity(node: Node, shape: Dims, dtype: np.dtype) -> Kernel:
    del node, shape, dtype
    return lambda x: x


def join(node: Node, parts: Sequence[FloatArray], *, axis: int) -> FloatArray:
    """Return the inputs of a node as one; ``axis`` is that of the first feature dimension."""
    if len(parts) == 1:
        return parts[0]
    if not node.sums_inputs:
        return np.concatenate(parts, axis=axis)
    total = parts[0] + parts[1]
    for part in parts[2:]:
        total = total + part
    return total
