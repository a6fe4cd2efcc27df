"""How large values are, by octaves: counts that do not hang on the order of what is counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LOWEST = -1100  # exponent; float64 has none that is lower
_OCTAVES = 2200


@dataclass(frozen=True, kw_only=True, eq=False)
class Octaves:
    """Counts of magnitudes from 2^(k - 1) to below 2^k, the largest of all, and how many there are.

    ``counts`` is int64 of a fixed length, ``n`` counts zeros as well.
    """

    counts: NDArray[np.int64]
    largest: float
    n: int

    def __add__(self, other: Octaves) -> Octaves:
        """Return what both counted."""
        return Octaves(
            counts=self.counts + other.counts,
            largest=max(self.largest, other.largest),
            n=self.n + other.n,
        )

    def share(self, parts: int) -> float:
        """Return the share of values of at least one of so many (two or more) parts of the largest.

        In the octave of that bound values are taken to be spread evenly.
        """
        if not (0 < self.largest < np.inf):
            return 0.0
        mantissa, exponent = np.frexp(self.largest / parts)
        at = int(exponent) - _LOWEST
        above = float(self.counts[at + 1 :].sum()) + float(self.counts[at]) * 2 * (1 - mantissa)
        return float(above / max(1, self.n))


def octaves_of(values: NDArray[Any], *, repeats: int = 1) -> Octaves:
    """Return the counts of the magnitudes of some values, each counted so many times."""
    magnitudes = np.abs(values[values != 0])
    _, exponents = np.frexp(magnitudes)
    counts = np.bincount(exponents.astype(np.int64) - _LOWEST, minlength=_OCTAVES)
    return Octaves(
        counts=counts.astype(np.int64) * repeats,
        largest=float(magnitudes.max(initial=0.0)),
        n=values.size * repeats,
    )
