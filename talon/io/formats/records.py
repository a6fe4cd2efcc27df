"""Files of records of one size: read block by block, decoded where the block is in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from talon.io.events import EVENT_DTYPE, Events
from talon.io.formats.common import Bytes, Decoder, Header, Inside, warn

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
        self.inside = Inside(header.sensor_size)

    def chunks(self, chunk_bytes: int) -> Iterator[Events]:
        """Give the events of about so many bytes of the file at a time; none is empty."""
        decoder = self._make_decoder()
        events, n_read = Gathered(decoder, self.inside, chunk_bytes), 0
        scratch = np.empty(decoder.most(_BLOCK), EVENT_DTYPE)
        for block in self._blocks(decoder.record, min(_BLOCK, chunk_bytes)):
            events.add(block, scratch)
            n_read += block.size
            if n_read >= chunk_bytes:
                if len(events):
                    yield events.take()
                    events = Gathered(decoder, self.inside, chunk_bytes)
                n_read = 0
        if len(events):
            yield events.take()

    def read(self) -> Events:
        """Return all events."""
        decoder = self._make_decoder()
        n_bytes = max(self.path.stat().st_size - self.header.offset, 0)
        events = Gathered(decoder, self.inside, n_bytes)
        for block in self._blocks(decoder.record, _BLOCK):
            events.add(block)
        return events.take()

    def _blocks(self, record: int, n_bytes: int) -> Iterator[Bytes]:
        """Give whole records, in a buffer that the next block overwrites."""
        _keep_heap()
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


def _keep_heap() -> None:
    """Have freed memory kept for the next block.

    The C library hands what is freed beyond 128 KiB back to the system, and takes it again page by
    page, until something larger has come and gone; on a busy machine that is a third of the time.
    """
    np.empty(1 << 24, np.uint8)


class Gathered:
    """Events of blocks, in one array that grows.

    Parameters
    ----------
    decoder, inside
        Make events of a block, and leave out some of them.
    n_bytes
        How many bytes are likely to come. They are room for events at once where a record is one
        event; else for as many as in the bytes before.
    """

    def __init__(self, decoder: Decoder, inside: Inside, n_bytes: int) -> None:
        self._decoder, self._inside, self._n_bytes = decoder, inside, n_bytes
        most = decoder.most(n_bytes)
        self._is_exact = 4 * most <= n_bytes
        self._events: Events = np.empty(most if self._is_exact else 0, EVENT_DTYPE)
        self._n = self._n_read = 0

    def __len__(self) -> int:
        """Return how many events there are."""
        return self._n

    def add(self, block: Bytes, scratch: Events | None = None) -> None:
        """Append the events of a block.

        Without a scratch array, of as many as it may hold, they are decoded where they shall be:
        that is faster, but takes room for so many behind all others.
        """
        if scratch is None or self._is_exact:
            self._reserve(self._decoder.most(block.size))
            out = self._events[self._n :]
        else:
            out = scratch
        found = out[: self._decoder.decode(block, out)]
        kept = self._inside(found, self._decoder.extent)  # now: they are in the cache
        if out is scratch or kept is not found:
            self._reserve(len(kept))
            _copy(self._events[self._n : self._n + len(kept)], kept)
        self._n += len(kept)
        self._n_read += block.size

    def take(self) -> Events:
        """Return the events."""
        return self._events[: self._n]

    def _reserve(self, n: int) -> None:
        """Make room for ``n`` events, and for what is likely to come as well."""
        if self._n + n <= len(self._events):
            return
        likely = self._n * self._n_bytes // self._n_read if self._n_read else 0
        likely = min(likely, self._n_bytes)  # one block may be fuller than all others
        grown = np.empty(max(self._n + n, likely + likely // 8 + n, 2 * self._n), EVENT_DTYPE)
        _copy(grown[: self._n], self._events[: self._n])
        self._events = grown


def _copy(target: Events, source: Events) -> None:
    """Copy events as bytes; NumPy copies fields one by one, which takes several times as long."""
    target.view(np.uint8)[:] = source.view(np.uint8)
