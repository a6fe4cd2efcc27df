"""Neurons with a synaptic current: ``talon.arch.numerics.update_current``, vectorized as well."""

from __future__ import annotations

import numpy as np

from talon.arch import numerics
from talon.compiler.network import Population
from talon_sim.golden.neurons import Neurons, Potentials, Spikes, Stored, constant


class SynapticNeurons(Neurons):
    """A population with a second state: its current turns sums into what drives potentials."""

    def __init__(self, population: Population, *, reach: float) -> None:
        super().__init__(population, reach=reach)
        assert population.i_decay is not None
        self._i_factor = constant(population.i_decay / numerics.DECAY_ONE)
        self._bias = constant(population.bias)

    def _rest(self, shape: tuple[int, int]) -> None:
        super()._rest(shape)
        self._i: Potentials = np.zeros(shape)
        self._clipped: Potentials = np.empty_like(self._i)

    def advance(self, drive: Potentials, spikes: Spikes, v: Stored | None = None) -> None:
        """Advance by as many timesteps as ``drive`` has.

        Parameters
        ----------
        drive
            Scaled sums plus the bias of the current, (steps, samples, n); overwritten.
        spikes, v
            As in :meth:`Neurons.advance`.
        """
        clamped = np.empty(drive.shape, np.bool_)
        for t in range(len(drive)):
            self._integrate_current(drive[t], clamped[t])
        self._advance(drive, spikes, v, clamped)

    def _integrate_current(self, drive: Potentials, clamped: Spikes) -> None:
        """Put current plus bias of the potential in place of the sum."""
        np.multiply(self._i, self._i_factor, out=self._i)
        np.trunc(self._i, out=self._i)
        np.add(self._i, drive, out=self._i)
        np.clip(self._i, numerics.V_MIN, numerics.V_MAX, out=self._clipped)
        np.not_equal(self._i, self._clipped, out=clamped)
        self._i, self._clipped = self._clipped, self._i
        np.add(self._i, self._bias, out=drive)
