"""Neurons that count: ``talon.arch.numerics.update_counting``, vectorized.

A sum times its gain has at most 24 + 15 bits, so float64 holds it exactly, as it does a potential
over the threshold, a power of two.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch import numerics
from talon.compiler.network import Population
from talon_sim.golden.neurons import Potentials, Stored, constant


class CountingNeurons:
    """A population whose neurons fire several times in a timestep and, once started, its state."""

    def __init__(self, population: Population) -> None:
        assert population.gain is not None
        self.saturations = 0
        self.base = constant(0 * population.bias)  # which is no part of the sum
        self._n = population.n
        self._gain = constant(population.gain)
        self._bias = constant(population.bias)
        self._factor = constant(population.decay / numerics.DECAY_ONE)
        self._leaks = bool(np.any(population.decay != numerics.DECAY_ONE))
        self._v_reset = constant(population.v_reset)
        self._most = constant(population.threshold // numerics.COUNT_ONE)
        self._strict = float(population.strict)
        self._reset = population.reset

    def start(self, n_samples: int, n_steps: int) -> CountingNeurons:
        """Return neurons like these at rest, for as many samples and timesteps."""
        del n_steps
        neurons = copy(self)
        neurons._v = np.zeros((n_samples, self._n))
        return neurons

    def advance(self, drive: Potentials, counts: NDArray[Any], v: Stored | None = None) -> None:
        """Advance by as many timesteps as ``drive`` has.

        Parameters
        ----------
        drive
            Sums, (steps, samples, n); overwritten.
        counts
            Receives how often each neuron fired, uint8; same shape.
        v
            Receives the potentials stored after each timestep, if wanted; same shape.
        """
        np.multiply(drive, self._gain, out=drive)
        np.add(drive, self._bias, out=drive)
        for t in range(len(drive)):
            self._step(drive[t], counts[t])
            if v is not None:
                v[t] = self._v

    def _step(self, drive: Potentials, counts: NDArray[Any]) -> None:
        left = np.trunc(self._v * self._factor) if self._leaks else self._v
        total = left + drive
        after = np.clip(total, numerics.V_MIN, numerics.V_MAX)
        self.saturations += int(np.count_nonzero(after != total))
        whole = np.floor((after - self._strict) / numerics.COUNT_ONE)
        times = np.clip(whole, 0.0, self._most)
        np.copyto(counts, times, casting="unsafe")
        if self._reset == "subtract":
            after -= times * numerics.COUNT_ONE
        elif self._reset == "zero":
            np.copyto(after, self._v_reset, where=times > 0)
        self._v: Potentials = after
