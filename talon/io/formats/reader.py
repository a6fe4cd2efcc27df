"""Event files of any format, all at once or chunk by chunk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from talon.io.events import Events
from talon.io.formats.aedat2 import Aedat2Decoder, aedat2_header
from talon.io.formats.aedat3 import Aedat3Source
from talon.io.formats.aedat4 import Aedat4Source
from talon.io.formats.common import Header, Inside, Size, warn
from talon.io.formats.dat import DatDecoder
from talon.io.formats.evt2 import Evt2Decoder
from talon.io.formats.evt3 import Evt3Decoder
from talon.io.formats.fast import fast_decoder, wants_kernels
from talon.io.formats.hdf5 import hdf5_source
from talon.io.formats.nmnist import NmnistDecoder
from talon.io.formats.prophesee import dat_header, raw_header
from talon.io.formats.recognition import check_format, recognized
from talon.io.formats.records import RecordSource

_CHUNK = 1 << 21


class Source(Protocol):
    """What each format gives: a header, and events in the order of the file."""

    header: Header
    inside: Inside

    def read(self) -> Events:
        """Return all events."""
        ...

    def chunks(self, chunk_bytes: int) -> Iterator[Events]:
        """Give the events of about so many bytes at a time; none is empty."""
        ...


class EventReader:
    """An event file, of which an iteration gives chunks.

    Events come in the order of the file; of a clock that started again times go on. What ends in
    the middle of a record loses that record, and events outside of the sensor that the header tells
    are left out: both with an :class:`EventFileWarning`.

    Parameters
    ----------
    path
        The file.
    format
        One of :data:`FORMATS`; None for what the file looks like. ``"aedat2:davis346"`` and the
        like name a camera, too.
    chunk_bytes
        About how many bytes of the file (for HDF5 and AEDAT 4: of events) a chunk is made of. That
        bounds the memory, for a chunk of EVT 3.0 to 78 times as much.
    fast
        Whether compiled kernels decode EVT and DAT; None for what the variable ``TALON_FAST`` says,
        else what is faster. Either way events are the same.

    Raises
    ------
    EventError
        The file is of no known format, or is damaged where nothing can be read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        format: str | None = None,
        *,
        chunk_bytes: int = _CHUNK,
        fast: bool | None = None,
    ) -> None:
        if chunk_bytes < 1:
            raise ValueError(f"chunk_bytes must be at least 1, got {chunk_bytes}")
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"Event file not found: {self.path}")
        self._source = _source(self.path, format, fast)
        self._chunk_bytes = chunk_bytes

    @property
    def format(self) -> str:
        """Name of the format."""
        return self._source.header.format

    @property
    def header(self) -> Header:
        """What the file says before its events."""
        return self._source.header

    @property
    def sensor_size(self) -> Size | None:
        """Width and height as the file tells them, or None."""
        return self._source.header.sensor_size

    @property
    def n_outside(self) -> int:
        """Events outside of the sensor, in what was read last."""
        return self._source.inside.n_outside

    def __iter__(self) -> Iterator[Events]:
        """Give the events in chunks, of which none is empty."""
        self._source.inside.n_outside = 0
        yield from self._source.chunks(self._chunk_bytes)
        self._warn_outside()

    def read(self) -> Events:
        """Return all events."""
        self._source.inside.n_outside = 0
        events = self._source.read()
        self._warn_outside()
        return events

    def _warn_outside(self) -> None:
        if self.n_outside:
            width, height = self.sensor_size or (0, 0)
            warn(
                self.path,
                f"{self.n_outside} events outside of the sensor of {width} x {height} are left out",
            )


def read_events(
    path: str | os.PathLike[str], format: str | None = None, *, fast: bool | None = None
) -> Events:
    """Return all events of a file, in its order, as an array of :data:`talon.io.EVENT_DTYPE`.

    Parameters and errors are those of :class:`EventReader`, which reads files that are larger than
    the memory in chunks.
    """
    return EventReader(path, format, fast=fast).read()


def _source(path: Path, format: str | None, fast: bool | None) -> Source:
    name, variant = (recognized(path), None) if format is None else check_format(format)
    if name == "nmnist":
        return RecordSource(path, Header(format=name), NmnistDecoder)
    if name in ("raw", "evt2", "evt3"):
        header = raw_header(path, None if name == "raw" else name)
        decoder = Evt2Decoder if header.format == "evt2" else Evt3Decoder
        if wants_kernels(fast, header.format, path.stat().st_size):
            return RecordSource(path, header, lambda: fast_decoder(header.format))
        return RecordSource(path, header, decoder)
    if name == "dat":
        header, version = dat_header(path)
        if wants_kernels(fast, name, path.stat().st_size):
            return RecordSource(path, header, lambda: fast_decoder(name, version))
        return RecordSource(path, header, lambda: DatDecoder(version))
    if name == "aedat2":
        header, camera = aedat2_header(path, variant)
        return RecordSource(path, header, lambda: Aedat2Decoder(camera))
    if name == "aedat3":
        return Aedat3Source(path)
    if name == "aedat4":
        return Aedat4Source(path)
    return hdf5_source(path)
