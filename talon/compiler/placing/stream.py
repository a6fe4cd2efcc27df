"""Numbers that look random and are the same everywhere: what places are must not hang on luck."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


class Stream:
    """SplitMix64: integers in order, by arithmetic of 64 bits alone.

    NumPy's generators may draw other numbers in other versions; images may not change with them.
    """

    def __init__(self, seed: int) -> None:
        self._state = np.uint64(seed)

    def words(self, n: int) -> NDArray[np.uint64]:
        """Return the next ``n`` numbers, uint64."""
        with np.errstate(over="ignore"):
            z = self._state + np.arange(1, n + 1, dtype=np.uint64) * _STEP
            self._state = self._state + np.uint64(n) * _STEP
            z = (z ^ (z >> np.uint64(30))) * _FIRST
            z = (z ^ (z >> np.uint64(27))) * _SECOND
        return z ^ (z >> np.uint64(31))

    def below(self, limit: int, n: int) -> NDArray[np.int64]:
        """Return ``n`` numbers from 0 to ``limit - 1``."""
        return (self.words(n) % np.uint64(limit)).astype(np.int64)

    def permutation(self, n: int) -> NDArray[np.intp]:
        """Return 0 to ``n - 1`` in some order."""
        return np.argsort(self.words(n), kind="stable")
