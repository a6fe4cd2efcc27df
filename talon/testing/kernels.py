"""Kernels of the usual geometries, for tests: convolutions, windows, upsampling."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.kernel import Kernel

Relation = NDArray[np.int16]
"""Tap of a target and a source coordinate, (targets, sources), or -1."""


def conv_relation(
    n_source: int, n_taps: int, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Relation:
    """Return the relation of a convolution along one axis: source = target x stride + tap.

    Raises
    ------
    ValueError
        No target fits.
    """
    n_target = (n_source + 2 * padding - dilation * (n_taps - 1) - 1) // stride + 1
    if n_target < 1:
        raise ValueError(
            f"Axis of {n_source} must have room for {n_taps} taps, {dilation} apart, with "
            f"a padding of {padding}"
        )
    relation = np.full((n_target, n_source), -1, np.int16)
    target, tap = np.meshgrid(np.arange(n_target), np.arange(n_taps), indexing="ij")
    source = target * stride + tap * dilation - padding
    inside = (source >= 0) & (source < n_source)
    relation[target[inside], source[inside]] = tap[inside]
    return relation


def transposed_relation(
    n_source: int, n_taps: int, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Relation:
    """Return the relation of a transposed convolution: target = source x stride + tap."""
    n_target = (n_source - 1) * stride + dilation * (n_taps - 1) + 1 - 2 * padding
    return np.ascontiguousarray(
        conv_relation(n_target, n_taps, stride=stride, padding=padding, dilation=dilation).T[
            :, :n_source
        ]
    )


def upsampled_relation(relation: Relation, factor: int) -> Relation:
    """Return the relation to a target that repeats each coordinate ``factor`` times."""
    return np.repeat(relation, factor, axis=0)


def summed_relation(relation: Relation, factor: int) -> Relation:
    """Return the relation from a source whose windows of ``factor`` are summed first."""
    return np.repeat(relation, factor, axis=1)


def conv_kernel(
    taps: NDArray[Any],
    size: tuple[int, int],
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> Kernel:
    """Return the kernel of a convolution.

    Parameters
    ----------
    taps
        Weights (rows, columns, C, O).
    size
        (H, W) of the source.
    stride, padding, dilation
        Of rows and columns.
    """
    rows, columns = (
        conv_relation(
            size[axis],
            taps.shape[axis],
            stride=stride[axis],
            padding=padding[axis],
            dilation=dilation[axis],
        )
        for axis in (0, 1)
    )
    return Kernel(taps=taps, rows=rows, columns=columns)


def identity_kernel(shape: tuple[int, int, int], weight: int) -> Kernel:
    """Return the kernel that adds a map (C, H, W), times ``weight``, to one of the same shape."""
    channels, height, width = shape
    taps = np.eye(channels, dtype=np.int8)[None, None] * np.int8(weight)
    return conv_kernel(taps, (height, width))
