"""Streams of events over UDP: a sender and a receiver that counts what the network does to them.

The format is that of :mod:`talon.io.packets`. UDP loses, doubles and reorders, and anybody may send
to an open port: a receiver gives events in order, counts all that is not as it should be, holds a
bounded number of packets, and refuses what is no packet.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from talon.io.events import EventError, Events
from talon.io.packets import (
    LARGEST,
    MAX_EVENTS,
    PacketError,
    pack,
    pack_events_udp,
    unpack,
)
from talon.io.sequence import InOrder, UDPCounts, joined

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "UDPCounts",
    "UDPEventReceiver",
    "UDPEventSender",
    "pack_events_udp",
    "udp_event_receiver",
]

_AT_ONCE = 256
"""Datagrams that are taken before their events are given on."""


class UDPEventSender:
    """Sends events to one address. A context manager, at whose end the stream ends.

    Parameters
    ----------
    host, port
        Where to.
    max_per_packet
        Events of a packet at most; 160 fit an Ethernet frame.

    Attributes
    ----------
    n_packets, n_events
        Sent so far.
    """

    def __init__(self, host: str, port: int, *, max_per_packet: int = MAX_EVENTS) -> None:
        self._address, self._most = (host, port), max_per_packet
        self._stream = secrets.randbits(32)
        self.n_packets = self.n_events = 0
        self._last = 0
        self._socket: socket.socket | None = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def __enter__(self) -> Self:
        """Return the sender."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the stream."""
        self.close()

    def send(self, events: Any) -> None:
        """Send events, which must not be earlier than those before."""
        for packet in pack_events_udp(
            events, self._most, stream=self._stream, sequence=self.n_packets
        ):
            if self.n_events and events["t"][0] < self._last:
                raise EventError(
                    f"events must not go back in time: {events['t'][0]} follows {self._last}"
                )
            self._send(packet)
        if len(events):
            self.n_events += len(events)
            self._last = int(events["t"][-1])

    def close(self) -> None:
        """Tell the receiver that the stream ends, and close the socket."""
        if self._socket is not None:
            empty = joined([])
            self._send(pack(empty, stream=self._stream, sequence=self.n_packets, is_end=True))
            self._socket.close()
            self._socket = None

    def _send(self, packet: bytes) -> None:
        if self._socket is None:
            raise EventError("This sender is closed; open another one")
        self._socket.sendto(packet, self._address)
        self.n_packets += 1


class UDPEventReceiver:
    """Receives one stream of events after another; a context manager and an iterator.

    It gives arrays of events, in order, an empty one whenever nothing came for ``poll_s``, so that
    whoever waits can look at the clock. It ends when the stream does, or when nothing came for
    ``timeout_s``.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes a free one, see :attr:`port`.
    timeout_s
        Seconds without a packet after which the stream is held to be over; None waits for ever.
    poll_s
        Seconds after which an empty array is given.
    reorder
        Packets with higher numbers that are held while one is missing.
    buffer_bytes
        Buffer that the system is asked for: what does not fit it is lost, and counted as that.
    sender
        Address in numbers of the only host that may send; by default anybody may.

    Attributes
    ----------
    counts
        What has become of the packets.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        timeout_s: float | None = 5.0,
        poll_s: float = 0.01,
        reorder: int = 32,
        buffer_bytes: int = 1 << 22,
        sender: str | None = None,
    ) -> None:
        for name, value in (("poll_s", poll_s), ("timeout_s", timeout_s)):
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, got {value}")
        if reorder < 0:
            raise ValueError(f"reorder must not be negative, got {reorder}")
        self.counts = UDPCounts()
        self._order = InOrder(self.counts, reorder)
        self._timeout_s, self._poll_s, self._sender = timeout_s, poll_s, sender
        self._buffer = bytearray(LARGEST + 1)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise EventError(f"Cannot listen at {host}:{port}: {error.strerror}") from error

    @property
    def port(self) -> int:
        """The port that is listened at."""
        return int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        """Return the receiver."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the socket."""
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __iter__(self) -> Iterator[Events]:
        """Give the events of a stream as they come."""
        self._order.forget()
        last = time.monotonic()
        while not self._order.is_over:
            n_taken, events = self._receive()
            now = time.monotonic()
            if n_taken:
                last = now
            elif self._timeout_s is not None and now - last >= self._timeout_s:
                break
            yield events
        rest = joined(self._order.flush())
        if rest.size:
            yield rest

    def _receive(self) -> tuple[int, Events]:
        """Take what has come, waiting for the first datagram alone; return packets and events."""
        n_taken, given = 0, []
        self._socket.settimeout(self._poll_s)
        for _ in range(_AT_ONCE):
            try:
                size, (host, *_) = self._socket.recvfrom_into(self._buffer)
            except (TimeoutError, BlockingIOError):
                break
            self._socket.settimeout(0)
            if self._sender not in (None, host):
                self.counts.refuse("sender")
                continue
            try:
                packet = unpack(memoryview(self._buffer)[:size])
            except PacketError as error:
                self.counts.refuse(error.reason)
                continue
            given += self._order.take(packet)
            n_taken += self._order.is_of(packet)
            if self._order.is_over:
                break
        return n_taken, joined(given)


def udp_event_receiver(
    host: str = "127.0.0.1", port: int = 5000, *, timeout: float | None = None
) -> Iterator[Events]:
    """Give the events of one stream, without the empty arrays; see :class:`UDPEventReceiver`."""
    with UDPEventReceiver(host, port, timeout_s=timeout) as receiver:
        for events in receiver:
            if events.size:
                yield events
