"""Files of records of one size: read block by block, decoded where the block is in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from talon.io.events import EVENT_DTYPE, Events
from talon.io.formats.common import Bytes, Decoder, Header, warn

_BLOCK = 1 << 16
"""Bytes that are decoded at a time: with what is made of them they stay in a cache."""


class RecordSource:
    """Events of a file behind a header.

    Parameters
    ----------
    path
        The file.
    header
        What stands before the records.
    make_decoder
        Makes a decoder that has seen nothing.
    """

    def __init__(self, path: Path, header: Header, make_decoder: Callable[[], Decoder]) -> None:
        self.path, self.header, self._make_decoder = path, header, make_decoder

    def chunks(self, chunk_bytes: int) -> Iterator[Events]:
        """Give the events of about so many bytes of the file at a time; none is empty."""
        decoder = self._make_decoder()
        events, n_read = Gathered(decoder, chunk_bytes), 0
        for block in self._blocks(decoder.record, min(_BLOCK, chunk_bytes)):
            events.add(block)
            n_read += block.size
            if n_read >= chunk_bytes:
                if len(events):
                    yield events.take()
                    events = Gathered(decoder, chunk_bytes)
                n_read = 0
        if len(events):
            yield events.take()

    def read(self) -> Events:
        """Return all events."""
        decoder = self._make_decoder()
        events = Gathered(decoder, max(self.path.stat().st_size - self.header.offset, 0))
        for block in self._blocks(decoder.record, _BLOCK):
            events.add(block)
        return events.take()

    def _blocks(self, record: int, n_bytes: int) -> Iterator[Bytes]:
        """Give whole records, in a buffer that the next block overwrites."""
        buffer = np.empty(max(n_bytes // record, 1) * record, np.uint8)
        offset = self.header.offset
        with self.path.open("rb", buffering=0) as file:
            file.seek(offset)
            kept = 0
            while n := file.readinto(buffer.data[kept:]):
                offset += n
                kept += n
                whole = kept - kept % record
                if whole:
                    yield buffer[:whole]
                buffer[: kept - whole] = buffer[whole:kept]
                kept -= whole
        if kept:
            warn(self.path, f"the last {kept} of {offset} bytes are no whole record of {record}")


class Gathered:
    """Events of blocks, in one array that grows.

    Parameters
    ----------
    decoder
        Makes events of a block.
    n_bytes
        How many bytes are likely to come; four of them are room for an event, at first.
    """

    def __init__(self, decoder: Decoder, n_bytes: int) -> None:
        self._decoder = decoder
        self._events: Events = np.empty(min(decoder.most(n_bytes), n_bytes // 4), EVENT_DTYPE)
        self._n = 0

    def __len__(self) -> int:
        """Return how many events there are."""
        return self._n

    def add(self, block: Bytes) -> None:
        """Append the events of a block."""
        room = self._n + self._decoder.most(block.size)
        if room > len(self._events):
            grown = np.empty(max(room, 2 * self._n), EVENT_DTYPE)
            grown[: self._n] = self._events[: self._n]
            self._events = grown
        self._n += self._decoder.decode(block, self._events[self._n :])

    def take(self) -> Events:
        """Return the events."""
        return self._events[: self._n]
