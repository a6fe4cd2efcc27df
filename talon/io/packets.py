"""Events in UDP packets: one format, packed and unpacked.

All numbers are little-endian; a packet has 24 + 9 x count bytes.

======  =====  ========  ==========================================================================
offset  bytes  name      meaning
======  =====  ========  ==========================================================================
0       4      magic     ``TEVS``
4       1      version   1
5       1      flags     bit 0: the stream ends with this packet; other bits are 0
6       2      count     events that follow
8       4      stream    number that the sender has drawn for this stream
12      4      sequence  number of the packet in the stream, from 0, modulo 2^32
16      8      base      time in microseconds that the events count from
24      9 each events    ``dt`` (4 bytes: time after the base), ``x`` (2), ``y`` (2), ``p`` (1: 0 or
                         1), in the order of time
======  =====  ========  ==========================================================================
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from talon.io.events import EVENT_DTYPE, EventError, Events, check_events, check_sorted

MAGIC = b"TEVS"
VERSION = 1
END = 1
"""Flag of the last packet of a stream."""

HEADER = struct.Struct("<4sBBHIIQ")
PACKED = np.dtype([("dt", "<u4"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
MAX_EVENTS = 160
"""Events of a packet that an Ethernet frame of 1500 bytes carries."""

LARGEST = 65507
"""Bytes of the largest datagram of UDP over IPv4."""

_SEQUENCES = 1 << 32


class PacketError(EventError):
    """A packet is not of this format; ``reason`` is one word for counting."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, kw_only=True, eq=False)
class Packet:
    """A packet, unpacked."""

    stream: int
    sequence: int
    is_end: bool
    events: Events


def pack(events: Events, *, stream: int, sequence: int, is_end: bool = False) -> bytes:
    """Return one packet of events in the order of time, whose times span less than 2^32."""
    base = int(events["t"][0]) if events.size else 0
    packed = np.empty(events.size, PACKED)
    packed["dt"] = events["t"] - np.uint64(base)
    for name in "xyp":
        packed[name] = events[name]
    flags = END if is_end else 0
    head = HEADER.pack(MAGIC, VERSION, flags, events.size, stream, sequence % _SEQUENCES, base)
    return head + packed.tobytes()


def pack_events_udp(
    events: object, max_per_packet: int = MAX_EVENTS, *, stream: int = 0, sequence: int = 0
) -> Iterator[bytes]:
    """Give the packets of events, which must be in the order of time.

    Parameters
    ----------
    events
        Structured events; polarities are 0 and 1.
    max_per_packet
        Events of a packet at most; 160 fit an Ethernet frame, more are sent in fragments.
    stream, sequence
        Numbers of the stream and of its first packet here.

    Raises
    ------
    EventError
        The events are not sorted, or a polarity is above 1.
    """
    most = (LARGEST - HEADER.size) // PACKED.itemsize
    if not 1 <= max_per_packet <= most:
        raise ValueError(f"max_per_packet must be from 1 to {most}, got {max_per_packet}")
    array = check_events(events)
    check_sorted(array["t"], "events")
    if array.size and array["p"].max() > 1:
        raise EventError(f"Polarities of packets must be 0 or 1, got {array['p'].max()}")
    start = 0
    while start < array.size:
        part = array[start : start + max_per_packet]
        base = part["t"][0]
        if part["t"][-1] - base >= _SEQUENCES:  # as far as 32 bits reach
            part = part[: int(np.searchsorted(part["t"] - base, np.uint64(_SEQUENCES)))]
        yield pack(part, stream=stream, sequence=sequence)
        start, sequence = start + part.size, sequence + 1


def unpack(data: bytes | memoryview) -> Packet:
    """Return what a packet holds.

    Raises
    ------
    PacketError
        It is not of this format: another magic or version, unknown flags, another length than it
        says, times that fall or do not fit 64 bits, or a polarity above 1.
    """
    if len(data) < HEADER.size:
        raise PacketError(
            "short", f"Packet must have at least {HEADER.size} bytes, not {len(data)}"
        )
    magic, version, flags, count, stream, sequence, base = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise PacketError("magic", f"Packet must begin with {MAGIC!r}, not {magic!r}")
    if version != VERSION:
        raise PacketError("version", f"Packet must be of version {VERSION}, not {version}")
    if flags & ~END:
        raise PacketError("flags", f"Packet must have no flag but bit 0, not {flags:#x}")
    size = HEADER.size + count * PACKED.itemsize
    if len(data) != size:
        raise PacketError(
            "length", f"Packet of {count} events must have {size} bytes, not {len(data)}"
        )
    packed = np.frombuffer(data, PACKED, count, HEADER.size)
    dt = packed["dt"]
    if np.any(dt[1:] < dt[:-1]):
        raise PacketError("order", "Times of a packet must not fall")
    if count and base + int(dt[-1]) >= 1 << 64:
        raise PacketError("time", f"Packet must end before 2^64 us, not at {base + int(dt[-1])}")
    if count and packed["p"].max() > 1:
        raise PacketError("polarity", f"Polarities must be 0 or 1, not {packed['p'].max()}")
    events = np.empty(count, EVENT_DTYPE)
    events["t"] = dt
    events["t"] += np.uint64(base)
    for name in "xyp":
        events[name] = packed[name]
    return Packet(stream=stream, sequence=sequence, is_end=bool(flags & END), events=events)
