"""AEDAT 2.0 of jAER: records of 8 bytes, big-endian: an address, and the time in microseconds.

What an address means is the camera's matter, which the header tells (``# AEChip: ...``):

=========  ====================================================================================
DVS128     bit 15 (or 31) an external event; row in bits 14-8, column in 7-1; polarity in bit 0,
           where **0 is brighter**
DAVIS      bit 31 a sample of a frame or of the IMU; row in bits 30-22, column in 21-12, polarity
           in bit 11 (1: brighter), bit 10 an external event
=========  ====================================================================================

External events and samples are skipped. jAER counts rows from the bottom and both cameras count
columns from the right; here (0, 0) is the upper left corner, as in all other formats. Time starts
again after 2^32 us. iniVation's page says that 1 is brighter in the DVS128 too; jAER, which writes
these files, and libcaer have it the other way, and so has this decoder.

Sources: https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-2.0.html;
``DVS128``, ``DavisChip`` and ``DavisBaseCamera`` of https://github.com/SensorsINI/jaer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talon.io.events import EventError, Events
from talon.io.formats.common import (
    Bytes,
    Header,
    Size,
    check_fits,
    check_steps,
    refusal,
    unwrapped,
)
from talon.io.formats.headers import header_lines

VERSION = "!AER-DAT2.0"
_END = "End Of ASCII Header"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where in an address the fields are.

    Parameters
    ----------
    other
        Bits of which one is set in what is no event of a pixel.
    x, y, p
        Lowest bit of column, row and polarity.
    bits_x, bits_y
        Bits of column and row.
    brighter
        Polarity of what got brighter.
    """

    other: int
    x: int
    bits_x: int
    y: int
    bits_y: int
    p: int
    brighter: int


_DVS = Layout(other=1 << 31 | 1 << 15, x=1, bits_x=7, y=8, bits_y=7, p=0, brighter=0)
_DAVIS = Layout(other=1 << 31 | 1 << 10, x=12, bits_x=10, y=22, bits_y=9, p=11, brighter=1)

CAMERAS: dict[str, tuple[Layout, Size]] = {
    "dvs128": (_DVS, (128, 128)),
    "davis128": (_DAVIS, (128, 128)),
    "davis208": (_DAVIS, (208, 192)),
    "davis240": (_DAVIS, (240, 180)),
    "davis346": (_DAVIS, (346, 260)),
    "davis640": (_DAVIS, (640, 480)),
}
"""Layout and size of each camera."""

_CHIPS = {
    "dvs128": "ch.unizh.ini.jaer.chip.retina.DVS128",
    **{name: f"eu.seebetter.ini.chips.davis.D{name[1:]}" for name in list(CAMERAS)[1:]},
}


def aedat2_header(path: Path, camera: str | None) -> tuple[Header, str]:
    """Return the header, and the camera: the one given, or what the file says.

    Raises
    ------
    EventError
        The file does not say which camera it is from.
    """
    lines, offset = header_lines(path, b"#", lambda line: line == _END)
    if not lines or not lines[0].startswith(VERSION):
        raise refusal(
            path, 0, f"an AEDAT 2.0 file must begin with #{VERSION}", "look what file it is"
        )
    fields = {}
    for line in lines[1:]:
        keyword, colon, value = line.partition(":")
        if colon and " " not in keyword and not line.startswith("<"):
            fields.setdefault(keyword, value.strip())
    if camera is None:
        chip = fields.get("AEChip", "").rpartition(".")[2].lower()
        known = [name for name in CAMERAS if chip.startswith(name)]
        if not known and chip.startswith("davisrgbw640"):
            known = ["davis640"]
        if not known:
            what = f"the camera {chip!r} is not known" if chip else "no camera is told"
            raise refusal(
                path,
                0,
                f"{what} (the header line AEChip)",
                f"name it: format='aedat2:...' with one of {', '.join(CAMERAS)}",
            )
        camera = known[0]
    size = CAMERAS[camera][1]
    return Header(format="aedat2", offset=offset, sensor_size=size, fields=fields), camera


class Aedat2Decoder:
    """Decoder of the records of a camera."""

    record = 8
    extent: Sequence[int] | None = None

    def __init__(self, camera: str) -> None:
        self._layout, (self._width, self._height) = CAMERAS[camera]
        self._last = -1

    def most(self, n_bytes: int) -> int:
        """Return how many events so many bytes may hold."""
        return n_bytes // 8

    def decode(self, block: Bytes, out: Events) -> int:
        """Write the events of a block to ``out``; return how many there are."""
        words = block.view(">u4").reshape(-1, 2)
        times, self._last = unwrapped(words[:, 1].astype(np.uint32), self._last, 32)
        layout = self._layout
        address = words[:, 0].astype(np.uint32)
        kept = np.flatnonzero((address & np.uint32(layout.other)) == 0)
        address = address.take(kept)
        found = out[: len(kept)]
        found["t"] = times.take(kept)
        # A column or row beyond the sensor goes below 0 and so to the other end of 16 bits, where
        # the reader finds it outside.
        x = (address >> layout.x) & ((1 << layout.bits_x) - 1)
        y = (address >> layout.y) & ((1 << layout.bits_y) - 1)
        found["x"] = np.uint32(self._width - 1) - x
        found["y"] = np.uint32(self._height - 1) - y
        found["p"] = ((address >> layout.p) & 1) == layout.brighter
        return len(kept)


class Aedat2Encoder:
    """Encoder of AEDAT 2.0.

    Parameters
    ----------
    sensor_size
        That of one of :data:`CAMERAS`, of which the first of this size is written down.

    Raises
    ------
    EventError
        No camera has this size.
    """

    needs_order = True

    def __init__(self, sensor_size: Size | None) -> None:
        found = [name for name, (_, size) in CAMERAS.items() if size == sensor_size]
        if not found:
            sizes = ", ".join(f"{name} {w} x {h}" for name, (_, (w, h)) in CAMERAS.items())
            raise EventError(
                f"aedat2 needs the sensor size of one of its cameras ({sizes}), got {sensor_size}; "
                "give the size, or write another format"
            )
        self._camera, self._last = found[0], 0
        self._layout, self._size = CAMERAS[found[0]]

    def begin(self) -> bytes:
        """Return the header."""
        chip = _CHIPS[self._camera]
        lines = [
            VERSION,
            " This is a raw AE data file - do not edit",
            " Data format is int32 address, int32 timestamp (8 bytes total), repeated",
            " Timestamps tick is 1 us",
            f" AEChip: {chip}",
            _END,
        ]
        return "".join(f"#{line}\r\n" for line in lines).encode()

    def encode(self, events: Events) -> bytes:
        """Return the bytes of some events."""
        width, height = self._size
        check_fits("aedat2", events, x=width, y=height)
        self._last = check_steps("aedat2", events["t"], self._last, 32)
        layout = self._layout
        x, y = (events[name].astype(np.uint32) for name in "xy")
        p = (events["p"] == layout.brighter).astype(np.uint32)
        address = (width - 1 - x) << layout.x | (height - 1 - y) << layout.y | p << layout.p
        words = np.empty((len(events), 2), ">u4")
        words[:, 0], words[:, 1] = address, events["t"] & 0xFFFFFFFF
        return words.tobytes()
