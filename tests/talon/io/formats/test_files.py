"""What is written is read, in every format and in any pieces; what cannot be written is refused."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from talon import io
from talon.io.events import EVENT_DTYPE, EventError, Events
from talon.io.formats import (
    FORMATS,
    WRITABLE,
    EventFileWarning,
    EventReader,
    EventWriter,
    convert,
    info,
    read_events,
    write_events,
)
from talon.jit import has_numba

MakeEvents = Callable[..., Events]
CASES = [
    ("nmnist", "e.bin", (34, 34), 2**23),
    ("evt2", "e.raw", (1280, 720), 2**36),
    ("evt3", "e.raw", (1280, 720), 2**28),
    ("dat", "e.dat", (640, 480), 2**34),
    ("aedat2", "e.aedat", (128, 128), 2**34),
    ("aedat2", "e.aedat", (346, 260), 2**34),
    ("aedat3", "e.aedat", (346, 260), 2**34),
    ("h5", "e.h5", (50, 40), 2**40),
]
WITH_KERNELS = pytest.mark.skipif(not has_numba(), reason="the extra [fast] is not installed")


def test_every_format_that_can_be_written_is_tried() -> None:
    assert {case[0] for case in CASES} == set(WRITABLE) <= set(FORMATS)


@pytest.mark.parametrize(("format", "name", "size", "end"), CASES)
@pytest.mark.parametrize("n", [0, 1, 3000])
def test_written_events_are_read(
    format: str,
    name: str,
    size: tuple[int, int],
    end: int,
    n: int,
    tmp_path: Path,
    random_events: MakeEvents,
) -> None:
    events = random_events(n, size, (0, end if n > 1 else 2**20))
    path = tmp_path / name
    with EventWriter(path, format, sensor_size=size) as writer:
        for start in range(0, n, 700):
            writer.write(events[start : start + 700])
        assert not path.exists()
    assert [p.name for p in tmp_path.iterdir()] == [name] and writer.n_events == n
    reader = EventReader(path)
    assert (reader.format, reader.path) == (format, path)
    assert reader.sensor_size == (None if format == "nmnist" else size)
    found = reader.read()
    assert found.dtype == EVENT_DTYPE and np.array_equal(found, events)
    for chunk_bytes in (1, 1000, 10**7):
        chunks = list(EventReader(path, chunk_bytes=chunk_bytes))
        assert all(chunk.size for chunk in chunks)
        assert np.array_equal(np.concatenate([events[:0], *chunks]), events)
    assert chunk_bytes == 10**7 and len(chunks) == (n > 0)


@WITH_KERNELS
@pytest.mark.parametrize(("format", "name", "size", "end"), CASES[1:4])
def test_kernels_read_the_same(
    format: str,
    name: str,
    size: tuple[int, int],
    end: int,
    tmp_path: Path,
    random_events: MakeEvents,
) -> None:
    events = random_events(3000, size, (0, end))
    path = tmp_path / name
    write_events(path, events, format, sensor_size=size)
    assert np.array_equal(read_events(path, fast=True), events)
    chunks = list(EventReader(path, chunk_bytes=1000, fast=True))
    assert len(chunks) > 3 and np.array_equal(np.concatenate(chunks), events)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    steps=st.lists(
        st.sampled_from([0, 1, 63, 4095, 4096, 2**23, 2**24, 2**26, 2**33]), max_size=12
    ),
    cut=st.integers(0, 12),
    format=st.sampled_from(["evt2", "evt3", "aedat3"]),
)
def test_times_survive_any_steps(tmp_path: Path, steps: list[int], cut: int, format: str) -> None:
    events = np.zeros(len(steps), EVENT_DTYPE)
    events["t"] = np.cumsum(steps)
    path = tmp_path / "e.x"
    with EventWriter(path, format) as writer:
        writer.write(events[:cut])
        writer.write(events[cut:])
    assert np.array_equal(read_events(path, None if format == "aedat3" else format), events)


def test_what_a_file_is_shows_in_its_head(tmp_path: Path, random_events: MakeEvents) -> None:
    events = random_events(10, (34, 34), (0, 1000))
    for format, name, size, _ in CASES[1:]:
        path = tmp_path / (Path(name).stem + ".any")
        write_events(path, events, format, sensor_size=size)
        assert EventReader(path).format == format
    write_events(tmp_path / "e.any", events, "nmnist")
    with pytest.raises(EventError, match=r"e\.any begins like no format .* '\.any' names none; na"):
        read_events(tmp_path / "e.any")
    assert np.array_equal(read_events(tmp_path / "e.any", "nmnist"), events)
    with pytest.raises(ValueError, match=r"format must be one of nmnist, .*, got 'evt9'"):
        read_events(tmp_path / "e.any", "evt9")
    with pytest.raises(FileNotFoundError, match=r"Event file not found: .*nowhere\.raw"):
        io.read_events(tmp_path / "nowhere.raw")
    with pytest.raises(ValueError, match="chunk_bytes must be at least 1, got 0"):
        EventReader(tmp_path / "e.any", chunk_bytes=0)


@pytest.mark.parametrize(
    ("head", "format", "size"),
    [
        ("% evt 2.0\n", "evt2", None),
        ("% evt 3.0 \n% width 640\n% height 480\n", "evt3", (640, 480)),
        ("% format EVT2;height=720;width=1280\n% geometry 1x1\n% end\n", "evt2", (1280, 720)),
        ("% evt 3.0\r\n% geometry 320x320\r\n", "evt3", (320, 320)),
        ("% evt 3.0\n% geometry 99999999999x-1\n", "evt3", None),
    ],
)
def test_headers_of_raw_files(
    tmp_path: Path, head: str, format: str, size: tuple[int, int] | None
) -> None:
    path = tmp_path / "e.raw"
    path.write_bytes(head.encode())
    reader = EventReader(path)
    assert (reader.format, reader.sensor_size, reader.read().size) == (format, size, 0)
    assert reader.header.offset == len(head)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "e.raw",
            b"% evt 2.1\n% end\n",
            r"events are encoded as '2\.1', but EVT 2\.0 and EVT 3\.0",
        ),
        ("e.raw", b"% date x\n", r"e\.raw, byte 0: no encoding of events is told.*format='evt2'"),
        ("e.raw", b"% evt 3.0\n% cut", r"byte 10: the header ends in the middle of a line; the fi"),
        ("e.dat", b"% Version 3\n\x00\x08", r"version must be 1 or 2, got '3'; convert it"),
        ("e.dat", b"% Version 2\n\x0e\x08", r"byte 12: events must be of type 0 \(2D\) or 12 \(CD"),
        ("e.dat", b"% Version 2\n\x00\x10", r"got type 0 and 16 bytes; read the file that holds"),
        ("e.aedat", b"#!AER-DAT2.0\r\n", r"no camera is told .*format='aedat2:\.\.\.' with one of"),
        ("e.aedat", b"#!AER-DAT2.0\r\n# AEChip: a.B\r\n", r"the camera 'b' is not known"),
        ("e.aedat", b"#!AER-DAT1.0\r\n", r"is AEDAT 1\.0, and 2\.0, 3\.1 and 4 can be read; conv"),
        ("e.aedat", b"#!AER-DAT3.1\r\n", r"header does not end with #!END-HEADER; it is damaged"),
        (
            "e.aedat",
            b"#!AER-DAT3.1\r\n#Format: Z\r\n#!END-HEADER\r\n",
            r"format must be RAW, got 'Z'",
        ),
        ("e.h5", b"\x89HDF\r\n\x1a\n and so on", r"e\.h5 cannot be read as HDF5: .*copy or record"),
        ("e.h5", b"", r"e\.h5 begins like no format of events"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(EventError, match=message):
        read_events(path)


@pytest.mark.parametrize(
    ("format", "change", "message"),
    [
        ("nmnist", {"t": 2**23}, r"nmnist has t below 8388608, got 8388608; subtract the time of"),
        ("nmnist", {"x": 256}, r"nmnist has x below 256, got 256; crop the events, or write anot"),
        ("nmnist", {"y": 240}, "nmnist has y below 240, got 240"),
        ("evt2", {"x": 2048}, "evt2 has x below 2048"),
        ("evt3", {"y": 2048}, "evt3 has y below 2048"),
        ("evt3", {"t": 2**40}, "evt3 has t below 1099511627776"),
        ("dat", {"p": 2}, r"dat has p below 2, got 2; make it 1 for brighter, 0 for darker"),
        ("dat", {"t": 2**31}, r"dat has a clock of 32 bits, of which a step .* must be below 214"),
        ("aedat3", {"x": 2**15}, "aedat3 has x below 32768"),
    ],
)
def test_events_that_a_format_cannot_hold(
    tmp_path: Path, format: str, change: dict[str, int], message: str
) -> None:
    events = np.zeros(3, EVENT_DTYPE)
    for name, value in change.items():
        events[name][2] = value
    (tmp_path / "e.x").write_bytes(b"what was there")
    with pytest.raises(EventError, match=message):
        write_events(tmp_path / "e.x", events, format)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"what was there"]


def test_writers_refuse_disorder_and_events_outside(tmp_path: Path) -> None:
    events = np.zeros(2, EVENT_DTYPE)
    events["t"] = [5, 4]
    with pytest.raises(EventError, match="events must be sorted by time, but event 1 at 4"):
        write_events(tmp_path / "e.raw", events)
    writer = EventWriter(tmp_path / "e.raw", sensor_size=(2, 3))
    writer.write(events[:1])
    with pytest.raises(EventError, match="must not go back in time: 4 follows 5; sort them first"):
        writer.write(events[1:])
    events["y"] = 3
    with pytest.raises(EventError, match="inside the sensor of 2 x 3, got x up to 0 and y up to 3"):
        writer.write(events[:1])
    writer.close()
    with pytest.raises(EventError, match=r"e\.raw is closed; open another writer"):
        writer.write(events)
    assert len(read_events(tmp_path / "e.raw")) == 1
    with pytest.raises(EventError, match=r"aedat2 needs the sensor size of one of its cameras \(d"):
        write_events(tmp_path / "e.aedat", events, sensor_size=(5, 5))
    with pytest.raises(EventError, match=r"suffix '\.txt' names no format that can be written; na"):
        write_events(tmp_path / "e.txt", events)
    with pytest.raises(ValueError, match=r"format to write must be one of nmnist, .*, got 'dsec'"):
        write_events(tmp_path / "e.h5", events, "dsec")


def test_events_outside_of_the_sensor_are_left_out(tmp_path: Path) -> None:
    events = np.zeros(3, EVENT_DTYPE)
    events["x"] = [1, 2, 0]
    path = tmp_path / "e.dat"
    write_events(path, events)
    path.write_bytes(b"% Width 2\n% Height 9\n" + path.read_bytes())
    with pytest.warns(EventFileWarning, match=r"1 events outside of the sensor of 2 x 9 are left"):
        assert read_events(path)["x"].tolist() == [1, 0]
    with pytest.warns(EventFileWarning):
        assert info(path).n_outside == 1
    write_events(path, events, sensor_size=(3, 9))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_events(path)) == 3


@pytest.mark.parametrize(("format", "name", "size", "end"), CASES[:-1])
def test_a_file_that_ends_in_the_middle_of_a_record_loses_it(
    format: str,
    name: str,
    size: tuple[int, int],
    end: int,
    tmp_path: Path,
    random_events: MakeEvents,
) -> None:
    events = random_events(50, size, (0, end))
    path = tmp_path / name
    write_events(path, events, format, sensor_size=size)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.warns(EventFileWarning, match=rf"{name}: the (last|packet)"):
        assert np.array_equal(read_events(path), events[:-1])
    with pytest.warns(EventFileWarning):
        chunks = list(EventReader(path, chunk_bytes=64))
    assert np.array_equal(np.concatenate(chunks), events[:-1])


def test_prophesee_hdf5(tmp_path: Path, random_events: MakeEvents) -> None:
    events = random_events(2000, (640, 480), (10**9, 10**9 + 10**6))
    table = np.empty(2000, [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    for field in "txyp":
        table[field] = events[field]
    path = tmp_path / "e.hdf5"
    with h5py.File(path, "w") as file:
        file.attrs["geometry"] = "640x480"
        file.create_dataset("CD/events", data=table, chunks=(500,), compression="gzip")
        file["CD/indexes"] = np.zeros(3)
    reader = EventReader(path, chunk_bytes=1300)
    assert (reader.format, reader.sensor_size) == ("prophesee-h5", (640, 480))
    assert np.array_equal(reader.read(), events)
    assert [len(chunk) for chunk in reader] == [100] * 20


def test_hdf5_of_dsec(tmp_path: Path, random_events: MakeEvents) -> None:
    events = random_events(300, (640, 480), (0, 10**6))
    path = tmp_path / "events.h5"
    with h5py.File(path, "w") as file:
        for field, kind in {"t": "u4", "x": "u2", "y": "u2", "p": "u1"}.items():
            file[f"events/{field}"] = events[field].astype(kind)
        file["ms_to_idx"] = np.zeros(5, np.uint64)
        file["t_offset"] = np.int64(41_656_000_000)
    reader = EventReader(path)
    assert (reader.format, reader.sensor_size) == ("dsec", None)
    events["t"] += np.uint64(41_656_000_000)
    assert np.array_equal(reader.read(), events)


def test_hdf5_that_promises_more_than_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "e.h5"
    with h5py.File(path, "w") as file:
        for field in "txyp":
            file.create_dataset(f"events/{field}", shape=(2**50,), dtype="u4", chunks=(1000,))
        file["ms_to_idx"] = [0]
    with pytest.raises(EventError, match=r"events/t tells of 1125899906842624 events, but holds 0"):
        EventReader(path)
    with h5py.File(path, "w") as file:
        for field in "txyp":
            file[f"events/{field}"] = np.zeros(5 - (field == "y"), np.int32) - (field == "x")
        file["ms_to_idx"] = [0]
    with pytest.raises(EventError, match=r"columns must be of one length, got \{'events/t': 5"):
        EventReader(path)
    with h5py.File(path, "a") as file:
        del file["events/y"]
        file["events/y"] = np.zeros(5, np.float32)
    with pytest.raises(EventError, match=r"e\.h5: x must be from 0 to 65535, got -1 to -1; the fi"):
        read_events(path)
    with h5py.File(path, "a") as file:
        del file["events/x"]
        file["events/x"] = np.zeros(5, np.int8)
    with pytest.raises(EventError, match=r"e\.h5: y must be integers, got float32; convert it"):
        read_events(path)


def test_a_filter_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "e.hdf5"
    table = np.zeros(4, [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    with h5py.File(path, "w") as file:
        file.create_dataset("CD/events", data=table, chunks=(4,), compression="gzip")
    monkeypatch.setattr("talon.io.formats.hdf5.ECF", h5py.h5z.FILTER_DEFLATE)
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda number: False)
    with pytest.raises(EventError, match=r"filter ECF \(1\) of HDF5 is missing; .*hdf5_ecf and le"):
        EventReader(path)
    monkeypatch.setattr("talon.io.formats.hdf5.ECF", 0x8ECF)
    with pytest.raises(EventError, match=r"filter 1 of HDF5 is missing; pip install 'talon-snn\[e"):
        EventReader(path)


def test_summary_and_conversion(tmp_path: Path, random_events: MakeEvents) -> None:
    events = random_events(1000, (20, 10), (500, 2**21), seed=3)
    source, target = tmp_path / "a.dat", tmp_path / "b.h5"
    write_events(source, events, sensor_size=(20, 10))
    found = info(source)
    assert (found.n_events, found.sensor_size, found.format) == (1000, (20, 10), "dat")
    assert (found.t_first, found.t_last) == (events["t"][0], events["t"][-1])
    assert found.duration_us == int(events["t"][-1] - events["t"][0])
    assert found.events_per_second == pytest.approx(1000e6 / found.duration_us)
    assert found.share_brighter == np.mean(events["p"]) and found.is_sorted
    assert (found.x_max, found.y_max, found.n_bytes) == (19, 9, source.stat().st_size)
    assert convert(source, target) == 1000
    assert np.array_equal(read_events(target), events)
    assert EventReader(target).sensor_size == (20, 10)
    assert convert(source, tmp_path / "c.raw", "evt2", from_zero=True) == 1000
    assert np.array_equal(read_events(tmp_path / "c.raw")["t"], events["t"] - events["t"][0])
    with pytest.raises(EventError, match="is the file that is read; write another"):
        convert(source, source)
    shuffled = tmp_path / "d.bin"
    write_events(shuffled, events[::-1])
    assert not info(shuffled).is_sorted
    with pytest.raises(EventError, match="must be sorted by time"):
        convert(shuffled, target)
    with pytest.raises(EventError, match=r"has events before its first one, at .*; sort them"):
        convert(shuffled, tmp_path / "e.bin", from_zero=True)
    assert not (tmp_path / "e.bin").exists()
    assert convert(shuffled, target, sort=True, from_zero=True) == 1000
    times = read_events(target)["t"]
    assert np.array_equal(times, events["t"] - events["t"][0])


def test_summary_of_nothing(tmp_path: Path) -> None:
    write_events(tmp_path / "e.raw", np.zeros(0, EVENT_DTYPE))
    found = info(tmp_path / "e.raw")
    assert (found.n_events, found.t_first, found.duration_us) == (0, None, 0)
    assert found.events_per_second is None and found.share_brighter is None
    assert convert(tmp_path / "e.raw", tmp_path / "e.h5", sort=True) == 0


def test_memory_is_that_of_a_chunk(tmp_path: Path, random_events: MakeEvents) -> None:
    events = random_events(1_500_000, (1280, 720), (0, 2**24))
    path = tmp_path / "e.raw"
    write_events(path, events)
    n_bytes, n = path.stat().st_size, 0
    tracemalloc.start()
    try:
        for chunk in EventReader(path, chunk_bytes=n_bytes // 50):
            if n == 0:
                tracemalloc.reset_peak()
            n += len(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert n == 1_500_000 and peak < events.nbytes // 2
