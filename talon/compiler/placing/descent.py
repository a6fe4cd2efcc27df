"""Swaps that save links, of several placements side by side, until none does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from talon.compiler.placing.problem import MeshProblem, Places


def descend(problem: MeshProblem, starts: Sequence[Places]) -> list[Places]:
    """Return the starts bettered: no swap of two places, filled or idle, saves a link any more."""
    return _Descent(problem, starts).run()


class _Descent:
    """Placements that are bettered side by side, each on its own.

    ``at[s, k]`` is the place of part ``k`` in placement ``s`` and ``owner`` the reverse. What part
    ``k`` would cost at a place is the cost of its column, ``across[s, k]``, and of its row,
    ``along[s, k]``: distances in the two directions add up, and a swap changes each by a product.
    """

    def __init__(self, problem: MeshProblem, starts: Sequence[Places]) -> None:
        weight, columns = problem.weight, problem.columns
        self.distance = problem.distance
        self.x, self.y = problem.x, problem.y
        self.from_column = abs(self.x[:, None] - self.x[:columns])
        self.from_row = abs(self.y[:, None] - self.y[::columns])
        self.at = np.stack(starts)
        self.number = np.arange(len(starts))
        self.owner = np.full((len(starts), problem.n_places), -1)
        np.put_along_axis(self.owner, self.at, np.arange(len(weight)), axis=1)
        host = problem.host_weight
        self.across = np.stack([problem.summed(self.from_column[at]) for at in self.at])
        self.across += host[:, None] * self.x[:columns]
        self.along = np.stack([problem.summed(self.from_row[at]) for at in self.at])
        self.along += host[:, None] * self.y[::columns]
        self.near = [np.flatnonzero(row) for row in weight]
        self.shares = [row[near] for row, near in zip(weight, self.near, strict=True)]

    def run(self) -> list[Places]:
        """Return placements of which no swap, with another part or an idle place, saves a link."""
        found: dict[int, Places] = {}
        while len(self.at):
            moved = np.zeros(len(self.at), bool)
            for k in range(self.at.shape[1]):
                moved |= self.step(k)
            found.update(zip(self.number[~moved].tolist(), self.at[~moved], strict=True))
            self.number, self.at, self.owner = self.number[moved], self.at[moved], self.owner[moved]
            self.across, self.along = self.across[moved], self.along[moved]
        return [found[number] for number in sorted(found)]

    def step(self, k: int) -> NDArray[np.bool_]:
        """Move part ``k`` to its best place in every placement; return in which it moved."""
        at, near = self.at, self.near[k]
        each, everyone = np.arange(len(at))[:, None], np.arange(at.shape[1])
        here = at[:, k, None]
        gain = (self.along[:, k, :, None] + self.across[:, k, None, :]).reshape(len(at), -1)
        gain -= gain[each, here]
        swap = self.across[each, everyone, self.x[here]]
        swap += self.along[each, everyone, self.y[here]]
        swap -= self.across[each, everyone, self.x[at]]
        swap -= self.along[each, everyone, self.y[at]]
        swap[:, near] += 2 * self.shares[k] * self.distance[here, at[:, near]]
        gain[each, at] += swap
        gain[each, here] = 0
        there = gain.argmin(axis=1)
        moved = gain[each[:, 0], there] < 0
        for s in np.flatnonzero(moved).tolist():
            self.swap(s, k, int(there[s]))
        return moved

    def swap(self, s: int, k: int, there: int) -> None:
        """Exchange what stands at the place of part ``k`` and at another one."""
        at, owner = self.at[s], self.owner[s]
        here, other = int(at[k]), int(owner[there])
        self.shift(s, k, here, there)
        at[k], owner[there], owner[here] = there, k, other
        if other >= 0:
            self.shift(s, other, there, here)
            at[other] = here

    def shift(self, s: int, k: int, here: int, there: int) -> None:
        """Change the costs of the partners of a part that goes from one place to another."""
        near, shares = self.near[k], self.shares[k][:, None]
        if self.x[here] != self.x[there]:
            self.across[s, near] += shares * (self.from_column[there] - self.from_column[here])
        if self.y[here] != self.y[there]:
            self.along[s, near] += shares * (self.from_row[there] - self.from_row[here])
