"""Events as tensors for learning: grids, voxel grids and time surfaces."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.io.events import EventError, Events, check_events


def events_to_grid(events: Any, sensor_size: tuple[int, int], n_bins: int) -> NDArray[np.float32]:
    """Return the sum of polarities on each pixel in each of equal spans of time.

    Parameters
    ----------
    events
        Structured events; a polarity of 0 counts as -1, another as 1.
    sensor_size
        Width and height; events outside are an error.
    n_bins
        Number of spans, from the first event to the last.

    Returns
    -------
    array
        Shape ``(n_bins, height, width)``.
    """
    array = check_events(events)
    place, sign, time = _parts(array, sensor_size, n_bins)
    n_pixels = sensor_size[0] * sensor_size[1]
    # As in events_to_frames: the span of the last event is the last one, not one more.
    span = int(time.max(initial=0)) + 1
    index = (time * n_bins // span) * n_pixels + place
    return _summed(index, sign, n_bins, sensor_size)


def events_to_voxel(
    events: Any, sensor_size: tuple[int, int], n_bins: int, *, normalized: bool = False
) -> NDArray[np.float32]:
    """Return a voxel grid: polarities shared between the two bins that are nearest in time.

    This is the discretized event volume of Zhu et al., Unsupervised Event-based Learning of Optical
    Flow, Depth, and Egomotion (CVPR 2019), equations 1 to 3: an event at ``t`` is at
    ``(n_bins - 1) (t - t_first) / (t_last - t_first)`` on the axis of bins, and gives its polarity
    to both bins beside it, by their nearness.

    Parameters
    ----------
    events
        Structured events, in any order; a polarity of 0 counts as -1, another as 1.
    sensor_size
        Width and height; events outside are an error.
    n_bins
        Number of bins.
    normalized
        Scale what is not zero to a mean of 0 and a deviation of 1, as Rebecq et al. do (High Speed
        and High Dynamic Range Video with an Event Camera, 2019).

    Returns
    -------
    array
        Shape ``(n_bins, height, width)``.
    """
    array = check_events(events)
    place, sign, time = _parts(array, sensor_size, n_bins)
    n_pixels = sensor_size[0] * sensor_size[1]
    position = time * ((n_bins - 1) / max(int(time.max(initial=0)), 1))
    lower = np.minimum(np.floor(position).astype(np.int64), max(n_bins - 2, 0))
    share = position - lower
    voxels = np.zeros((n_bins, sensor_size[1], sensor_size[0]), np.float32)
    for step, weight in ((0, 1 - share), (1, share)):
        if lower.size and step < n_bins:
            index = (lower + step) * n_pixels + place
            voxels += _summed(index, sign * weight, n_bins, sensor_size)
    if normalized:
        _normalize(voxels)
    return voxels


def events_to_time_surface(
    events: Any,
    sensor_size: tuple[int, int],
    tau_us: float,
    t_us: int | None = None,
) -> NDArray[np.float32]:
    """Return how recent the last event of each pixel and polarity is: ``exp(-(t - t_last) / tau)``.

    This is the exponential time surface of Lagorce et al., HOTS: A Hierarchy of Event-Based Time
    Surfaces for Pattern Recognition (2017).

    Parameters
    ----------
    events
        Structured events, in any order.
    sensor_size
        Width and height; events outside are an error.
    tau_us
        Microseconds in which a pixel falls by a factor of e.
    t_us
        When it is looked at; later events do not count. By default at the last event.

    Returns
    -------
    array
        Shape ``(2, height, width)``, brighter first; 0 where there was no event.
    """
    if not (np.isfinite(tau_us) and tau_us > 0):
        raise ValueError(f"tau_us must be finite and above 0, got {tau_us}")
    array = check_events(events)
    if t_us is not None:
        array = array[array["t"] <= np.uint64(max(t_us, 0))] if t_us >= 0 else array[:0]
    place, sign, _ = _parts(array, sensor_size, 1)
    width, height = sensor_size
    surface = np.zeros((2, height, width), np.float32)
    if not array.size:
        return surface
    end = int(array["t"].max()) if t_us is None else t_us
    age = (np.uint64(end) - array["t"]).astype(np.float64)
    channel = (sign < 0) * (width * height)
    # The largest of a pixel is that of its last event.
    np.maximum.at(surface.reshape(-1), channel + place, np.exp(-age / tau_us).astype(np.float32))
    return surface


def _parts(
    events: Events, sensor_size: tuple[int, int], n_bins: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Return pixel, sign of the polarity, and time after the first event, of each event."""
    if isinstance(n_bins, bool) or not isinstance(n_bins, int | np.integer) or n_bins < 1:
        raise ValueError(f"n_bins must be an int of at least 1, got {n_bins!r}")
    width, height = sensor_size
    x, y = events["x"].astype(np.int64), events["y"].astype(np.int64)
    if events.size and (x.max() >= width or y.max() >= height):
        raise EventError(
            f"events must be inside the sensor of {width} x {height}, "
            f"got x up to {x.max()} and y up to {y.max()}"
        )
    t = events["t"]
    time = (t - t.min()).astype(np.int64) if t.size else np.zeros(0, np.int64)
    return y * width + x, np.where(events["p"] == 0, -1.0, 1.0), time


def _summed(
    index: NDArray[np.int64], weight: NDArray[np.float64], n_bins: int, size: tuple[int, int]
) -> NDArray[np.float32]:
    width, height = size
    sums = np.bincount(index, weights=weight, minlength=n_bins * width * height)
    return sums.astype(np.float32).reshape(n_bins, height, width)


def _normalize(voxels: NDArray[np.float32]) -> None:
    at = np.nonzero(voxels)
    values = voxels[at]
    if values.size:
        deviation = float(values.std(dtype=np.float64))
        voxels[at] = (values - values.mean(dtype=np.float64)) / (deviation or 1.0)
