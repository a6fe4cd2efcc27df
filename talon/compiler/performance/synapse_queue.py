"""A core's input: packets wait for a place in its queue, the decoder, then the row streamer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from talon.compiler.performance.clock import Clock
from talon.compiler.performance.mesh import Sender
from talon.compiler.performance.streamer import Job, Streamer

PIPELINE = 5
"""Cycles from a packet that the decoder takes to its first row."""

JOBS = 13
"""Jobs that wait for the streamer with which the decoder takes no packet."""

_TO_JOB = 1  # cycles from the second stage of the decoder to the job, besides those of decoding
_TO_READ = 1  # cycles from the job to the one in which the streamer reads it


class Arriving(Protocol):
    """A packet."""

    is_token: bool

    def work(self, core: int) -> tuple[int, int, int]:
        """Return cycles of the decoder, pointers, and cycles of the streamer at a core."""
        ...


class SynapseQueue:
    """Packets of one core, followed as far as somebody has to know.

    The decoder takes a packet every so many cycles if there is room for its job; the streamer
    issues its pointer, if it has one, and its rows.

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
        self._queue: deque[tuple[int, int, Job, int, Any]] = deque()
        self._jobs: deque[tuple[int, Job, int, Any]] = deque()  # with the cycle in which they come
        self._streamer = Streamer(self._through)
        # Of the last packet: when it was taken and went on to the second stage, and for how long
        # it holds that.
        self._taken, self._moved, self._held = -1, -1, 1
        self._began = 0  # when the streamer began its last job: nothing is taken before that now
        self._waiting: tuple[Any, Sender] | None = None
        # Cycles of streamer and decoder of all that came, and of what is behind these two.
        self._came = self._decoded_of = 0
        self._streamed = self._decoded = 0
        self._tokens: deque[tuple[int, int, int]] = deque()
        self._due = -1  # of the next look; -1: none

    def offer(self, message: Any, time: int, sender: Sender) -> bool:
        """Take a packet if there is room."""
        if self._is_full(time):
            self._advance(time - 1)
            if self._is_full(time):
                self._waiting = message, sender
                self._look(time)
                return False
        self._enter(message, time)
        return True

    def add_fetches(self, times: Iterable[int]) -> None:
        """Let an update fetch rows at ascending times, none of them before now."""
        self._streamer.add_fetches(times)

    def settle(self, time: int) -> None:
        """Follow everything up to a time."""
        self._advance(time)

    def _is_full(self, time: int) -> bool:
        """Tell whether a packet finds the queue full; what is taken in its cycle is still there."""
        return len(self._queue) + (self._taken >= time) >= self._depth

    def _through(self, token: Any, time: int) -> None:
        self._tokens.popleft()
        self._on_token(token, time)

    def _enter(self, message: Any, time: int) -> None:
        decode, pointers, stream = message.work(self._core)
        visible = time + 1
        job = Job.TOKEN if message.is_token else Job.LIST if pointers else Job.ROWS
        if message.is_token:
            self._tokens.append((visible, self._came, self._decoded_of))
        self._queue.append((visible, decode, job, stream, message if message.is_token else None))
        self._came += stream
        self._decoded_of += decode
        if message.is_token and len(self._tokens) == 1:
            self._look(time)

    def _advance(self, until: int) -> None:
        """Have the decoder take, and the streamer begin, what they can by a time."""
        queue, jobs, streamer = self._queue, self._jobs, self._streamer
        while True:
            start = self._next_start() if jobs else until + 1
            if queue:
                taken = self._next_taken()
                if taken <= until and taken < start:
                    self._take(taken)
                    continue
            if start > until:
                break
            _, job, stream, token = jobs.popleft()
            streamer.begin(job, start, stream - (job is not Job.ROWS), token)
            self._began = start
            self._streamed += stream
        streamer.follow(until + 1)

    def _next_taken(self) -> int:
        """Return when the decoder takes the next packet.

        It may be sooner than the start of the next job: then it is when there is room for a job.
        """
        taken = self._unheld(max(self._queue[0][0], self._taken + 1, self._moved, self._began))
        jobs = self._jobs
        if len(jobs) < JOBS:
            return taken
        read = max(jobs[0][0] + _TO_READ, self._streamer.free - 1)
        if self._waiting_jobs(taken) - (read < taken) >= JOBS:
            taken = self._unheld(max(taken, read + 1))
            if self._waiting_jobs(taken) - 1 >= JOBS:
                return max(taken, self._next_start())
        return taken

    def _unheld(self, time: int) -> int:
        """Return when the first stage takes a packet, which the second may hold."""
        free = self._moved + self._held
        return free if self._moved < time < free else time

    def _waiting_jobs(self, time: int) -> int:
        """Return the jobs that have come before a time, that at the streamer included."""
        n = len(self._jobs)
        while n and self._jobs[n - 1][0] >= time:
            n -= 1
        return n

    def _take(self, taken: int) -> None:
        _, decode, job, stream, token = self._queue.popleft()
        self._moved = max(taken + 1, self._moved + self._held)
        self._taken, self._held = taken, decode
        self._decoded += decode
        if stream:
            self._jobs.append((self._moved + decode + _TO_JOB, job, stream, token))

    def _next_start(self) -> int:
        """Return when the streamer begins the next job, as far as fetches are known."""
        came, job, _, _ = self._jobs[0]
        behind = self._jobs[1][0] + _TO_READ if len(self._jobs) > 1 else None
        return self._streamer.start(job, came + _TO_READ + 1, behind)

    def _look(self, time: int) -> None:
        """Come back when the next token may be through, or there may be room."""
        due = -1
        if self._tokens:
            due = max(time + 1, self._streamer.next_token() or self._next_token())
        if self._waiting is not None:
            is_full = len(self._queue) >= self._depth
            room = max(time, self._next_taken() if is_full else 0) + 1
            due = room if due < 0 else min(due, room)
        if due >= 0 and not time < self._due <= due:
            self._due = due
            self._clock.at(due, self._wake)

    def _next_token(self) -> int:
        """Return before when the next token is not through, if it waits for streamer or decoder."""
        visible, came, decoded = self._tokens[0]
        due = max(
            visible + PIPELINE, self._streamer.slot + self._streamer.left + came - self._streamed
        )
        if decoded < self._decoded:  # it is a job by now
            return due
        return max(due, self._moved + self._held + decoded - self._decoded + PIPELINE - 1)

    def _wake(self, time: int) -> None:
        if time != self._due:
            return
        self._due = -1
        if self._waiting is not None:
            self._advance(time - 1)
            if not self._is_full(time):
                message, sender = self._waiting
                self._waiting = None
                self._enter(message, time)
                sender.taken(time)
        self._advance(time)
        if self._due < 0 or self._due > time:
            self._look(time)
