"""Windows of a few frames, gathered for a kernel; arrays and views are made once.

Values are float32, which holds payloads and their sums exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from talon_sim.golden.axes import Axis

Maps = NDArray[np.float32]


class Windows:
    """Windows that lie evenly: views of padded maps.

    Windows that are one apart are gathered in one run a tap, rows and what is between them, unless
    they are to be ``packed``, row by row without a gap.

    Attributes
    ----------
    shape
        Number of windows (P, Q).
    width
        Length of a row of gathered columns, at least Q.
    """

    def __init__(
        self, y: Axis, x: Axis, *, n_frames: int, n_channels: int, packed: bool = False
    ) -> None:
        assert y.even is not None and x.even is not None
        self.shape = (y.n_target, x.n_target)
        padded = np.zeros((n_frames, n_channels, y.extent, x.extent), np.float32)
        (to_y, self._from_y), (to_x, self._from_x) = overlap(y), overlap(x)
        self._inside = padded[:, :, to_y, to_x]
        frame, channel, row, column = padded.strides
        taps = (len(y.taps), len(x.taps))
        spacing = (row * y.even[2], column * x.even[2])
        steps = (row * y.even[1], column * x.even[1])
        self._views = as_strided(
            padded,
            (n_frames, n_channels, *taps, *self.shape),
            (frame, channel, *spacing, *steps),
        )
        self._runs = self._views
        self.width = self.shape[1]
        if steps == (row, column) and not packed:
            self.width = x.extent
            length = (self.shape[0] - 1) * self.width + self.shape[1]
            self._runs = as_strided(
                padded, (*self._views.shape[:4], length), (frame, channel, *spacing, column)
            )
        self._gathered = np.empty(self._runs.shape, np.float32)
        self._columns = self._gathered.reshape(n_frames, n_channels * taps[0] * taps[1], -1)

    def fill(self, maps: NDArray[Any]) -> None:
        """Take maps (m, C, H, W), at most as many as there are frames."""
        np.copyto(self._inside[: len(maps)], maps[:, :, self._from_y, self._from_x])

    def views(self, n_frames: int) -> Maps:
        """Return the windows (m, C, rows, columns, P, Q) of taps of the first frames, a view."""
        return self._views[:n_frames]

    def columns(self, n_frames: int) -> Maps:
        """Return the windows (m, C x taps, length) of the first frames: rows of ``width``."""
        np.copyto(self._gathered[:n_frames], self._runs[:n_frames])
        return self._columns[:n_frames]


class Selection:
    """Windows that any table tells: selected by matrices of zeros and ones; see Windows."""

    def __init__(
        self, y: Axis, x: Axis, *, n_frames: int, n_channels: int, packed: bool = True
    ) -> None:
        del packed  # they are
        rows, columns = y.selection(), x.selection()
        self.shape = (y.n_target, x.n_target)
        self.width = self.shape[1]
        self._taps = (len(rows), len(columns))
        self._rows = rows.reshape(-1, rows.shape[2])
        self._across = np.ascontiguousarray(columns.reshape(-1, columns.shape[2]).T)
        shape = (n_frames, n_channels, len(self._rows), self._across.shape[1])
        self._selected = np.empty(shape, np.float32)

    def fill(self, maps: NDArray[Any]) -> None:
        """Take maps (m, C, H, W)."""
        across = maps.astype(np.float32) @ self._across
        np.matmul(self._rows, across, out=self._selected[: len(maps)])

    def views(self, n_frames: int) -> Maps:
        """Return the windows (m, C, rows, columns, P, Q) of taps of the first frames, a view."""
        n_rows, n_columns = self._taps
        height, width = self.shape
        selected = self._selected[:n_frames]
        shape = (*selected.shape[:2], n_rows, height, n_columns, width)
        return selected.reshape(shape).transpose(0, 1, 2, 4, 3, 5)

    def columns(self, n_frames: int) -> Maps:
        """Return the windows (m, C x taps, P x Q) of the first frames."""
        windows = np.ascontiguousarray(self.views(n_frames))
        return windows.reshape(n_frames, -1, self.shape[0] * self.shape[1])


def overlap(axis: Axis) -> tuple[slice, slice]:
    """Return where sources stand in the padded axis, and which of them do."""
    assert axis.even is not None
    before = -axis.even[0]
    first = max(0, -before)
    last = min(axis.n_source, axis.extent - before)
    return slice(first + before, last + before), slice(first, last)
