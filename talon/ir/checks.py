"""Checks of a node's fields; each message names the field, the rule and the value.

A wrong Python type is a ``TypeError``; a value that breaks a rule is a :class:`ParameterError`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from talon.errors import ModelError
from talon.ir.types import Array, BoolArray, Dims, Shape

_BLOCK = 1 << 18


class ParameterError(ModelError, ValueError):
    """A field of a node breaks a rule."""


def check_array(field: str, value: object) -> Array:
    """Return ``value`` if it is an array of real numbers."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{field} must be np.ndarray, got {type(value).__name__}")
    if value.dtype.kind not in "fiu":
        raise TypeError(f"{field} must hold real numbers, got dtype {value.dtype}")
    return value


def check_floating(field: str, value: object) -> Array:
    """Return ``value`` if it is an array of floating point numbers."""
    array = check_array(field, value)
    if array.dtype.kind != "f":
        raise TypeError(f"{field} must have floating dtype, got {array.dtype}")
    return array


def check_everywhere(field: str, rule: str, array: Array, holds: BoolArray) -> None:
    """Raise for the first element of ``array`` where ``holds`` is false."""
    if not holds.all():
        index = tuple(int(i) for i in np.argwhere(~holds)[0])
        raise ParameterError(f"{field} must be {rule}, got {array[index]} at index {index}")


def check_finite(field: str, array: Array) -> None:
    """Raise if an element is NaN or infinite."""
    if array.dtype.kind == "f" and not _is_finite(array):
        check_everywhere(field, "finite", array, np.asarray(np.isfinite(array)))


def _is_finite(array: Array) -> bool:
    """Tell whether all elements are finite; those of a large array are looked at in blocks."""
    if array.size <= _BLOCK or not array.flags.c_contiguous:
        return bool(np.isfinite(array).all())
    flat = array.reshape(-1)
    blocks = (flat[start : start + _BLOCK] for start in range(0, flat.size, _BLOCK))
    return all(np.isfinite(block).all() for block in blocks)


def check_int(field: str, value: object, low: int, high: int | None = None) -> int:
    """Return ``value`` as an ``int`` if it is an integer within the limits, both inclusive."""
    rule = f"an int >= {low}" if high is None else f"in [{low}, {high}]"
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(f"{field} must be {rule}, got {value!r}")
    if value < low or (high is not None and value > high):
        raise ParameterError(f"{field} must be {rule}, got {value}")
    return int(value)


def check_number(field: str, value: object, *, above: float | None = None) -> float:
    """Return ``value`` as a ``float`` if it is finite, and more than ``above``."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        raise TypeError(f"{field} must be a number, got {value!r}")
    if not np.isfinite(value):
        raise ParameterError(f"{field} must be finite, got {value}")
    if above is not None and not value > above:
        raise ParameterError(f"{field} must be > {above}, got {value}")
    return float(value)


def check_pair(field: str, value: object, low: int, *, n: int = 2) -> Dims:
    """Return ``n`` integers of at least ``low``; one integer stands for all of them."""
    items = value.tolist() if isinstance(value, np.ndarray) else value
    if isinstance(items, int | np.integer) and not isinstance(items, bool):
        items = (items,) * n
    if not isinstance(items, list | tuple) or not all(
        isinstance(item, int | np.integer) and not isinstance(item, bool) for item in items
    ):
        raise TypeError(f"{field} must be an int or {n} of them, got {value!r}")
    if len(items) != n:
        raise ParameterError(f"{field} must be an int or {n} of them, got {value!r}")
    if any(item < low for item in items):
        raise ParameterError(f"{field} must be >= {low}, got {value}")
    return tuple(int(item) for item in items)


def check_bool(field: str, value: object) -> bool:
    """Return ``value`` as a ``bool`` if it is one."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{field} must be a bool, got {value!r}")
    return bool(value)


def check_choice(field: str, value: object, choices: Sequence[str]) -> str:
    """Return ``value`` if it is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise ParameterError(f"{field} must be one of {tuple(choices)}, got {value!r}")
    return value


def check_dims(field: str, value: object) -> Dims:
    """Return a feature shape as a tuple of positive integers."""
    try:
        dims = np.asarray(value)
    except ValueError as exc:
        raise TypeError(f"{field} must be a sequence of integers, got {value!r}") from exc
    dims = dims if dims.ndim else dims.reshape(1)
    if dims.ndim != 1 or dims.size == 0 or dims.dtype.kind not in "iu":
        raise TypeError(f"{field} must be a sequence of integers, got {value!r}")
    sizes = dims.tolist()
    if min(sizes) < 1:
        raise ParameterError(f"{field} must be positive in every dimension, got {sizes}")
    return tuple(sizes)


def check_port_shapes(field: str, value: object) -> Shape | None:
    """Return shapes by port name with every shape as an int64 array."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise TypeError(f"{field} must be a dict of port to shape, got {type(value).__name__}")
    return {
        str(port): np.array(check_dims(f"{field}[{port!r}]", dims), np.int64)
        for port, dims in value.items()
    }


def check_mapping(field: str, value: object) -> dict[str, Any]:
    """Return ``value`` if it is a dict with string keys."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise TypeError(f"{field} must be a dict with string keys, got {value!r}")
    return value


def port_shape(port: str, dims: Dims) -> Shape:
    """Return the shapes of a node with one port."""
    return {port: np.array(dims, np.int64)}
