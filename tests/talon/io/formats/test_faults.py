"""No file crashes a reader: it gives events, or an error that names the file."""

from __future__ import annotations

import importlib.util
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from talon.io.events import EVENT_DTYPE, EventError, Events
from talon.io.formats import EventFileWarning, EventReader, read_events, write_events
from talon.io.formats.aedat3 import PACKET

FORMATS = {
    "nmnist": ("e.bin", (34, 34)),
    "evt2": ("e.raw", (1280, 720)),
    "evt3": ("e.raw", (1280, 720)),
    "dat": ("e.dat", (640, 480)),
    "aedat2": ("e.aedat", (346, 260)),
    "aedat3": ("e.aedat", (346, 260)),
}
FIXTURE = Path(__file__).parent / "data" / "dv_346x260.aedat4"
HAS_AEDAT = importlib.util.find_spec("aedat") is not None
RANDOM = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=60,
)


def tried(path: Path) -> Events | None:
    """Return the events of a file however damaged, or None if it is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EventFileWarning)
        try:
            events = read_events(path)
        except EventError as error:
            assert path.name in str(error)
            return None
        chunks = list(EventReader(path, chunk_bytes=200))
        assert np.array_equal(np.concatenate([events[:0], *chunks]), events)
    assert events.dtype == EVENT_DTYPE
    size = EventReader(path).sensor_size
    if size is not None and events.size:
        assert events["x"].max() < size[0] and events["y"].max() < size[1]
    return events


@RANDOM
@given(
    name=st.sampled_from(["e.bin", "e.raw", "e.dat", "e.aedat", "e.h5", "e.any", "e.bs2"]),
    head=st.sampled_from(
        [
            b"",
            b"% evt 3.0\n",
            b"% evt 2.0\n% geometry 9x9\n",
            b"% Version 2\n\x00\x08",
            b"#!AER-DAT2.0\r\n# AEChip: x.DVS128\r\n",
            b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n",
            b"\x89HDF\r\n\x1a\n",
        ]
    ),
    body=st.binary(max_size=200),
)
def test_random_bytes(tmp_path: Path, name: str, head: bytes, body: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(head + body)
    tried(path)


@pytest.mark.parametrize("format", FORMATS)
@RANDOM
@given(data=st.data())
def test_changed_and_cut_files(
    format: str, tmp_path: Path, random_events: Callable[..., Events], data: st.DataObject
) -> None:
    name, size = FORMATS[format]
    path = tmp_path / name
    write_events(path, random_events(40, size, (0, 2**22)), format, sensor_size=size)
    content = bytearray(path.read_bytes())
    changes = st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=8)
    for at, value in data.draw(changes):
        content[at] = value
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    tried(path)


@pytest.mark.parametrize("format", FORMATS)
def test_every_cut(format: str, tmp_path: Path, random_events: Callable[..., Events]) -> None:
    name, size = FORMATS[format]
    path = tmp_path / name
    events = random_events(6, size, (0, 2**22))
    write_events(path, events, format, sensor_size=size)
    content = path.read_bytes()
    begin = EventReader(path).header.offset
    for end in range(max(begin - 30, 0), len(content)):
        path.write_bytes(content[:end])
        found = tried(path)
        if end >= begin:
            assert found is not None and np.array_equal(found, events[: len(found)])


def hdf5_files(path: Path) -> bytes:
    table = np.zeros(40, [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    table["t"] = np.arange(40)
    with h5py.File(path, "w") as file:
        file.attrs["geometry"] = "64x48"
        file.create_dataset("CD/events", data=table, chunks=(16,), compression="gzip")
    return path.read_bytes()


def dsec_files(path: Path) -> bytes:
    with h5py.File(path, "w") as file:
        for field in "txyp":
            file.create_dataset(f"events/{field}", data=np.arange(40) % 2, chunks=(16,))
        file["ms_to_idx"], file["t_offset"] = [0], 5
    return path.read_bytes()


@pytest.mark.parametrize("make", [hdf5_files, dsec_files])
def test_changed_hdf5(make: Callable[[Path], bytes], tmp_path: Path) -> None:
    """Those bytes are changed that are not zero: the file is mostly empty space."""
    path = tmp_path / "e.h5"
    content = make(path)
    rng = np.random.default_rng(0)
    full = np.flatnonzero(np.frombuffer(content, np.uint8))
    for k in range(120):
        changed = bytearray(content)
        for at in rng.choice(full, rng.integers(1, 4)):
            changed[at] = rng.integers(256)
        path.write_bytes(changed if k % 4 else changed[: rng.integers(len(changed))])
        tried(path)


@pytest.mark.skipif(not HAS_AEDAT, reason="aedat, which decodes AEDAT 4, is not installed")
def test_changed_aedat4(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "e.aedat4"
    content = FIXTURE.read_bytes()
    rng = np.random.default_rng(0)
    for k in range(120):
        changed = bytearray(content)
        for at in rng.integers(0, len(content), rng.integers(1, 4)):
            changed[at] = rng.integers(256)
        path.write_bytes(changed if k % 4 else changed[: rng.integers(len(changed))])
        tried(path)
    capfd.readouterr()  # what the package prints when it panics


def aedat3(*packets: tuple[int, int, int, bytes]) -> bytes:
    """Return a file of packets (type, size, number, bytes)."""
    data = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DAVIS346\r\n#!END-HEADER\r\n"
    for kind, size, number, body in packets:
        packet = np.zeros(1, PACKET)
        packet["type"], packet["size"] = kind, size
        packet["number"] = packet["capacity"] = packet["valid"] = number
        packet["overflow"] = 1
        data += packet.tobytes() + body
    return data


def test_packets_of_aedat3(tmp_path: Path) -> None:
    path = tmp_path / "e.aedat"
    event = struct.pack("<II", 345 << 17 | 259 << 2 | 1 << 1 | 1, 7)
    not_valid = struct.pack("<II", 1 << 17, 8)
    frame = (2, 100, 1, bytes(100))
    path.write_bytes(aedat3(frame, (1, 8, 2, not_valid + event), (0, 12, 0, b""), frame))
    assert read_events(path).tolist() == [(2**31 + 7, 345, 259, 1)]


@pytest.mark.parametrize(
    ("packets", "rule"),
    [
        ([(1, -8, 5, b"")], "a packet must not have negative sizes"),
        ([(2, 8, -1, b"")], "a packet must not have negative sizes"),
        ([(1, 16, 1, bytes(16))], "polarity events must have 8 bytes, got 16"),
    ],
)
def test_packets_that_cannot_be(
    tmp_path: Path, packets: list[tuple[int, int, int, bytes]], rule: str
) -> None:
    path = tmp_path / "e.aedat"
    path.write_bytes(aedat3(*packets))
    with pytest.raises(EventError, match=rf"e\.aedat, byte 63: {rule}.*; the file is damaged from"):
        read_events(path)
    content = bytearray(aedat3((1, 8, 1, bytes(8))))
    content[63 + 16] = 2  # room for two events
    path.write_bytes(content)
    with pytest.raises(EventError, match="as full as its capacity of 2 events, got 1"):
        read_events(path)


@pytest.mark.parametrize("kind", [1, 2])
def test_what_a_packet_promises_is_not_allocated(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "e.aedat"
    path.write_bytes(aedat3((kind, 8, 2**31 - 1, struct.pack("<II", 1, 9))))
    with pytest.warns(
        EventFileWarning, match=r"packet at byte 63 ends 17179869168 bytes after the"
    ):
        assert len(read_events(path)) == (kind == 1)


def test_a_long_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.raw"
    path.write_bytes((b"% no end" * 1000 + b"\n") * (1 << 12))
    with pytest.raises(
        EventError, match="the header goes on for more than 16777216 bytes; this is"
    ):
        read_events(path)


def test_data_that_looks_like_a_header(
    tmp_path: Path, random_events: Callable[..., Events]
) -> None:
    """Row 70 of a DAVIS sets the first byte to that of #; times make it no text."""
    events = np.zeros(3, EVENT_DTYPE)
    events["x"], events["y"] = 5, 259 - 0x23 * 4
    path = tmp_path / "e.aedat"
    write_events(path, events, sensor_size=(346, 260))
    content = path.read_bytes().replace(b"#End Of ASCII Header\r\n", b"")
    assert content[-24:-23] == b"#"
    path.write_bytes(content)
    assert np.array_equal(read_events(path), events)
