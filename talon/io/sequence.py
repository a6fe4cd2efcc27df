"""Packets put back in order: what is missing, late or twice is counted, and nothing grows."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from talon.io.events import EVENT_DTYPE, Events
from talon.io.packets import Packet

_SEQUENCES = 1 << 32
_FURTHEST = 1 << 16
"""Packets by which a sequence number may be ahead: what is further is no loss but nonsense."""

_REMEMBERED = 1 << 12
"""Lost packets that are told from packets that come twice, if they come after all."""


@dataclass(kw_only=True)
class UDPCounts:
    """What has become of the packets so far.

    Attributes
    ----------
    packets, events
        Given on, in order.
    lost
        Packets that were missing when their turn was over, and have not come since.
    late
        Packets that came when their turn was over; they are not given on.
    reordered
        Packets that came before one with a lower number, and were put in order.
    duplicates
        Packets that came twice.
    foreign
        Packets of another stream, while one is under way.
    refused
        Datagrams that are no packets, by reason.
    """

    packets: int = 0
    events: int = 0
    lost: int = 0
    late: int = 0
    reordered: int = 0
    duplicates: int = 0
    foreign: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    def refuse(self, reason: str) -> None:
        """Count a datagram that is refused; reasons are words of the program, never of others."""
        self.refused[reason] = self.refused.get(reason, 0) + 1


class InOrder:
    """Gives the packets of one stream in order.

    A packet that is missing is waited for until ``depth`` packets with higher numbers have come.

    Parameters
    ----------
    counts
        Where it counts.
    depth
        Packets that wait at most.
    """

    def __init__(self, counts: UDPCounts, depth: int) -> None:
        self._counts, self._depth = counts, depth
        self._stream: int | None = None
        self._next = self._start = 0
        self._waiting: dict[int, Packet] = {}
        self._missing: deque[int] = deque(maxlen=_REMEMBERED)
        self._end: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether the packet that ends the stream was given on."""
        return self._end is not None and self._next == self._end

    def is_of(self, packet: Packet) -> bool:
        """Tell whether a packet is of the stream under way."""
        return packet.stream == self._stream

    def take(self, packet: Packet) -> list[Events]:
        """Take a packet, and return the events whose turn has come."""
        if self._stream is None:
            # Where many went before, nothing tells whether they were sent before this began.
            is_start = packet.sequence <= self._depth
            self._stream, self._next = packet.stream, 0 if is_start else packet.sequence
            self._start = self._next
        if packet.stream != self._stream:
            self._counts.foreign += 1
            return []
        ahead = (packet.sequence - self._next) % _SEQUENCES
        if ahead >= _SEQUENCES // 2:
            self._is_past(packet.sequence)
            return []
        if ahead > _FURTHEST:
            self._counts.refuse("sequence")
            return []
        if packet.sequence in self._waiting:
            self._counts.duplicates += 1
            return []
        self._waiting[packet.sequence] = packet
        given = self._ready()
        if not given:
            self._counts.reordered += 1
        while len(self._waiting) > self._depth:
            self._skip()
            given += self._ready()
        return given

    def flush(self) -> list[Events]:
        """Return what waits, in order: nothing else will come."""
        given: list[Events] = []
        while self._waiting:
            self._skip()
            given += self._ready()
        return given

    def forget(self) -> None:
        """Take the next packet, of whatever stream, for the first."""
        self._stream, self._end = None, None
        self._waiting.clear()
        self._missing.clear()

    def _ready(self) -> list[Events]:
        given: list[Events] = []
        while (packet := self._waiting.pop(self._next, None)) is not None:
            self._next = (self._next + 1) % _SEQUENCES
            if packet.is_end:
                self._end = self._next
            self._counts.packets += 1
            self._counts.events += packet.events.size
            given.append(packet.events)
        return given

    def _skip(self) -> None:
        """Give up what is missing before the first packet that waits."""
        first = min(self._waiting, key=lambda sequence: (sequence - self._next) % _SEQUENCES)
        n_lost = (first - self._next) % _SEQUENCES
        self._missing.extend((self._next + k) % _SEQUENCES for k in range(n_lost))
        self._counts.lost += n_lost
        self._next = first

    def _is_past(self, sequence: int) -> None:
        before_start = (self._start - sequence - 1) % _SEQUENCES < _SEQUENCES // 2
        if before_start:
            self._counts.late += 1
        elif sequence in self._missing:
            self._missing.remove(sequence)
            self._counts.lost -= 1
            self._counts.late += 1
        else:
            self._counts.duplicates += 1


def joined(parts: list[Events]) -> Events:
    """Return events one after the other."""
    return np.concatenate(parts) if parts else np.empty(0, EVENT_DTYPE)
