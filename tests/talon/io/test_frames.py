"""Frames and rasters count every event once; rates are of real work."""

import numpy as np
import pytest

from talon import io
from talon.io.events import EVENT_DTYPE, EventError
from talon.io.frames import events_to_frames, events_to_raster
from talon.io.streaming import generate_random_events
from talon.io.throughput import benchmark_throughput


def test_frames_count_every_event() -> None:
    events = generate_random_events(2000, (7, 5), 10_000, seed=0)
    frames = events_to_frames(events, (7, 5), 4)
    assert frames.shape == (4, 2, 5, 7) and frames.sum() == 2000
    t0, span = int(events["t"][0]), int(events["t"][-1] - events["t"][0]) + 1
    slow = np.zeros_like(frames)
    for t, x, y, p in events.tolist():
        slow[(t - t0) * 4 // span, 0 if p else 1, y, x] += 1
    assert np.array_equal(frames, slow)
    both = events_to_frames(events, (7, 5), 4, polarity=False)
    assert np.array_equal(both, frames.sum(axis=1))
    raster = events_to_raster(events, (7, 5), 4)
    assert np.array_equal(raster, (frames > 0).reshape(4, 70))


def test_edges() -> None:
    nothing = np.zeros(0, EVENT_DTYPE)
    assert events_to_frames(nothing, (3, 2), 2).sum() == 0
    late = np.array([(2**63 - 1, 0, 0, 1)], EVENT_DTYPE)
    assert events_to_frames(late, (3, 2), 5)[0].sum() == 1
    with pytest.raises(EventError, match="inside the sensor of 3 x 2, got x up to 3"):
        events_to_frames(np.array([(0, 3, 0, 1)], EVENT_DTYPE), (3, 2))
    with pytest.raises(ValueError, match="an int of at least 1, got 0"):
        events_to_frames(nothing, (3, 2), 0)


def test_random_events_are_sorted_and_repeatable() -> None:
    one, two = (generate_random_events(100, (9, 9), 50, seed=7) for _ in range(2))
    assert np.array_equal(one, two) and (np.diff(one["t"].astype(int)) >= 0).all()
    assert one["t"].max() < 50 and set(np.unique(one["p"])) == {0, 1}
    with pytest.raises(ValueError, match="width must be from 1 to 65536, got 0"):
        generate_random_events(3, (0, 9))


def test_rates_are_of_work_on_every_event() -> None:
    found = benchmark_throughput(n_events=20_000, sensor_size=(64, 48), include_encoding=True)
    # Nothing reads and bins an event in less than a few tenths of a nanosecond.
    assert 1e4 < found.events_per_sec < 3e9
    assert found.encoding_fps is not None and found.event_fps > 0 and found.rgb_fps > 0
    assert "events/s" in found.summary() and not found.encoding_skipped
    assert benchmark_throughput(1000, (8, 8)).encoding_skipped
    with pytest.raises(ValueError, match="n_events must be at least 1, got 0"):
        benchmark_throughput(0)


def test_names_of_the_room() -> None:
    for name in io.__all__:
        assert getattr(io, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        io.nothing  # noqa: B018
