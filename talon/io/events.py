"""Events of an event camera: what one is, and how arrays of them are checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.errors import TalonError

EVENT_DTYPE = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
"""One event: time in microseconds, column, row, and polarity (1: brighter). 13 bytes, packed."""

Events = NDArray[np.void]
"""An array of :data:`EVENT_DTYPE`."""


_PART = 1 << 15
"""Events that are looked at at a time: their times stay in the first-level cache."""


class EventError(TalonError, ValueError):
    """Events or their file are not what they should be; the message tells the way out."""


def check_events(value: Any, what: str = "events") -> Events:
    """Return events as a one-dimensional array of :data:`EVENT_DTYPE`.

    Other structured arrays with fields ``t``, ``x``, ``y`` and ``p`` are converted if every value
    fits.
    """
    array = np.asarray(value)
    if array.dtype == EVENT_DTYPE and array.ndim == 1:
        return array
    names = array.dtype.names or ()
    if array.ndim != 1 or not set("txyp") <= set(names):
        raise EventError(
            f"{what} must be a one-dimensional array with the fields t, x, y and p, "
            f"got {array.dtype} of shape {array.shape}"
        )
    made = np.empty(array.shape, EVENT_DTYPE)
    for name in "txyp":
        column = array[name]
        limit = np.iinfo(EVENT_DTYPE[name])
        if column.size and not (column.min() >= 0 and column.max() <= limit.max):
            raise EventError(
                f"{what}: {name} must be from 0 to {limit.max}, "
                f"got {column.min()} to {column.max()}"
            )
        made[name] = column
    return made


def first_fall(t: NDArray[Any]) -> int | None:
    """Return the number of the first time that is before the one before it, or None."""
    for start in range(0, t.size, _PART):
        # Columns of packed events are slow to compare where they are.
        part = np.ascontiguousarray(t[start : start + _PART + 1])
        falls = part[1:] < part[:-1]
        if falls.any():
            return start + 1 + int(falls.argmax())
    return None


def check_sorted(t: NDArray[Any], what: str) -> None:
    """Raise unless times do not fall."""
    k = first_fall(t)
    if k is not None:
        raise EventError(
            f"{what} must be sorted by time, but event {k} at {t[k]} follows one at "
            f"{t[k - 1]}; sort them first: events[np.argsort(events['t'], kind='stable')]"
        )
