"""Parameters between seconds and timesteps, and between one a channel and one a neuron."""

import numpy as np

from talon.ir.types import Array, Dims

_CLOSE = 1e-6  # a few units in the last place of float32


def floats(array: Array) -> Array:
    """Return floating point numbers; integers become float32, or float64 if that holds more."""
    if array.dtype.kind == "f":
        return array
    narrow = array.astype(np.float32)
    return narrow if np.array_equal(narrow, array) else array.astype(np.float64)


def times(array: Array, dt: float) -> Array:
    """Return ``array * dt``, worked out in float64; as it is, if a timestep is the unit."""
    return array if dt == 1 else array.astype(np.float64) * dt


def over(array: Array, dt: float) -> Array:
    """Return ``array / dt``, worked out in float64; as it is, if a timestep is the unit."""
    return array if dt == 1 else array.astype(np.float64) / dt


def steps(seconds: Array, dt: float) -> Array:
    """Return time constants in timesteps; what is one timestep but for rounding is exactly one."""
    found = over(seconds, dt)
    return np.where(np.abs(found - 1) < _CLOSE, np.ones_like(found), found)


def shared_shape(shapes: list[Dims]) -> Dims:
    """Return the shape of several parameters together, that of the one of most dimensions."""
    return max(shapes, key=lambda shape: (len(shape), np.prod(shape)))


def spread(array: Array, shape: Dims) -> Array:
    """Return a parameter in a shape: one value for all, one a channel, or all of them.

    Raises
    ------
    ValueError
        It has another number of values.
    """
    if array.ndim == 0 or array.shape == shape:
        return np.broadcast_to(array, shape)
    if array.size == np.prod(shape):
        return array.reshape(shape)
    if len(shape) > 1 and array.size == array.shape[0] == shape[0]:
        return np.broadcast_to(array.reshape(-1, *(1,) * (len(shape) - 1)), shape)
    return np.broadcast_to(array, shape)


def is_spatially_constant(array: Array) -> bool:
    """Tell whether all neurons of a channel have one value; ``(C, ...)`` with ``C > 1``."""
    if array.ndim < 2 or array.shape[0] == 1:
        return False
    rows = np.ascontiguousarray(array).reshape(array.shape[0], -1)
    return np.ascontiguousarray(np.broadcast_to(rows[:, :1], rows.shape)).tobytes() == (
        rows.tobytes()
    )


def channels(array: Array) -> Array:
    """Return one value for each channel of a parameter that is constant in space."""
    return array.reshape(array.shape[0], -1)[:, 0].copy()


def like(array: Array, dtype: str, shape: Dims) -> Array | None:
    """Return an array in another dtype and in another shape of the same values, if it has one."""
    try:
        if array.size <= np.prod(shape):
            found = spread(array, shape)
        elif np.prod(shape) == 1:
            found = array.reshape(-1)[:1].reshape(shape)
        elif shape[:1] == array.shape[:1] and np.prod(shape) == shape[0]:
            found = channels(array).reshape(shape)
        else:
            return None
        with np.errstate(all="ignore"):
            return np.array(found, np.dtype(dtype), order="C")
    except ValueError:
        return None
