"""Event files give back what was written, and windows of it; there is never half a file."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from talon.io.events import EVENT_DTYPE, EventError
from talon.io.h5 import (
    COMPACT_H5_CONFIG,
    H5Config,
    H5EventReader,
    H5EventWriter,
    read_h5,
    write_h5,
)
from talon.io.streaming import generate_random_events


@pytest.mark.parametrize("compression", ["gzip", "lzf", None])
def test_written_events_are_read(tmp_path: Path, compression: str | None) -> None:
    events = generate_random_events(1000, (128, 100), 100_000, seed=1)
    path = tmp_path / "events.h5"
    with H5EventWriter(path, compression=compression, sensor_size=(128, 100)) as writer:
        for start in range(0, 1000, 300):
            writer.write(events[start : start + 300])
        assert not path.exists() and writer.n_buffered == 1000
    assert [p.name for p in tmp_path.iterdir()] == ["events.h5"]
    reader = H5EventReader(path, chunk_size=130)
    assert np.array_equal(reader.read_all(), events) and len(reader) == reader.n_events == 1000
    assert np.array_equal(np.concatenate(list(reader)), events)
    assert [len(chunk) for chunk in reader] == [130] * 7 + [90]
    with h5py.File(path) as file:
        attributes = dict(file["events"].attrs)
    assert attributes["format"] == "t1c_events_v1" and attributes["n_events"] == 1000
    assert (attributes["t_start"], attributes["t_end"]) == (events["t"][0], events["t"][-1])
    assert (attributes["sensor_width"], attributes["sensor_height"]) == (128, 100)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    times=st.lists(st.integers(0, 60), max_size=40).map(sorted),
    window=st.tuples(st.integers(0, 70), st.integers(0, 70)).map(sorted),
)
def test_windows_are_half_open(tmp_path: Path, times: list[int], window: list[int]) -> None:
    events = np.zeros(len(times), EVENT_DTYPE)
    events["t"], events["x"] = times, np.arange(len(times))
    write_h5(tmp_path / "e.h5", events)
    found = H5EventReader(tmp_path / "e.h5").read_time_window(*window)
    inside = (events["t"] >= window[0]) & (events["t"] < window[1])
    assert np.array_equal(found, events[inside])


def test_window_of_a_long_file_is_found_by_searching(tmp_path: Path) -> None:
    events = generate_random_events(450_000, (64, 64), 1_000_000, seed=2)
    write_h5(tmp_path / "e.h5", events, compression="lzf")
    found = H5EventReader(tmp_path / "e.h5").read_time_window(700_000, 710_000)
    inside = (events["t"] >= 700_000) & (events["t"] < 710_000)
    assert found.size > 1000 and np.array_equal(found, events[inside])


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "e.h5"
    events = generate_random_events(10, (8, 8), seed=0)
    write_h5(path, events)
    with pytest.raises(EventError, match="must be sorted by time"), H5EventWriter(path) as writer:
        writer.write(events[::-1])
    assert np.array_equal(read_h5(path), events)
    assert [p.name for p in tmp_path.iterdir()] == ["e.h5"]


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    events = generate_random_events(10, (8, 8), seed=0)
    with H5EventWriter(tmp_path / "e.h5", sensor_size=(8, 4)) as writer:
        with pytest.raises(EventError, match=r"inside the sensor of 8 x 4, got x up to"):
            writer.write(events)
        writer.write(events[events["y"] < 4])
        early = events[events["y"] < 4][:1]
        with pytest.raises(EventError, match="must not go back in time"):
            writer.write(early)
        with pytest.raises(EventError, match="fields t, x, y and p, got float64"):
            writer.write(np.zeros(3))
    with pytest.raises(EventError, match="is closed; open another writer"):
        writer.write(events)


def test_other_structured_events_are_converted_if_they_fit(tmp_path: Path) -> None:
    kind = [("t", "<i8"), ("x", "<i4"), ("y", "<i4"), ("p", "<i4")]
    events = np.array([(5, 1, 2, 1), (6, 3, 4, 0)], kind)
    write_h5(tmp_path / "e.h5", events)
    assert read_h5(tmp_path / "e.h5").tolist() == events.tolist()
    events["p"][1] = -1
    with pytest.raises(EventError, match="p must be from 0 to 255, got -1 to 1"):
        write_h5(tmp_path / "e.h5", events)


def test_other_layouts_are_read(tmp_path: Path) -> None:
    events = generate_random_events(50, (8, 8), seed=3)
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["events"] = events
    assert np.array_equal(read_h5(tmp_path / "c.h5", COMPACT_H5_CONFIG), events)
    config = H5Config(events_group="CD/events", timestamp_key="time", polarity_key="on")
    write_h5(tmp_path / "d.h5", events, config)
    assert np.array_equal(H5EventReader(tmp_path / "d.h5", config=config).read_all(), events)
    with h5py.File(tmp_path / "d.h5") as file:
        assert set(file["CD/events"]) == {"time", "x", "y", "on"}


def test_unsorted_files_of_others(tmp_path: Path) -> None:
    events = generate_random_events(500, (8, 8), 10_000, seed=4)
    shuffled = np.random.default_rng(0).permutation(events)
    with h5py.File(tmp_path / "u.h5", "w") as file:
        for name in "txyp":
            file[f"events/{name}"] = shuffled[name]
    assert np.array_equal(read_h5(tmp_path / "u.h5")["t"], events["t"])
    with pytest.raises(EventError, match=r"sorted"):
        H5EventReader(tmp_path / "u.h5").read_time_window(0, 9_999)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"Event file not found: .*none\.h5"):
        read_h5(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no events")
    with pytest.raises(EventError, match=r"text\.h5 cannot be read as HDF5"):
        read_h5(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["events/t"], file["events/x"] = np.zeros(3), np.zeros(2)
    with pytest.raises(EventError, match="has no column 'y' in 'events'"):
        read_h5(tmp_path / "other.h5")
    with h5py.File(tmp_path / "other.h5", "a") as file:
        file["events/y"], file["events/p"] = np.zeros(3), np.zeros(3)
    with pytest.raises(EventError, match=r"columns must be of one length, got \{'t': 3, 'x': 2"):
        read_h5(tmp_path / "other.h5")
    with pytest.raises(EventError, match="has no group 'cd'"):
        read_h5(tmp_path / "other.h5", H5Config(events_group="cd"))


def test_no_events_are_a_file_too(tmp_path: Path) -> None:
    write_h5(tmp_path / "e.h5", np.zeros(0, EVENT_DTYPE))
    assert read_h5(tmp_path / "e.h5").size == 0
    assert H5EventReader(tmp_path / "e.h5").read_time_window(0, 10).size == 0
