"""Neurons of wide populations: potentials are int32, of which twice as many stay near.

They serve neurons that reset at once and, as the weights prove, never saturate, so that neither
sums nor potentials leave the 24 bits of V. The leak is a product in float64, which is exact as in
``neurons``, and the cast to an integer truncates it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon_sim.golden.neurons import Neurons, Spikes, Stored

Wholes = NDArray[np.int32]

_WIDE = 1 << 11
"""From so many potentials on they are faster: below, a call takes longer than its work
(measured)."""


def started(neurons: Any, n_samples: int, n_steps: int) -> Any:
    """Return neurons at rest, for as many samples and timesteps: wide ones where they serve."""
    if (
        type(neurons) is Neurons
        and neurons.n * n_samples >= _WIDE
        and neurons.is_plain
        and neurons.is_safe_for(n_steps)
    ):
        return WideNeurons(neurons, n_samples)
    return neurons.start(n_samples, n_steps)


class WideNeurons:
    """Neurons at rest for a number of samples, and their state as they advance.

    Attributes
    ----------
    base
        What each drive has without events, int32.
    saturations
        None, for ever.
    """

    saturations = 0

    def __init__(self, neurons: Neurons, n_samples: int) -> None:
        self.base, self._level, self._threshold, self._v_reset = (
            values.astype(np.int32)
            for values in (neurons.base, neurons.level, neurons.threshold, neurons.v_reset)
        )
        self._factor = neurons.factor if neurons.leaks else None
        self._subtracts = neurons.subtracts
        shape = (n_samples, neurons.n)
        self._v: Wholes = np.zeros(shape, np.int32)
        self._spare: Wholes = np.empty(shape, np.int32)
        self._leaked = np.empty(shape)

    def advance(self, drive: Wholes, spikes: Spikes, v: Stored | None = None) -> None:
        """Advance by as many timesteps as ``drive`` has.

        Parameters
        ----------
        drive
            Scaled currents plus bias, (steps, samples, n).
        spikes
            Receives who fired; same shape.
        v
            Receives the potentials stored after each timestep, if wanted; same shape.
        """
        state, leaked, factor, level = self._v, self._leaked, self._factor, self._level
        for t, (x, fired) in enumerate(zip(drive, spikes, strict=True)):
            if factor is not None:
                np.copyto(leaked, state)
                np.multiply(leaked, factor, leaked)
                np.copyto(state, leaked, casting="unsafe")
            np.add(state, x, state)
            np.greater(state, level, fired)
            self._reset(fired)
            if v is not None:
                v[t] = state

    def _reset(self, fired: Spikes) -> None:
        state, spare = self._v, self._spare
        np.copyto(spare, fired)
        if self._subtracts:
            np.multiply(spare, self._threshold, spare)
        else:
            np.multiply(spare, state - self._v_reset, spare)
        np.subtract(state, spare, state)
