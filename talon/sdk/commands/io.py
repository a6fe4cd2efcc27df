"""``talon io``: look into event files, and make others of them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from talon.sdk.console import Console
from talon.sdk.options import InputFile, OutputFile, command

EVENTS = InputFile()


@click.group("io")
def io_group() -> None:
    """Look into event files, convert, encode and stream events, and measure how fast."""


class FormatName(click.ParamType):
    """A format of event files, of those that can be read or of those that can be written."""

    name = "format"

    def __init__(self, *, written: bool) -> None:
        self._written = written

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name."""
        from talon.io.formats.recognition import check_format
        from talon.io.formats.writer import WRITABLE

        if self._written and value not in WRITABLE:
            self.fail(f"{value!r} is not one of {', '.join(WRITABLE)}.", param, ctx)
        if not self._written:
            try:
                check_format(value)
            except ValueError as error:
                self.fail(f"{error}.", param, ctx)
        return value


class SensorSize(click.ParamType):
    """Width and height, like 640x480."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return width and height."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", value)
        if found is None:
            self.fail(f"{value!r} is no size like 640x480.", param, ctx)
        return int(found[1]), int(found[2])


@command("info", group=io_group)
@click.argument("file", type=EVENTS)
@click.option(
    "--format",
    "format_",
    type=FormatName(written=False),
    metavar="FORMAT",
    help="What it is, if it does not say so itself: nmnist, evt2, evt3, dat, aedat2:CAMERA, ...",
)
def io_info_command(console: Console, *, file: str, format_: str | None) -> None:
    """Say what is in an event FILE: its format, sensor, number of events, times and polarities."""
    from talon.io.formats.summary import info
    from talon.sdk.tables import fields

    with warnings_told(console):
        found = info(file, format_)
    facts = {
        "file": file,
        "format": found.format,
        "bytes": found.n_bytes,
        "sensor": None if found.sensor_size is None else list(found.sensor_size),
        "events": found.n_events,
        "outside": found.n_outside,
        "first_us": found.t_first,
        "last_us": found.t_last,
        "duration_us": found.duration_us,
        "events_per_s": found.events_per_second,
        "brighter": found.share_brighter,
        "x_max": found.x_max,
        "y_max": found.y_max,
        "sorted": found.is_sorted,
    }
    console.emit(facts, lambda out: fields(out, facts))


@command("convert", group=io_group)
@click.argument("source", type=EVENTS, metavar="IN")
@click.argument("target", type=OutputFile(), metavar="OUT")
@click.option(
    "--format",
    "format_",
    type=FormatName(written=True),
    metavar="FORMAT",
    help="nmnist, evt2, evt3, dat, aedat2, aedat3 or h5; the suffix of OUT says it, too: .raw is "
    "evt3, .aedat is aedat2.",
)
@click.option(
    "--from",
    "source_format",
    type=FormatName(written=False),
    metavar="FORMAT",
    help="What IN is, if it does not say so itself.",
)
@click.option("--sensor", type=SensorSize(), metavar="WxH", help="Size, if IN does not tell it.")
@click.option("--sort", is_flag=True, help="Sort by time, which takes all events into memory.")
@click.option("--from-zero", is_flag=True, help="Subtract the time of the first event.")
def io_convert_command(
    console: Console,
    *,
    source: str,
    target: str,
    format_: str | None,
    source_format: str | None,
    sensor: tuple[int, int] | None,
    sort: bool,
    from_zero: bool,
) -> None:
    """Write the events of file IN to file OUT, in another format.

    Chunk by chunk, so files may be larger than the memory. OUT appears as a whole, or not at all.
    """
    from talon.io.formats.summary import convert
    from talon.sdk.tables import fields

    with warnings_told(console):
        n_events = convert(
            source,
            target,
            format_,
            source_format=source_format,
            sensor_size=sensor,
            sort=sort,
            from_zero=from_zero,
        )
    facts = {
        "input": source,
        "output": target,
        "events": n_events,
        "bytes": Path(target).stat().st_size,
    }
    console.emit(facts, lambda out: fields(out, facts))


@contextmanager
def warnings_told(console: Console) -> Iterator[None]:
    """Show what of a file was not read as lines on stderr."""
    from talon.io.formats.common import EventFileWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", EventFileWarning)
        yield
    for one in caught:
        console.say(f"warning: {one.message}")
