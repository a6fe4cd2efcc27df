"""Synapses as matrix products that are exact, and as gathered columns where events are few.

All weights are scaled by ``2 ** frac`` beforehand: a power of two changes no mantissa. Before that
scaling sums stay below 2^23 (``reach.accumulator_span``), so float32 holds each of them exactly,
in whatever order BLAS adds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Currents = NDArray[np.float32] | NDArray[np.float64]

_GATHER_COST = 200
"""Multiply-accumulates that BLAS does in the time in which one synapse is gathered (measured)."""


class Synapses:
    """The synapses of one matrix, ready to turn events into currents."""

    def __init__(self, weight: NDArray[np.int8], *, form: str, frac: int) -> None:
        self.n_target, self.n_source = weight.shape
        nonzero = weight != 0
        self.fan_out = (
            np.full(self.n_source, self.n_target)
            if form == "dense"
            else np.count_nonzero(nonzero, axis=0)
        )
        self._scale = np.float32(1 << frac)
        self._one_to_one = np.count_nonzero(nonzero, axis=1).max(initial=0) <= 1
        self._is_sparse = np.count_nonzero(nonzero) * _GATHER_COST // 4 < weight.size
        if self._one_to_one:
            self._sources = nonzero.argmax(axis=1)
            picked = weight[np.arange(self.n_target), self._sources]
            self._picked = picked.astype(np.float32) * self._scale
        elif self._is_sparse:
            source, self._target = np.nonzero(nonzero.T)
            self._start = np.searchsorted(source, np.arange(self.n_source + 1))
            self._value = weight[self._target, source].astype(np.float64) * float(self._scale)
        else:
            self._matrix = np.ascontiguousarray(weight.T, np.float32) * self._scale

    def currents(self, events: NDArray[Any]) -> Currents:
        """Return the currents, of shape (m, n_target), of payloads of shape (m, n_source)."""
        if self._one_to_one:
            return events[:, self._sources] * self._picked
        if self._is_sparse:
            return self._gather_synapses(events)
        if len(events) == 1:
            active = np.flatnonzero(events[0])
            if active.size * 8 < self.n_source:
                return self._gather_rows(events, active)
        return events.astype(np.float32) @ self._matrix

    def add_to(self, drive: NDArray[np.float64], events: NDArray[Any]) -> None:
        """Add the currents of payloads (m, n_source) to ``drive`` (m, n_target)."""
        drive += self.currents(events)

    def write_to(
        self, drive: NDArray[np.float64], events: NDArray[Any], base: NDArray[np.float64]
    ) -> None:
        """Write ``base``, one number or (n_target,), plus the currents to ``drive``."""
        np.add(self.currents(events), base, out=drive)

    def _gather_rows(self, events: NDArray[Any], active: NDArray[np.intp]) -> Currents:
        payload = events[0, active].astype(np.float32)
        return (payload @ self._matrix[active])[np.newaxis]

    def _gather_synapses(self, events: NDArray[Any]) -> Currents:
        sample, source = np.nonzero(events)
        first, count = self._start[source], self._start[source + 1] - self._start[source]
        before = np.cumsum(count) - count
        synapse = np.arange(count.sum()) + np.repeat(first - before, count)
        payload = np.repeat(events[sample, source], count)
        total: NDArray[np.float64] = np.bincount(
            np.repeat(sample * self.n_target, count) + self._target[synapse],
            weights=self._value[synapse] * payload,
            minlength=len(events) * self.n_target,
        ).astype(np.float64)  # without events it counts, in integers
        return total.reshape(-1, self.n_target)
