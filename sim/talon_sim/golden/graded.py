"""Graded neurons: ``talon.arch.numerics.graded``, vectorized over neurons, samples and timesteps.

A sum plus its offset has 24 bits and a multiplier 17, so float64 holds their product, and the half
that is added to it, exactly. What is negative is clipped, so truncation to an integer is a floor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch import numerics
from talon.compiler.network import Population
from talon_sim.golden.neurons import Potentials, constant


class GradedNeurons:
    """A population of rectified and requantized sums; it has no state."""

    saturations = 0  # its limits are no saturation

    def __init__(self, population: Population) -> None:
        self._multiplier = constant(population.decay / numerics.DECAY_ONE)
        self._largest = float(population.threshold[0])

    def start(self, n_samples: int, n_steps: int) -> GradedNeurons:
        """Return neurons for as many samples and timesteps."""
        del n_samples, n_steps
        return self

    def advance(
        self, drive: Potentials, payloads: NDArray[Any], v: Potentials | None = None
    ) -> None:
        """Turn ``drive``, sums plus offset, which is overwritten, into payloads (uint8).

        ``v`` receives the payloads too, if wanted.
        """
        np.multiply(drive, self._multiplier, out=drive)
        np.add(drive, 0.5, out=drive)
        np.clip(drive, 0.0, self._largest, out=drive)
        np.copyto(payloads, drive, casting="unsafe")
        if v is not None:
            v[:] = payloads
