"""Neurons in floats, vectorised over samples and neurons.

The equations are those at the head of :mod:`talon.ir.neurons`. Their coefficients are worked out
in float64 and rounded once; a timestep then is ``base = decay*v + (gain*x + offset)``.

A neuron fires where ``limit - v`` has a sign bit, and that bit, drawn over the whole word, is a
mask: what a reset takes away is ``mask & value``. No boolean array is converted, and what is
subtracted elsewhere is exactly zero.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from talon.ir import LIF, Neuron
from talon.ir.types import Array, Dims, FloatArray

Words: TypeAlias = NDArray[np.signedinteger[Any]]
"""Floats as integers of their size."""

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
    def is_uniform(self) -> bool:
        """Whether all neurons are alike."""
        used = (self.decay, self.limit, self.taken, self.v_reset)
        return all(parameter.ndim == 0 for parameter in used)

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
        self._word = _WORDS[rule.dtype]
        self._shift = np.asarray(8 * self._word.itemsize - 1, self._word)
        self._one = np.ones((), rule.dtype).view(self._word)
        self._taken = rule.taken.view(self._word)
        self._v_reset = rule.v_reset.view(self._word) if np.any(rule.v_reset != 0) else None
        n = math.prod(rule.shape)
        self._size = (n_samples * n,) if rule.is_uniform or n_samples == 1 else (n_samples, n)
        self._v: FloatArray = np.zeros(self._size, rule.dtype)
        self._part = np.empty_like(self._v)
        self._start = np.empty_like(self._v)
        self._fired: Words = np.zeros(self._size if rule.reset_delay else 0, self._word)
        if rule.reset_delay:
            np.subtract(rule.limit, self._v, self._fired.view(rule.dtype))
            np.right_shift(self._fired, self._shift, self._fired)
        self._start_fired = self._fired

    @property
    def v(self) -> FloatArray:
        """Potentials after the last timestep, as many as samples and neurons."""
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
            Where the potentials after each timestep go, if they are wanted: of the same shape, with
            contiguous neurons.

        Returns
        -------
        FloatArray
            Zeros and ones of the same shape.
        """
        rule = self._rule
        spikes = np.empty(drive.shape, rule.dtype)
        self._start[...] = self._v
        self._start_fired = self._fired
        rows = (len(drive), *self._size)
        words = self._v.view(self._word)
        after = [(self._v, words)] * len(drive)
        if potentials is not None:
            table = potentials.reshape(rows)
            after = list(zip(table, table.view(self._word), strict=True))
        masks = spikes.view(self._word)
        self._advance(drive.reshape(rows), spikes.reshape(rows), masks.reshape(rows), after)
        if potentials is not None:
            self._v[...] = after[-1][0]
        np.bitwise_and(masks, self._one, out=masks)
        return spikes

    def _advance(
        self,
        drive: FloatArray,
        gaps: FloatArray,
        masks: Words,
        after: Sequence[tuple[FloatArray, Words]],
    ) -> None:
        """Write potentials to ``after``, and -1 or 0 to the words of ``gaps``, the ``masks``.

        Written for few neurons, where a call costs what the arithmetic of a thousand does: there
        are no keywords, no views and no attributes in the loop.
        """
        rule, shift, reset = self._rule, self._shift, self._reset_rule()
        decay, limit, leaks, late = rule.decay, rule.limit, rule.leaks, rule.reset_delay
        add, subtract, multiply, right_shift = np.add, np.subtract, np.multiply, np.right_shift
        # The current of a late reset to a value counts. With subtraction it comes before, which is
        # snnTorch's order: rounding depends on it.
        resets_first, resets_then = late and rule.reset == "zero", late and rule.reset != "zero"
        v, fired = self._v, self._fired
        for current, gap, mask, (new, word) in zip(drive, gaps, masks, after, strict=True):
            if leaks:
                multiply(v, decay, new)
            elif new is not v:
                new[...] = v
            if resets_first:
                reset(fired, new, word)
            add(new, current, new)
            if resets_then:
                reset(fired, new, word)
            subtract(limit, new, gap)
            right_shift(mask, shift, mask)
            if not late:
                reset(mask, new, word)
            v, fired = new, mask
        if late:
            self._fired = fired.copy()  # the masks become spikes

    def _reset_rule(self) -> Callable[[Words, FloatArray, Words], None]:
        """Return what resets, in place, the potentials (and their words) that a mask tells."""
        part = self._part
        words = part.view(self._word)
        taken, v_reset = self._taken, self._v_reset
        bitwise_and, subtract = np.bitwise_and, np.subtract

        def by_subtraction(mask: Words, v: FloatArray, word: Words) -> None:
            del word
            bitwise_and(mask, taken, words)
            subtract(v, part, v)

        def to_value(mask: Words, v: FloatArray, word: Words) -> None:
            bitwise_and(mask, word, words)
            subtract(v, part, v)  # not a mask: what is infinite becomes NaN, and is found
            if v_reset is not None:
                bitwise_and(mask, v_reset, words)
                np.add(v, part, v)

        def nowhere(mask: Words, v: FloatArray, word: Words) -> None:
            del mask, v, word

        return {"subtract": by_subtraction, "zero": to_value}.get(self._rule.reset, nowhere)


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
