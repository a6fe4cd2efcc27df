"""Decoders agree with those that others wrote.

Tests of libraries whose licence keeps them out of the developers' set (expelliarmus, tonic: GPL),
and of those that are too large for it, run where these are installed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from talon.io.events import Events
from talon.io.formats import EventReader, read_events, write_events

MakeEvents = Callable[..., Events]
FIXTURE = Path(__file__).parent / "data" / "dv_346x260.aedat4"
PROPHESEE = [("evt2", "e.raw"), ("evt3", "e.raw"), ("dat", "e.dat")]
GPL = "is not installed: its licence, the GPL, keeps it out of the developers' set"


def assert_equal(found: Events, columns: dict[str, np.ndarray]) -> None:
    for name in "txyp":
        assert np.array_equal(found[name], np.asarray(columns[name])), name


def vector_file(path: Path, rng: np.random.Generator) -> None:
    """Write EVT 3.0 with vectors, upper time told again and again."""
    words = []
    for step in range(400):
        high, low = divmod(step * 200, 4096)
        words += [0x8000 | high, 0x6000 | low, rng.integers(0, 700)]
        words += [0x2000 | rng.integers(0, 1280) | rng.integers(2) << 11]
        words += [0x3000 | rng.integers(0, 1200) | rng.integers(2) << 11]
        words += [0x4000 | rng.integers(4096), 0x4000 | rng.integers(4096)]
        words += [0x5000 | rng.integers(256)]
        if step % 7 == 0:
            words.append(0xA001)
    head = b"% evt 3.0\n% format EVT3;height=720;width=1280\n% end\n"
    path.write_bytes(head + np.array(words, "<u2").tobytes())


@pytest.mark.parametrize(
    ("format", "name"), [("evt2", "e.raw"), ("evt3", "e.raw"), ("dat", "e.dat")]
)
def test_faery_reads_what_is_written(
    format: str, name: str, tmp_path: Path, random_events: MakeEvents
) -> None:
    faery = pytest.importorskip("faery")
    events = random_events(20_000, (1280, 720), (0, 2**25))
    write_events(tmp_path / name, events, format, sensor_size=(1280, 720))
    found = faery.events_stream_from_file(tmp_path / name).to_array()
    assert_equal(events, {**{k: found[k] for k in "txy"}, "p": found["on"]})


def test_faery_reads_vectors_alike(tmp_path: Path) -> None:
    faery = pytest.importorskip("faery")
    path = tmp_path / "e.raw"
    vector_file(path, np.random.default_rng(1))
    found = faery.events_stream_from_file(path).to_array()
    assert len(found) > 5000
    assert_equal(read_events(path), {**{k: found[k] for k in "txy"}, "p": found["on"]})


def test_evt3_reads_alike(tmp_path: Path, random_events: MakeEvents) -> None:
    evt3 = pytest.importorskip("evt3", reason="evt3 (MIT) is not a part of the developers' set")
    path = tmp_path / "e.raw"
    vector_file(path, np.random.default_rng(2))
    found = evt3.decode_file(str(path))
    columns = {"t": found.timestamp, "x": found.x, "y": found.y, "p": found.polarity}
    assert_equal(read_events(path), columns)
    # Of a clock that starts again it misses turns in which there are few events.
    events = random_events(20_000, (1280, 720), (0, 2**24))
    write_events(path, events, "evt3", sensor_size=(1280, 720))
    found = evt3.decode_file(str(path))
    columns = {"t": found.timestamp, "x": found.x, "y": found.y, "p": found.polarity}
    assert_equal(events, columns)


@pytest.mark.parametrize(
    ("format", "name"), [("evt2", "e.raw"), ("evt3", "e.raw"), ("dat", "e.dat")]
)
def test_expelliarmus_reads_and_writes_alike(
    format: str, name: str, tmp_path: Path, random_events: MakeEvents
) -> None:
    """Of EVT 3.0 it writes upper times but once, and the first row before them."""
    expelliarmus = pytest.importorskip("expelliarmus", reason=f"expelliarmus {GPL}")
    wizard = expelliarmus.Wizard(encoding=format)
    path = tmp_path / name
    events = random_events(20_000, (1280, 720), (0, 4096 if format == "evt3" else 2**25))
    write_events(path, events, format)
    assert_equal(events, _columns(wizard.read(path)))
    wizard.save(fpath=path, arr=events)
    first = int(format == "evt3")
    assert_equal(read_events(path)[first:], _columns(wizard.read(path)[first:]))


def _columns(found: np.ndarray) -> dict[str, np.ndarray]:
    return {name: found[name] for name in "txyp"}


def test_tonic_reads_nmnist_alike(recordings: list[Path]) -> None:
    tonic_io = pytest.importorskip("tonic.io", reason=f"tonic {GPL}")
    kind = np.dtype([(name, np.int64) for name in "xytp"])
    for path in recordings:
        found = tonic_io.read_mnist_file(str(path), kind)
        assert len(found) > 1000
        assert_equal(read_events(path), _columns(found))


def test_recordings_of_nmnist(recordings: list[Path], tmp_path: Path) -> None:
    """Bytes, one by one: what the data set's page says of a record."""
    for path in recordings:
        events = read_events(path)
        records = [path.read_bytes()[k : k + 5] for k in range(0, 500, 5)]
        for event, (x, y, upper, middle, lower) in zip(events, records, strict=False):
            t = (upper % 128) * 65536 + middle * 256 + lower
            assert event.tolist() == (t, x, y, upper // 128)
        assert events["x"].max() < 34 and events["y"].max() < 34 and len(events) > 1000
        assert 250_000 < events["t"].max() < 330_000
        write_events(tmp_path / "again.bin", events)
        assert (tmp_path / "again.bin").read_bytes() == path.read_bytes()


def test_tonic_reads_a_davis_alike(tmp_path: Path, random_events: MakeEvents) -> None:
    tonic_io = pytest.importorskip("tonic.io", reason=f"tonic {GPL}")
    events = random_events(5000, (346, 260), (0, 2**31))
    path = tmp_path / "e.aedat"
    write_events(path, events, sensor_size=(346, 260))
    _, _, found = tonic_io.read_davis_346(str(path))
    assert_equal(events, _columns(found))


def test_tonic_takes_packets_apart_alike(tmp_path: Path, random_events: MakeEvents) -> None:
    tonic_io = pytest.importorskip("tonic.io", reason=f"tonic {GPL}")
    events = random_events(5000, (346, 260), (0, 2**31))
    path = tmp_path / "e.aedat"
    write_events(path, events, "aedat3", sensor_size=(346, 260))
    offset = EventReader(path).header.offset
    found = tonic_io.get_aer_events_from_file(str(path), 3.1, offset)
    word = found["address"]
    columns = {"x": word >> 17, "y": word >> 2 & 0x7FFF, "p": word >> 1 & 1}
    assert_equal(events, {"t": found["timeStamp"], **columns})


def test_aedat4() -> None:
    """DV-processing 2.0.4 wrote the file: event k at 7 k us, as below."""
    pytest.importorskip("aedat")
    reader = EventReader(FIXTURE)
    assert (reader.format, reader.sensor_size) == ("aedat4", (346, 260))
    k = np.arange(300)
    t = 1_600_000_000_000_000 + 7 * k
    columns = {"t": t, "x": k * 37 % 346, "y": k * 53 % 260, "p": k % 3 == 0}
    assert_equal(reader.read(), columns)
    assert_equal(np.concatenate(list(EventReader(FIXTURE, chunk_bytes=1))), columns)


def test_faery_reads_aedat4_alike() -> None:
    pytest.importorskip("aedat")
    faery = pytest.importorskip("faery")
    found = faery.events_stream_from_file(FIXTURE).to_array()
    assert_equal(read_events(FIXTURE), {**{k: found[k] for k in "txy"}, "p": found["on"]})


def test_columns_packed_by_blosc(tmp_path: Path, random_events: MakeEvents) -> None:
    plugin = pytest.importorskip("hdf5plugin", reason="hdf5plugin is too large for every test run")
    events = random_events(3000, (640, 480), (0, 10**6))
    with h5py.File(tmp_path / "e.h5", "w") as file:
        for name in "txyp":
            packed = plugin.Blosc(cname="zstd", clevel=1, shuffle=plugin.Blosc.SHUFFLE)
            column = events[name].astype("u4")
            file.create_dataset(f"events/{name}", data=column, chunks=(1000,), compression=packed)
        file["ms_to_idx"] = [0]
    assert np.array_equal(read_events(tmp_path / "e.h5"), events)
