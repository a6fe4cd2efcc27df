"""How many synapses an input value drives: the fan-out of each position of a layer's input."""

import math
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from talon.ir import Affine, Conv1d, Conv2d, Node, SpikingAffine
from talon.ir.types import Dims


@singledispatch
def fan_out(node: Node, in_shape: Dims, out_shape: Dims) -> NDArray[np.int64] | None:
    """Return the number of synapses of each input position.

    A tap of a kernel that reaches into the padding, or that a stride leaves out, is no synapse. A
    weight of zero is one: where it is stored it is read.

    Parameters
    ----------
    node
        A layer.
    in_shape, out_shape
        Feature shapes, without batch.

    Returns
    -------
    ndarray or None
        int64 of ``in_shape``; their sum is the number of dense multiply-accumulates less the taps
        in the padding. Nothing for a node without weights, or without a rule.
    """
    del node, in_shape, out_shape
    return None


@fan_out.register(Affine)
@fan_out.register(SpikingAffine)
def _fan_out_dense(
    node: Affine | SpikingAffine, in_shape: Dims, out_shape: Dims
) -> NDArray[np.int64]:
    del node
    return np.full(in_shape, math.prod(out_shape), np.int64)


@fan_out.register
def _fan_out_conv1d(node: Conv1d, in_shape: Dims, out_shape: Dims) -> NDArray[np.int64]:
    along = taps(
        in_shape[1],
        out_shape[1],
        kernel=node.weight.shape[2],
        stride=node.stride,
        padding=node.padding,
        dilation=node.dilation,
    )
    return np.broadcast_to(along * (node.out_channels // node.groups), in_shape)


@fan_out.register
def _fan_out_conv2d(node: Conv2d, in_shape: Dims, out_shape: Dims) -> NDArray[np.int64]:
    rows, columns = (
        taps(n, m, kernel=k, stride=s, padding=p, dilation=d)
        for n, m, k, s, p, d in zip(
            in_shape[1:],
            out_shape[1:],
            node.weight.shape[2:],
            node.stride,
            node.padding,
            node.dilation,
            strict=True,
        )
    )
    grid = np.outer(rows, columns) * (node.out_channels // node.groups)
    return np.broadcast_to(grid, in_shape)


def taps(
    n: int, n_out: int, *, kernel: int, stride: int, padding: int, dilation: int
) -> NDArray[np.int64]:
    """Return for each of ``n`` positions how many (tap, output) pairs meet it in one dimension."""
    outputs = np.arange(n_out)[:, np.newaxis] * stride - padding
    met = (outputs + np.arange(kernel) * dilation).ravel()
    return np.bincount(met[(met >= 0) & (met < n)], minlength=n).astype(np.int64)
