"""Graded neurons: ``talon.arch.numerics.graded``, vectorized over neurons, samples and timesteps.

A sum plus its offset has 24 bits and a multiplier 17, so float64 holds their product, and the half
that is added to it, exactly. What is negative is clipped, so truncation to an integer is a floor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch import numerics
from talon.compiler.network import IntArray, Population
from talon_sim.golden.maps import MapSynapses
from talon_sim.golden.neurons import Potentials, constant
from talon_sim.golden.windows import combined


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

    def advance(
        self, drive: Potentials, payloads: NDArray[Any], v: Potentials | None = None
    ) -> None:
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

    def __init__(self, population: Population) -> None:
        assert population.pool is not None
        self._size = population.pool.size
        self._shape = shape = population.shape
        rows, columns = self._size
        multiplier = population.decay / numerics.DECAY_ONE
        first = (slice(None), slice(None, None, rows), slice(None, None, columns))
        self._multiplier = _by_channel(multiplier.reshape(shape)[first])
        self._offset = _by_channel(population.v_reset.reshape(shape)[first].astype(np.float64))
        self._lowest = _by_channel(lowest_sums(population.decay, population.v_reset).reshape(shape))
        self._largest = float(population.threshold[0])

    @staticmethod
    def fits(population: Population) -> bool:
        """Tell whether windows are all that such a population has to know."""
        pool = population.pool
        return (
            population.kind == "graded"
            and population.table is None
            and pool is not None
            and pool.kind == "max"
            and all(
                is_even(values, population) for values in (population.decay, population.v_reset)
            )
        )

    def run(self, synapses: MapSynapses, events: NDArray[Any], out: NDArray[np.uint8]) -> int:
        """Write what events (T, B, n_source) make of all windows (T, B, n_sent), a few at a time.

        Returns
        -------
        int
            How many neurons had a payload that is not zero.
        """
        frames, windows = (values.reshape(-1, values.shape[2]) for values in (events, out))
        silent = np.zeros((1, *self._shape), np.float32)
        n_sent = 0
        for part, found in synapses.sums(frames, packed=True):
            none = np.broadcast_to(silent, (len(frames[part]), *self._shape))
            n_sent += self.write(none if found is None else found, windows[part])
        return n_sent

    def write(self, sums: NDArray[np.float32], out: NDArray[np.uint8]) -> int:
        """Write the payloads of windows (m, O x P x Q) of sums (m, O, H, W).

        Returns
        -------
        int
            How many neurons have a payload that is not zero.
        """
        rows, columns = self._size
        n_sent = int(np.count_nonzero(sums >= self._lowest))
        best = combined(np.maximum, combined(np.maximum, sums, rows, 2), columns, 3)
        value = best + self._offset
        np.multiply(value, self._multiplier, out=value)
        np.add(value, 0.5, out=value)
        np.maximum(value, 0.0, out=value)
        np.minimum(value, self._largest, out=value)
        np.copyto(out.reshape(value.shape), value, casting="unsafe")
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


def _by_channel(values: NDArray[Any]) -> NDArray[Any]:
    """Return maps (C, H, W), as (C, 1, 1) where each has one value."""
    first = values[:, :1, :1]
    return first if (values == first).all() else values
