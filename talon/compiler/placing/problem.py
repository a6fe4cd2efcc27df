"""The quadratic assignment problem of a mesh: parts that talk, on places that lie apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.intp]
Floats = NDArray[np.float64]

EXACT = 1 << 53
"""Integers below this are exact in float64, in which the searches count."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MeshProblem:
    """Parts 0 to n-1, to be put on different places of a mesh so that few links are crossed.

    Parameters
    ----------
    weight
        int64 (n, n), symmetric, zero diagonal: what two parts send each other, both ways.
    columns, rows
        The mesh; places are counted along the rows.
    host
        int64 (n,), what a part and the host send each other; the host is at place 0. None: nothing.
    """

    weight: NDArray[np.int64]
    columns: int
    rows: int
    host: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        n, places = len(self.weight), self.n_places
        if n > places:
            raise ValueError(
                f"There are {n} parts for {places} places of a mesh of {self.columns} x "
                f"{self.rows}; use a larger mesh or fewer parts"
            )
        if self.weight.shape != (n, n) or (self.weight != self.weight.T).any():
            raise ValueError("weight must be square and symmetric")
        if np.diagonal(self.weight).any():
            raise ValueError("weight must have a zero diagonal")
        whole = int(self.weight.sum()) + int(self.host_weight.sum())
        if whole * (self.columns + self.rows) >= EXACT or self.weight.min(initial=0) < 0:
            raise ValueError(f"weight must be from 0 on and sum up to less than {EXACT} links")

    @property
    def n_parts(self) -> int:
        """Number of parts."""
        return len(self.weight)

    @property
    def n_places(self) -> int:
        """Number of places."""
        return self.columns * self.rows

    @cached_property
    def host_weight(self) -> NDArray[np.int64]:
        """What each part and the host send each other, int64 (n,)."""
        return np.zeros(self.n_parts, np.int64) if self.host is None else self.host

    @cached_property
    def x(self) -> Places:
        """Column of each place."""
        return np.arange(self.n_places) % self.columns

    @cached_property
    def y(self) -> Places:
        """Row of each place."""
        return np.arange(self.n_places) // self.columns

    @cached_property
    def distance(self) -> NDArray[np.int64]:
        """Links between two places, int64 (places, places)."""
        found = abs(self.x[:, None] - self.x) + abs(self.y[:, None] - self.y)
        return found.astype(np.int64)

    def cost(self, at: Places) -> int:
        """Return the links that all crosses, with part ``k`` at place ``at[k]``."""
        a, b, w = self.pairs
        distance = abs(self.x[at[a]] - self.x[at[b]]) + abs(self.y[at[a]] - self.y[at[b]])
        return int((w * distance).sum()) + int((self.host_weight * (self.x[at] + self.y[at])).sum())

    def summed(self, distance: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return for each part its weights times rows of its partners, summed.

        ``distance`` is int64 (n, m), a row a part; with few partners a part this is much less work
        than a product of matrices.
        """
        part, partner, weight = self.partners
        found = np.zeros(distance.shape, np.int64)
        if len(part):
            first = np.flatnonzero(np.diff(part, prepend=-1))
            found[part[first]] = np.add.reduceat(weight[:, None] * distance[partner], first)
        return found

    @cached_property
    def partners(self) -> tuple[Places, Places, NDArray[np.int64]]:
        """Parts that talk, each pair from both sides, by the first one."""
        a, b = np.nonzero(self.weight)
        return a, b, self.weight[a, b]

    @cached_property
    def pairs(self) -> tuple[Places, Places, NDArray[np.int64]]:
        """Parts that talk, each pair once, and how much."""
        a, b = np.nonzero(np.triu(self.weight))
        return a, b, self.weight[a, b]
