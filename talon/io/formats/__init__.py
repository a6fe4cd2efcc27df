"""Event files of the field: one format a module, read and written without trust in what they say.

Also the old home of :func:`talon.io.frames.events_to_frames` and ``events_to_raster``.
"""

from __future__ import annotations

from talon.io.frames import events_to_frames, events_to_raster

__all__ = ["events_to_frames", "events_to_raster"]
