"""What all formats share: what a header says, and how a file or events are refused.

A file may be wrong in every byte. Sizes that it tells are compared with the bytes that are there
and never allocated, nothing in it is executed, and what cannot be read is an :class:`EventError`
that names the file, the place, the rule and the way out.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from talon.io.events import EventError, Events

Bytes = NDArray[np.uint8]
Size = tuple[int, int]
"""Width and height of a sensor."""


class EventFileWarning(UserWarning):
    """A file was read, but not all of it: its end is missing, or events lie outside the sensor."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What stands before the events of a file.

    Parameters
    ----------
    format
        Name of the format, of :data:`talon.io.formats.FORMATS`.
    offset
        Byte at which the events begin.
    sensor_size
        Width and height as the file tells them, or None.
    fields
        Keywords and values, as they are written.
    """

    format: str
    offset: int = 0
    sensor_size: Size | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


class Decoder(Protocol):
    """Makes events of whole records, and remembers what the next block needs."""

    record: int
    """Bytes of a record."""

    extent: Sequence[int] | None
    """Largest column and row of the last block, if the decoder had a look at them."""

    def most(self, n_bytes: int) -> int:
        """Return how many events so many bytes may hold."""
        ...

    def decode(self, block: Bytes, out: Events) -> int:
        """Write the events of a block of whole records to ``out``; return how many there are."""
        ...


class Encoder(Protocol):
    """Makes bytes of events, and remembers what the next ones need."""

    needs_order: bool
    """Whether times must not fall."""

    def begin(self) -> bytes:
        """Return the header."""
        ...

    def encode(self, events: Events) -> bytes:
        """Return the bytes of some events, of which there is at least one."""
        ...


class Inside:
    """Leaves out the events that are not on the sensor, and counts them.

    Parameters
    ----------
    size
        Width and height, or None if they are not known.
    """

    def __init__(self, size: Size | None) -> None:
        self._size, self.n_outside = size, 0

    def __call__(self, events: Events, extent: Sequence[int] | None = None) -> Events:
        """Return the events on the sensor: the same array, or a new one if some are missing.

        Parameters
        ----------
        events
            Some events.
        extent
            Largest column and row of them, if they are known.
        """
        if self._size is None or not events.size:
            return events
        width, height = self._size
        x, y = events["x"], events["y"]
        most_x, most_y = (x.max(), y.max()) if extent is None else extent
        if most_x < width and most_y < height:
            return events
        inside = (x < width) & (y < height)
        self.n_outside += int(np.count_nonzero(~inside))
        return events[inside]


def refusal(path: Path, offset: int, rule: str, way_out: str) -> EventError:
    """Return the error for a file that breaks a rule at a byte."""
    return EventError(f"{path}, byte {offset}: {rule}; {way_out}")


def warn(path: Path, text: str) -> None:
    """Tell what of a file is not among its events."""
    warnings.warn(f"{path}: {text}", EventFileWarning, stacklevel=2)


def unwrapped(values: NDArray[Any], last: int, bits: int) -> tuple[NDArray[Any], int]:
    """Return the times of a counter of ``bits`` bits that starts again at 0, and the last of them.

    A fall of at least half of its range is a new turn, as Prophesee's decoders have it; a smaller
    one is a step back in time.

    Parameters
    ----------
    values
        What the counter told, unsigned.
    last
        Time before the first of them, as returned here, or -1.
    bits
        Bits of the counter.
    """
    if not values.size:
        return values, last
    turn = last >> bits if last >= 0 else 0
    first = last & ((1 << bits) - 1) if last >= 0 else int(values[0])
    if values[0] >= first and not np.any(values[1:] < values[:-1]):
        times = values.astype(np.int64) + (turn << bits) if turn else values
        return times, int(times[-1])
    told = values.astype(np.int64)
    before = np.concatenate(([first], told[:-1]))
    turns = np.cumsum(before - told >= 1 << (bits - 1)) + turn
    times = told + (turns << bits)
    return times, int(times[-1])


def check_fits(format: str, events: Events, **limits: int) -> None:
    """Raise unless the fields of events are below the limits of a format, and p is 0 or 1."""
    for name, limit in {**limits, "p": 2}.items():
        found = int(events[name].max())
        if found >= limit:
            way_out = "subtract the time of the first event" if name == "t" else "crop the events"
            if name == "p":
                way_out = "make it 1 for brighter, 0 for darker"
            raise EventError(
                f"{format} has {name} below {limit}, got {found}; {way_out}, or write another "
                "format"
            )


def check_steps(format: str, t: NDArray[np.uint64], last: int, bits: int) -> int:
    """Return the last time; raise if a step is so long that the clock's turns cannot be counted."""
    steps = np.diff(t.astype(np.int64), prepend=last)
    longest = int(steps.max())
    if longest >= 1 << (bits - 1):
        raise EventError(
            f"{format} has a clock of {bits} bits, of which a step from one event to the next must "
            f"be below {1 << (bits - 1)} us, got {longest}; subtract the time of the first event, "
            "or write another format"
        )
    return int(t[-1])


def raw_head(version: str, name: str, size: Size | None) -> bytes:
    """Return the header of a RAW file of Prophesee."""
    lines = [f"evt {version}", f"format {name}"]
    if size is not None:
        lines[1] += f";height={size[1]};width={size[0]}"
        lines.append(f"geometry {size[0]}x{size[1]}")
    return "".join(f"% {line}\n" for line in [*lines, "end"]).encode()


def upper_times(
    highs: NDArray[np.int64], last: int, bits: int
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Return how many words of upper time each event needs before it, and all of them.

    A long step is made of several of at most half a turn, so that a reader counts its turns; so is
    the way from 0 to the first event.

    Parameters
    ----------
    highs
        Upper time of each event, turns included; they do not fall.
    last
        Upper time before the first of them, or -1.
    bits
        Bits of a word's upper time.
    """
    half = 1 << (bits - 1)
    steps = np.diff(highs, prepend=max(last, 0))
    before = -(-steps // half)
    start = highs - steps
    if last < 0:
        before[0] += 1
        start[0] -= half
    # Of the words before an event, the first goes half a turn, and so on; the last one hits it.
    word_of = np.repeat(np.arange(len(highs)), before)
    nth = np.arange(len(word_of)) - np.repeat(np.cumsum(before) - before, before) + 1
    told = np.minimum(start[word_of] + nth * half, highs[word_of])
    return before, (told & ((1 << bits) - 1)).astype(np.uint32)
