"""What senders send: packets one by one, no earlier than they are ready, and not past who waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from talon.compiler.performance.clock import Clock
from talon.compiler.performance.mesh import Input
from talon.compiler.performance.senders import HostPort, TokenWay, Way

Lanes = NDArray[np.int64]


class _ReadOut:
    """What values of read-outs take: the way to the host, of all lanes."""

    masks = (0, 0)
    work: Mapping[int, tuple[int, int, list[int]]] = {}


READ_OUT = _ReadOut()


class Packet:
    """A packet of one lane of a route."""

    __slots__ = ("lane", "masks", "way")

    is_token = False

    def __init__(self, way: Way | _ReadOut, lane: int) -> None:
        self.way, self.lane, self.masks = way, lane, way.masks

    def work(self, core: int) -> tuple[int, int, int]:
        """Return cycles of the decoder, pointers, and cycles of the streamer at a core."""
        decode, pointers, stream = self.way.work[core]
        return decode, pointers, stream[self.lane]


class TokenPacket:
    """A token for a slot, sent after a timestep."""

    __slots__ = ("masks", "slot", "step", "way")

    is_token = True

    def __init__(self, way: TokenWay, slot: int, step: int) -> None:
        self.way, self.slot, self.step = way, slot, step
        self.masks = (0, 0) if way.host else (way.xmask, way.ymask)

    def work(self, core: int) -> tuple[int, int, int]:
        """Return cycles of the decoder, pointers, and cycles of the streamer at a core."""
        return 1, 0, 1


Emission = Generator[tuple[int, "Packet | TokenPacket"], int, None]
"""Gives when a packet may be offered, and gets when it was taken."""


class Source:
    """A sender at its entrance to the mesh: one packet a cycle, each until it is taken.

    ``free`` is the cycle after the one in which the last packet was taken.
    """

    __slots__ = ("_clock", "_entrance", "_message", "_next", "_now", "free")

    def __init__(self, clock: Clock, entrance: Input) -> None:
        self._clock, self._entrance = clock, entrance
        self._next: deque[Emission] = deque()
        self._now: Emission | None = None
        self._message: Packet | TokenPacket | None = None
        self.free = 0

    def send(self, emission: Emission) -> None:
        """Send what an emission gives, behind those before it."""
        self._next.append(emission)
        if self._now is None:
            self._begin()

    def taken(self, time: int) -> None:
        """Note that the packet on offer was taken, and prepare the next."""
        self.free = time + 1
        assert self._now is not None
        try:
            offered, self._message = self._now.send(time)
        except StopIteration:
            self._now = None
            self._begin()
        else:
            self._clock.late(max(offered, self.free), self._offer)

    def _begin(self) -> None:
        while self._next:
            emission = self._next.popleft()
            try:
                offered, self._message = next(emission)
            except StopIteration:
                continue
            self._now = emission
            self._clock.late(max(offered, self.free), self._offer)
            return

    def _offer(self, time: int) -> None:
        if self._entrance.offer(self._message, time, self):
            self.taken(time)


def host_packets(ports: Iterable[HostPort], active: Mapping[str, Lanes]) -> Iterator[Packet]:
    """Give the packets of a step of the host: the k-th event of every route, then the k+1-th."""
    parts = [
        (way, active[port.name][way.taken[active[port.name]]])
        for port in ports
        for way in port.ways
    ]
    if not parts:
        return
    ranks = np.concatenate([np.arange(lines.size) for _, lines in parts])
    number = np.repeat(np.arange(len(parts)), [lines.size for _, lines in parts])
    lanes = np.concatenate([lines for _, lines in parts])
    for i in np.argsort(ranks, kind="stable").tolist():
        yield Packet(parts[number[i]][0], int(lanes[i]))
