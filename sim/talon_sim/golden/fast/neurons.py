"""Neurons for the compiled kernels, and what they send."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch import numerics
from talon.compiler.network import IntArray, Population
from talon_sim.golden.fast import firing, grading, sending
from talon_sim.golden.fast.synapses import Ends, Layout, Sums, Way
from talon_sim.golden.graded import highest_values, is_even, lowest_sums
from talon_sim.golden.lookup import table_of
from talon_sim.golden.neurons import Neurons
from talon_sim.golden.windows import send_windows

Bytes = NDArray[np.uint8]
States = tuple[Sums, ...]
"""Potentials (samples, n) of neurons that have some, and currents."""

_RESETS = {
    "none": firing.NONE,
    "zero": firing.ZERO,
    "subtract": firing.SUBTRACT,
    "hold": firing.HOLD,
    "double": firing.DOUBLE,
}
_POOLS = {"max": sending.MAX, "sum": sending.SUM}
_NO_BYTES, _NO_POTENTIALS = np.empty((0, 0, 0), np.uint8), np.empty((0, 0, 0), np.int32)


class Out:
    """Where a population writes: its neurons, what it sends, its potentials; empty if nowhere."""

    __slots__ = ("bytes", "recorded")

    def __init__(self, own: Bytes | None, sent: Bytes | None, recorded: Sums | None) -> None:
        self.bytes = (_NO_BYTES if own is None else own, _NO_BYTES if sent is None else sent)
        self.recorded = _NO_POTENTIALS if recorded is None else recorded


class FiringNeurons:
    """Neurons with a state, started for a number of samples and timesteps."""

    def __init__(self, population: Population, layout: Layout, *, reach: float) -> None:
        self._bounds = Neurons(population, reach=reach)
        self._easy: dict[int, bool] = {}
        order = layout.order
        bias = population.bias if population.i_bias is None else population.i_bias
        self.base: Sums = bias[order].astype(np.int32)[np.newaxis]
        self.frac = population.frac
        self._map = (layout.shape, pool_of(population))
        level = population.threshold - (0 if population.strict else 1)
        self._level, self._threshold, self._v_reset, self._bias = (
            values[order].astype(np.int32)
            for values in (level, population.threshold, population.v_reset, population.bias)
        )
        self._factor = _factor_of(population.decay, order)
        self._i_factor = (
            np.empty(0, np.float32)
            if population.i_decay is None
            else _factor_of(population.i_decay, order)
        )
        self._rule = (
            _RESETS[population.reset],
            population.reset_next,
            population.kind == "spike",
            population.frac,
        )
        self._is_plain = (
            population.kind == "spike"
            and population.current is None
            and not population.reset_next
            and population.reset in ("zero", "subtract")
        )
        columns = (self._level, self._threshold, self._factor, self._v_reset)
        self._is_uniform = all(bool((values == values[0]).all()) for values in columns)

    def _is_easy_for(self, n_steps: int) -> bool:
        """Tell whether parameters are one number each and nothing saturates in so many steps."""
        if n_steps not in self._easy:
            self._easy[n_steps] = self._is_uniform and self._bounds.is_safe_for(n_steps)
        return self._easy[n_steps]

    def at_rest(self, n_samples: int) -> States:
        """Return the states of so many samples before the first timestep."""
        v = np.zeros((n_samples, len(self._level)), np.int32)
        if self._is_plain:
            return (v,)
        return v, np.zeros(v.shape if len(self._i_factor) else (0, 0), np.int32)

    def way(self, n_steps: int, base: Sums, out: Out) -> Way:
        """Return how they advance for so many timesteps, where they write to ``out``."""
        del base
        levels = (self._level, self._threshold, self._factor, self._v_reset)
        if self._is_plain:
            rule = (self._rule[0], self._is_easy_for(n_steps), self.frac)
            return "firing", (*levels, rule, *self._map, out.bytes, out.recorded)
        rest = (self._bias, self._i_factor, self._rule, *self._map, out.bytes, out.recorded)
        return "advancing", (*levels, *rest)


class GradedNeurons:
    """Rectified and requantized sums; they have no state."""

    frac = 0

    def __init__(self, population: Population, layout: Layout) -> None:
        order = layout.order
        self._map = (layout.shape, pool_of(population))
        self.base: Sums = population.v_reset[order].astype(np.int32)[np.newaxis]
        self._multiplier = _factor_of(population.decay, order)
        self._highest = highest_values(population.decay, int(population.threshold[0]))[
            order
        ].astype(np.int32)
        self._of_windows = self._windows_of(population, layout)
        self._is_windowed = self._map[1][0] == sending.MAX and all(
            is_even(values, population) for values in (population.decay, population.v_reset)
        )

    def at_rest(self, n_samples: int) -> States:
        """Return the states of so many samples: there are none."""
        del n_samples
        return ()

    def _windows_of(self, population: Population, layout: Layout) -> tuple[Any, ...]:
        """Return offset, multiplier and highest value of each window, and the lowest sums."""
        lowest = lowest_sums(population.decay, population.v_reset)[layout.order]
        lowest = np.minimum(lowest, 2.0**30).astype(np.int32)  # no sum is that large
        _, height, width = self._map[1]
        first = (slice(None, None, height), slice(None, None, width))
        of_windows = tuple(
            np.ascontiguousarray(values.reshape(layout.shape)[first]).reshape(-1)
            for values in (self.base, self._multiplier, self._highest)
        )
        rows = np.ascontiguousarray(lowest.reshape(layout.shape)[::height]).reshape(-1)
        return *of_windows, rows

    def way(self, n_steps: int, base: Sums, out: Out) -> Way:
        """Return how they are computed, where they write to ``out``, from such a base."""
        del n_steps
        own, sent = out.bytes
        # A held sum is part of the base, and differs from neuron to neuron.
        if self._is_windowed and base is self.base and not own.size:
            return "grading_windows", (*self._of_windows, *self._map, sent)
        return "grading", (self._multiplier, self._highest, *self._map, out.bytes)


class CountingNeurons:
    """Neurons that may fire several times in a timestep, started for a number of samples."""

    frac = 0

    def __init__(self, population: Population, layout: Layout) -> None:
        assert population.gain is not None
        order = layout.order
        self._map = (layout.shape, pool_of(population))
        self.base: Sums = np.zeros((1, population.n), np.int32)
        self._gain, self._bias, self._v_reset = (
            values[order].astype(np.int32)
            for values in (population.gain, population.bias, population.v_reset)
        )
        self._factor = _factor_of(population.decay, order)
        most = int(population.threshold[0]) >> numerics.COUNT_BITS
        self._rule = (_RESETS[population.reset], population.strict, most)

    def at_rest(self, n_samples: int) -> States:
        """Return the states of so many samples before the first timestep."""
        return (np.zeros((n_samples, len(self._gain)), np.int32),)

    def way(self, n_steps: int, base: Sums, out: Out) -> Way:
        """Return how they advance for so many timesteps, where they write to ``out``."""
        del n_steps, base
        values = (self._gain, self._bias, self._factor, self._v_reset, self._rule)
        return "counting", (*values, *self._map, out.bytes, out.recorded)


class TableNeurons(GradedNeurons):
    """Graded neurons whose payloads are entries of a table; what is compiled gives the entries."""

    def __init__(self, population: Population, layout: Layout) -> None:
        super().__init__(population, layout)
        self._population, self._table = population, table_of(population)

    def look_up(self, acc: Sums, ends: Ends, base: Sums, out: Out) -> tuple[int, int]:
        """Write payloads of some timesteps of some samples; return how many are not zero."""
        t0, t1, b0, b1 = ends
        own, sent = out.bytes
        index = np.empty(acc.shape, np.uint8)
        values = (self._multiplier, self._highest, self._map[0], (0, 1, 1), (index, index[:0]))
        grading.grade(acc, 0, t1 - t0, 0, b1 - b0, base, *values)
        payloads = self._table.take(index)
        if own.size:
            own[t0:t1, b0:b1] = payloads
        if sent.size:
            send_windows(self._population, payloads, sent[t0:t1, b0:b1])
        return int(np.count_nonzero(payloads)), 0


AnyNeurons = FiringNeurons | CountingNeurons | GradedNeurons

_KERNELS = {
    "firing": firing.fire,
    "advancing": firing.advance,
    "counting": firing.count,
    "grading": grading.grade,
    "grading_windows": grading.grade_windows,
}


def advance(way: Way, states: States, acc: Sums, ends: Ends, base: Sums) -> tuple[int, int]:
    """Advance by the timesteps of ``acc``; return spikes, or payloads not zero, and saturations."""
    name, arguments = way
    found = _KERNELS[name](acc, *ends, base, *states, *arguments)
    n_spikes, n_clamped = found if isinstance(found, tuple) else (found, 0)
    return int(n_spikes), int(n_clamped)


def pool_of(population: Population) -> tuple[int, int, int]:
    """Return kind and size of the windows that a population sends."""
    pool = population.pool
    return (0, 1, 1) if pool is None else (_POOLS[pool.kind], *pool.size)


def _factor_of(decay: IntArray, order: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return a decay as a fraction of 17 bits."""
    return (decay / numerics.DECAY_ONE)[order].astype(np.float32)
