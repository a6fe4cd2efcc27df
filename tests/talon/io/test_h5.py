"""Event files give back what was written, and windows of it; there is never half a file."""

import itertools
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

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
    recover_h5,
    write_h5,
)
from talon.io.h5_layout import CHUNK, INDEX
from talon.io.h5_writer import part_of
from talon.io.streaming import generate_random_events


@pytest.mark.parametrize(
    "compression", ["pack", "gzip", "lzf", None, {"compression": "gzip", "fletcher32": True}]
)
def test_written_events_are_read(tmp_path: Path, compression: Any) -> None:
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


any_events = st.lists(
    st.tuples(
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**16 - 1),
        st.integers(0, 2**16 - 1),
        st.integers(0, 255),
    ),
    max_size=60,
).map(lambda rows: np.array(sorted(rows), EVENT_DTYPE))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(events=any_events, cuts=st.lists(st.integers(0, 60), max_size=4), capacity=st.integers(1, 9))
def test_nothing_is_lost(
    tmp_path: Path, events: np.ndarray, cuts: list[int], capacity: int
) -> None:
    """Every value of every type comes back, however the events are cut and buffered."""
    path = tmp_path / "e.h5"
    parts = np.split(events, sorted(cuts))
    with H5EventWriter(path, buffer_capacity=capacity) as writer:
        for part in parts[:-1]:
            writer.write(part)
            writer.flush()
    with H5EventWriter(path, buffer_capacity=capacity, mode="a") as writer:
        writer.write(parts[-1])
    reader = H5EventReader(path)
    assert np.array_equal(reader.read_all(), events)
    columns = reader.read_columns()
    assert all(np.array_equal(columns[name], events[name]) for name in "txyp")
    for t in (*events["t"][:3].tolist(), 0, 2**64 - 1, 2**64):
        assert reader.read_time_window(0, t).size == (events["t"].astype(object) < t).sum()


def test_chunks_of_any_length_are_indexed(tmp_path: Path) -> None:
    """Windows at, before and behind every border of a chunk, with the index and without."""
    events = generate_random_events(3 * CHUNK + 17, (64, 64), 200_000, seed=5)
    events["t"] += 1000
    for name, sizes in {
        "a": [events.size],
        "b": [CHUNK],
        "c": [70_000],
        "d": [999, 100_000],
    }.items():
        with H5EventWriter(tmp_path / name) as writer:
            start = 0
            while start < events.size:
                for size in sizes:
                    writer.write(events[start : start + size])
                    start += size
        with h5py.File(tmp_path / name) as file:
            assert np.array_equal(file[INDEX][:], events["t"][::CHUNK])
        with h5py.File(tmp_path / name, "r+") as file:
            bare = tmp_path / f"{name}.bare"
            with h5py.File(bare, "w") as other:
                file.copy("events", other)
    borders = [1000, *(int(t) for t in events["t"][[CHUNK - 1, CHUNK, -1]])]
    ends = sorted({t + d for t in borders for d in (-1, 0, 1) if t + d >= 0})
    for path in (tmp_path / "a", tmp_path / "b", tmp_path / "c", tmp_path / "d", bare):
        with H5EventReader(path) as reader:
            for t0, t1 in itertools.combinations(ends, 2):
                inside = (events["t"] >= t0) & (events["t"] < t1)
                assert np.array_equal(reader.read_time_window(t0, t1), events[inside])


def test_appending_goes_on_where_the_file_ends(tmp_path: Path) -> None:
    path = tmp_path / "e.h5"
    events = generate_random_events(1000, (20, 10), 1000, seed=6)
    with H5EventWriter(path, mode="a", sensor_size=(20, 10)) as writer:
        writer.write(events[:400])
    with H5EventWriter(path, mode="a") as writer:
        assert writer.n_events_written + writer.n_buffered == 400
        writer.write(events[400:])
    reader = H5EventReader(path)
    assert np.array_equal(reader.read_all(), events) and reader.sensor_size == (20, 10)
    with (
        pytest.raises(EventError, match="must not go back in time"),
        H5EventWriter(path, mode="a") as writer,
    ):
        writer.write(events[:1])
    assert np.array_equal(read_h5(path), events)
    with pytest.raises(ValueError, match="mode must be 'w' or 'a', got 'r'"):
        H5EventWriter(path, mode="r")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="compression must be 'pack', 'gzip', 'lzf', None or"):
        H5EventWriter(path, compression="zip")


KILLED = """
import os, signal, sys
from talon.io.h5 import H5EventWriter
from talon.io.streaming import generate_random_events
events = generate_random_events(500_000, (64, 64), 1_000_000, seed=9)
writer = H5EventWriter(sys.argv[1], sensor_size=(64, 64), mode=sys.argv[2])
if sys.argv[2] == "a":
    events["t"] += 10_000_000
for start in range(0, 450_000, 1000):
    writer.write(events[start : start + 1000])
print(writer.n_events_written, flush=True)
if sys.argv[3] == "wait":
    sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(path: Path, mode: str) -> int:
    """Run a writer that is killed; return how many events it had written."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), mode, "now"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return int(done.stdout)


