"""Two frames in one number: a product of float32 then needs half of the frames.

With a ratio *R* the payloads *a* and *b* of two frames go in as a + R b, and the sums *A* and *B*
come out as A + R B. Where no sum of the weights, nor a part of one, passes ``MOST`` in magnitude,
that number has 24 bits, so float32 holds it and all that is added on the way. B is the whole number
next to its quotient by R, from which it is less than a half away, with more to spare than the
quotient's rounding takes; and A is what is left.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon_sim.golden.reach import sums_by_sign
from talon_sim.golden.rooms import Rooms

Floats = NDArray[np.float32]

MOST = 2800
"""Largest magnitude of a sum, and of each part of it, in whatever order it is added."""

_RATIO = (1 << 24) // MOST - 1
"""So that MOST + R x MOST is within 24 bits; it is more than twice MOST."""

_LEAST_SOURCES, _LEAST_TARGETS = 100, 64
"""A product must have as many, for what it saves to pass what it takes to part the sums
(measured)."""

_LEAST_PRODUCT = 2 * 10**7
"""Multiply-accumulates of a product from which on that is so (measured)."""


def largest_sum(weight: Any, payload_max: int, *, signed: bool) -> int:
    """Return the largest magnitude that a sum, or a part of it, may have for any target."""
    up, down = sums_by_sign(weight)
    largest = up + down if signed else np.maximum(up, down)
    return int(largest.max(initial=0)) * payload_max


def pack(events: NDArray[Any], out: Floats) -> None:
    """Write the pairs (m / 2, n), rounded up, of frames (m, n): one half with the other."""
    half = len(out)
    rest = len(events) - half
    np.copyto(out[:rest], events[half:])
    out[rest:] = 0
    np.multiply(out, np.float32(_RATIO), out=out)
    np.add(out, events[:half], out=out, dtype=np.float32, casting="unsafe")


def part(sums: Floats, second: Floats, spare: Floats, unit: int) -> None:
    """Leave the sums of the first frames, times ``unit``; write those of the second, as they are.

    ``sums`` are those of pairs, times ``unit``, a power of two.
    """
    np.multiply(sums, np.float32(1 / (_RATIO * unit)), out=second)
    np.rint(second, out=second)
    np.multiply(second, np.float32(_RATIO * unit), out=spare)
    np.subtract(sums, spare, out=sums)


class PairedProduct:
    """A matrix whose sources fall into parts of which each keeps to ``MOST``.

    Parameters
    ----------
    matrix
        (n_source, n_target), times ``2 ** frac``.
    n_parts
        Number of equal parts of the sources.
    """

    def __init__(self, matrix: Floats, *, frac: int, n_parts: int) -> None:
        self._unit = 1 << frac
        n_source = len(matrix)
        step = -(-n_source // n_parts)
        self._parts = [slice(k, k + step) for k in range(0, n_source, step)]
        self._matrix = matrix
        self._rooms = Rooms()

    @staticmethod
    def of(
        weight: NDArray[np.int8], matrix: Floats, payload_max: int, *, frac: int, signed: bool
    ) -> PairedProduct | None:
        """Return that of a weight (n_target, n_source), or None where it would not pay."""
        n_target, n_source = weight.shape
        if n_target < _LEAST_TARGETS:
            return None
        for n_parts in range(1, n_source // _LEAST_SOURCES + 1):
            step = -(-n_source // n_parts)
            if all(
                largest_sum(weight[:, k : k + step], payload_max, signed=signed) <= MOST
                for k in range(0, n_source, step)
            ):
                return PairedProduct(matrix, frac=frac, n_parts=n_parts)
        return None

    def pays(self, n_frames: int) -> bool:
        """Tell whether so many frames are multiplied faster in pairs."""
        return n_frames * self._matrix.size >= _LEAST_PRODUCT

    def write_to(self, drive: NDArray[Any], events: NDArray[Any]) -> None:
        """Write the currents of payloads (m, n_source) to ``drive`` (m, n_target)."""
        half = -(-len(events) // 2)
        n_source, n_target = self._matrix.shape
        loan = self._rooms.lend()
        pairs = loan.take((half, n_source), np.float32)
        first, second, sums, more, spare = loan.take((5, half, n_target), np.float32)
        pack(events, pairs)
        for number, sources in enumerate(self._parts):
            total, rest = (sums, more) if number else (first, second)
            np.matmul(pairs[:, sources], self._matrix[sources], out=total)
            part(total, rest, spare, self._unit)
            if number:
                np.add(first, sums, out=first)
                np.add(second, more, out=second)
        np.multiply(second, np.float32(self._unit), out=second)
        np.copyto(drive[:half], first, casting="unsafe")
        np.copyto(drive[half:], second[: len(events) - half], casting="unsafe")
        loan.give_back()
