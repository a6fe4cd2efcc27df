"""AEDAT 4 of DV: packets of FlatBuffers, compressed or not, decoded by the package ``aedat``.

The events of the first stream of events are read; frames, IMU samples and triggers are skipped.
What the package does not survive is found before it sees the file: a text that is no UTF-8 ends the
process, and so do sizes that it allocates.

Source: https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-4.0.html
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from talon.io.events import EVENT_DTYPE, EventError, Events
from talon.io.formats.common import Header, Inside, refusal

VERSION = "!AER-DAT4.0"


class Aedat4Source:
    """Events of an AEDAT 4 file.

    Raises
    ------
    EventError
        The package ``aedat`` is not installed, or cannot read the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _check_frame(path)
        with self._told():
            streams: dict[int, dict[str, Any]] = self._decoder().id_to_stream()
        found = [(number, s) for number, s in sorted(streams.items()) if s["type"] == "events"]
        if not found:
            kinds = ", ".join(sorted({s["type"] for s in streams.values()})) or "nothing"
            raise EventError(
                f"{path} has no stream of events, but {kinds}; record events in DV, or choose "
                "another file"
            )
        self._stream, stream = found[0]
        fields = {f"stream {number}": str(s["type"]) for number, s in sorted(streams.items())}
        size = (int(stream["width"]), int(stream["height"]))
        self.header = Header(format="aedat4", sensor_size=size, fields=fields)
        self.inside = Inside(size)

    def read(self) -> Events:
        """Return all events."""
        parts = list(self.chunks(1 << 26))
        return np.concatenate(parts) if parts else np.empty(0, EVENT_DTYPE)

    def chunks(self, chunk_bytes: int) -> Iterator[Events]:
        """Give events of about so many bytes at a time; none is empty."""
        parts: list[Events] = []
        n_bytes = 0
        for part in self._parts():
            parts.append(part)
            n_bytes += part.nbytes
            if n_bytes >= chunk_bytes:
                yield np.concatenate(parts)
                parts, n_bytes = [], 0
        if parts:
            yield np.concatenate(parts)

    def _parts(self) -> Iterator[Events]:
        with self._told():
            packets = iter(self._decoder())
        while True:
            with self._told():
                packet = next(packets, None)
            if packet is None:
                return
            if packet["stream_id"] == self._stream and len(packet["events"]):
                told = packet["events"]
                events = np.empty(len(told), EVENT_DTYPE)
                for name, source in zip("txyp", ("t", "x", "y", "on"), strict=True):
                    events[name] = told[source]
                events = self.inside(events)
                if events.size:
                    yield events

    def _decoder(self) -> Any:
        try:
            aedat = importlib.import_module("aedat")
        except ImportError:
            raise EventError(
                f"{self.path} is AEDAT 4, which the package aedat decodes: "
                "pip install 'talon-snn[events]'"
            ) from None
        return aedat.Decoder(str(self.path))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Name the file in what the package finds wrong with it."""
        try:
            yield
        except EventError:
            raise
        except BaseException as error:
            # Damaged files make it panic, too, and a panic of Rust is no Exception.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise EventError(
                f"{self.path} cannot be read as AEDAT 4: {error}; the file is cut or damaged: copy "
                "or record it again"
            ) from error


def _check_frame(path: Path) -> None:
    """Raise unless the header is text, and it and each packet end inside of the file."""
    n_bytes = path.stat().st_size
    with path.open("rb") as file:
        start = len(file.readline(64))
        (length,) = _unpacked(path, "<I", start, file.read(4))
        _check_end(path, "the header", start, start + 4 + length, n_bytes)
        header = _FlatTable(path, start + 4, file.read(length))
        position = header.field(1)
        end = n_bytes if position is None else header.unpacked("<q", position)
        end = n_bytes if end < 0 else end
        text = header.field(2)
        if text is not None:
            header.text(text)
        at = start + 4 + length
        _check_end(path, "the last packet", start, end, n_bytes)
        while at < end:
            file.seek(at)
            _, length = _unpacked(path, "<II", at, file.read(8))
            _check_end(path, "a packet", at, at + 8 + length, end)
            at += 8 + length


class _FlatTable:
    """The root table of a FlatBuffer.

    Parameters
    ----------
    path, start
        The file, and the byte of it at which the buffer begins.
    data
        The buffer.
    """

    def __init__(self, path: Path, start: int, data: bytes) -> None:
        self._path, self._start, self._data = path, start, data
        self._table = self.unpacked("<I", 0)
        self._fields = self._table - self.unpacked("<i", self._table)
        self._length = self.unpacked("<H", self._fields)

    def unpacked(self, form: str, at: int) -> int:
        """Return the number at a byte of the buffer."""
        part = self._data[at : at + struct.calcsize(form)] if at >= 0 else b""
        return _unpacked(self._path, form, self._start + at, part)[0]

    def field(self, number: int) -> int | None:
        """Return the byte at which a field is, or None if it is not there."""
        entry = 4 + 2 * number
        if entry + 2 > self._length:
            return None
        offset = self.unpacked("<H", self._fields + entry)
        return self._table + offset if offset else None

    def text(self, at: int) -> str:
        """Return the text of a field."""
        place = at + self.unpacked("<I", at)
        length = self.unpacked("<I", place)
        try:
            return self._data[place + 4 : place + 4 + length].decode()
        except UnicodeDecodeError:
            raise _damaged(self._path, self._start + place, "the header is no text") from None


def _unpacked(path: Path, form: str, at: int, data: bytes) -> tuple[int, ...]:
    if len(data) != struct.calcsize(form):
        raise _damaged(path, at, "the file ends, or points behind its header")
    return struct.unpack(form, data)


def _check_end(path: Path, what: str, start: int, stop: int, end: int) -> None:
    if stop > end:
        raise _damaged(path, start, f"{what} ends at byte {stop}, after byte {end}")


def _damaged(path: Path, at: int, rule: str) -> EventError:
    return refusal(path, at, rule, "the file is cut or damaged: copy or record it again")
