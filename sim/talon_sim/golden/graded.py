"""Graded neurons: ``talon.arch.numerics.graded``, vectorized over neurons, samples and timesteps.

A sum plus its offset has 24 bits and a multiplier 17, so float64 holds their product, and the half
that is added to it, exactly. What is negative is clipped, so truncation to an integer is a floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch import numerics
from talon.compiler.kernel import Kernel
from talon.compiler.network import IntArray, Population
from talon_sim.golden.maps import MapSynapses
from talon_sim.golden.neurons import Potentials, Stored, constant
from talon_sim.golden.phases import by_phase


class GradedNeurons:
    """A population of rectified and requantized sums; it has no state."""

    saturations = 0  # its limits are no saturation

    def __init__(self, population: Population) -> None:
        self.base = constant(population.v_reset)
        self._multiplier = constant(population.decay / numerics.DECAY_ONE)
        self._largest = float(population.threshold[0])

    def start(self, n_samples: int, n_steps: int) -> GradedNeurons:
        """Return neurons for as many samples and timesteps."""
        del n_samples, n_steps
        return self

    def advance(self, drive: Potentials, payloads: NDArray[Any], v: Stored | None = None) -> None:
        """Turn ``drive``, sums plus offset, which is overwritten, into payloads (uint8).

        ``v`` receives the payloads too, if wanted.
        """
        np.multiply(drive, self._multiplier, out=drive)
        np.add(drive, 0.5, out=drive)
        np.maximum(drive, 0.0, out=drive)
        np.minimum(drive, self._largest, out=drive)
        np.copyto(payloads, drive, casting="unsafe")
        if v is not None:
            v[:] = payloads


class GradedWindows:
    """A graded population of which the largest payload of each window is all that is wanted.

    Payloads rise with their sums, so that of the largest sum is the largest: a window's neurons
    share multiplier and offset, and only one of them is requantized.
    """

    def __init__(self, population: Population, synapses: MapSynapses) -> None:
        assert population.pool is not None
        rows, columns = population.pool.size
        self._synapses, self._n_phases = synapses, rows * columns
        shape = population.shape
        first = (slice(None), slice(None, None, rows), slice(None, None, columns))
        multiplier, offset = population.decay, population.v_reset
        self._multiplier, self._offset, self._lowest, self._highest = (
            _by_channel(values.reshape(shape)[first])
            for values in (
                (multiplier / numerics.DECAY_ONE).astype(np.float32),
                offset.astype(np.float32),
                lowest_sums(multiplier, offset),
                highest_values(multiplier, int(population.threshold[0])),
            )
        )
        self._has_offset = bool(np.any(self._offset))
        self._shape = (shape[0], shape[1] // rows, shape[2] // columns)

    @staticmethod
    def of(population: Population, weights: Sequence[Any]) -> GradedWindows | None:
        """Return those of a population, given all weights into it; None where they do not fit."""
        pool = population.pool
        if population.kind != "graded" or pool is None or pool.kind != "max":
            return None
        if population.table is not None:
            return None
        if len(weights) != 1 or not isinstance(weights[0], Kernel):
            return None
        if not all(is_even(v, population) for v in (population.decay, population.v_reset)):
            return None
        kernel = by_phase(weights[0], pool.size)
        return None if kernel is None else GradedWindows(population, MapSynapses(kernel, frac=0))

    def run(self, events: NDArray[Any], out: NDArray[np.uint8]) -> int:
        """Write what events (T, B, n_source) make of all windows (T, B, n_sent), a few at a time.

        Returns
        -------
        int
            How many neurons had a payload that is not zero.
        """
        frames, windows = (values.reshape(-1, values.shape[2]) for values in (events, out))
        n_sent = 0
        for part, found in self._synapses.sums(frames, packed=True):
            shape = (len(frames[part]), self._n_phases, *self._shape)
            sums = np.zeros(shape, np.float32) if found is None else found.reshape(shape)
            n_sent += self.write(sums, windows[part])
        return n_sent

    def write(self, sums: NDArray[np.float32], out: NDArray[np.uint8]) -> int:
        """Write the payloads of windows (m, O x P x Q) of sums (m, phases, O, P, Q).

        Returns
        -------
        int
            How many neurons have a payload that is not zero.
        """
        n_sent = int(np.count_nonzero(sums >= self._lowest))
        best = np.maximum(sums[:, 0], sums[:, -1])
        for phase in range(1, self._n_phases - 1):
            np.maximum(best, sums[:, phase], out=best)
        if self._has_offset:
            np.add(best, self._offset, out=best)
        np.clip(best, 0, self._highest, out=best)
        np.multiply(best, self._multiplier, out=best)
        np.add(best, 0.5, out=best)
        np.copyto(out.reshape(best.shape), best, casting="unsafe")
        return n_sent


def is_even(values: IntArray, population: Population) -> bool:
    """Tell whether all neurons of a window have one value."""
    assert population.pool is not None
    channels, height, width = population.shape
    rows, columns = population.pool.size
    windows = values.reshape(channels, height // rows, rows, width // columns, columns)
    return bool((windows == windows[:, :, :1, :, :1]).all())


def lowest_sums(multiplier: IntArray, offset: IntArray) -> NDArray[np.float32]:
    """Return the least sums that make a payload: (sum + offset) m + 1/2 is at least one."""
    m = multiplier.astype(np.int64)
    needed = -(-numerics.DECAY_ONE // (2 * np.maximum(m, 1))) - offset
    never = np.finfo(np.float32).max
    return np.where(m > 0, needed, never).astype(np.float32)


def highest_values(multiplier: IntArray, largest: int) -> NDArray[np.float32]:
    """Return the greatest sums plus offset that count: those above make the largest payload too.

    Up to there (sum + offset) m + 1/2 has 24 bits, so that float32 holds it exactly. A multiplier
    is 1 at most: payloads leave out none, and the largest is reached.
    """
    m = np.maximum(multiplier.astype(np.int64), 1)
    below = (largest + 1) * numerics.DECAY_ONE - numerics.DECAY_ONE // 2
    return np.minimum((below - 1) // m, numerics.ACC_MAX).astype(np.float32)


def _by_channel(values: NDArray[Any]) -> NDArray[Any]:
    """Return maps (C, H, W), as (C, 1, 1) where each has one value, as one number where all do."""
    if values.size and (values == values[0, 0, 0]).all():
        return values[0, 0, 0].reshape(())
    first = values[:, :1, :1]
    return first if (values == first).all() else values
