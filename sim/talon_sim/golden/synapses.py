"""Synapses as matrix products that are exact, and as gathered columns where events are few.

All weights are scaled by ``2 ** frac`` beforehand: a power of two changes no mantissa. Before that
scaling sums stay below 2^23 (``reach.accumulator_span``), so float32 holds each of them exactly,
in whatever order BLAS adds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch import numerics
from talon.compiler.sparse import SparseMatrix
from talon_sim.golden.fanout import FanOut
from talon_sim.golden.pairs import PairedProduct

Currents = NDArray[np.float32] | NDArray[np.int32]
Drive = NDArray[Any]
"""Sums that drive neurons, whole numbers: float64, or int32 where neurons are wide."""

_GATHER_COST = 200
"""Multiply-accumulates that BLAS does in the time in which one synapse is gathered (measured)."""


_SMALL, _FEW_ROWS = 10**6, 16
"""Multiply-accumulates of a product that OpenBLAS takes as it is, and from how many rows on
rearranging pays (measured)."""


class Synapses:
    """The synapses of one matrix, ready to turn events into currents.

    No payload is larger than ``payload_max``, in magnitude where they are ``signed``; none is
    negative where they are not.
    """

    def __init__(
        self,
        weight: NDArray[np.int8] | SparseMatrix,
        *,
        frac: int,
        payload_max: int = numerics.PAYLOAD_MAX,
        signed: bool = True,
    ) -> None:
        self.n_target, self.n_source = weight.shape
        self._frac = frac
        scale = np.float32(1 << frac)
        lists = lists_of(weight)
        self._one_to_one: _OneToOne | None = None
        self._sparse: FanOut | None = None
        self._paired: PairedProduct | None = None
        if lists is None:
            assert not isinstance(weight, SparseMatrix)
            self._matrix = np.ascontiguousarray(weight.T, np.float32) * scale
            self._paired = PairedProduct.of(
                weight, self._matrix, payload_max, frac=frac, signed=signed
            )
        elif np.bincount(lists.target, minlength=1).max() <= 1:
            self._one_to_one = _OneToOne(lists, frac)
        else:
            self._sparse = FanOut(lists.start, lists.target, lists.value, n_target=self.n_target)

    def currents(self, events: NDArray[Any]) -> Currents:
        """Return the currents, of shape (m, n_target), of payloads of shape (m, n_source)."""
        if self._one_to_one is not None:
            return self._one_to_one.currents(events)
        if self._sparse is not None:
            sums = self._sparse.sums(events)
            return np.left_shift(sums, self._frac, out=sums)
        if len(events) == 1:
            active = np.flatnonzero(events[0])
            if active.size * 8 < self.n_source:
                return self._gather_rows(events, active)
        if events.dtype == np.bool_:
            events = events.view(np.uint8)  # of which NumPy makes floats faster
        return _product(events.astype(np.float32), self._matrix)

    def add_to(self, drive: Drive, events: NDArray[Any]) -> None:
        """Add the currents of payloads (m, n_source) to ``drive`` (m, n_target)."""
        np.add(drive, self.currents(events), out=drive, casting="unsafe")

    def write_to(self, drive: Drive, events: NDArray[Any], base: Drive) -> None:
        """Write ``base``, one number or (n_target,), plus the currents to ``drive``."""
        if self._one_to_one is not None:
            self._one_to_one.write_to(drive, events)
        elif self._paired is not None and self._paired.pays(len(events)):
            self._paired.write_to(drive, events)
        else:
            np.copyto(drive, self.currents(events), casting="unsafe")
        if base.any():
            np.add(drive, base, out=drive)

    def _gather_rows(self, events: NDArray[Any], active: NDArray[np.intp]) -> Currents:
        payload = events[0, active].astype(np.float32)
        return (payload @ self._matrix[active])[np.newaxis]


def _product(events: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the product of payloads (m, n_source) and a matrix (n_source, n_target).

    BLAS rearranges a large matrix before it multiplies, which takes longer than multiplying it
    with a few rows; small ones it takes as they are.
    """
    n_source = len(matrix)
    n_parts = -(-len(events) * matrix.size // _SMALL)
    if n_parts == 1 or not 1 < len(events) <= _FEW_ROWS:
        return events @ matrix
    step = -(-n_source // n_parts)
    total = events[:, :step] @ matrix[:step]
    for first in range(step, n_source, step):
        total += events[:, first : first + step] @ matrix[first : first + step]
    return total


class _OneToOne:
    """At most one synapse for each target."""

    def __init__(self, lists: SparseMatrix, frac: int) -> None:
        n_target, n_source = lists.shape
        self._source = np.zeros(n_target, np.intp)
        self._source[lists.target] = lists.sources
        self._picked = np.zeros(n_target, np.int32)
        self._picked[lists.target] = lists.value
        self._picked <<= frac
        self._is_diagonal = np.array_equal(self._source, np.arange(n_source))

    def currents(self, events: NDArray[Any]) -> Currents:
        drive = np.empty((len(events), len(self._picked)), np.int32)
        self.write_to(drive, events)
        return drive

    def write_to(self, drive: Drive, events: NDArray[Any]) -> None:
        np.copyto(drive, events if self._is_diagonal else events[:, self._source])
        np.multiply(drive, self._picked, out=drive)


def lists_of(weight: NDArray[np.int8] | SparseMatrix) -> SparseMatrix | None:
    """Return the weights as lists where those are faster than a product, else None."""
    if isinstance(weight, SparseMatrix):
        return weight
    n_target = len(weight)
    n_synapses = np.count_nonzero(weight)
    is_sparse = n_synapses * _GATHER_COST // 4 < weight.size
    if is_sparse or (
        n_synapses <= n_target and np.count_nonzero(weight, axis=1).max(initial=0) <= 1
    ):
        return SparseMatrix.of(weight)
    return None
