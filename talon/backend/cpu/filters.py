"""States without spikes: a linear filter, and what follows one."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

from talon.backend.cpu.rules import Rule, Stage
from talon.ir.types import Dims, FloatArray

Add: TypeAlias = Callable[[FloatArray, Any, FloatArray], object]
"""Adds what a timestep brings to an array, into an array."""


class State(Protocol):
    """The potentials of one node for some samples."""

    @property
    def v(self) -> FloatArray:
        """Potentials after the last timestep, as many as samples and neurons."""
        ...

    def rewind(self) -> None:
        """Go back to where the last run began."""
        ...

    def run(
        self,
        drives: Sequence[FloatArray],
        potentials: FloatArray | None = None,
        synaptic: FloatArray | None = None,
    ) -> FloatArray:
        """Advance by the timesteps of ``drives`` and return the output of the node.

        Parameters
        ----------
        drives
            What is added to the first stage, one after another: arrays
            ``(n_steps, n_samples, n_neurons)``.
        potentials, synaptic
            Where the potentials and the currents after each timestep go, if they are wanted: of the
            same shape, with contiguous neurons.
        """
        ...


def rows_of(drives: Sequence[FloatArray], rows: Dims) -> tuple[Iterable[Any], Add]:
    """Return what each timestep brings, and the function that adds it: all parts in turn."""
    if len(drives) == 1:
        return drives[0].reshape(rows), np.add
    return zip(*(drive.reshape(rows) for drive in drives), strict=True), _add_each


def _add_each(v: FloatArray, parts: Sequence[FloatArray], out: FloatArray) -> None:
    for part in parts:
        v = np.add(v, part, out)


class Filter:
    """``y = decay*y + drive``: a current, or the potentials of integrators.

    Parameters
    ----------
    stage
        Its coefficients.
    size
        Shape of the state, see :meth:`~talon.backend.cpu.rules.Rule.size`.
    """

    def __init__(self, stage: Stage, size: Dims) -> None:
        self._decay, self._leaks = stage.decay, stage.leaks
        self._size = size
        self._v: FloatArray = np.zeros(size, stage.decay.dtype)
        self._start = np.empty_like(self._v)

    @property
    def v(self) -> FloatArray:
        """Values after the last timestep."""
        return self._v

    def rewind(self) -> None:
        """Go back to where the last run began."""
        self._v[...] = self._start

    def run(
        self,
        drives: Sequence[FloatArray],
        potentials: FloatArray | None = None,
        synaptic: FloatArray | None = None,
    ) -> FloatArray:
        """Return the values after each timestep, in ``potentials`` if it is given."""
        del synaptic
        first = drives[0]
        values = np.empty(first.shape, self._v.dtype) if potentials is None else potentials
        self._start[...] = self._v
        rows = (len(first), *self._size)
        currents, add = rows_of(drives, rows)
        decay, leaks, v, multiply = self._decay, self._leaks, self._v, np.multiply
        for new, current in zip(values.reshape(rows), currents, strict=True):
            if leaks:
                multiply(v, decay, new)
                add(new, current, new)
            else:
                add(v, current, new)
            v = new
        self._v[...] = v
        return values


class FilteredState:
    """A state that is driven by a current with a decay of its own.

    Parameters
    ----------
    rule
        The dynamics, of two stages.
    current
        The filter that is its first stage.
    membrane
        The state of its last stage.
    """

    def __init__(self, rule: Rule, current: Filter, membrane: State) -> None:
        self._stage = rule.stages[1]
        self._current = current
        self._membrane = membrane

    @property
    def v(self) -> FloatArray:
        """Potentials after the last timestep."""
        return self._membrane.v

    def rewind(self) -> None:
        """Go back to where the last run began."""
        self._current.rewind()
        self._membrane.rewind()

    def run(
        self,
        drives: Sequence[FloatArray],
        potentials: FloatArray | None = None,
        synaptic: FloatArray | None = None,
    ) -> FloatArray:
        """Return the output of the membrane; the new current acts in the same timestep."""
        currents = self._current.run(drives, synaptic)
        return self._membrane.run([self._stage.drive(currents)], potentials)
