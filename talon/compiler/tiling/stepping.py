"""Stepping: what an axis of a kernel asks of the array, which takes taps in steps of one size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from talon.errors import MappingError


@dataclass(frozen=True, kw_only=True, eq=False)
class Stepping:
    """The targets of each source coordinate as runs: ``first``, ``first + step``, ...

    Attributes
    ----------
    order
        The taps in the order in which they must stand in memory; some may be there repeatedly.
    tap
        Place in ``order`` of the tap of the first target, by source coordinate; each further
        target takes the one that is ``tap_step`` (1 or 0) further on.
    first, count
        First target and number of targets, by source coordinate.
    step
        Targets between two.
    tap_step
        1, or 0 if each source has one tap for all its targets.
    """

    order: NDArray[np.int64]
    tap: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]
    step: int
    tap_step: int

    def clipped(self, low: int, high: int) -> Stepping:
        """Return the stepping over the targets from ``low`` to before ``high`` alone."""
        skipped = np.clip(-(-(low - self.first) // self.step), 0, self.count)
        first = self.first + skipped * self.step
        left = np.clip(-(-(high - first) // self.step), 0, self.count - skipped)
        return Stepping(
            order=self.order,
            tap=self.tap + skipped * self.tap_step,
            first=np.where(left > 0, first, low),
            count=left,
            step=self.step,
            tap_step=self.tap_step,
        )

    @cached_property
    def used(self) -> tuple[int, int]:
        """First and last source coordinate that has a target; (0, -1) if none has."""
        found = np.flatnonzero(self.count)
        return (int(found[0]), int(found[-1])) if found.size else (0, -1)


def stepping_of(relation: NDArray[np.int16]) -> Stepping:
    """Return the stepping of a relation (target, source) -> tap.

    Raises
    ------
    MappingError
        The targets have no step that serves all source coordinates.
    """
    runs: list[list[tuple[int, int]]] = []
    for source in range(relation.shape[1]):
        targets = np.flatnonzero(relation[:, source] >= 0)
        runs.append([(int(p), int(relation[p, source])) for p in targets])
    steps = {b - a for run in runs for (a, _), (b, _) in pairwise(run)}
    if len(steps) > 1:
        raise MappingError(
            "A kernel must reach the targets of each source in equal steps, as convolutions, "
            "their transposes, pools and nearest upsampling do; express it with these"
        )
    sequences = [tuple(tap for _, tap in run) for run in runs]
    steady = all(len(set(sequence)) <= 1 for sequence in sequences)
    order = _superstring({s[:1] if steady else s for s in sequences})
    return Stepping(
        order=np.array(order, np.int64),
        tap=np.array([_find(order, s[:1] if steady else s) for s in sequences], np.int64),
        first=np.array([run[0][0] if run else 0 for run in runs], np.int64),
        count=np.array([len(run) for run in runs], np.int64),
        step=steps.pop() if steps else 1,
        tap_step=0 if steady else 1,
    )


def _superstring(sequences: set[tuple[int, ...]]) -> list[int]:
    """Return taps, repeated where need be, among which each sequence stands in one piece."""
    order: list[int] = []
    for sequence in sorted(sequences, key=lambda s: (-len(s), s)):
        if _find(order, sequence) < 0:
            order += sequence
    return order


def _find(order: list[int], sequence: tuple[int, ...]) -> int:
    """Return where a sequence begins in ``order``, or -1."""
    n = len(sequence)
    places = (i for i in range(len(order) - n + 1) if tuple(order[i : i + n]) == sequence)
    return next(places, -1)
