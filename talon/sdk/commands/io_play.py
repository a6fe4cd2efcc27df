"""``talon io play``: the events of a file as a film on a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from talon.sdk.commands.io import EVENTS, FormatName, SensorSize
from talon.sdk.console import Console
from talon.sdk.options import OutputFile, command

if TYPE_CHECKING:
    from talon.io.events import Events
    from talon.io.formats.reader import EventReader


@command("play")
@click.argument("file", type=EVENTS)
@click.option(
    "-o", "--output", type=OutputFile(), metavar="OUT.html", help="The page.  [default: FILE.html]"
)
@click.option(
    "--start",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="US",
    help="Microseconds behind the first event at which the film begins.",
)
@click.option("--duration", type=click.IntRange(min=1), metavar="US", help="Its length.")
@click.option("--window", type=click.IntRange(min=1), metavar="US", help="In which events add up.")
@click.option(
    "--format", "format_", type=FormatName(written=False), metavar="FORMAT", help="What FILE is."
)
@click.option("--sensor", type=SensorSize(), metavar="WxH", help="Size, if FILE does not tell it.")
def io_play_command(
    console: Console,
    *,
    file: str,
    output: str | None,
    start: int,
    duration: int | None,
    window: int | None,
    format_: str | None,
    sensor: tuple[int, int] | None,
) -> None:
    """Write the events of FILE as a film: a page that plays, pauses and scrubs, without a network.

    A page takes 800,000 events; of longer recordings, --start and --duration choose a part.
    """
    from talon.io.formats.reader import EventReader
    from talon.sdk.commands.io import warnings_told
    from talon.sdk.tables import fields
    from talon.viz.player import events_page

    with warnings_told(console):
        reader = EventReader(file, format_)
        events = events_between(reader, start, duration)
    page = events_page(
        events,
        Path(file).name,
        sensor_size=sensor or reader.sensor_size,
        window_us=window,
    )
    path = page.write(output or f"{Path(file).stem}.html")
    result = {
        "file": file,
        "events": len(events),
        "output": str(path),
        "bytes": path.stat().st_size,
    }
    console.emit(result, lambda out: fields(out, result))


def events_between(reader: EventReader, start: int, duration: int | None) -> Events:
    """Return the events of a file from ``start`` microseconds behind the first on.

    Nothing is read behind the end, or behind one event more than a page takes.
    """
    import numpy as np

    from talon.io.events import EVENT_DTYPE
    from talon.viz.player import MOST_EVENTS

    found: list[Events] = []
    first: int | None = None
    n = 0
    for chunk in reader:
        if first is None:
            first = int(chunk["t"][0])
        since = chunk["t"].astype(np.int64) - first
        inside = since >= start
        if duration is not None:
            inside &= since < start + duration
        found.append(chunk[inside])
        n += len(found[-1])
        behind = duration is not None and bool((since >= start + duration).all())
        if n > MOST_EVENTS or behind:
            break
    return np.concatenate(found) if found else np.zeros(0, EVENT_DTYPE)