def test_a_writer_that_is_killed_leaves_its_part(tmp_path: Path) -> None:
    path = tmp_path / "e.h5"
    events = generate_random_events(500_000, (64, 64), 1_000_000, seed=9)
    n = killed(path, "w")
    assert 300_000 < n <= 450_000 and not path.exists()
    with pytest.raises(EventError, match=r"of a writer that was killed; talon\.io\.h5\.recover"):
        H5EventWriter(path)
    assert recover_h5(path) == n
    assert np.array_equal(read_h5(path), events[:n])
    assert [p.name for p in tmp_path.iterdir()] == ["e.h5"]
    later = killed(path, "a")
    assert np.array_equal(read_h5(path), events[:n])  # the old file is as it was
    assert recover_h5(path) == later > n
    found = H5EventReader(path)
    assert np.array_equal(found.read_all()[:n], events[:n]) and found.sensor_size == (64, 64)
    assert found.read_time_window(10_000_000, 20_000_000).size == later - n
    with pytest.raises(FileNotFoundError, match="No part of a killed writer beside"):
        recover_h5(path)


def test_what_is_written_can_be_read_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "e.h5"
    events = generate_random_events(500_000, (64, 64), 1_000_000, seed=9)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path), "w", "wait"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdin is not None and writer.stdout is not None
        n = int(writer.stdout.readline())
        assert np.array_equal(H5EventReader(part_of(path)).read_all(), events[:n])
        for call in (H5EventWriter, recover_h5):
            with pytest.raises(EventError, match="is written to by another writer; wait"):
                call(path)
        assert np.array_equal(H5EventReader(part_of(path)).read_all(), events[:n])
        writer.stdin.close()
    assert recover_h5(path) == n


def test_a_part_that_cannot_be_read_stays(tmp_path: Path) -> None:
    part = part_of(tmp_path / "e.h5")
    part.write_bytes(b"nothing")
    with pytest.raises(EventError, match="cannot be read as HDF5"):
        recover_h5(tmp_path / "e.h5")
    assert part.read_bytes() == b"nothing"


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Two million events are written and read through with a few megabytes."""
    path = tmp_path / "e.h5"
    events = generate_random_events(100_000, (64, 64), 1000, seed=1)
    write_h5(path, events)
    assert len(list(H5EventReader(path))) == 2  # everything is imported
    tracemalloc.start()
    with H5EventWriter(path) as writer:
        for _ in range(20):
            writer.write(events)
            events["t"] += 1000
    count = sum(chunk.size for chunk in H5EventReader(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 2_000_000
    assert peak < 8 * 2**20  # all events are 26 MB


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
        assert set(file) == {"CD", INDEX}
        assert set(file["CD/events"]) == {"time", "x", "y", "on"}


LZ4 = """
import sys
from talon.io.h5 import H5EventReader, write_h5
from talon.io.streaming import generate_random_events
path, what = sys.argv[1:]
if what == "write":
    import hdf5plugin
    events = generate_random_events(1000, (64, 64), seed=9)
    write_h5(path, events, compression=hdf5plugin.Bitshuffle())
else:
    if what == "without":
        sys.modules["hdf5plugin"] = None
    print(len(H5EventReader(path).read_all()))
"""


def test_filters_of_hdf5plugin(tmp_path: Path) -> None:
    """They are loaded where a file needs them; where they are missing, it says how to get them."""
    pytest.importorskip("hdf5plugin")
    found = {
        what: subprocess.run(
            [sys.executable, "-c", LZ4, str(tmp_path / "e.h5"), what],
            capture_output=True,
            text=True,
            check=False,
        )
        for what in ("write", "with", "without")
    }
    assert found["with"].stdout == "1000\n", found["write"].stderr + found["with"].stderr
    assert "has not: pip install 'talon-snn[events]'" in found["without"].stderr


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
    for name in "txyp":
        values = np.array([1, 2, -1])
        with h5py.File(tmp_path / "below.h5", "w") as file:
            for other in "txyp":
                file[f"events/{other}"] = values if other == name else np.zeros(3, int)
        with pytest.raises(EventError, match=f"Column {name} must be from 0 to"):
            read_h5(tmp_path / "below.h5")
    with h5py.File(tmp_path / "real.h5", "w") as file:
        for name in "txyp":
            file[f"events/{name}"] = np.zeros(3)
    with pytest.raises(EventError, match="column 't' must hold whole numbers, got float64"):
        read_h5(tmp_path / "real.h5")
    with pytest.raises(EventError, match="has no group 'cd'"):
        read_h5(tmp_path / "other.h5", H5Config(events_group="cd"))


def test_no_events_are_a_file_too(tmp_path: Path) -> None:
    write_h5(tmp_path / "e.h5", np.zeros(0, EVENT_DTYPE))
    assert read_h5(tmp_path / "e.h5").size == 0
    assert H5EventReader(tmp_path / "e.h5").read_time_window(0, 10).size == 0
