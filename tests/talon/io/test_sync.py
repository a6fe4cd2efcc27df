"""Sensors on one clock: what is aligned, merged and cut is what was there."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon.io.events import EVENT_DTYPE, EventError
from talon.io.streaming import generate_random_events
from talon.io.sync import (
    SensorClock,
    align_sensors,
    fit_clock,
    merge_events,
    merge_streams,
    sensor_windows,
)

sorted_times = st.lists(st.integers(0, 50), max_size=20).map(sorted)


def events_at(times: list[int]) -> np.ndarray:
    events = np.zeros(len(times), EVENT_DTYPE)
    events["t"], events["x"] = times, np.arange(len(times))
    return events


@given(
    st.lists(st.integers(0, 2**50), min_size=1, max_size=20),
    st.floats(-(2.0**40), 2.0**40),
    st.floats(-500, 500),
)
def test_a_clock_is_undone(times: list[int], offset: float, drift: float) -> None:
    """Reference, sensor and back, to the microsecond that rounding leaves on either side."""
    rate = drift / 1e6
    whole = round(offset)
    said = [t + whole + round(t * rate + (offset - whole)) for t in times]
    clock = SensorClock(offset_us=offset, drift_ppm=drift)
    kept = [(t, s) for t, s in zip(times, said, strict=True) if s >= 0 and t >= 2]
    if not kept:
        return
    found = clock.to_reference(np.array([s for _, s in kept], np.uint64)).astype(np.int64)
    assert np.abs(found - np.array([t for t, _ in kept])).max() <= 1


def test_whole_offsets_are_exact_for_all_times() -> None:
    t = np.array([2**62, 2**62 + 1, 2**63 - 1], np.uint64)
    found = SensorClock(offset_us=5).to_reference(t)
    assert found.tolist() == [2**62 - 5, 2**62 - 4, 2**63 - 6]


@given(st.floats(-1e9, 1e9), st.floats(-300, 300), st.integers(0, 2**32 - 1))
def test_a_clock_is_found_from_pulses(offset: float, drift: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference = np.sort(rng.uniform(0, 6e7, 60))
    noise = rng.normal(0, 2, 60)
    clock, residual = fit_clock(offset + reference * (1 + drift / 1e6) + noise, reference)
    assert abs(clock.offset_us - offset) < 6 and abs(clock.drift_ppm - drift) < 0.2
    assert 1 < residual < 3.5


def test_sensors_with_offset_and_drift_are_aligned() -> None:
    events = generate_random_events(5000, (9, 9), 60_000_000, seed=1)
    late = events.copy()
    late["t"] = np.rint(123_456.5 + events["t"] * (1 + 80e-6)).astype(np.uint64)
    clock = SensorClock(offset_us=123_456.5, drift_ppm=80)
    found = align_sensors({"a": events, "b": late}, {"b": clock})
    assert np.array_equal(found["a"], events)
    difference = found["b"]["t"].astype(np.int64) - events["t"].astype(np.int64)
    assert np.abs(difference).max() <= 1
    assert np.array_equal(found["b"][["x", "y", "p"]], events[["x", "y", "p"]])


@given(st.lists(sorted_times, max_size=4))
def test_merging_keeps_everything_in_order(streams: list[list[int]]) -> None:
    events, of = merge_events([events_at(times) for times in streams])
    expected = sorted((t, k, i) for k, times in enumerate(streams) for i, t in enumerate(times))
    found = zip(events["t"].tolist(), of.tolist(), events["x"].tolist(), strict=True)
    assert list(found) == expected


@given(st.lists(st.tuples(sorted_times, st.integers(1, 7)), max_size=4))
def test_streams_are_merged_as_arrays_are(streams: list[tuple[list[int], int]]) -> None:
    def chunks(times: list[int], size: int):  # type: ignore[no-untyped-def]
        for start in range(0, len(times), size):
            yield events_at(times)[start : start + size]
            yield events_at([])

    parts = list(merge_streams([chunks(*stream) for stream in streams]))
    events = np.concatenate([np.empty(0, EVENT_DTYPE), *(events for events, _ in parts)])
    of = np.concatenate([np.empty(0, np.uint16), *(labels for _, labels in parts)])
    assert np.all(events["t"][1:] >= events["t"][:-1])
    for k, (times, _) in enumerate(streams):
        assert np.array_equal(events[of == k], events_at(times))


def test_merging_holds_one_chunk_of_each() -> None:
    taken = [0, 0]

    def source(k: int):  # type: ignore[no-untyped-def]
        for t in itertools.count(k):
            taken[k] += 1
            yield events_at([2 * t])

    merged = merge_streams([source(0), source(1)])
    for n in range(1, 30):
        next(merged)
        assert max(taken) <= n + 1


def test_windows_are_shared() -> None:
    sources = {"a": [events_at([12, 13, 35])], "b": [events_at([14]), events_at([21, 22])]}
    found = list(sensor_windows(sources, 10, start_us=10))
    times = [{name: w["t"].tolist() for name, w in window.items()} for window in found]
    assert times == [
        {"a": [12, 13], "b": [14]},
        {"a": [], "b": [21, 22]},
        {"a": [35], "b": []},
    ]


def test_mistakes_are_named() -> None:
    with pytest.raises(EventError, match="a begin 7 us before 0 of the reference; give it a clock"):
        align_sensors({"a": events_at([3])}, {"a": SensorClock(offset_us=10)})
    with pytest.raises(EventError, match=r"times below 2\^63 us to be aligned, got 9223372036854"):
        SensorClock().to_reference(np.array([2**63], np.uint64))
    with pytest.raises(ValueError, match=r"Clocks must be of \['a'\], not of \['b'\]"):
        align_sensors({"a": events_at([3])}, {"b": SensorClock()})
    with pytest.raises(ValueError, match="must have finite offset and drift"):
        SensorClock(offset_us=np.nan)
    with pytest.raises(
        ValueError, match=r"drift_ppm must be between -10\^6 and 10\^6, got 1000000.0"
    ):
        SensorClock(drift_ppm=1e6)
    for moments in ([1.0], [3.0, 3.0]):
        with pytest.raises(ValueError, match="fitted to the times of two moments at least"):
            fit_clock(moments, moments)
    with pytest.raises(ValueError, match="There must be 1 labels, got 2"):
        merge_events([events_at([1])], [1, 2])
    with pytest.raises(EventError, match="stream 0 must be sorted by time"):
        merge_events([events_at([1, 0])])
    with pytest.raises(EventError, match="stream 0 must not go back in time: 1 follows 4"):
        list(merge_streams([[events_at([4]), events_at([1])]]))
