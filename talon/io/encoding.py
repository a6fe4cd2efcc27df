"""Spikes for values: rate, latency, temporal and delta codes.

All return float32 arrays with time as the first axis, 1 where there is a spike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def rate_encode(
    data: NDArray[Any], n_steps: int, rate_scale: float = 1.0, seed: int | None = None
) -> FloatArray:
    """Return spikes that fall with probability ``data * rate_scale`` in every timestep.

    Parameters
    ----------
    data
        Values of any shape; the probability is clipped to 0 to 1.
    n_steps
        Timesteps, at least 1.
    rate_scale
        Factor on the values.
    seed
        Makes the result repeatable: the spikes are then those of
        ``numpy.random.default_rng(seed).binomial(1, probability, (n_steps, *shape))``.

    Returns
    -------
    array
        Shape ``(n_steps, *data.shape)``.
    """
    values = _checked("data", data)
    n_steps = _checked_steps(n_steps)
    probability = np.clip(values.astype(np.float64) * rate_scale, 0, 1)
    rng = np.random.default_rng(seed)
    spikes = np.empty((n_steps, *values.shape), np.float32)
    if seed is not None:
        spikes[:] = rng.binomial(1, probability, spikes.shape)
        return spikes
    threshold = probability.astype(np.float32)
    for k in range(n_steps):  # a timestep at a time stays in the cache
        spikes[k, ...] = rng.random(values.shape, np.float32) < threshold
    return spikes


def latency_encode(
    data: NDArray[Any], n_steps: int, tau: float = 5.0, threshold: float = 0.01
) -> FloatArray:
    """Return one spike a value, the earlier the larger it is.

    A value ``x`` of at least ``threshold`` fires at timestep ``floor(-tau * ln(x))``, with ``x``
    clipped to 1, or at the last timestep if that is later; smaller values never fire.

    Parameters
    ----------
    data
        Values of any shape.
    n_steps
        Timesteps, at least 1.
    tau
        Timesteps in which the value that fires falls by a factor of e; above 0.
    threshold
        Least value that fires, above 0.

    Returns
    -------
    array
        Shape ``(n_steps, *data.shape)``.
    """
    values = _checked("data", data)
    n_steps = _checked_steps(n_steps)
    _check_positive("tau", tau)
    _check_positive("threshold", threshold)
    clipped = np.clip(values, threshold, 1)
    times = np.floor(-tau * np.log(clipped)).astype(np.int64)
    return _fire_once(times, values >= threshold, n_steps)


def temporal_encode(data: NDArray[Any], n_steps: int, threshold: float = 0.01) -> FloatArray:
    """Return one spike a value, at timestep ``floor((1 - x) * n_steps)``: linear in the value.

    Values below ``threshold`` never fire, and no spike is later than the last timestep.

    Parameters
    ----------
    data
        Values of any shape; they are clipped to at most 1.
    n_steps
        Timesteps, at least 1.
    threshold
        Least value that fires.

    Returns
    -------
    array
        Shape ``(n_steps, *data.shape)``.
    """
    values = _checked("data", data)
    n_steps = _checked_steps(n_steps)
    times = np.floor((1 - np.clip(values, 0, 1)) * n_steps).astype(np.int64)
    return _fire_once(times, values >= threshold, n_steps)


def delta_encode(
    sequence: NDArray[Any], threshold: float = 0.1, off_spikes: bool = True
) -> FloatArray:
    """Return spikes where a value changes by more than ``threshold`` from one frame to the next.

    Parameters
    ----------
    sequence
        Frames ``(n_frames, ...)``, two at least.
    threshold
        Least change that does not fire, not negative.
    off_spikes
        Whether falling values fire, too, in a channel of their own.

    Returns
    -------
    array
        Shape ``(n_frames - 1, 2, ...)``, rises in channel 0 and falls in channel 1; without
        ``off_spikes`` ``(n_frames - 1, ...)``, rises alone.
    """
    frames = _checked("sequence", sequence)
    if frames.ndim < 1 or len(frames) < 2:
        raise ValueError(f"sequence must have at least 2 frames, got shape {frames.shape}")
    if not (np.isfinite(threshold) and threshold >= 0):
        raise ValueError(f"threshold must be finite and >= 0, got {threshold}")
    change = np.diff(frames.astype(np.result_type(frames, np.float32)), axis=0)
    if not off_spikes:
        return (change > threshold).astype(np.float32)
    spikes = np.empty((len(change), 2, *frames.shape[1:]), np.float32)
    np.greater(change, threshold, out=spikes[:, 0], casting="unsafe")
    np.less(change, -threshold, out=spikes[:, 1], casting="unsafe")
    return spikes


def _fire_once(times: NDArray[np.int64], fires: NDArray[np.bool_], n_steps: int) -> FloatArray:
    spikes = np.zeros((n_steps, *times.shape), np.float32)
    at = np.minimum(times, n_steps - 1)[None]
    np.put_along_axis(spikes, at, fires[None].astype(np.float32), axis=0)
    return spikes


def _checked(name: str, value: Any) -> NDArray[Any]:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be an array of numbers, got dtype {array.dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite")
    return array


def _checked_steps(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"n_steps must be an int, got {value!r}")
    if value < 1:
        raise ValueError(f"n_steps must be at least 1, got {value}")
    return int(value)


def _check_positive(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be finite and above 0, got {value}")
