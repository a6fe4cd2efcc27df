"""What a live run took, summed up, and kept if it is wanted."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.backend.live import LiveStep
from talon.image.files import whole_file

_FIGURES = ("t_start", "n_events", "n_spikes", "n_dropped", "backlog", "process_s", "lag_s")
_BINS = np.geomspace(1e-7, 1e3, 2001)
"""Borders of a histogram of seconds: its percentiles are right to 1.2 %, however long a run is."""


class Summary:
    """Sums up timesteps; in bounded memory unless they are kept.

    Parameters
    ----------
    keeps
        Whether all spikes, potentials and figures are kept.
    """

    def __init__(self, *, keeps: bool = False) -> None:
        self._keeps = keeps
        self._steps: list[LiveStep] = []
        self._process, self._lag = _Times(), _Times()
        self._backlog = 0
        self._spikes: dict[str, NDArray[np.int64]] = {}

    def add(self, step: LiveStep) -> None:
        """Take a timestep."""
        self._process.add(step.process_s)
        if step.lag_s is not None:
            self._lag.add(step.lag_s)
        self._backlog = max(self._backlog, step.backlog)
        for name, spikes in step.spikes.items():
            self._spikes[name] = self._spikes.get(name, 0) + spikes.astype(np.int64)
        if self._keeps:
            self._steps.append(step)

    def facts(self) -> dict[str, Any]:
        """Return latencies in milliseconds, the largest backlog, and spikes by population."""
        facts: dict[str, Any] = {"process_ms": self._process.facts(), "backlog_max": self._backlog}
        if self._lag.count:
            facts["lag_ms"] = self._lag.facts()
        facts["spikes"] = {name: int(counts.sum()) for name, counts in self._spikes.items()}
        return facts

    @property
    def kept(self) -> dict[str, NDArray[Any]]:
        """Arrays of all timesteps by name: figures, and ``spikes:`` and ``potentials:``."""
        arrays: dict[str, NDArray[Any]] = {
            name: np.array([getattr(step, name) for step in self._steps], self._type(name))
            for name in _FIGURES
        }
        for kind in ("spikes", "potentials"):
            for name in getattr(self._steps[0], kind) if self._steps else ():
                values = [getattr(step, kind)[name] for step in self._steps]
                arrays[f"{kind}:{name}"] = np.stack(values)
        return arrays

    @staticmethod
    def _type(name: str) -> type:
        return np.float64 if name.endswith("_s") else np.int64


class _Times:
    """Seconds, of which mean, percentiles and maximum are known, but not each."""

    def __init__(self) -> None:
        self.count, self._sum, self._most = 0, 0.0, 0.0
        self._histogram = np.zeros(_BINS.size + 1, np.int64)

    def add(self, seconds: float) -> None:
        self.count += 1
        self._sum += seconds
        self._most = max(self._most, seconds)
        self._histogram[np.searchsorted(_BINS, seconds)] += 1

    def facts(self) -> dict[str, float]:
        """Return them in milliseconds."""
        if not self.count:
            return {}
        below = np.cumsum(self._histogram)
        found = {"mean": self._sum / self.count}
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            at = int(np.searchsorted(below, share * self.count))
            found[name] = min(float(_BINS[min(at, _BINS.size - 1)]), self._most)
        found["max"] = self._most
        return {name: round(1e3 * seconds, 6) for name, seconds in found.items()}


def save(path: str, arrays: dict[str, NDArray[Any]]) -> None:
    """Write arrays as an ``.npz`` file."""
    buffer = io.BytesIO()  # a zip archive is not written from front to back, as a pipe must be
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    with whole_file(path) as file:
        file.write(buffer.getbuffer())
