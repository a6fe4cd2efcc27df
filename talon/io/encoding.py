"""Spikes for values: rate, latency, temporal and delta codes.

All give 1 where there is a spike, as float32 with time as the first axis unless told otherwise.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from talon.io.bernoulli import draw_spikes

SpikeArray: TypeAlias = NDArray[Any]
Stream: TypeAlias = Literal["talon", "binomial"]
Reference: TypeAlias = Literal["previous", "spike"]


def rate_encode(
    data: NDArray[Any],
    n_steps: int,
    rate_scale: float = 1.0,
    seed: int | None = None,
    *,
    time_axis: int = 0,
    dtype: DTypeLike = np.float32,
    out: SpikeArray | None = None,
    stream: Stream = "talon",
) -> SpikeArray:
    """Return spikes that fall with probability ``data * rate_scale`` in every timestep.

    Parameters
    ----------
    data
        Values of any shape, samples among them if wanted; the probability is clipped to 0 to 1 and
        exact to 2^-30.
    n_steps
        Timesteps, at least 1.
    rate_scale
        Factor on the values.
    seed
        Makes the result repeatable.
    time_axis
        Where the axis of time stands in the result. The spikes are the same wherever it is.
    dtype
        Type of the result; ``bool`` and ``uint8`` take a quarter of the memory and of the time.
    out
        Array that receives the spikes, of the shape of the result; ``dtype`` is then its own.
    stream
        Which random bits: ``"talon"``, the fast one of :mod:`talon.io.bernoulli`, or
        ``"binomial"``, the spikes of
        ``numpy.random.default_rng(seed).binomial(1, probability, (n_steps, *shape))``, which are
        those of talon-io 0.0.1.

    Returns
    -------
    array
        Shape ``(n_steps, *data.shape)``, with ``n_steps`` at ``time_axis``.
    """
    values = _checked("data", data)
    n_steps = _checked_steps(n_steps)
    if not np.isfinite(rate_scale):
        raise ValueError(f"rate_scale must be finite, got {rate_scale}")
    if stream not in ("talon", "binomial"):
        raise ValueError(f"stream must be 'talon' or 'binomial', got {stream!r}")
    spikes, by_time = _made((n_steps, *values.shape), time_axis, dtype, out)
    if stream == "binomial":
        probability = np.clip(np.multiply(values, rate_scale, dtype=np.float64), 0, 1)
        by_time[...] = np.random.default_rng(seed).binomial(1, probability, by_time.shape)
        return spikes
    flat = values.reshape(-1)
    if by_time.flags.c_contiguous:
        rows = by_time.reshape(n_steps, flat.size)
        draw_spikes(flat, rate_scale, seed, rows.view(np.bool_) if _is_byte(rows) else rows)
    else:
        drawn = np.empty((n_steps, flat.size), np.bool_)
        draw_spikes(flat, rate_scale, seed, drawn)
        by_time[...] = drawn.reshape(by_time.shape)
    return spikes


def latency_encode(
    data: NDArray[Any],
    n_steps: int,
    tau: float = 5.0,
    threshold: float = 0.01,
    *,
    time_axis: int = 0,
    dtype: DTypeLike = np.float32,
    out: SpikeArray | None = None,
) -> SpikeArray:
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
    time_axis, dtype, out
        As in :func:`rate_encode`.

    Returns
    -------
    array
        Shape ``(n_steps, *data.shape)``, with ``n_steps`` at ``time_axis``.
    """
    values = _checked("data", data)
    n_steps = _checked_steps(n_steps)
    _check_positive("tau", tau)
    _check_positive("threshold", threshold)
    clipped = np.clip(values, threshold, 1)
    times = np.floor(-tau * np.log(clipped))
    spikes, by_time = _made((n_steps, *values.shape), time_axis, dtype, out)
    _fire_once(times, values >= threshold, by_time)
    return spikes


