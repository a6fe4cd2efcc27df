# pyright: reportMissingImports=false
"""Exact sums of payloads times integer weights, of matrices and of kernels, in float64.

Float64 holds every integer below 2^53, and the proof of the numeric contract keeps sums below 2^23,
so the order in which a matrix product or a convolution adds does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from talon.compiler.kernel import Kernel
from talon_sim.golden.axes import Axis, axis_of

Sums = Callable[[Any], Any]
"""From events ``(n_samples, n_source)`` to sums ``(n_samples, n_target)``, both float64."""


def exact_tensor(values: Any) -> Any:
    """Return integers, or other numbers, as float64."""
    return torch.from_numpy(np.asarray(values, np.float64))


def sums_of(weight: NDArray[np.int8] | Kernel) -> Sums:
    """Return what turns events into sums by a matrix (n_target, n_source) or a kernel."""
    if isinstance(weight, Kernel):
        return KernelSums(weight)
    return MatrixSums(weight)


class MatrixSums:
    """The sums of a matrix."""

    def __init__(self, weight: NDArray[np.int8]) -> None:
        self._matrix = exact_tensor(weight).T

    def __call__(self, events: Any) -> Any:
        """Return the sums ``(n_samples, n_target)`` of events ``(n_samples, n_source)``."""
        return events @ self._matrix


class KernelSums:
    """The sums of a kernel: a convolution where its sources advance evenly, as they mostly do.

    Otherwise the sources of each tap are gathered by matrices of zeros and ones.

    Attributes
    ----------
    groups
        Groups of channels of the convolution: depthwise ones have as many as channels.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._rows, self._columns = axis_of(kernel.rows), axis_of(kernel.columns)
        taps = kernel.taps[self._rows.taps][:, self._columns.taps]  # (rows, columns, C, O)
        self._is_even = self._rows.even is not None and self._columns.even is not None
        weight = exact_tensor(taps.transpose(3, 2, 0, 1))  # (O, C, rows, columns)
        self.groups = _groups(taps) if self._is_even else 1
        self._weight = _of_groups(weight, self.groups)

    def __call__(self, events: Any) -> Any:
        """Return the sums ``(n_samples, n_target)`` of events ``(n_samples, n_source)``."""
        rows, columns = self._rows, self._columns
        if not (len(rows.taps) and len(columns.taps)):
            return events.new_zeros((len(events), self._kernel.n_target))
        maps = events.reshape(len(events), *self._kernel.source_shape)
        if rows.merge is not None:
            maps = torch.einsum("bcyx,ym->bcmx", maps, exact_tensor(rows.merge))
        if columns.merge is not None:
            maps = torch.einsum("bcyx,xm->bcym", maps, exact_tensor(columns.merge))
        found = self._convolved(maps) if self._is_even else self._gathered(maps)
        if rows.repeat is not None:
            found = found[:, :, torch.from_numpy(rows.repeat)]
        if columns.repeat is not None:
            found = found[..., torch.from_numpy(columns.repeat)]
        return found.reshape(len(events), -1)

    def _convolved(self, maps: Any) -> Any:
        axes = self._rows, self._columns
        top, left = (_border(axis) for axis in axes)
        padded = functional.pad(maps, (*left, *top))
        strides, spacings = zip(*(_steps(axis) for axis in axes), strict=True)
        return functional.conv2d(
            padded, self._weight, stride=strides, dilation=spacings, groups=self.groups
        )

    def _gathered(self, maps: Any) -> Any:
        rows, columns = (exact_tensor(axis.selection()) for axis in (self._rows, self._columns))
        met = torch.einsum("ipy,bcyx->bcipx", rows, maps)
        met = torch.einsum("jqx,bcipx->bcijpq", columns, met)
        return torch.einsum("bcijpq,ocij->bopq", met, self._weight)


def _border(axis: Axis) -> tuple[int, int]:
    """Return how many zeros a convolution needs at both ends; below zero, what is cut off."""
    assert axis.even is not None
    start = axis.even[0]
    return -start, axis.extent + start - axis.n_source


def _steps(axis: Axis) -> tuple[int, int]:
    """Return stride and dilation."""
    assert axis.even is not None
    _, step, spacing = axis.even
    return max(step, 1), max(spacing, 1)


def _groups(taps: NDArray[Any]) -> int:
    """Return into how many groups of channels taps (rows, columns, C, O) fall apart."""
    n_in, n_out = taps.shape[2:]
    c, o = np.nonzero((taps != 0).any(axis=(0, 1)))
    for groups in range(math.gcd(n_in, n_out), 1, -1):
        if n_in % groups or n_out % groups:
            continue
        if np.array_equal(c // (n_in // groups), o // (n_out // groups)):
            return groups
    return 1


def _of_groups(weight: Any, groups: int) -> Any:
    """Return the weights (O, C / groups, rows, columns) of groups, of (O, C, rows, columns)."""
    n_out, n_in, *sizes = weight.shape
    blocks = weight.reshape(groups, n_out // groups, groups, n_in // groups, *sizes)
    each = torch.arange(groups)
    return blocks[each, :, each].reshape(n_out, n_in // groups, *sizes).contiguous()
