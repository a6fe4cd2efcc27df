"""Looking at every number of many arrays with few calls, and without large copies."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

_JOINED = 1024  # elements up to which arrays are joined to be looked at
_BLOCK = 1 << 18  # elements looked at together: they stay in the cache


def ranges(arrays: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Return the least and the largest value of many arrays, with few calls; empty ones are left.

    Arrays are joined up to a block, so that what is copied at a time is small.
    """
    found: dict[str, tuple[float, float]] = {}
    names: list[str] = []
    parts: list[np.ndarray] = []
    starts: list[int] = []
    n = 0

    def flush() -> None:
        joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
        lows = np.minimum.reduceat(joined, starts).tolist()
        highs = np.maximum.reduceat(joined, starts).tolist()
        found.update(zip(names, zip(lows, highs, strict=True), strict=True))

    for name, array in arrays.items():
        if not array.size:
            continue
        if parts and n + array.size > _BLOCK:
            flush()
            names, parts, starts, n = [], [], [], 0
        names.append(name)
        parts.append(array.reshape(-1))
        starts.append(n)
        n += array.size
    if parts:
        flush()
    return found


def all_surely_finite(arrays: list[np.ndarray]) -> bool:
    """Tell whether no array can hold a NaN or an infinity; False if one may.

    Then the sum of the squares of a block is finite; the reverse does not hold, since that may
    overflow. Small arrays are joined to a block, large ones looked at where they are.
    """
    waiting: dict[np.dtype[Any], list[np.ndarray]] = {}
    n_waiting = 0
    for array in arrays:
        dtype = array.dtype
        if dtype.kind != "f":
            continue
        if array.size > _JOINED:
            flat = array.reshape(-1)
            if flat.size <= _BLOCK:
                blocks = [flat]
            else:
                blocks = [flat[start : start + _BLOCK] for start in range(0, flat.size, _BLOCK)]
            for block in blocks:
                if not isfinite(block.dot(block)):
                    return False
            continue
        waiting.setdefault(dtype, []).append(array)
        n_waiting += array.size
        if n_waiting > _BLOCK:
            if not _is_surely_finite_joined(waiting):
                return False
            waiting, n_waiting = {}, 0
    return _is_surely_finite_joined(waiting)


def _is_surely_finite_joined(waiting: dict[np.dtype[Any], list[np.ndarray]]) -> bool:
    return all(
        _is_surely_finite(np.frombuffer(_joined(arrays), dtype))
        for dtype, arrays in waiting.items()
    )


def _joined(arrays: list[Any]) -> bytes:
    try:
        return b"".join(arrays)
    except (BufferError, TypeError, ValueError):  # one is strided
        return b"".join([array.tobytes() for array in arrays])


def _is_surely_finite(block: np.ndarray) -> bool:
    return isfinite(block.dot(block))


def first_not_finite(array: np.ndarray) -> tuple[tuple[int, ...], float] | None:
    """Return index and value of the first NaN or infinity, looking at a block at a time."""
    if array.dtype.kind != "f":
        return None
    flat = array.reshape(-1)  # a view, unless the array is neither C- nor F-ordered
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        # The sum of a block tells whether all of it is finite, unless it overflows.
        with np.errstate(over="ignore", invalid="ignore"):
            total = block.sum()
        if np.isfinite(total):
            continue
        bad = np.flatnonzero(~np.isfinite(block))
        if bad.size:
            at = start + int(bad[0])
            index = tuple(int(i) for i in np.unravel_index(at, array.shape))
            return index, float(flat[at])
    return None
