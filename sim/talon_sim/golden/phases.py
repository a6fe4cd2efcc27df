"""A kernel whose targets go into windows, as one that makes all neurons of a window at once.

A neuron's place in its window is its phase. What was a target channel becomes one for each phase,
and a window of the source map becomes larger by what its neurons see beside each other. Less is
gathered, though more is multiplied, and the neurons of a window lie in as many maps: what is wanted
of windows is found map by map, in long runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.kernel import Kernel
from talon_sim.golden.axes import Axis, axis_of


@dataclass(frozen=True, kw_only=True, eq=False)
class _Coarse:
    """One axis: taps of windows (windows, sources), their number, and that from phase to phase."""

    relation: NDArray[np.int16]
    n_taps: int
    shift: int


def by_phase(kernel: Kernel, size: tuple[int, int]) -> Kernel | None:
    """Return the kernel from sources to windows of ``size``, channels (phases x O).

    None where sources do not advance evenly from target to target.
    """
    axes = axis_of(kernel.rows), axis_of(kernel.columns)
    rows, columns = (_coarse(axis, n) for axis, n in zip(axes, size, strict=True))
    if rows is None or columns is None:
        return None
    taps = kernel.taps[np.ix_(axes[0].taps, axes[1].taps)]
    n_rows, n_columns, n_in, n_out = taps.shape
    spread = np.zeros((rows.n_taps, columns.n_taps, n_in, *size, n_out), taps.dtype)
    for i in range(size[0]):
        for j in range(size[1]):
            y, x = i * rows.shift, j * columns.shift
            spread[y : y + n_rows, x : x + n_columns, :, i, j] = taps
    return Kernel(
        taps=spread.reshape(*spread.shape[:3], -1),
        rows=rows.relation,
        columns=columns.relation,
    )


def _coarse(axis: Axis, size: int) -> _Coarse | None:
    """Return the axis of windows of ``size`` targets."""
    if axis.even is None or axis.merge is not None or axis.repeat is not None:
        return None
    start, step, spacing = axis.even
    spacing = max(spacing, 1)  # of one tap alone
    if size > 1 and step % spacing:
        return None  # a neighbour's taps see other sources
    shift = step // spacing
    n_taps = len(axis.taps) + shift * (size - 1)
    windows, taps = np.meshgrid(np.arange(axis.n_target // size), np.arange(n_taps), indexing="ij")
    sources = start + step * size * windows + spacing * taps
    inside = (sources >= 0) & (sources < axis.n_source)
    relation: NDArray[Any] = np.full((axis.n_target // size, axis.n_source), -1, np.int16)
    relation[windows[inside], sources[inside]] = taps[inside]
    return _Coarse(relation=relation, n_taps=n_taps, shift=shift)
