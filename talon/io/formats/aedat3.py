"""AEDAT 3.1 of cAER: packets of events behind a header that ends with ``#!END-HEADER``.

All integers are signed and little-endian. A packet has a header of 28 bytes: type and source of its
events (16 bits each), their size, where in them the time is, how often time has overflowed, and how
many events there is room for, are there, and are valid (32 bits each). Polarity events are of type
1: a word with validity in bit 0, polarity in bit 1, row in bits 16-2 and column in bits 31-17, and
31 bits of time in microseconds, which the overflows of the packet's header stand above. Packets of
other types, and events that are not valid, are skipped.

Source: https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-3.1.html
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from talon.io.events import EVENT_DTYPE, Events
from talon.io.formats.common import Header, Inside, Size, check_fits, refusal, warn
from talon.io.formats.headers import header_lines

VERSION = "!AER-DAT3.1"
END = "!END-HEADER"
POLARITY, EVENT_SIZE = 1, 8
PACKET = np.dtype(
    [("type", "<i2"), ("source", "<i2")]
    + [(name, "<i4") for name in ("size", "ts_at", "overflow", "capacity", "number", "valid")]
)
_BLOCK = 1 << 13
"""Events that are decoded at a time."""

SIZES: dict[str, Size] = {
    "DVS128": (128, 128),
    "DAVIS128": (128, 128),
    "DAVIS208": (208, 192),
    "DAVIS240": (240, 180),
    "DAVIS346": (346, 260),
    "DAVIS640": (640, 480),
    "DAVISHet640": (640, 480),
    "DAVIS-RGB": (640, 480),
}
"""Sensor sizes by the beginning of a source's name."""


