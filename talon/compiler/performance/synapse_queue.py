"""A core's input: packets wait for a place in its queue, the decoder, then the row streamer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from talon.compiler.performance.clock import Clock
from talon.compiler.performance.mesh import Sender

PIPELINE = 5
"""Cycles from a packet that the decoder takes to its first row."""

JOBS = 16
"""Packets between the decoder and the streamer."""


class Arriving(Protocol):
    """A packet."""

    is_token: bool

    def work(self, core: int) -> tuple[int, int, int]:
        """Return cycles of decoder, lag and streamer at a core."""
        ...


class SynapseQueue:
    """Packets of one core, followed as far as somebody has to know.

    The decoder takes a packet every ``decode`` cycles if there is room for its job, the streamer
    spends ``stream`` cycles on it; fetches of updates go before rows, and so push them back.

    Parameters
    ----------
    core
        Number of the core.
    depth
        Places in the queue.
    clock
        Of everything.
    on_token
        Called with a token and the cycle in which it is through.
    """

    def __init__(
        self, core: int, depth: int, clock: Clock, on_token: Callable[[Any, int], None]
    ) -> None:
        self._core, self._depth, self._clock, self._on_token = core, depth, clock, on_token
        self._queue: deque[tuple[int, int, int, int, Any]] = deque()
        self._jobs: deque[tuple[int, int, Any]] = deque()
        self._fetches: deque[int] = deque()
        self._starts: deque[int] = deque([-1] * JOBS)  # of the last jobs; -1: long ago
        self._decoder_free = self._streamer_free = 0
        self._waiting: tuple[Any, Sender] | None = None
        # Cycles of streamer and decoder of all that came, and of what is behind these two.
        self._came = self._decoded_of = 0
        self._streamed = self._decoded = 0
        self._tokens: deque[tuple[int, int, int]] = deque()
        self._due = -1  # of the next look; -1: none

    def offer(self, message: Any, time: int, sender: Sender) -> bool:
        """Take a packet if there is room."""
        if len(self._queue) >= self._depth:
            self._advance(time - 1)
            if len(self._queue) >= self._depth:
                self._waiting = message, sender
                self._look(time)
                return False
        self._enter(message, time)
        return True

    def add_fetches(self, times: Iterable[int]) -> None:
        """Let an update fetch rows at ascending times, none of them before now."""
        for time in times:
            if time < self._streamer_free:
                self._streamer_free += 1
            else:
                self._fetches.append(time)

    def settle(self, time: int) -> None:
        """Follow everything up to a time."""
        self._advance(time)

    def _enter(self, message: Any, time: int) -> None:
        decode, lag, stream = message.work(self._core)
        visible = time + 1
        if message.is_token:
            self._tokens.append((visible, self._came, self._decoded_of))
        self._queue.append((visible, decode, lag, stream, message if message.is_token else None))
        self._came += stream
        self._decoded_of += decode
        if message.is_token and len(self._tokens) == 1:
            self._look(time)

    def _advance(self, until: int) -> None:
        """Have the decoder take, and the streamer begin, what they can by a time."""
        queue, jobs, fetches, starts = self._queue, self._jobs, self._fetches, self._starts
        while True:
            if queue and len(jobs) < JOBS:
                visible, decode, lag, stream, token = queue[0]
                taken = max(visible, self._decoder_free, starts[len(jobs) - JOBS])
                if taken <= until:
                    queue.popleft()
                    self._decoder_free = taken + decode
                    self._decoded += decode
                    if stream:
                        jobs.append((taken + decode + lag + PIPELINE - 1, stream, token))
                    continue
            if not jobs:
                return
            start = self._next_start()
            if start > until:
                return
            _, stream, token = jobs.popleft()
            end = start + stream
            while fetches and fetches[0] < end:
                fetches.popleft()
                end += 1
            self._streamer_free = end
            self._streamed += stream
            starts.append(start)
            starts.popleft()
            if token is not None:
                self._tokens.popleft()
                self._on_token(token, start)

    def _next_start(self) -> int:
        """Return when the streamer begins the next job, as far as fetches are known."""
        start, fetches = max(self._jobs[0][0], self._streamer_free), self._fetches
        while fetches and fetches[0] <= start:
            if fetches.popleft() == start:
                start += 1
                self._streamer_free = start
        return start

    def _look(self, time: int) -> None:
        """Come back when the next token may be through, or there may be room."""
        due = -1
        if self._tokens:
            visible, came, decoded = self._tokens[0]
            due = max(
                time + 1,
                visible + PIPELINE,
                self._streamer_free + came - self._streamed,
                self._decoder_free + decoded - self._decoded + PIPELINE,
            )
        if self._waiting is not None:
            room = max(time + 1, self._next_taken() + 1)
            due = room if due < 0 else min(due, room)
        if due >= 0 and not time < self._due <= due:
            self._due = due
            self._clock.at(due, self._wake)

    def _next_taken(self) -> int:
        """Return when the decoder takes the next packet of a full queue, at the earliest."""
        taken = max(self._queue[0][0], self._decoder_free)
        if len(self._jobs) == JOBS:
            taken = max(taken, self._next_start())
        return taken

    def _wake(self, time: int) -> None:
        if time != self._due:
            return
        self._due = -1
        if self._waiting is not None:
            self._advance(time - 1)
            if len(self._queue) < self._depth:
                message, sender = self._waiting
                self._waiting = None
                self._enter(message, time)
                sender.taken(time)
        self._advance(time)
        if self._due < 0 or self._due > time:
            self._look(time)
