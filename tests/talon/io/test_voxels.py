"""Grids, voxel grids and time surfaces are what their definitions say, event by event."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon.io.events import EVENT_DTYPE, EventError
from talon.io.streaming import BufferedEventReader, EventBuffer, generate_random_events
from talon.io.voxels import events_to_grid, events_to_time_surface, events_to_voxel

some_events = st.lists(
    st.tuples(st.integers(0, 100), st.integers(0, 3), st.integers(0, 2), st.integers(0, 1)),
    max_size=30,
).map(lambda rows: np.array(rows, EVENT_DTYPE))


@given(some_events, st.integers(1, 6))
def test_voxels_share_events_between_bins(events: np.ndarray, n_bins: int) -> None:
    """The kernel of Zhu et al. in time, max(0, 1 - |a|), summed for every bin."""
    expected = np.zeros((n_bins, 3, 4))
    t = events["t"].astype(np.int64)
    for row in events:
        span = int(t.max() - t.min())
        at = (n_bins - 1) * (int(row["t"]) - int(t.min())) / span if span else 0.0
        for k in range(n_bins):
            sign = 1 if row["p"] else -1
            expected[k, row["y"], row["x"]] += sign * max(0.0, 1 - abs(k - at))
    found = events_to_voxel(events, (4, 3), n_bins)
    assert found.dtype == np.float32 and found.shape == (n_bins, 3, 4)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@given(some_events, st.integers(1, 6))
def test_grids_sum_polarities(events: np.ndarray, n_bins: int) -> None:
    expected = np.zeros((n_bins, 3, 4))
    t = events["t"].astype(np.int64)
    for row in events:
        at = (int(row["t"]) - int(t.min())) * n_bins // (int(t.max() - t.min()) + 1)
        expected[at, row["y"], row["x"]] += 1 if row["p"] else -1
    assert np.array_equal(events_to_grid(events, (4, 3), n_bins), expected)


@given(some_events, st.one_of(st.none(), st.integers(-5, 120)))
def test_surfaces_are_of_the_last_event(events: np.ndarray, t_us: int | None) -> None:
    expected = np.zeros((2, 3, 4))
    seen = [row for row in events.tolist() if t_us is None or row[0] <= t_us]
    end = t_us if t_us is not None else max((row[0] for row in seen), default=0)
    for t, x, y, p in seen:
        channel = 0 if p else 1
        recent = math.exp(-(end - t) / 20)
        expected[channel, y, x] = max(expected[channel, y, x], recent)
    found = events_to_time_surface(events, (4, 3), 20, t_us)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_normalized_voxels() -> None:
    events = generate_random_events(2000, (20, 10), 1000, seed=1)
    plain = events_to_voxel(events, (20, 10), 5)
    found = events_to_voxel(events, (20, 10), 5, normalized=True)
    assert np.array_equal(found == 0, plain == 0) or np.count_nonzero(found == 0) < 5
    values = found[plain != 0]
    assert abs(values.mean()) < 1e-5 and abs(values.std() - 1) < 1e-5
    assert not events_to_voxel(events[:0], (20, 10), 5, normalized=True).any()


def test_times_of_any_size() -> None:
    events = np.array([(2**64 - 3, 0, 0, 1), (2**64 - 1, 0, 0, 1)], EVENT_DTYPE)
    assert events_to_voxel(events, (1, 1), 3).ravel().tolist() == [1, 0, 1]
    assert events_to_grid(events, (1, 1), 3).ravel().tolist() == [1, 0, 1]
    surface = events_to_time_surface(events[:1], (1, 1), 2.0, 2**64 - 1)
    assert surface[0, 0, 0] == np.float32(math.exp(-1))


def test_mistakes_are_named() -> None:
    events = np.array([(0, 4, 0, 1)], EVENT_DTYPE)
    for call in (events_to_grid, events_to_voxel):
        with pytest.raises(EventError, match="inside the sensor of 4 x 3, got x up to 4"):
            call(events, (4, 3), 2)
        with pytest.raises(ValueError, match="n_bins must be an int of at least 1, got 0"):
            call(events, (5, 3), 0)
    with pytest.raises(ValueError, match="tau_us must be finite and above 0, got 0"):
        events_to_time_surface(events, (5, 3), 0)


def test_raw_files_in_chunks(tmp_path: Path) -> None:
    events = generate_random_events(1000, (20, 10), 1000, seed=1)
    events.tofile(tmp_path / "e.raw")
    reader = BufferedEventReader(tmp_path / "e.raw", chunk_size=300)
    chunks = list(reader)
    assert [len(chunk) for chunk in chunks] == [300, 300, 300, 100] and len(reader) == 1000
    assert np.array_equal(np.concatenate(chunks), events)
    with (tmp_path / "e.raw").open("ab") as file:
        file.write(b"12345")
    cut = BufferedEventReader(tmp_path / "e.raw", chunk_size=600)
    assert cut.n_trailing == 5
    found = []
    with pytest.raises(EventError, match="has 5 bytes behind its 1000 events of 13; it was cut"):
        found.extend(cut)
    assert np.array_equal(np.concatenate(found), events)
    with pytest.raises(FileNotFoundError, match="Event file not found"):
        BufferedEventReader(tmp_path / "none")
    with pytest.raises(ValueError, match="chunk_size must be at least 1, got 0"):
        BufferedEventReader(tmp_path / "e.raw", 0)


@given(st.lists(st.integers(0, 40), max_size=10), st.integers(1, 20))
def test_buffers_grow(sizes: list[int], capacity: int) -> None:
    events = generate_random_events(sum(sizes), (20, 10), 1000, seed=1)
    buffer = EventBuffer(capacity)
    start = 0
    for size in sizes:
        buffer.append(events[start : start + size])
        start += size
        assert len(buffer) == start and np.array_equal(buffer.events, events[:start])
    assert np.array_equal(buffer.flush(), events) and len(buffer) == 0
    with pytest.raises(ValueError, match="capacity must be at least 1, got 0"):
        EventBuffer(0)