def temporal_encode(
    data: NDArray[Any],
    n_steps: int,
    threshold: float = 0.01,
    *,
    time_axis: int = 0,
    dtype: DTypeLike = np.float32,
    out: SpikeArray | None = None,
) -> SpikeArray:
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
    time_axis, dtype, out
        As in :func:`rate_encode`.

    Returns
    -------
    array
        Shape ``(n_steps, *data.shape)``, with ``n_steps`` at ``time_axis``.
    """
    values = _checked("data", data)
    n_steps = _checked_steps(n_steps)
    if not np.isfinite(threshold):
        raise ValueError(f"threshold must be finite, got {threshold}")
    times = np.floor((1 - np.clip(values, 0, 1)) * n_steps)
    spikes, by_time = _made((n_steps, *values.shape), time_axis, dtype, out)
    _fire_once(times, values >= threshold, by_time)
    return spikes


def delta_encode(
    sequence: NDArray[Any],
    threshold: float = 0.1,
    off_spikes: bool = True,
    *,
    time_axis: int = 0,
    dtype: DTypeLike = np.float32,
    out: SpikeArray | None = None,
    reference: Reference = "previous",
) -> SpikeArray:
    """Return spikes where a value changes by more than ``threshold``.

    Parameters
    ----------
    sequence
        Frames ``(n_frames, ...)``, two at least.
    threshold
        Least change that does not fire, not negative.
    off_spikes
        Whether falling values fire, too, in a channel of their own.
    time_axis
        Axis of time, in the sequence and in the result; the channel follows it.
    dtype, out
        As in :func:`rate_encode`.
    reference
        What a value is compared with: ``"previous"``, the frame before, so that what drifts slowly
        never fires, or ``"spike"``, the value when it last fired, as pixels of event cameras do.

    Returns
    -------
    array
        Shape ``(n_frames - 1, 2, ...)``, rises in channel 0 and falls in channel 1; without
        ``off_spikes`` ``(n_frames - 1, ...)``, rises alone.
    """
    given = _checked("sequence", sequence)
    if given.ndim < 1:
        raise ValueError(f"sequence must have at least 2 frames, got shape {given.shape}")
    frames = np.moveaxis(given, _axis(time_axis, given.ndim), 0)
    if len(frames) < 2:
        raise ValueError(f"sequence must have at least 2 frames, got shape {given.shape}")
    if not (np.isfinite(threshold) and threshold >= 0):
        raise ValueError(f"threshold must be finite and >= 0, got {threshold}")
    if reference not in ("previous", "spike"):
        raise ValueError(f"reference must be 'previous' or 'spike', got {reference!r}")
    channels = (2,) if off_spikes else ()
    shape = (len(frames) - 1, *channels, *frames.shape[1:])
    spikes, by_time = _made(shape, time_axis % given.ndim, dtype, out, n_after=len(channels))
    rises = by_time[:, 0] if off_spikes else by_time
    falls = by_time[:, 1] if off_spikes else None
    exact = np.result_type(frames, np.float32)
    last = frames[0].astype(exact)
    for t, frame in enumerate(frames[1:]):  # a frame at a time stays in the cache
        change = frame - last
        np.greater(change, threshold, out=rises[t, ...], casting="unsafe")
        if falls is not None:
            np.less(change, -threshold, out=falls[t, ...], casting="unsafe")
        if reference == "previous":
            last[...] = frame
        else:
            np.copyto(last, frame, where=np.abs(change) > threshold)
    return spikes


def _made(
    shape: tuple[int, ...],
    time_axis: int,
    dtype: DTypeLike,
    out: SpikeArray | None,
    *,
    n_after: int = 0,
) -> tuple[SpikeArray, SpikeArray]:
    """Return the result and a view of it with time, and ``n_after`` axes behind it, in front.

    ``shape`` is that of the view.
    """
    axis = _axis(time_axis, len(shape) - n_after)
    front = range(1 + n_after)
    moved = [*shape[1 + n_after :]]
    moved[axis:axis] = shape[: 1 + n_after]
    if out is None:
        out = np.empty(moved, np.dtype(dtype))
    elif not isinstance(out, np.ndarray) or out.shape != tuple(moved):
        raise ValueError(f"out must be an array of shape {tuple(moved)}, got {np.shape(out)}")
    if out.dtype.kind not in "fiub":
        raise TypeError(f"Spikes must be of a type of numbers or bool, got {out.dtype}")
    return out, np.moveaxis(out, [axis + k for k in front], list(front))


def _axis(time_axis: int, ndim: int) -> int:
    if isinstance(time_axis, bool) or not isinstance(time_axis, int | np.integer):
        raise TypeError(f"time_axis must be an int, got {time_axis!r}")
    if not -ndim <= time_axis < ndim:
        raise ValueError(f"time_axis must be from {-ndim} to {ndim - 1}, got {time_axis}")
    return int(time_axis) % ndim


def _is_byte(spikes: SpikeArray) -> bool:
    return spikes.dtype in (np.uint8, np.int8)


def _fire_once(times: NDArray[Any], fires: NDArray[np.bool_], spikes: SpikeArray) -> None:
    """Write one spike for each value that fires, at the last timestep if its own is later."""
    spikes[...] = 0
    who = np.nonzero(np.atleast_1d(fires))
    at = np.minimum(np.atleast_1d(times)[who], len(spikes) - 1).astype(np.int64)
    (spikes if fires.ndim else spikes[:, None])[(at, *who)] = 1


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
