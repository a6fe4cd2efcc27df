"""Room for sums and what neurons do, handed on from run to run.

A large array that is given back to the system comes again page by page, which takes longer than
filling it.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

_LINE = 64
"""Bytes of a line of the cache, where arrays begin: vectors that lie across two take longer."""

_SMALLEST = 1 << 15
"""Bytes that the system has at hand anyway."""

_LARGEST = 1 << 22
"""Bytes of the largest room that is kept: more than a stage takes, unless one timestep does."""


def taken(spare: list[T]) -> T | None:
    """Take the last of what is not in use, or None: another thread may be faster at any time."""
    try:
        return spare.pop()
    except IndexError:
        return None


class Rooms:
    """Bytes that are not in use; runs in several threads may share them."""

    def __init__(self) -> None:
        self._spare: list[NDArray[np.uint8]] = []

    def lend(self) -> Loan:
        """Return what takes arrays, until it gives them back."""
        return Loan(self._spare)


class Loan:
    """Arrays that are in use by one stage."""

    def __init__(self, spare: list[NDArray[np.uint8]]) -> None:
        self._spare = spare
        self._taken: list[NDArray[np.uint8]] = []

    def take(self, shape: tuple[int, ...], kind: Any) -> NDArray[Any]:
        """Return an array, whose values are any."""
        n_bytes = math.prod(shape) * np.dtype(kind).itemsize
        if n_bytes < _SMALLEST:
            return np.empty(shape, kind)
        room = taken(self._spare)
        if room is None or room.size < n_bytes:
            room = np.empty(n_bytes + _LINE, np.uint8)
            room = room[-room.ctypes.data % _LINE :]
        self._taken.append(room)
        return room[:n_bytes].view(kind).reshape(shape)

    def give_back(self) -> None:
        """End the loan: nobody may use its arrays any more."""
        # In the opposite order: who takes the same again has each where it was, and still near.
        self._spare += [room for room in reversed(self._taken) if room.size <= _LARGEST]
        self._taken = []
