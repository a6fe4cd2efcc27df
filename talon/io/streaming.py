"""Events that are made up, for tests and measurements."""

from __future__ import annotations

import numpy as np

from talon.io.events import EVENT_DTYPE, Events

__all__ = ["EVENT_DTYPE", "generate_random_events"]


def generate_random_events(
    n_events: int,
    sensor_size: tuple[int, int] = (640, 480),
    duration_us: int = 1_000_000,
    *,
    seed: int | None = None,
) -> Events:
    """Return events spread evenly over sensor and time, sorted by time.

    Parameters
    ----------
    n_events
        Number of events.
    sensor_size
        Width and height.
    duration_us
        Times are from 0 up to this, exclusive.
    seed
        Makes the result repeatable.
    """
    if n_events < 0:
        raise ValueError(f"n_events must not be negative, got {n_events}")
    width, height = sensor_size
    for name, value, limit in (
        ("width", width, 1 << 16),
        ("height", height, 1 << 16),
        ("duration_us", duration_us, 1 << 63),
    ):
        if not 1 <= value <= limit:
            raise ValueError(f"{name} must be from 1 to {limit}, got {value}")
    rng = np.random.default_rng(seed)
    events = np.empty(n_events, EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(0, duration_us, n_events))
    events["x"] = rng.integers(0, width, n_events)
    events["y"] = rng.integers(0, height, n_events)
    events["p"] = rng.integers(0, 2, n_events)
    return events
