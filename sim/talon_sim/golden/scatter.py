"""A kernel event by event: what is left to do where maps are large and events are few."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.kernel import Kernel

Table = NDArray[np.intp]

_CHUNK = 1 << 16
"""Synapses that are added at a time."""

_NS_SYNAPSE, _NS_CALL = 16.0, 60e3
_NS_MAC, _NS_GATHERED, _NS_TARGET = 0.04, 0.1, 0.5
"""What the two ways take, for the choice between them (measured)."""


class Scatter:
    """Adds the weights of each event to its targets."""

    def __init__(self, kernel: Kernel, *, frac: int) -> None:
        n_rows, n_columns, n_in, n_out = kernel.taps.shape
        self._source_shape, self._width = kernel.source_shape, len(kernel.columns)
        self.n_target = kernel.n_target
        self._rows = _targets_of(kernel.rows, n_rows)
        self._columns = _targets_of(kernel.columns, n_columns)
        # One more row and column, of zeros, for sources with fewer targets than others.
        padded = np.zeros((n_rows + 1, n_columns + 1, n_in, n_out))
        padded[:-1, :-1] = kernel.taps.astype(np.float64) * (1 << frac)
        self._taps, self._n_columns = padded.reshape(-1, n_out), n_columns + 1
        self._channel = np.arange(n_out) * (len(kernel.rows) * self._width)
        self._fan_out = max(1, self._rows[0].shape[1] * self._columns[0].shape[1] * n_out)
        n_windows = len(kernel.rows) * self._width
        gathered = n_rows * n_columns * n_in * n_windows
        self._frame_ns = (
            gathered * (_NS_GATHERED + n_out * _NS_MAC) + n_windows * n_out * _NS_TARGET
        )

    def pays(self, events: NDArray[Any]) -> bool:
        """Tell whether so few payloads (m, n_source) are best taken one by one."""
        n_synapses = int(np.count_nonzero(events)) * self._fan_out
        return _NS_CALL + n_synapses * _NS_SYNAPSE < len(events) * self._frame_ns

    def add_to(self, drive: NDArray[Any], events: NDArray[Any]) -> None:
        """Add the currents of payloads (m, n_source) to ``drive`` (m, n_target), contiguous."""
        frames, sources = np.nonzero(events)
        payloads = events[frames, sources].astype(np.float64)
        flat = drive.reshape(-1)
        assert np.shares_memory(flat, drive), "sums are added in place"
        step = max(1, _CHUNK // self._fan_out)
        for start in range(0, len(sources), step):
            part = slice(start, start + step)
            position, weight = self._synapses_of(sources[part])
            weight *= payloads[part, None, None, None]
            position += (frames[part] * self.n_target)[:, None, None, None]
            np.add.at(flat, position.reshape(-1), weight.reshape(-1).astype(flat.dtype, copy=False))

    def _synapses_of(self, sources: Table) -> tuple[Table, NDArray[np.float64]]:
        """Return targets and weights (events, rows, columns, O) of sources."""
        channel, y, x = np.unravel_index(sources, self._source_shape)
        (p, i), (q, j) = self._rows, self._columns
        n_in, n_columns = self._source_shape[0], self._n_columns
        window = p[y][:, :, None] * self._width + q[x][:, None, :]
        tap = (i[y][:, :, None] * n_columns + j[x][:, None, :]) * n_in + channel[:, None, None]
        return window[..., None] + self._channel, self._taps[tap]


def _targets_of(relation: NDArray[np.int16], n_taps: int) -> tuple[Table, Table]:
    """Return targets and taps (sources, most targets) of each source; others have tap n_taps."""
    is_joined = relation.T >= 0
    count = is_joined.sum(axis=1)
    most = int(count.max(initial=0))
    targets = np.zeros((len(is_joined), most), np.intp)
    taps = np.full(targets.shape, n_taps, np.intp)
    source, target = np.nonzero(is_joined)
    place = np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)
    targets[source, place] = target
    taps[source, place] = relation[target, source]
    return targets, taps
