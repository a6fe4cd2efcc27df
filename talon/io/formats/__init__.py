"""Event files of the field: one format a module, read and written without trust in what they say.

Also the old home of :func:`talon.io.frames.events_to_frames` and ``events_to_raster``.
"""

from __future__ import annotations

from talon.io.formats.common import EventFileWarning, Header
from talon.io.formats.reader import EventReader, read_events
from talon.io.formats.recognition import FORMATS
from talon.io.formats.summary import EventFileInfo, convert, info
from talon.io.formats.writer import WRITABLE, EventWriter, write_events
from talon.io.frames import events_to_frames, events_to_raster

__all__ = [
    "FORMATS",
    "WRITABLE",
    "EventFileInfo",
    "EventFileWarning",
    "EventReader",
    "EventWriter",
    "Header",
    "convert",
    "events_to_frames",
    "events_to_raster",
    "info",
    "read_events",
    "write_events",
]
