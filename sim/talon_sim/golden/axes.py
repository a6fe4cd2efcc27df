"""One axis of a kernel, made ready to gather: which source each target takes for each tap.

Tables are general, but nearly all come from a convolution, whose sources advance evenly with the
target and with the tap; those are views of a padded map. Sources that share all their taps (sums
over windows) are summed first, targets that share all theirs (upsampling) are repeated last. What
is left is selected by a matrix of zeros and ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis:
    """How values along one axis are gathered.

    Attributes
    ----------
    taps
        Taps that occur, in the order in which they are gathered.
    merge
        (sources, merged sources) of zeros and ones, float32, or None where nothing is summed.
    repeat
        For each target the one that is computed, or None where all are.
    n_source, n_target
        Numbers of merged sources and of computed targets.
    even
        Where sources advance evenly: the first one, the steps from a target and from a tap to the
        next. Sources below 0 or past the last are zeros.
    relation
        Tap of each computed target and merged source, or -1; ``taps`` counts them anew.
    """

    taps: NDArray[np.intp]
    merge: NDArray[np.float32] | None
    repeat: NDArray[np.intp] | None
    n_source: int
    n_target: int
    even: tuple[int, int, int] | None
    relation: NDArray[np.intp]

    @property
    def extent(self) -> int:
        """Length of the padded axis, where sources advance evenly."""
        assert self.even is not None
        _, step, spacing = self.even
        return step * (self.n_target - 1) + spacing * (len(self.taps) - 1) + 1

    def selection(self) -> NDArray[np.float32]:
        """Return the matrix (taps, targets, sources) that gathers, of zeros and ones."""
        taps = np.arange(len(self.taps))[:, None, None]
        return (self.relation == taps).astype(np.float32)


def axis_of(relation: NDArray[Any]) -> Axis:
    """Analyse a table (targets, sources) of taps, or -1."""
    table = relation.astype(np.intp)
    repeat = None
    kept, inverse = _first_of_equal(table)
    if len(kept) < len(table):
        table, repeat = table[kept], inverse
    merge = None
    used = np.flatnonzero((table >= 0).any(axis=0))
    kept, inverse = _first_of_equal(table[:, used].T)
    if len(kept) < len(used):
        merge = np.zeros((table.shape[1], len(kept)), np.float32)
        merge[used, inverse] = 1
        table = table[:, used[kept]]
    taps = np.flatnonzero(np.bincount(table[table >= 0]))
    counted = np.searchsorted(taps, table)
    counted[table < 0] = -1
    even = _even(counted, len(taps))
    if even is not None and even[2] < 0:  # taps in opposite order advance
        taps = taps[::-1]
        counted = np.where(counted < 0, -1, len(taps) - 1 - counted)
        even = _even(counted, len(taps))
    return Axis(
        taps=taps,
        merge=merge,
        repeat=repeat,
        n_source=table.shape[1],
        n_target=len(table),
        even=even,
        relation=counted,
    )


def _first_of_equal(rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first of all equal rows, in order, and for each row the number of its first."""
    numbers: dict[bytes, int] = {}
    first: list[int] = []
    inverse: list[int] = []
    for position, row in enumerate(np.ascontiguousarray(rows)):
        number = numbers.setdefault(row.tobytes(), len(numbers))
        inverse.append(number)
        if number == len(first):
            first.append(position)
    return np.array(first, np.intp), np.array(inverse, np.intp)


def _even(table: NDArray[np.intp], n_taps: int) -> tuple[int, int, int] | None:
    """Return start, step and spacing if source = start + step x target + spacing x tap."""
    target, source = np.nonzero(table >= 0)
    if not len(target):
        return None
    terms = np.stack([np.ones_like(target), target, table[target, source]], axis=1)
    found = np.rint(np.linalg.lstsq(terms.astype(float), source.astype(float), rcond=None)[0])
    start, step, spacing = (int(value) for value in found)
    if (step < 1 and len(table) > 1) or (spacing == 0 and n_taps > 1):
        return None
    targets, taps = np.meshgrid(np.arange(len(table)), np.arange(n_taps), indexing="ij")
    sources = start + step * targets + spacing * taps
    inside = (sources >= 0) & (sources < table.shape[1])
    expected = np.full(table.shape, -1)
    expected[targets[inside], sources[inside]] = taps[inside]
    return (start, max(step, 1), spacing) if np.array_equal(expected, table) else None
