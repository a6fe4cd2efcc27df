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
        The taps in the order in which they must stand in memory.
    tap
        Place in ``order`` of the tap of the first target, by source coordinate; each further
        target takes the next one.
    first, count
        First target and number of targets, by source coordinate.
    step
        Targets between two.
    """

    order: NDArray[np.int64]
    tap: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]
    step: int

    def clipped(self, low: int, high: int) -> Stepping:
        """Return the stepping over the targets from ``low`` to before ``high`` alone."""
        skipped = np.clip(-(-(low - self.first) // self.step), 0, self.count)
        first = self.first + skipped * self.step
        left = np.clip(-(-(high - first) // self.step), 0, self.count - skipped)
        return Stepping(
            order=self.order,
            tap=self.tap + skipped,
            first=np.where(left > 0, first, low),
            count=left,
            step=self.step,
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
        The taps have no order, or the targets no step, that serves all source coordinates.
    """
    runs: list[list[tuple[int, int]]] = []
    for source in range(relation.shape[1]):
        targets = np.flatnonzero(relation[:, source] >= 0)
        runs.append([(int(p), int(relation[p, source])) for p in targets])
    order = _ordered([[tap for _, tap in run] for run in runs], int(relation.max(initial=-1)) + 1)
    steps = {b - a for run in runs for (a, _), (b, _) in pairwise(run)}
    if order is None or len(steps) > 1:
        raise MappingError(
            "A kernel must reach its targets in equal steps over consecutive taps, as "
            "convolutions, their transposes, pools and nearest upsampling do; express it with these"
        )
    place = np.zeros(len(order), np.int64)
    place[order] = np.arange(len(order))
    return Stepping(
        order=np.array(order, np.int64),
        tap=np.array([place[run[0][1]] if run else 0 for run in runs], np.int64),
        first=np.array([run[0][0] if run else 0 for run in runs], np.int64),
        count=np.array([len(run) for run in runs], np.int64),
        step=steps.pop() if steps else 1,
    )


def _ordered(sequences: list[list[int]], n_taps: int) -> list[int] | None:
    """Return an order in which each sequence is consecutive, or None if there is none."""
    after: dict[int, int] = {}
    before: dict[int, int] = {}
    for sequence in sequences:
        for tap, successor in pairwise(sequence):
            if after.setdefault(tap, successor) != successor:
                return None
            if before.setdefault(successor, tap) != tap:
                return None
    order: list[int] = []
    for tap in range(n_taps):
        if tap in before:
            continue
        order.append(tap)
        while order[-1] in after:
            order.append(after[order[-1]])
    return order if len(order) == n_taps else None  # a tap that is left stands in a cycle
