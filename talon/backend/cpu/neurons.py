"""Neurons in floats, vectorised over samples and neurons.

The equations are those at the head of :mod:`talon.ir.neurons`. Their coefficients are worked out
in float64 and rounded once; a timestep then is ``base = decay*v + (gain*x + offset)``.

A neuron fires where ``limit - v`` has a sign bit, and that bit, drawn over the whole word, is a
mask: what a reset takes away is ``mask & value``. No boolean array is converted, and what is
subtracted elsewhere is exactly zero.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.ir import LIF, Neuron
from talon.ir.types import Array, Dims, FloatArray

_WORDS: dict[np.dtype[Any], np.dtype[Any]] = {
    np.dtype(np.float32): np.dtype(np.int32),
    np.dtype(np.float64): np.dtype(np.int64),
}


def _coefficients(node: Neuron) -> tuple[Array, Array, Array]:
    """Return decay, gain and offset in float64."""
    r = np.asarray(node.r, np.float64)
    if not isinstance(node, LIF):
        return np.ones_like(r), r, np.zeros_like(r)
    tau = np.asarray(node.tau, np.float64)
    v_leak = np.asarray(node.v_leak, np.float64)
    return 1 - 1 / tau, r / tau, v_leak / tau


@dataclass(frozen=True, kw_only=True, eq=False)
class NeuronRule:
    """The dynamics of one node: what all its samples share.

    Parameters
    ----------
    decay, gain, offset
        Coefficients of a timestep; arrays ``(n_neurons,)``, or 0-d where all are equal.
    limit
        The largest potential at which a neuron does not fire.
    taken
        What a reset by subtraction takes.
    v_reset
        Where a reset to a value leads.
    reset, reset_delay
        As in the node.
    axes
        Order of the feature dimensions in memory, which is that of the arrays above.
    shape
        Feature shape of the node.
    """

    decay: FloatArray
    gain: FloatArray
    offset: FloatArray
    limit: FloatArray
    taken: FloatArray
    v_reset: FloatArray
    reset: str
    reset_delay: bool
    axes: tuple[int, ...]
    shape: Dims

    @property
    def dtype(self) -> np.dtype[Any]:
        """Floating point type of the simulation."""
        return self.decay.dtype

    @cached_property
    def leaks(self) -> bool:
        """Whether a potential decays."""
        return bool(np.any(self.decay != 1))

    @cached_property
    def needs_drive(self) -> bool:
        """Whether ``gain*x + offset`` is another value than ``x``."""
        return bool(np.any(self.gain != 1) or np.any(self.offset != 0))

    def drive(self, x: FloatArray) -> FloatArray:
        """Return ``gain*x + offset``, or the input itself where that is the same.

        ``x`` is ``(..., n_neurons)`` as :func:`flat_view` gives it.
        """
        if not self.needs_drive:
            return x
        y = x * self.gain
        y += self.offset
        return y


def build_rule(
    node: Neuron, shape: Dims, axes: tuple[int, ...], dtype: np.dtype[Any]
) -> NeuronRule:
    """Return the dynamics of a node for neurons that lie in memory in the order ``axes``."""

    def spread(parameter: Array) -> FloatArray:
        full = node.broadcast(parameter, shape)
        if (full == full.flat[0]).all():
            return np.asarray(full.flat[0], dtype)
        return np.ascontiguousarray(full.transpose(axes), dtype=dtype).reshape(-1)

    decay, gain, offset = map(spread, _coefficients(node))
    threshold = spread(node.v_threshold)
    limit = threshold if node.strict else np.nextafter(threshold, np.asarray(-np.inf, dtype))
    return NeuronRule(
        decay=decay,
        gain=gain,
        offset=offset,
        limit=np.asarray(limit, dtype),
        taken=threshold,
        v_reset=spread(node.v_reset),
        reset=node.reset,
        reset_delay=node.reset_delay,
        axes=axes,
        shape=shape,
    )


class NeuronState:
    """The membrane potentials of one node for some samples.

    Parameters
    ----------
    rule
        The dynamics.
    n_samples
        Number of samples.
    """

    def __init__(self, rule: NeuronRule, n_samples: int) -> None:
        self._rule = rule
        n = int(np.prod(rule.shape, dtype=np.intp))
        word = _WORDS[rule.dtype]
        self._shift = np.asarray(8 * word.itemsize - 1, word)
        self._taken = rule.taken.view(word)
        self._v_reset = rule.v_reset.view(word) if np.any(rule.v_reset != 0) else None
        self._v: FloatArray = np.zeros((n_samples, n), rule.dtype)
        self._part = np.empty_like(self._v)
        self._start = np.empty_like(self._v)
        self._fired: NDArray[Any] = np.zeros((n_samples, n) if rule.reset_delay else 0, word)
        if rule.reset_delay:
            self._mask(self._v, self._fired)
        self._start_fired = self._fired

    @property
    def v(self) -> FloatArray:
        """Potentials ``(n_samples, n_neurons)`` after the last timestep."""
        return self._v

    def rewind(self) -> None:
        """Go back to where the last run began."""
        self._v[...] = self._start
        self._fired = self._start_fired

    def run(self, drive: FloatArray, potentials: FloatArray | None = None) -> FloatArray:
        """Advance by ``len(drive)`` timesteps and return the spikes.

        Parameters
        ----------
        drive
            ``gain*x + offset`` of shape ``(n_steps, n_samples, n_neurons)``.
        potentials
            Where the potentials after each timestep go, if they are wanted, contiguous and of the
            same shape.

        Returns
        -------
        FloatArray
            Zeros and ones of the same shape.
        """
        rule = self._rule
        spikes = np.empty(drive.shape, rule.dtype)
        masks = spikes.view(self._fired.dtype)
        self._start[...] = self._v
        self._start_fired = self._fired
        v = self._v
        after = [v] * len(drive) if potentials is None else potentials
        for current, mask, new in zip(drive, masks, after, strict=True):
            if rule.leaks:
                np.multiply(v, rule.decay, out=new)
            elif new is not v:
                new[...] = v
            if rule.reset_delay:
                self._step_late(new, current, self._fired)
                self._mask(new, mask)
                self._fired = mask
            else:
                np.add(new, current, out=new)
                self._mask(new, mask)
                self._reset(new, mask)
            v = new
        if rule.reset_delay:
            self._fired = self._fired.copy()  # the masks become spikes below
        if v is not self._v:
            self._v[...] = v
        one = np.ones((), rule.dtype).view(masks.dtype)
        np.bitwise_and(masks, one, out=masks)
        return spikes

    def _step_late(self, v: FloatArray, current: FloatArray, fired: NDArray[Any]) -> None:
        """Add the current and reset what fired one timestep ago."""
        if self._rule.reset == "zero":
            self._reset(v, fired)
            v += current
        else:  # in snnTorch's order: float rounding depends on it
            v += current
            self._reset(v, fired)

    def _mask(self, v: FloatArray, mask: NDArray[Any]) -> None:
        """Write -1 where a potential is beyond the limit, else 0."""
        np.subtract(self._rule.limit, v, out=mask.view(v.dtype))
        np.right_shift(mask, self._shift, out=mask)

    def _reset(self, v: FloatArray, fired: NDArray[Any]) -> None:
        part = self._part
        word = part.view(fired.dtype)
        if self._rule.reset == "subtract":
            np.bitwise_and(fired, self._taken, out=word)
            np.subtract(v, part, out=v)
        elif self._rule.reset == "zero":
            np.bitwise_and(fired, v.view(fired.dtype), out=word)
            np.subtract(v, part, out=v)
            if self._v_reset is not None:
                np.bitwise_and(fired, self._v_reset, out=word)
                np.add(v, part, out=v)


def memory_axes(x: FloatArray) -> tuple[int, ...]:
    """Return the order in which the feature dimensions of ``(n_steps, n_samples, *shape)`` lie."""
    strides = x.strides[2:]
    return tuple(sorted(range(len(strides)), key=lambda axis: -strides[axis]))


def flat_view(x: FloatArray, axes: tuple[int, ...]) -> FloatArray:
    """Return ``(n_steps, n_samples, *shape)`` as ``(n_steps, n_samples, n_neurons)``."""
    return x.transpose(0, 1, *(axis + 2 for axis in axes)).reshape(*x.shape[:2], -1)


def full_view(x: FloatArray, shape: Dims, axes: tuple[int, ...]) -> FloatArray:
    """Undo :func:`flat_view`, without a copy."""
    back = [axes.index(axis) + 2 for axis in range(len(axes))]
    return x.reshape(*x.shape[:2], *(shape[axis] for axis in axes)).transpose(0, 1, *back)
