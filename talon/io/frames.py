"""Events as dense arrays: frames of a camera, rasters of neurons."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.io.events import EventError, Events, check_events


def events_to_frames(
    events: Any,
    sensor_size: tuple[int, int],
    n_frames: int = 1,
    *,
    polarity: bool = True,
) -> NDArray[np.float32]:
    """Return how many events fell on each pixel in each of equal spans of time.

    Parameters
    ----------
    events
        Structured events.
    sensor_size
        Width and height; events outside are an error.
    n_frames
        Number of spans, from the first event to the last.
    polarity
        Whether brighter (channel 0) and darker (channel 1) are counted apart.

    Returns
    -------
    array
        Shape ``(n_frames, 2, height, width)``, or ``(n_frames, height, width)``.
    """
    array = check_events(events)
    width, height = sensor_size
    pixel = _pixels(array, width, height)
    frame = _bins(array, n_frames)
    n_channels = 2 if polarity else 1
    channel = (array["p"] == 0).astype(np.int64) if polarity else 0
    index = (frame * n_channels + channel) * (width * height) + pixel
    size = n_frames * n_channels * width * height
    counts = np.bincount(index, minlength=size).astype(np.float32)
    shape = (n_frames, n_channels, height, width) if polarity else (n_frames, height, width)
    return counts.reshape(shape)


def events_to_raster(
    events: Any, sensor_size: tuple[int, int], n_steps: int, *, polarity: bool = True
) -> NDArray[np.float32]:
    """Return spikes of one neuron a pixel, and polarity, in ``n_steps`` equal spans of time.

    Parameters
    ----------
    events, sensor_size, polarity
        As in :func:`events_to_frames`.
    n_steps
        Timesteps.

    Returns
    -------
    array
        1 where there is an event, shape ``(n_steps, 2 * height * width)`` or
        ``(n_steps, height * width)``; neuron ``(channel * height + y) * width + x``.
    """
    frames = events_to_frames(events, sensor_size, n_steps, polarity=polarity)
    return (frames.reshape(n_steps, -1) > 0).astype(np.float32)


def _pixels(events: Events, width: int, height: int) -> NDArray[np.int64]:
    x, y = events["x"].astype(np.int64), events["y"].astype(np.int64)
    if events.size and (x.max() >= width or y.max() >= height):
        raise EventError(
            f"events must be inside the sensor of {width} x {height}, "
            f"got x up to {x.max()} and y up to {y.max()}"
        )
    return y * width + x


def _bins(events: Events, n: int) -> NDArray[np.int64]:
    """Return the span of time of each event."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"The number of frames must be an int of at least 1, got {n!r}")
    if not events.size:
        return np.zeros(0, np.int64)
    t = events["t"].astype(np.int64)
    start = int(t.min())
    span = int(t.max()) - start + 1
    return (t - start) * n // span
