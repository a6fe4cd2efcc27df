"""Graded neurons that have a table: ``talon.arch.numerics.looked_up``, vectorized."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.network import Population
from talon_sim.golden.graded import GradedNeurons
from talon_sim.golden.neurons import Potentials, Stored


class TableNeurons(GradedNeurons):
    """A graded population whose payloads, which may be negative, are entries of a table."""

    def __init__(self, population: Population) -> None:
        super().__init__(population)
        self._table = table_of(population)

    def advance(self, drive: Potentials, payloads: NDArray[Any], v: Stored | None = None) -> None:
        """Turn ``drive``, sums plus offset, which is overwritten, into payloads (int16).

        ``v`` receives the payloads too, if wanted.
        """
        index = np.empty(drive.shape, np.uint8)
        super().advance(drive, index)
        self._table.take(index, out=payloads)
        if v is not None:
            v[:] = payloads


def table_of(population: Population) -> NDArray[np.int16]:
    """Return the table of a population, in the type of its payloads."""
    assert population.table is not None
    return population.table.astype(np.int16)
