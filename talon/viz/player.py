"""Events of a camera as a film: play, pause, scrub, with a window in which they add up."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.io.events import EventError, check_events, check_sorted
from talon.viz.packing import pack, pack_steps
from talon.viz.page import HtmlPage, PageError, Section

MOST_EVENTS = 800_000
"""Events that a page takes: four to five bytes each, and 1.3 of these in base64."""
_WINDOWS = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000)

Array = NDArray[Any]


def events_page(
    events: Array,
    title: str = "Events",
    *,
    sensor_size: tuple[int, int] | None = None,
    window_us: int | None = None,
) -> HtmlPage:
    """Return the page of an event camera's recording.

    Parameters
    ----------
    events
        A structured array with the fields ``t`` (microseconds, sorted), ``x``, ``y`` and ``p`` (1:
        brighter), as :data:`talon.io.EVENT_DTYPE` has them.
    title
        Heading of the page.
    sensor_size
        Width and height in pixels; the smallest that holds all events, if not given.
    window_us
        Microseconds in which events add up to a picture; about a hundredth of the recording,
        between 1 and 50 milliseconds, if not given.

    Raises
    ------
    EventError
        A field is missing, events are not sorted, or one is outside of the sensor.
    PageError
        There are more than ``MOST_EVENTS``.
    """
    section = events_section(events, sensor_size=sensor_size, window_us=window_us)
    data = section.data
    return HtmlPage(
        title=title,
        subtitle=f"{data['n']:,} events, {data['width']} x {data['height']} pixels, "
        f"{data['last'] / 1000:,.1f} ms",
        sections=(section,),
    )


def events_section(
    events: Array,
    *,
    sensor_size: tuple[int, int] | None = None,
    window_us: int | None = None,
    heading: str = "Events",
) -> Section:
    """Return a recording as a part of a page; the arguments are those of :func:`events_page`."""
    array = check_events(events)
    n = len(array)
    if n > MOST_EVENTS:
        raise PageError(
            f"A page takes {MOST_EVENTS:,} events, not {n:,}; give it a window of them, "
            f"events[:{MOST_EVENTS}]"
        )
    check_sorted(array["t"], "events")
    t = array["t"].astype(np.int64)
    x, y = array["x"].astype(np.int64), array["y"].astype(np.int64)
    width, height = sensor_size or (int(x.max(initial=0)) + 1, int(y.max(initial=0)) + 1)
    outside = np.flatnonzero((x >= width) | (y >= height))
    if outside.size:
        k = int(outside[0])
        raise EventError(
            f"Event {k} at x {x[k]}, y {y[k]} is outside of the sensor of {width} x {height}"
        )
    address = (y * width + x) * 2 + (array["p"] > 0)
    last = int(t[-1] - t[0]) if n else 0
    return Section(
        kind="player",
        heading=heading,
        data={
            "n": n,
            "width": width,
            "height": height,
            "first": int(t[0]) if n else 0,
            "last": last,
            "window": window_us or next((w for w in _WINDOWS if w >= last // 100), _WINDOWS[-1]),
            "t": pack_steps(t - t[0] if n else t),
            "low": pack(address & 0xFFFF),
            "high": pack(address >> 16),
        },
        needs=("plot",),
    )
