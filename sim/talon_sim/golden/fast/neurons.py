"""Neurons for the compiled kernels, and what they send."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch import numerics
from talon.compiler.network import IntArray, Population
from talon_sim.golden.fast import kernels
from talon_sim.golden.fast.synapses import Layout, Sums
from talon_sim.golden.graded import GradedWindows, is_even, lowest_sums
from talon_sim.golden.lookup import table_of
from talon_sim.golden.neurons import Neurons
from talon_sim.golden.windows import send_windows

Bytes = NDArray[np.uint8]
Base = NDArray[np.float64]

_RESETS = {
    "none": kernels.NONE,
    "zero": kernels.ZERO,
    "subtract": kernels.SUBTRACT,
    "hold": kernels.HOLD,
    "double": kernels.DOUBLE,
}
_POOLS = {"max": 1, "sum": 2}


class Out:
    """Where a population writes: its neurons, what it sends, its potentials; empty if nowhere."""

    def __init__(self, own: Bytes | None, sent: Bytes | None, recorded: Any) -> None:
        none = np.empty((0, 0, 0), np.uint8)
        self.bytes = (none if own is None else own, none if sent is None else sent)
        self.recorded: NDArray[np.int32] = (
            np.empty((0, 0, 0), np.int32) if recorded is None else recorded
        )


class FiringNeurons:
    """Neurons with a state, started for a number of samples and timesteps."""

    def __init__(self, population: Population, layout: Layout, *, reach: float) -> None:
        self._bounds = Neurons(population, reach=reach)
        bias = population.bias if population.i_bias is None else population.i_bias
        self.base: Base = bias[layout.order].astype(np.float64)[np.newaxis]
        self._order = order = layout.order
        self._shape = layout.shape
        self._pool = _pool_of(population)
        level = population.threshold - (0 if population.strict else 1)
        self._level, self._threshold, self._v_reset = (
            values[order].astype(np.float32)
            for values in (level, population.threshold, population.v_reset)
        )
        self._factor = (population.decay / numerics.DECAY_ONE)[order].astype(np.float32)
        has_current = population.current is not None
        self._bias = population.bias[order].astype(np.float32)
        self._i_factor = (
            (_decay_of(population) / numerics.DECAY_ONE)[order].astype(np.float32)
            if has_current
            else np.empty(0, np.float32)
        )
        self._rule = (
            _RESETS[population.reset],
            population.reset_next,
            population.kind == "spike",
        )
        self._is_plain = (
            not has_current
            and not population.reset_next
            and population.reset in ("zero", "subtract")
        )
        columns = (self._level, self._threshold, self._factor, self._v_reset)
        self._is_uniform = all((values == values[0]).all() for values in columns)

    def start(self, n_samples: int, n_steps: int) -> FiringNeurons:
        """Return neurons like these at rest, for as many samples and timesteps."""
        neurons = copy(self)
        neurons._rest(n_samples, n_steps)
        return neurons

    def _rest(self, n_samples: int, n_steps: int) -> None:
        self._is_safe = self._bounds.is_safe_for(n_steps)
        self._v = np.zeros((n_samples, len(self._level)), np.float32)
        shape = self._v.shape if len(self._i_factor) else (0, 0)
        self._current = np.zeros(shape, np.float32)
        self._given: Base | None = None
        self._narrow = np.empty((0, 0), np.float32)

    def advance(
        self, acc: Sums, ends: tuple[int, int, int, int], base: Base, out: Out
    ) -> tuple[int, int]:
        """Advance by some timesteps of some samples; return spikes and saturations."""
        if self._is_safe and self._is_plain and not out.recorded.size:
            n_spikes = kernels.fire(
                acc,
                *ends,
                self._base(base),
                self._v,
                self._level,
                self._threshold,
                self._factor,
                self._v_reset,
                (self._rule[0], self._is_uniform),
                self._shape,
                self._pool,
                out.bytes,
            )
            return int(n_spikes), 0
        n_spikes, n_clamped = kernels.advance(
            acc,
            *ends,
            base,
            self._v,
            self._current,
            self._level,
            self._threshold,
            self._factor,
            self._v_reset,
            self._bias,
            self._i_factor,
            self._rule,
            self._shape,
            self._pool,
            out.bytes,
            out.recorded,
        )
        return int(n_spikes), int(n_clamped)

    def _base(self, base: Base) -> NDArray[np.float32]:
        """Return the base in the type of ``fire``: what the proof has bounded fits."""
        if self._given is not base:
            self._given, self._narrow = base, base.astype(np.float32)
        return self._narrow


class GradedNeurons:
    """Rectified and requantized sums; they have no state."""

    def __init__(self, population: Population, layout: Layout) -> None:
        order = layout.order
        self._shape, self._pool = layout.shape, _pool_of(population)
        self.base: Base = population.v_reset[order].astype(np.float64)[np.newaxis]
        self._multiplier = (population.decay / numerics.DECAY_ONE)[order].astype(np.float32)
        self._largest = float(population.threshold[0])
        self._lowest = lowest_sums(population.decay[order], population.v_reset[order])
        self._is_windowed = self._pool[0] == _POOLS["max"] and all(
            is_even(values, population) for values in (population.decay, population.v_reset)
        )

    def start(self, n_samples: int, n_steps: int) -> GradedNeurons:
        """Return neurons for as many samples and timesteps."""
        del n_samples, n_steps
        return self

    def advance(
        self, acc: Sums, ends: tuple[int, int, int, int], base: Base, out: Out
    ) -> tuple[int, int]:
        """Write payloads of some timesteps of some samples; return how many are not zero."""
        own, sent = out.bytes
        # A held sum is part of the base, and differs from neuron to neuron.
        if self._is_windowed and len(base) == 1 and not own.size:
            n_sent = kernels.grade_windows(
                acc,
                *ends,
                base,
                self._multiplier,
                self._lowest,
                self._largest,
                self._shape,
                self._pool,
                sent,
            )
        else:
            n_sent = kernels.grade(
                acc,
                *ends,
                base,
                self._multiplier,
                self._largest,
                self._shape,
                self._pool,
                out.bytes,
            )
        return int(n_sent), 0


class CountingNeurons:
    """Neurons that may fire several times in a timestep, started for a number of samples."""

    def __init__(self, population: Population, layout: Layout) -> None:
        assert population.gain is not None
        order = layout.order
        self._shape, self._pool = layout.shape, _pool_of(population)
        self.base: Base = np.zeros((1, population.n))
        self._gain, self._bias, self._v_reset = (
            values[order].astype(np.float32)
            for values in (population.gain, population.bias, population.v_reset)
        )
        self._factor = (population.decay / numerics.DECAY_ONE)[order].astype(np.float32)
        most = int(population.threshold[0]) >> numerics.COUNT_BITS
        self._rule = (_RESETS[population.reset], population.strict, most)
        self._v = np.empty((0, 0), np.float32)

    def start(self, n_samples: int, n_steps: int) -> CountingNeurons:
        """Return neurons like these at rest, for as many samples and timesteps."""
        del n_steps
        neurons = copy(self)
        neurons._v = np.zeros((n_samples, len(self._gain)), np.float32)
        return neurons

    def advance(
        self, acc: Sums, ends: tuple[int, int, int, int], base: Base, out: Out
    ) -> tuple[int, int]:
        """Advance by some timesteps of some samples; return who fired, and saturations."""
        n_fired, n_clamped = kernels.count(
            acc,
            *ends,
            base,
            self._v,
            self._gain,
            self._bias,
            self._factor,
            self._v_reset,
            self._rule,
            self._shape,
            self._pool,
            out.bytes,
            out.recorded,
        )
        return int(n_fired), int(n_clamped)


class TableNeurons(GradedNeurons):
    """Graded neurons whose payloads are entries of a table; what is compiled gives the entries."""

    def __init__(self, population: Population, layout: Layout) -> None:
        super().__init__(population, layout)
        self._population, self._table = population, table_of(population)

    def advance(
        self, acc: Sums, ends: tuple[int, int, int, int], base: Base, out: Out
    ) -> tuple[int, int]:
        """Write payloads of some timesteps of some samples; return how many are not zero."""
        t0, t1, b0, b1 = ends
        own, sent = out.bytes
        index = np.empty(acc.shape, np.uint8)
        kernels.grade(
            acc,
            *(0, t1 - t0, 0, b1 - b0),
            base[b0:b1] if len(base) > 1 else base,
            self._multiplier,
            self._largest,
            self._shape,
            (0, 1, 1),
            (index, index[:0]),
        )
        payloads = self._table.take(index)
        if own.size:
            own[t0:t1, b0:b1] = payloads
        if sent.size:
            send_windows(self._population, payloads, sent[t0:t1, b0:b1])
        return int(np.count_nonzero(payloads)), 0


AnyNeurons = FiringNeurons | CountingNeurons | GradedNeurons


def _pool_of(population: Population) -> tuple[int, int, int]:
    pool = population.pool
    return (0, 1, 1) if pool is None else (_POOLS[pool.kind], *pool.size)


def _decay_of(population: Population) -> IntArray:
    assert population.i_decay is not None
    return population.i_decay


class CompiledWindows(GradedWindows):
    """Windows of sums that a matrix product has made, compiled where channels are alike."""

    def write(self, sums: NDArray[np.float32], out: NDArray[np.uint8]) -> int:
        """Write payloads as ``GradedWindows`` does, and return how many are not zero."""
        columns = (self._lowest, self._offset, self._multiplier)
        if not sums.flags.c_contiguous or any(values.shape[1:] != (1, 1) for values in columns):
            return super().write(sums, out)
        lowest, offset, multiplier = (values.reshape(-1) for values in columns)
        n_sent = kernels.grade_planes(
            sums, lowest, offset, multiplier, self._largest, self._size, out
        )
        return int(n_sent)
