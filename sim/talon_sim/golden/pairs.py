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


_NARROW = ((1 << 16) - 1) // (_RATIO + 1)
"""Largest payload of which two frames are packed in 16 bits first, which move less."""


def pack(events: NDArray[Any], out: Floats, words: NDArray[np.uint16] | None = None) -> None:
    """Write the pairs (m / 2, n), rounded up, of frames (m, n): one half with the other.

    Where bytes are not negative and at most ``_NARROW``, there may be room for ``words`` as well.
    """
    half = len(out)
    rest = len(events) - half
    pairs, ratio = (out, np.float32(_RATIO)) if words is None else (words, np.uint16(_RATIO))
    np.multiply(events[half:], ratio, out=pairs[:rest], dtype=pairs.dtype, casting="unsafe")
    pairs[rest:] = 0
    np.add(pairs, events[:half], out=pairs, dtype=pairs.dtype, casting="unsafe")
    if words is not None:
        np.copyto(out, words)


def part(sums: Floats, second: Floats, spare: Floats, unit: int) -> None:
    """Leave the sums of the first frames, times ``unit``; write those of the second, as they are.

    ``sums`` are those of pairs, times ``unit``, a power of two; ``spare`` is overwritten.
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
    is_narrow
        No payload is negative or larger than ``_NARROW``.
    """

    def __init__(self, matrix: Floats, *, frac: int, n_parts: int, is_narrow: bool) -> None:
        self._unit, self._is_narrow = 1 << frac, is_narrow
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
                is_narrow = not signed and payload_max <= _NARROW
                return PairedProduct(matrix, frac=frac, n_parts=n_parts, is_narrow=is_narrow)
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
        first, second, sums, spare = loan.take((4, half, n_target), np.float32)
        are_bytes = self._is_narrow and events.dtype.itemsize == 1
        pack(events, pairs, loan.take(pairs.shape, np.uint16) if are_bytes else None)
        for number, sources in enumerate(self._parts):
            total = sums if number else first
            np.matmul(pairs[:, sources], self._matrix[sources], out=total)
            if number:
                self._add_parted(total, first, second, spare)
            else:
                part(total, second, spare, self._unit)
        np.multiply(second, np.float32(self._unit), out=second)
        np.copyto(drive[:half], first, casting="unsafe")
        np.copyto(drive[half:], second[: len(events) - half], casting="unsafe")
        loan.give_back()

    def _add_parted(self, sums: Floats, first: Floats, second: Floats, spare: Floats) -> None:
        """Add what ``part`` makes of sums, which are overwritten."""
        np.multiply(sums, np.float32(1 / (_RATIO * self._unit)), out=spare)
        np.rint(spare, out=spare)
        np.add(second, spare, out=second)
        np.multiply(spare, np.float32(_RATIO * self._unit), out=spare)
        np.subtract(sums, spare, out=sums)
        np.add(first, sums, out=first)
