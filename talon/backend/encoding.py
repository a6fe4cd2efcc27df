"""From images and address events to rasters."""

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from talon.backend.errors import InputError
from talon.ir.types import Dims, FloatArray

Encoding: TypeAlias = Literal["hold", "rate", "latency"]
ENCODINGS: tuple[Encoding, ...] = ("hold", "rate", "latency")
MAX_STEPS = 1 << 20
"""Largest number of timesteps of a run: a slip or a damaged event must not ask for all memory."""
MAX_VALUES = 1 << 30
"""Largest number of values in a raster that is made of events."""


def encode(
    images: FloatArray, n_steps: int, encoding: Encoding, *, seed: int = 0, name: str = "input"
) -> FloatArray:
    """Turn images ``(n_samples, *shape)`` into ``(n_steps, n_samples, *shape)``.

    Parameters
    ----------
    images
        For ``"rate"`` and ``"latency"`` values from 0 to 1.
    n_steps
        Number of timesteps.
    encoding
        ``"hold"`` repeats the values; ``"rate"`` fires in each timestep with the value as its
        probability; ``"latency"`` fires once, the earlier the larger the value, never for 0.
    seed
        Seed of ``"rate"``.
    name
        Name of the input in messages.
    """
    full = (n_steps, *images.shape)
    if encoding == "hold":
        return np.broadcast_to(images, full)
    if images.size and (images.min() < 0 or images.max() > 1):
        raise InputError(
            f"Input {name!r}: {encoding} encoding takes values from 0 to 1, "
            f"got {images.min():g} to {images.max():g}"
        )
    if encoding == "rate":
        draws = np.random.default_rng(seed).random(full, dtype=np.float32)
        return (draws < images).astype(np.float32)
    first = np.rint((1 - images) * (n_steps - 1))
    steps = np.arange(n_steps).reshape(-1, *(1,) * images.ndim)
    return ((steps == first) & (images > 0)).astype(np.float32)


def events_to_raster(
    events: NDArray[Any], shape: Dims, *, n_steps: int | None = None, name: str = "input"
) -> FloatArray:
    """Count address events in a raster ``(n_steps, n_samples, *shape)``.

    Parameters
    ----------
    events
        Integers ``(n_events, 2)`` of timestep and flat neuron index, or ``(n_events, 3)`` with the
        index of the sample. Events may come in any order; equal ones add up.
    shape
        Feature shape of the input.
    n_steps
        Number of timesteps, one more than the last event's if nothing is said.
    name
        Name of the input in messages.
    """
    who = f"Input {name!r}"
    if events.ndim != 2 or events.shape[1] not in (2, 3) or events.dtype.kind not in "iu":
        raise InputError(
            f"{who} takes events as integers of shape (n_events, 2) or (n_events, 3), "
            f"got {events.dtype} of shape {events.shape}"
        )
    steps, neurons = events[:, 0], events[:, 1]
    samples = events[:, 2] if events.shape[1] == 3 else np.zeros_like(steps)
    n_neurons = int(np.prod(shape))
    if n_steps is None:
        n_steps = int(steps.max(initial=0)) + 1
    _check_range(who, "timestep", steps, min(n_steps, MAX_STEPS))
    _check_range(who, "neuron", neurons, n_neurons)
    _check_range(who, "sample", samples, MAX_STEPS)
    n_samples = int(samples.max(initial=0)) + 1
    if n_steps * n_samples * n_neurons > MAX_VALUES:
        raise InputError(
            f"{who}: {n_steps} timesteps of {n_samples} samples of {n_neurons} neurons are more "
            f"than the {MAX_VALUES} values of a raster; is an event damaged?"
        )
    raster = np.zeros((n_steps, n_samples, n_neurons), np.float32)
    np.add.at(raster, (steps, samples, neurons), 1)
    return raster.reshape(n_steps, n_samples, *shape)


def _check_range(who: str, what: str, values: NDArray[Any], n_values: int) -> None:
    outside = np.flatnonzero((values < 0) | (values >= n_values))
    if outside.size:
        raise InputError(
            f"{who}: event {outside[0]} has {what} {values[outside[0]]}, "
            f"which must be from 0 to {n_values - 1}"
        )
