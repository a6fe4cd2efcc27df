"""Event files of several formats, written as events come."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from talon.io.events import EventError, check_events, check_sorted
from talon.io.formats.aedat2 import Aedat2Encoder
from talon.io.formats.aedat3 import Aedat3Encoder
from talon.io.formats.common import Encoder, Size
from talon.io.formats.dat import DatEncoder
from talon.io.formats.evt2 import Evt2Encoder
from talon.io.formats.evt3 import Evt3Encoder
from talon.io.formats.nmnist import NmnistEncoder
from talon.io.formats.recognition import SUFFIXES
from talon.io.h5 import H5EventWriter

if TYPE_CHECKING:
    from typing_extensions import Self

_ENCODERS: dict[str, Callable[[Size | None], Encoder]] = {
    "nmnist": NmnistEncoder,
    "evt2": Evt2Encoder,
    "evt3": Evt3Encoder,
    "dat": DatEncoder,
    "aedat2": Aedat2Encoder,
    "aedat3": Aedat3Encoder,
}
WRITABLE = (*_ENCODERS, "h5")
"""Names of the formats that can be written."""


def format_to_write(path: Path, format: str | None) -> str:
    """Return the format of a file to be written: the one given, or what its suffix says.

    Raises
    ------
    EventError
        The suffix says nothing.
    """
    if format is not None:
        if format not in WRITABLE:
            raise ValueError(
                f"The format to write must be one of {', '.join(WRITABLE)}, got {format!r}"
            )
        return format
    found = SUFFIXES.get(path.suffix.lower(), "")
    if found == "raw":
        found = "evt3"
    if found not in WRITABLE:
        raise EventError(
            f"{path}: the suffix {path.suffix!r} names no format that can be written; name one: "
            f"{', '.join(WRITABLE)}"
        )
    return found


class EventWriter:
    """Write events to a file as they come.

    A context manager. The file appears at its place when it is closed without an error; until then
    it is beside it, so that there is never half a file of that name.

    Parameters
    ----------
    path
        The file, which is replaced.
    format
        One of :data:`WRITABLE`; None for what the suffix says (``.raw`` is EVT 3.0, ``.aedat``
        AEDAT 2.0).
    sensor_size
        Width and height, if known; events outside are refused.

    Raises
    ------
    EventError
        The format cannot hold these events: columns, rows, times or their order.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        format: str | None = None,
        *,
        sensor_size: Size | None = None,
    ) -> None:
        self.path = Path(path)
        self.format = format_to_write(self.path, format)
        self.n_events = 0
        self._size, self._last = sensor_size, 0
        self._h5: H5EventWriter | None = None
        self._file: BinaryIO | None = None
        if self.format == "h5":
            self._h5 = H5EventWriter(self.path, sensor_size=sensor_size)
            return
        self._encoder = _ENCODERS[self.format](sensor_size)
        self._partial = self.path.with_name(f".{self.path.name}.part")
        self._file = self._partial.open("wb")
        self._file.write(self._encoder.begin())

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file, or take it away if there was an error."""
        if self._h5 is not None:
            self._h5.__exit__(kind, error, trace)
        elif kind is None:
            self.close()
        elif self._file is not None:
            self._file.close()
            self._file = None
            self._partial.unlink(missing_ok=True)

    def write(self, events: Any) -> None:
        """Append events; of most formats they must not be earlier than those before."""
        if self._h5 is not None:
            self._h5.write(events)
            self.n_events += len(events)
            return
        if self._file is None:
            raise EventError(f"{self.path} is closed; open another writer")
        array = check_events(events)
        if not array.size:
            return
        if self._encoder.needs_order:
            t = array["t"]
            check_sorted(t, "events")
            if t[0] < self._last:
                raise EventError(
                    f"events must not go back in time: {t[0]} follows {self._last}; sort them first"
                )
            self._last = int(t[-1])
        if self._size is not None:
            width, height = self._size
            if array["x"].max() >= width or array["y"].max() >= height:
                raise EventError(
                    f"events must be inside the sensor of {width} x {height}, got x up to "
                    f"{array['x'].max()} and y up to {array['y'].max()}"
                )
        self._file.write(self._encoder.encode(array))
        self.n_events += len(array)

    def close(self) -> None:
        """Write everything, and put the file in its place."""
        if self._h5 is not None:
            self._h5.close()
        if self._file is not None:
            self._file.close()
            self._file = None
            self._partial.replace(self.path)


def write_events(
    path: str | os.PathLike[str],
    events: Any,
    format: str | None = None,
    *,
    sensor_size: Size | None = None,
) -> None:
    """Write events to a file in one go; parameters and errors are those of :class:`EventWriter`."""
    with EventWriter(path, format, sensor_size=sensor_size) as writer:
        writer.write(events)
