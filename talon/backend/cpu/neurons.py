"""Neurons in floats, vectorised over samples and neurons.

A neuron fires where ``limit - v`` has a sign bit, and that bit, drawn over the whole word, is a
mask: what a reset takes away is ``mask & value``. No boolean array is converted, and what is
subtracted elsewhere is exactly zero.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from talon.backend.cpu.filters import Add, rows_of
from talon.backend.cpu.rules import Firing, Rule
from talon.ir.types import FloatArray

Words: TypeAlias = NDArray[np.signedinteger[Any]]
"""Floats as integers of their size."""
Rows: TypeAlias = Sequence[tuple[FloatArray, Words]]

_WORDS: dict[np.dtype[Any], np.dtype[Any]] = {
    np.dtype(np.float32): np.dtype(np.int32),
    np.dtype(np.float64): np.dtype(np.int64),
}


class NeuronState:
    """The membrane potentials of one node for some samples.

    Parameters
    ----------
    rule
        The dynamics; the membrane is their last stage.
    firing
        Of the rule.
    n_samples
        Number of samples.
    """

    def __init__(self, rule: Rule, firing: Firing, n_samples: int) -> None:
        self._stage, self._firing = rule.stages[-1], firing
        self._dtype = rule.dtype
        self._word = _WORDS[rule.dtype]
        self._shift = np.asarray(8 * self._word.itemsize - 1, self._word)
        self._one = np.ones((), rule.dtype).view(self._word)
        self._taken = firing.taken.view(self._word)
        self._v_reset = firing.v_reset.view(self._word) if np.any(firing.v_reset != 0) else None
        self._size = rule.size(n_samples)
        self._v: FloatArray = np.zeros(self._size, rule.dtype)
        self._part = np.empty_like(self._v)
        self._start = np.empty_like(self._v)
        self._fired: Words = np.zeros(self._size if firing.reset_delay else 0, self._word)
        if firing.reset_delay:
            np.subtract(firing.limit, self._v, self._fired.view(rule.dtype))
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

    def run(
        self,
        drives: Sequence[FloatArray],
        potentials: FloatArray | None = None,
        synaptic: FloatArray | None = None,
    ) -> FloatArray:
        """Advance and return the spikes, zeros and ones; see :class:`.filters.State`."""
        del synaptic
        drive = drives[0]
        spikes = np.empty(drive.shape, self._dtype)
        self._start[...] = self._v
        self._start_fired = self._fired
        rows = (len(drive), *self._size)
        words = self._v.view(self._word)
        after = [(self._v, words)] * len(drive)
        if potentials is not None:
            table = potentials.reshape(rows)
            after = list(zip(table, table.view(self._word), strict=True))
        masks = spikes.view(self._word)
        advance = self._advance_doubled if self._firing.double_threshold else self._advance
        currents, add = rows_of(drives, rows)
        advance(currents, add, spikes.reshape(rows), masks.reshape(rows), after)
        if potentials is not None:
            self._v[...] = after[-1][0]
        np.bitwise_and(masks, self._one, out=masks)
        return spikes

    def _advance(
        self, currents: Iterable[Any], add: Add, gaps: FloatArray, masks: Words, after: Rows
    ) -> None:
        """Write potentials to ``after``, and -1 or 0 to the words of ``gaps``, the ``masks``.

        Written for few neurons, where a call costs what the arithmetic of a thousand does: there
        are no keywords, no views and no attributes in the loop.
        """
        firing, shift, reset = self._firing, self._shift, self._reset_rule()
        decay, leaks = self._stage.decay, self._stage.leaks
        limit, late = firing.limit, firing.reset_delay
        subtract, multiply, right_shift = np.subtract, np.multiply, np.right_shift
        # The drive of a late reset to a value counts, unless it drops it. With subtraction the
        # drive comes before, which is snnTorch's order: rounding depends on it.
        resets_first = late and firing.reset == "zero" and not firing.reset_drops_drive
        resets_then = late and not resets_first
        v, fired = self._v, self._fired
        for current, gap, mask, (new, word) in zip(currents, gaps, masks, after, strict=True):
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

    def _advance_doubled(
        self, currents: Iterable[Any], add: Add, gaps: FloatArray, masks: Words, after: Rows
    ) -> None:
        """As :meth:`_advance`, with a threshold that is doubled where a timestep begins above it.

        In snnTorch's order: one threshold is taken before the comparison, and given back after it
        where there is no spike.
        """
        decay, limit, shift = self._stage.decay, self._firing.limit, self._shift
        before, part = np.empty_like(self._v), self._part
        fired, words = before.view(self._word), part.view(self._word)
        v = self._v
        for current, gap, mask, (new, _) in zip(currents, gaps, masks, after, strict=True):
            np.subtract(limit, v, before)
            np.right_shift(fired, shift, fired)
            np.bitwise_and(fired, self._taken, fired)
            np.multiply(v, decay, new)
            add(new, current, new)
            np.subtract(new, before, new)
            np.subtract(limit, new, gap)
            np.right_shift(mask, shift, mask)
            np.bitwise_and(mask, self._taken, words)
            np.subtract(part, before, part)
            np.subtract(new, part, new)
            v = new

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

        return {"subtract": by_subtraction, "zero": to_value}.get(self._firing.reset, nowhere)
