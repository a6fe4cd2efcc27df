"""Neurons that fire several times in a timestep, in floats: rare, so written plainly."""

from collections.abc import Sequence

import numpy as np

from talon.backend.cpu.filters import rows_of
from talon.backend.cpu.rules import Firing, Rule
from talon.ir.types import FloatArray


class CountingState:
    """The potentials of neurons that give the number of whole thresholds, up to a limit.

    Parameters
    ----------
    rule, firing, n_samples
        As in :class:`~talon.backend.cpu.neurons.NeuronState`.
    """

    def __init__(self, rule: Rule, firing: Firing, n_samples: int) -> None:
        self._decay, self._firing = rule.stages[-1].decay, firing
        self._size = rule.size(n_samples)
        self._v: FloatArray = np.zeros(self._size, rule.dtype)
        self._start = self._v.copy()

    @property
    def v(self) -> FloatArray:
        """Potentials after the last timestep."""
        return self._v

    def rewind(self) -> None:
        """Go back to where the last run began."""
        self._v[...] = self._start

    def run(
        self,
        drives: Sequence[FloatArray],
        potentials: FloatArray | None = None,
        synaptic: FloatArray | None = None,
    ) -> FloatArray:
        """Advance and return the counts; see :class:`.filters.State`."""
        del synaptic
        counts = np.empty(drives[0].shape, self._v.dtype)
        kept = np.empty_like(counts) if potentials is None else potentials
        self._start[...] = self._v
        rows = (len(counts), *self._size)
        currents, add = rows_of(drives, rows)
        for current, count, new in zip(
            currents, counts.reshape(rows), kept.reshape(rows), strict=True
        ):
            np.multiply(self._v, self._decay, new)
            add(new, current, new)
            self._count(new, count)
            self._reset(new, count)
            self._v[...] = new
        return counts

    def _count(self, v: FloatArray, count: FloatArray) -> None:
        """Write how many thresholds are in ``v``; the one that a strict neuron is at is not."""
        np.divide(v, self._firing.taken, count)
        if self._firing.strict:
            np.ceil(count, count)
            np.subtract(count, 1, count)
        else:
            np.floor(count, count)
        np.clip(count, 0, self._firing.max_spikes, count)

    def _reset(self, v: FloatArray, count: FloatArray) -> None:
        firing = self._firing
        if firing.reset == "subtract":
            v -= count * firing.taken
        elif firing.reset == "zero":
            fired = count > 0
            np.subtract(v, v, v, where=fired)  # what is infinite becomes NaN, and is found
            np.add(v, firing.v_reset, v, where=fired)