class Aedat3Source:
    """Events of an AEDAT 3.1 file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines, offset = header_lines(path, b"#", lambda line: line == END)
        if not lines or not lines[0].startswith(VERSION):
            raise refusal(
                path, 0, f"an AEDAT 3.1 file must begin with #{VERSION}", "look what file it is"
            )
        if lines[-1] != END:
            raise refusal(path, offset, f"the header does not end with #{END}", "it is damaged")
        fields = {}
        for line in lines[1:-1]:
            keyword, _, value = line.partition(":")
            fields.setdefault(keyword.strip(), value.strip())
        told = fields.get("Format", "RAW")
        if told != "RAW":
            raise refusal(path, 0, f"the format must be RAW, got {told!r}", "record it as RAW")
        sources = [value for key, value in fields.items() if key.startswith("Source ")]
        sizes = [size for name, size in SIZES.items() if sources and sources[0].startswith(name)]
        self.header = Header(
            format="aedat3",
            offset=offset,
            sensor_size=sizes[0] if sizes else None,
            fields=fields,
        )
        self.inside = Inside(self.header.sensor_size)

    def read(self) -> Events:
        """Return all events."""
        parts = list(self.chunks(1 << 26))
        return np.concatenate(parts) if parts else np.empty(0, EVENT_DTYPE)

    def chunks(self, chunk_bytes: int) -> Iterator[Events]:
        """Give the events of about so many bytes of the file at a time; none is empty."""
        parts: list[Events] = []
        n_read = 0
        for part in self._parts():
            parts.append(part)
            n_read += part.size * EVENT_SIZE
            if n_read >= chunk_bytes:
                yield np.concatenate(parts)
                parts, n_read = [], 0
        if parts:
            yield np.concatenate(parts)

    def _parts(self) -> Iterator[Events]:
        n_bytes = self.path.stat().st_size
        with self.path.open("rb") as file:
            file.seek(self.header.offset)
            while head := file.read(PACKET.itemsize):
                if len(head) < PACKET.itemsize:
                    warn(self.path, f"the last {len(head)} of {n_bytes} bytes are no whole packet")
                    return
                packet = np.frombuffer(head, PACKET)[0]
                start = file.tell()
                self._check(packet, start - PACKET.itemsize)
                length = int(packet["size"]) * int(packet["number"])
                if packet["type"] == POLARITY:
                    yield from self._polarity(file, packet)
                else:
                    file.seek(min(start + length, n_bytes))
                if start + length > n_bytes:
                    warn(
                        self.path,
                        f"the packet at byte {start - PACKET.itemsize} ends "
                        f"{start + length - n_bytes} bytes after the file",
                    )
                    return

    def _check(self, packet: np.void, offset: int) -> None:
        """Raise unless what a packet says of itself is possible."""
        way_out = "the file is damaged from here on, or no AEDAT 3.1"
        size, number, capacity = (int(packet[name]) for name in ("size", "number", "capacity"))
        if size < 0 or number < 0 or packet["overflow"] < 0:
            raise refusal(
                self.path, offset, f"a packet must not have negative sizes: {packet}", way_out
            )
        if capacity != number:
            rule = f"a packet must be as full as its capacity of {capacity} events, got {number}"
            raise refusal(self.path, offset, rule, way_out)
        if packet["type"] == POLARITY and size != EVENT_SIZE:
            rule = f"polarity events must have {EVENT_SIZE} bytes, got {size}"
            raise refusal(self.path, offset, rule, way_out)

    def _polarity(self, file: BinaryIO, packet: np.void) -> Iterator[Events]:
        """Give the events of a packet, of which no more is read than is there."""
        left, base = int(packet["number"]), int(packet["overflow"]) << 31
        while left:
            data = file.read(min(left, _BLOCK) * EVENT_SIZE)
            words = np.frombuffer(data[: len(data) // EVENT_SIZE * EVENT_SIZE], "<u4").reshape(
                -1, 2
            )
            if not words.size:
                return
            left -= len(words)
            word = words[:, 0]
            kept = np.flatnonzero(word & 1)
            word = word.take(kept)
            events = np.empty(len(kept), EVENT_DTYPE)
            events["t"] = (words[:, 1].take(kept) & 0x7FFFFFFF) + np.uint64(base)
            events["x"] = word >> 17
            events["y"] = (word >> 2) & 0x7FFF
            events["p"] = (word >> 1) & 1
            events = self.inside(events)
            if events.size:
                yield events


class Aedat3Encoder:
    """Encoder of AEDAT 3.1: a packet of polarity events for all that comes in one turn of the time.

    Parameters
    ----------
    sensor_size
        That of a source whose name tells it, or None; of other sizes the file tells nothing.
    """

    needs_order = True

    def __init__(self, sensor_size: Size | None) -> None:
        names = [name for name, size in SIZES.items() if size == sensor_size]
        self._source = names[0] if names else "File"

    def begin(self) -> bytes:
        """Return the header."""
        lines = (VERSION, "Format: RAW", f"Source 1: {self._source}", END)
        return "".join(f"#{line}\r\n" for line in lines).encode()

    def encode(self, events: Events) -> bytes:
        """Return the bytes of some events."""
        check_fits("aedat3", events, x=1 << 15, y=1 << 15, t=1 << 62)
        parts = []
        turns = events["t"] >> 31
        cuts = np.flatnonzero(np.diff(turns)) + 1
        for part in np.split(events, cuts):
            packet = np.zeros(1, PACKET)
            packet["type"], packet["source"] = POLARITY, 1
            packet["size"], packet["ts_at"], packet["overflow"] = EVENT_SIZE, 4, part["t"][0] >> 31
            packet["capacity"] = packet["number"] = packet["valid"] = len(part)
            words = np.empty((len(part), 2), "<u4")
            x, y, p = (part[name].astype(np.uint32) for name in "xyp")
            words[:, 0] = x << 17 | y << 2 | p << 1 | 1
            words[:, 1] = part["t"] & 0x7FFFFFFF
            parts += [packet.tobytes(), words.tobytes()]
        return b"".join(parts)
