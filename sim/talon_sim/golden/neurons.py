"""The neuron update of ``talon.arch.numerics``, vectorized over neurons and samples.

Potentials are integers held in float64: a product of 24 by 17 bits stays below 2^53, the factor
``decay / 65536`` is a dyadic fraction, and truncation is one instruction. Comparing with
``v > level`` serves both compares, for integers ``v >= threshold`` is ``v > threshold - 1``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talon.arch import numerics
from talon.compiler.network import IntArray, Population

Potentials = NDArray[np.float64]
Spikes = NDArray[np.bool_]
Stored = NDArray[np.int32]
"""Potentials as a run keeps them."""

_SMALL = 1 << 12
"""Up to so many potentials a masked copy is the fastest reset by subtraction (measured)."""

_FEW = 24
"""Where at most one in so many fired, those are gathered and reset alone (measured)."""


class Neurons:
    """A population and, once started, its state for a number of samples.

    ``reach`` is the largest magnitude that a drive can have, as the weights prove it.

    Attributes
    ----------
    base
        What each drive has without events.
    n
        Number of neurons.
    threshold, level, factor, v_reset
        Float64, of all neurons (n,) or one number for all; they fire above ``level``, and
        ``factor`` is what a timestep leaves of a potential, as ``leaks`` tells whether it takes
        something.
    is_plain
        They reset at once, by subtraction if ``subtracts``, else to ``v_reset``.
    """

    def __init__(self, population: Population, *, reach: float) -> None:
        self.saturations = 0
        self._is_safe = False  # until the number of timesteps is known
        self.n = population.n
        self.base = constant(population.bias if population.i_bias is None else population.i_bias)
        self._reach = reach
        self.threshold = constant(population.threshold)
        self.level = constant(population.threshold - (0 if population.strict else 1))
        self.factor = constant(population.decay / numerics.DECAY_ONE)
        self.v_reset = constant(population.v_reset)
        self.leaks = bool(np.any(population.decay != numerics.DECAY_ONE))
        self._double = not population.reset_next and population.reset == "double"
        self.subtracts = population.reset == "subtract" or self._double
        self._zero = population.reset in ("zero", "hold")
        self._hold = population.reset_next and population.reset == "hold"
        self._next = population.reset_next and population.reset in ("zero", "subtract")
        self._at_once = not population.reset_next and (self.subtracts or self._zero)
        self._at_once &= population.reset != "hold"
        self.is_plain = self._at_once and not self._double
        # A threshold below zero can raise V by subtraction without end: no bound then.
        self._bounded = not (self.subtracts and population.threshold.min() < 0)
        self._floor = max(
            float(np.abs(population.threshold.astype(np.int64)).max()) if self.subtracts else 0.0,
            float(np.abs(population.v_reset.astype(np.int64)).max()) if self._zero else 0.0,
        )
        self._decay = int(population.decay.max()) / numerics.DECAY_ONE
        self._memory = 1 / max(1 - self._decay, 1e-9)

    def start(self, n_samples: int, n_steps: int) -> Neurons:
        """Return neurons like these at rest, for as many samples and timesteps."""
        neurons = object.__new__(type(self))
        neurons.__dict__.update(self.__dict__)  # what ``copy`` does, in a tenth of the time
        neurons._rest((n_samples, self.n))
        neurons._is_safe = self.is_safe_for(n_steps)
        return neurons

    def is_safe_for(self, n_steps: int) -> bool:
        """Tell whether the weights prove that nothing saturates in so many timesteps from rest."""
        steps = min(n_steps, self._memory)
        return bool(self._bounded and self._floor + self._reach * steps < numerics.V_MAX)

    def _rest(self, shape: tuple[int, int]) -> None:
        self._v: Potentials = np.zeros(shape)
        self._spare: Potentials = np.empty(shape)
        if not self.is_plain:
            self._fired: Spikes = np.greater(self._v, self.level)

    def advance(self, drive: Potentials, spikes: Spikes, v: Stored | None = None) -> None:
        """Advance by as many timesteps as ``drive`` has.

        Parameters
        ----------
        drive
            Scaled currents plus bias, (steps, samples, n); overwritten.
        spikes
            Receives who fired; same shape.
        v
            Receives the potentials stored after each timestep, if wanted; same shape.
        """
        self._advance(drive, spikes, v, None)

    def _advance(
        self, drive: Potentials, spikes: Spikes, v: Stored | None, clamped: Spikes | None
    ) -> None:
        """Do so; ``clamped`` are updates that have saturated before."""
        is_safe = self._is_safe or self._cannot_saturate(drive)
        if is_safe and self.is_plain and clamped is None and v is None:
            self._run(drive, spikes)
            return
        step = self._step if is_safe else self._step_saturating
        for t in range(len(drive)):
            found = step(drive[t], spikes[t])
            if clamped is not None:
                found = clamped[t] if found is None else found | clamped[t]
            if found is not None:
                self.saturations += int(np.count_nonzero(found))
            if v is not None:
                v[t] = self._v

    def _run(self, drive: Potentials, spikes: Spikes) -> None:
        """Do so where nothing can saturate, resets are at once and potentials not wanted."""
        # Of few neurons calls take the time: none is made in between.
        v, spare = self._v, self._spare
        factor, level, threshold = self.factor, self.level, self.threshold
        multiply, trunc, add, greater = np.multiply, np.trunc, np.add, np.greater
        subtract, copy, reset = np.subtract, np.copyto, self._reset
        leaks, is_small = self.leaks, self.subtracts and v.size <= _SMALL
        for x, fired in zip(drive, spikes, strict=True):
            if leaks:
                multiply(v, factor, v)
                trunc(v, v)
            add(v, x, v)
            greater(v, level, fired)
            if is_small:
                subtract(v, threshold, spare)
                copy(v, spare, where=fired)
            else:
                reset(fired)

    def _cannot_saturate(self, drive: Potentials) -> bool:
        """Bound the potentials of the coming timesteps.

        What a timestep leaves of a potential is at most its decayed magnitude, a threshold, or a
        reset value; then the drive is added. Where the weights do not prove it, the drives at hand
        may, of which the largest of each timestep is looked at.
        """
        if not self._bounded or len(drive) < 2:
            return False
        bound = np.maximum.reduce(np.abs(self._v), axis=None)
        steps = min(len(drive), self._memory)
        if max(bound, self._floor) + self._reach * steps < numerics.V_MAX:
            return True
        frames = np.abs(drive.reshape(len(drive), -1))
        largest_of_each = np.maximum.reduce(frames, axis=1).tolist()
        if max(bound, self._floor) + max(largest_of_each) * steps < numerics.V_MAX:
            return True
        for largest in largest_of_each:
            bound = max(bound * self._decay, self._floor) + largest
            if bound >= numerics.V_MAX:
                return False
        return True

    def _integrate(self, drive: Potentials) -> None:
        v = self._v
        if self.leaks:
            np.multiply(v, self.factor, out=v)
            np.trunc(v, out=v)
        if self._next:
            self._reset(self._fired)
        np.add(v, drive, out=v)
        if self._hold:
            self._reset(self._fired)

    def _reset(self, fired: Spikes) -> None:
        v, spare = self._v, self._spare
        if not self.subtracts:
            np.copyto(self._v, self.v_reset, where=fired)
        elif v.size <= _SMALL:
            np.subtract(v, self.threshold, spare)
            np.copyto(v, spare, where=fired)
        elif np.count_nonzero(fired) * _FEW <= v.size:
            self._subtract_of_few(fired)
        else:
            np.copyto(spare, fired)
            np.multiply(spare, self.threshold, spare)
            np.subtract(v, spare, v)

    def _subtract_of_few(self, fired: Spikes) -> None:
        index = fired.reshape(-1).nonzero()[0]
        threshold = self.threshold
        if threshold.ndim:
            threshold = threshold[index % self.n]
        v = self._v.reshape(-1)
        v[index] = v.take(index) - threshold

    def _step(self, drive: Potentials, spikes: Spikes) -> None:
        """Advance by a timestep in which nothing can saturate."""
        self._integrate(drive)
        self._compare(spikes)
        if self._at_once:
            self._reset(spikes)
        self._remember(spikes)

    def _step_saturating(self, drive: Potentials, spikes: Spikes) -> Spikes:
        """Advance by a timestep and return who saturated."""
        self._integrate(drive)
        clamped = self._saturate()
        self._compare(spikes)
        if self._at_once:
            self._reset(spikes)
            if self.subtracts:
                clamped |= self._saturate()
        self._remember(spikes)
        return clamped

    def _compare(self, spikes: Spikes) -> None:
        if self._double:
            np.multiply(self._fired, self.threshold, out=self._spare)
            np.subtract(self._v, self._spare, out=self._spare)
            np.greater(self._spare, self.level, out=spikes)
        else:
            np.greater(self._v, self.level, out=spikes)

    def _remember(self, spikes: Spikes) -> None:
        """Keep who is above the threshold: without a reset at once, who fired."""
        if self.is_plain:
            return
        if self._double:
            self._fired = np.greater(self._v, self.level)
        else:
            self._fired = spikes

    def _saturate(self) -> Spikes:
        np.minimum(self._v, numerics.V_MAX, out=self._spare)
        np.maximum(self._spare, numerics.V_MIN, out=self._spare)
        clamped = self._spare != self._v
        self._v, self._spare = self._spare, self._v
        return clamped


def constant(values: IntArray | NDArray[np.float64]) -> Potentials:
    """Return ``values`` as float64, as a single one where all are equal (a faster broadcast)."""
    constant = np.asarray(values, np.float64)
    if constant.size and np.all(constant == constant[0]):
        return constant[:1].reshape(())
    return constant
