"""Algebra of float kernels: making, adding, chaining and cutting them, exactly (in float64)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from talon.compiler import relations
from talon.compiler.kernel import Kernel

FloatArray = NDArray[np.float64]
MapShape = tuple[int, int, int]

MAX_TAPS = 32
"""Most taps along an axis of a kernel that is made of others: 16, and as many at the edges."""

MAX_ENTRIES = 1 << 22
"""Most weights of such a kernel: more than an array has memory for."""


def diagonal(shape: MapShape, factors: FloatArray | float = 1.0) -> Kernel:
    """Return each value of a map times the factor of its channel."""
    channels, height, width = shape
    taps = np.eye(channels) * np.broadcast_to(factors, channels)
    return Kernel(
        taps=taps[None, None],
        rows=relations.identity(height),
        columns=relations.identity(width),
    )


def convolution(
    weight: NDArray[np.floating],
    shape: MapShape,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Kernel:
    """Return the kernel of a convolution by ``weight`` (O, C / groups, kH, kW) of a map."""
    n_out, n_in, *sizes = weight.shape
    taps = np.zeros((*sizes, n_in * groups, n_out))
    share = n_out // groups
    for g in range(groups):
        part = weight[g * share : (g + 1) * share].astype(np.float64)
        ins, outs = slice(g * n_in, (g + 1) * n_in), slice(g * share, (g + 1) * share)
        taps[:, :, ins, outs] = part.transpose(2, 3, 1, 0)
    rows, columns = (
        relations.strided(n, (n + 2 * p - d * (k - 1) - 1) // s + 1, k, stride=s, padding=p,
                          dilation=d)
        for n, k, s, p, d in zip(shape[1:], sizes, stride, padding, dilation, strict=True)
    )  # fmt: skip
    return _tidy(Kernel(taps=taps, rows=rows, columns=columns))


def channelwise(
    rows: relations.Table, columns: relations.Table, factors: FloatArray, channels: int
) -> Kernel:
    """Return the same taps for each channel alone; ``factors`` is (row taps, column taps)."""
    return Kernel(taps=factors[:, :, None, None] * np.eye(channels), rows=rows, columns=columns)


def with_factors(kernel: Kernel, factors: FloatArray) -> Kernel:
    """Return the kernel with each output channel times its factor."""
    return replace(kernel, taps=kernel.taps * factors)


def added(one: Kernel, other: Kernel) -> Kernel | None:
    """Return the sum of two kernels between the same maps; None if it has too many taps."""
    same = np.array_equal(one.rows, other.rows) and np.array_equal(one.columns, other.columns)
    if same and one.taps.shape == other.taps.shape:
        return replace(one, taps=one.taps + other.taps)
    rows, row_pairs = relations.united(one.rows, other.rows)
    columns, column_pairs = relations.united(one.columns, other.columns)
    shape = (len(row_pairs), len(column_pairs), *one.taps.shape[2:])
    if _is_too_large(shape):
        return None
    taps = np.zeros(shape)
    for i, row in enumerate(row_pairs):
        for j, column in enumerate(column_pairs):
            for kernel, a, b in zip((one, other), row, column, strict=True):
                if a >= 0 and b >= 0:
                    taps[i, j] += kernel.taps[a, b]
    return Kernel(taps=taps, rows=rows, columns=columns)


def chained(second: Kernel, first: Kernel) -> Kernel | None:
    """Return ``second`` after ``first``; None if that has too many taps."""
    rows, row_counts = relations.composed(second.rows, first.rows)
    columns, column_counts = relations.composed(second.columns, first.columns)
    n_rows, n_columns = (max(1, len(counts)) for counts in (row_counts, column_counts))
    shape = (n_rows, n_columns, first.taps.shape[2], second.taps.shape[3])
    if _is_too_large(shape):
        return None
    taps = np.zeros(shape)
    for a, b in np.ndindex(*second.taps.shape[:2]):
        for c, d in np.ndindex(*first.taps.shape[:2]):
            i, times_i = _met(row_counts, a, c)
            j, times_j = _met(column_counts, b, d)
            if len(i) and len(j):
                times = np.multiply.outer(times_i, times_j)[:, :, None, None]
                taps[i[:, None], j[None]] += times * (first.taps[c, d] @ second.taps[a, b])
    return Kernel(taps=taps, rows=rows, columns=columns)


def _is_too_large(shape: tuple[int, ...]) -> bool:
    return max(shape[:2]) > MAX_TAPS or math.prod(shape) > MAX_ENTRIES


def _met(counts: relations.Counts, a: int, b: int) -> tuple[NDArray[np.integer], FloatArray]:
    """Return the new taps in which two taps meet, and how often."""
    if a >= counts.shape[1] or b >= counts.shape[2]:
        return np.zeros(0, np.intp), np.zeros(0)
    found = np.flatnonzero(counts[:, a, b])
    return found, counts[found, a, b]


def cut(kernel: Kernel, axis: int, part: slice) -> Kernel:
    """Return the kernel to a part of its target along channels (0), rows (1) or columns (2)."""
    if axis == 0:
        return replace(kernel, taps=kernel.taps[..., part])
    if axis == 1:
        return _tidy(replace(kernel, rows=kernel.rows[part]))
    return _tidy(replace(kernel, columns=kernel.columns[part]))


def embedded(kernel: Kernel, axis: int, start: int, size: int) -> Kernel:
    """Return the kernel to a larger target, of which it makes a part along an axis."""
    if axis == 0:
        n = kernel.taps.shape[3]
        taps = np.zeros((*kernel.taps.shape[:3], size))
        taps[..., start : start + n] = kernel.taps
        return replace(kernel, taps=taps)
    table = kernel.rows if axis == 1 else kernel.columns
    larger = np.full((size, table.shape[1]), -1, np.int16)
    larger[start : start + len(table)] = table
    return replace(kernel, rows=larger) if axis == 1 else replace(kernel, columns=larger)


def applied(kernel: Kernel, values: FloatArray) -> FloatArray:
    """Return the targets (n_target, k) of ``k`` columns of sources (n_source, k)."""
    maps = values.reshape(*kernel.source_shape, -1)
    n_out, height, width = kernel.target_shape
    total = np.zeros((height, width, maps.shape[3], n_out))
    for i, j in np.ndindex(*kernel.taps.shape[:2]):
        p, y = np.nonzero(kernel.rows == i)
        q, x = np.nonzero(kernel.columns == j)
        if not (len(p) and len(q) and kernel.taps[i, j].any()):
            continue
        met = maps[:, y[:, None], x[None]]  # (C, pairs of rows, pairs of columns, k)
        products = np.tensordot(met, kernel.taps[i, j], axes=(0, 0))
        if len(np.unique(p)) == len(p) and len(np.unique(q)) == len(q):
            total[p[:, None], q[None]] += products
        else:
            np.add.at(total, (p[:, None], q[None]), products)
    return total.transpose(3, 0, 1, 2).reshape(kernel.n_target, -1)


def absorbed(matrix: FloatArray, kernel: Kernel) -> FloatArray:
    """Return ``matrix @ kernel``: a matrix (k, n_target) over the sources of the kernel."""
    turned = Kernel(
        taps=kernel.taps.transpose(0, 1, 3, 2),
        rows=np.ascontiguousarray(kernel.rows.T),
        columns=np.ascontiguousarray(kernel.columns.T),
    )
    return applied(turned, np.ascontiguousarray(matrix.T)).T


def constant(values: FloatArray, shape: MapShape) -> Kernel:
    """Return a kernel from one source to a map: row or column classes of equal weights."""
    maps = values.reshape(shape)
    row_class = np.unique(
        maps.transpose(1, 0, 2).reshape(shape[1], -1), axis=0, return_inverse=True
    )
    column_class = np.unique(
        maps.transpose(2, 0, 1).reshape(shape[2], -1), axis=0, return_inverse=True
    )
    rows, columns = (c[1].reshape(-1, 1).astype(np.int16) for c in (row_class, column_class))
    first_row, first_column = (
        np.array([np.argmax(table[:, 0] == k) for k in range(relations.n_taps(table))])
        for table in (rows, columns)
    )
    taps = maps[:, first_row][:, :, first_column].transpose(1, 2, 0)[:, :, None, :]
    return Kernel(taps=np.ascontiguousarray(taps), rows=rows, columns=columns)


def _tidy(kernel: Kernel) -> Kernel:
    """Return the kernel without taps that nothing meets; at least one of each axis is left."""
    rows, used_rows = relations.compacted(kernel.rows)
    columns, used_columns = relations.compacted(kernel.columns)
    if not (len(used_rows) and len(used_columns)):
        return replace(kernel, taps=np.zeros((1, 1, *kernel.taps.shape[2:])),
                       rows=np.minimum(rows, 0), columns=np.minimum(columns, 0))  # fmt: skip
    return Kernel(taps=kernel.taps[used_rows][:, used_columns], rows=rows, columns=columns)
