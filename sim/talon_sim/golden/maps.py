"""Kernels as matrix products over gathered windows; exact for the reason that ``synapses`` gives.

A few frames at a time are padded, gathered and multiplied, so that what is gathered stays in the
second-level cache. Sums of payloads that share a tap are exact as well: each is at most a sum that
the proof is about, or meets weights of zero alone.
"""

from __future__ import annotations

from math import gcd
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from talon.compiler.kernel import Kernel
from talon_sim.golden.axes import Axis, axis_of

Maps = NDArray[np.float32]

_CHUNK = 1 << 16
"""Gathered values held at a time."""

_FEW_CHANNELS = 16
"""Below so many source channels a matrix product is faster than a pass for each tap (measured)."""


class MapSynapses:
    """The synapses of one kernel, ready to turn events into currents."""

    def __init__(self, kernel: Kernel, *, frac: int) -> None:
        self.n_target, self.n_source = kernel.n_target, kernel.n_source
        self.fan_out = np.rint(kernel.summed_over_targets(kernel.taps != 0)).astype(np.int64)
        self._source_shape, self._target_shape = kernel.source_shape, kernel.target_shape
        self._y, self._x = axis_of(kernel.rows), axis_of(kernel.columns)
        taps = kernel.taps[np.ix_(self._y.taps, self._x.taps)]
        self._is_empty = not taps.any()
        scaled = taps.astype(np.float32) * np.float32(1 << frac)
        self._gather = (
            _Windows(self._y, self._x)
            if self._y.even is not None and self._x.even is not None
            else _Selection(self._y, self._x)
        )
        is_single = np.count_nonzero(taps.any(axis=(0, 1)), axis=0).max(initial=0) <= 1
        many = taps.shape[2] >= _FEW_CHANNELS or taps.shape[:2] == (1, 1)
        self._weigh = _SingleChannel(scaled) if is_single and many else _Product(scaled)
        size = max(1, taps[..., 0].size) * self._y.n_target * self._x.n_target
        self._frames = max(1, _CHUNK // size)

    def add_to(self, drive: NDArray[np.float64], events: NDArray[Any]) -> None:
        """Add the currents of payloads (m, n_source) to ``drive`` (m, n_target)."""
        if self._is_empty:
            return
        for start in range(0, len(events), self._frames):
            part = slice(start, start + self._frames)
            if events[part].any():
                self._add_frames(drive[part], events[part])

    def _add_frames(self, drive: NDArray[np.float64], events: NDArray[Any]) -> None:
        maps = _merged(events.reshape(-1, *self._source_shape), self._y, self._x)
        sums = self._weigh(self._gather, maps)
        if self._y.repeat is not None:
            sums = sums[:, :, self._y.repeat]
        if self._x.repeat is not None:
            sums = sums[:, :, :, self._x.repeat]
        target = drive.reshape(-1, *self._target_shape)
        np.add(target, sums, out=target)


def _merged(maps: NDArray[Any], y: Axis, x: Axis) -> NDArray[Any]:
    """Sum the sources that share all their taps."""
    if x.merge is not None:
        maps = maps.astype(np.float32) @ x.merge
    if y.merge is not None:
        maps = y.merge.T @ maps.astype(np.float32)
    return maps


class _Windows:
    """Gather windows that lie evenly: views of a padded map."""

    def __init__(self, y: Axis, x: Axis) -> None:
        assert y.even is not None and x.even is not None
        self._y, self._x = y, x
        self._inside = tuple(_overlap(-axis.even[0], axis) for axis in (y, x) if axis.even)
        self._steps = (y.even[1], x.even[1])
        self._spacing = (y.even[2], x.even[2])
        self._is_dense = self._steps == (1, 1)
        self.shape = (y.n_target, x.n_target)

    def padded(self, maps: NDArray[Any]) -> Maps:
        """Return the maps with the zeros around them that windows reach, float32."""
        extent = (self._y.extent, self._x.extent)
        out = np.zeros((*maps.shape[:2], *extent), np.float32)
        (to_y, from_y), (to_x, from_x) = self._inside
        out[:, :, to_y, to_x] = maps[:, :, from_y, from_x]
        return out

    def view(self, padded: Maps) -> Maps:
        """Return windows (m, C, rows, columns, P, Q) of taps, a view."""
        m, c, y, x = padded.strides
        return as_strided(
            padded,
            (*padded.shape[:2], len(self._y.taps), len(self._x.taps), *self.shape),
            (
                m,
                c,
                y * self._spacing[0],
                x * self._spacing[1],
                y * self._steps[0],
                x * self._steps[1],
            ),
            writeable=False,
        )

    def columns(self, maps: NDArray[Any]) -> tuple[Maps, int]:
        """Return windows (m, C x taps, P x width) and the width of a row, of at least Q values.

        Windows one apart are gathered in one run a tap, rows and what is between them.
        """
        padded = self.padded(maps)
        windows = self.view(padded)
        if not self._is_dense:
            n_frames, n_channels, n_rows, n_columns, height, width = windows.shape
            shape = (n_frames, n_channels * n_rows * n_columns, height * width)
            return np.ascontiguousarray(windows).reshape(shape), width
        width = padded.shape[3]
        length = (self.shape[0] - 1) * width + self.shape[1]
        runs = as_strided(
            padded, (*windows.shape[:4], length), (*windows.strides[:4], 4), writeable=False
        )
        return np.ascontiguousarray(runs).reshape(len(maps), -1, length), width


class _Selection:
    """Gather by matrices of zeros and ones: whatever the tables say."""

    def __init__(self, y: Axis, x: Axis) -> None:
        rows, columns = y.selection(), x.selection()
        self._taps = (len(rows), len(columns))
        self.shape = (y.n_target, x.n_target)
        self._rows = rows.reshape(-1, rows.shape[2])
        self._columns = np.ascontiguousarray(columns.reshape(-1, columns.shape[2]).T)

    def padded(self, maps: NDArray[Any]) -> Maps:
        """Return windows (m, C, rows, P, columns, Q) of taps."""
        selected = self._rows @ (maps.astype(np.float32) @ self._columns)
        n_rows, n_columns = self._taps
        height, width = self.shape
        return selected.reshape(*maps.shape[:2], n_rows, height, n_columns, width)

    def view(self, padded: Maps) -> Maps:
        """Return windows (m, C, rows, columns, P, Q) of taps, a view."""
        return padded.transpose(0, 1, 2, 4, 3, 5)

    def columns(self, maps: NDArray[Any]) -> tuple[Maps, int]:
        """Return windows (m, C x taps, P x Q), and Q."""
        windows = np.ascontiguousarray(self.view(self.padded(maps)))
        height, width = self.shape
        return windows.reshape(len(maps), -1, height * width), width


class _Product:
    """Weigh windows by a matrix, or one for each group of channels."""

    def __init__(self, taps: Maps) -> None:
        n_in, n_out = taps.shape[2:]
        self._n_out = n_out
        self._n_groups = _groups_of(np.asarray(taps.any(axis=(0, 1))))
        by_target = taps.transpose(3, 2, 0, 1)
        size = n_in // self._n_groups
        blocks = [
            part[:, g * size : (g + 1) * size].reshape(len(part), -1)
            for g, part in enumerate(np.split(by_target, self._n_groups))
        ]
        self._matrix = np.ascontiguousarray(np.stack(blocks))

    def __call__(self, gather: _Windows | _Selection, maps: NDArray[Any]) -> Maps:
        """Return the sums (m, O, P, Q)."""
        columns, width = gather.columns(maps)
        n_frames, _, length = columns.shape
        height, n_columns = gather.shape
        shape = (n_frames, self._n_groups, self._n_out // self._n_groups, height * width)
        out = np.empty(shape, np.float32)
        np.matmul(
            self._matrix,
            columns.reshape(n_frames, self._n_groups, -1, length),
            out=out[..., :length],
        )
        return out.reshape(n_frames, self._n_out, height, width)[..., :n_columns]


class _SingleChannel:
    """Weigh windows where each target channel has one source channel: a pass for each tap."""

    def __init__(self, taps: Maps) -> None:
        self._source = taps.any(axis=(0, 1)).argmax(axis=0)
        self._is_same = np.array_equal(self._source, np.arange(taps.shape[2]))
        own = taps[:, :, self._source, np.arange(taps.shape[3])]
        self._weight = own[..., None, None]

    def __call__(self, gather: _Windows | _Selection, maps: NDArray[Any]) -> Maps:
        """Return the sums (m, O, P, Q)."""
        windows = gather.view(gather.padded(maps))
        if not self._is_same:
            windows = windows[:, self._source]
        n_rows, n_columns = self._weight.shape[:2]
        total = windows[:, :, 0, 0] * self._weight[0, 0]
        product = np.empty_like(total)
        for tap in range(1, n_rows * n_columns):
            row, column = divmod(tap, n_columns)
            np.multiply(windows[:, :, row, column], self._weight[row, column], out=product)
            np.add(total, product, out=total)
        return total


def _overlap(before: int, axis: Axis) -> tuple[slice, slice]:
    """Return where sources stand in the padded axis, and which of them do."""
    first = max(0, -before)
    last = min(axis.n_source, axis.extent - before)
    return slice(first + before, last + before), slice(first, last)


def _groups_of(joined: NDArray[np.bool_]) -> int:
    """Return into how many equal blocks along the diagonal the channels (C, O) fall."""
    n_in, n_out = joined.shape
    common = gcd(n_in, n_out)
    for n_groups in range(common, 1, -1):
        if common % n_groups == 0:
            apart = (np.arange(n_in) // (n_in // n_groups))[:, None] != (
                np.arange(n_out) // (n_out // n_groups)
            )
            if not joined[apart].any():
                return n_groups
    return 1
