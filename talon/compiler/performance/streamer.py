"""The row streamer of a core: in which cycles rows, pointers, lists and tokens go.

It follows ``docs/hardware/synapse_engine.md``, "Streamer": a row or a pointer a cycle, fetches
first; pointers run ahead of their lists, and tokens wait behind lists as one of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

POINTERS = 4
"""Pointers and tokens that may be on their way to the list at hand."""

TO_LIST = 6
"""Cycles from a pointer to the first row of its list."""

TO_EMPTY = 5
"""Cycles from the pointer of an empty list to the next pointer that it makes room for."""


class Job(Enum):
    """What the streamer does with a job."""

    ROWS = 0
    LIST = 1
    TOKEN = 2


class Streamer:
    """Jobs one after another, each begun by its owner when :meth:`start` says.

    Nothing that was begun is taken back. Rows are followed past the present only for the job at
    hand; a fetch that is told later puts these off.

    Parameters
    ----------
    on_token
        Called with a token and the cycle in which it is through, in the order of cycles.

    Attributes
    ----------
    free
        The first cycle in which a next job can begin.
    slot
        The first cycle behind all rows and pointers up to now.
    left
        Rows of lists that are still to come.
    """

    def __init__(self, on_token: Callable[[Any, int], None]) -> None:
        self._on_token = on_token
        self.free = self.slot = self.left = 0
        self._fetches: deque[int] = deque()
        # From which cycle on each can be at hand, its rows that are left, and the token.
        self._lists: deque[tuple[int, int, Any]] = deque()
        self._empty: deque[int] = deque()  # when empty lists make room
        self._at_hand = 0  # from when on a next list can be at hand
        self._followed = 0  # up to when all is known, so what has not begun begins no sooner
        self._passed: deque[tuple[int, Any]] = deque()  # tokens, and when they are through

    def add_fetches(self, times: Iterable[int]) -> None:
        """Let an update fetch rows at ascending times, none of them before now."""
        for time in times:
            if time < self.slot:
                self.slot += 1
                self.free += time < self.free
            else:
                self._fetches.append(time)

    def start(self, job: Job, came: int, behind: int | None) -> int:
        """Return when a job can begin, if nothing else begins before.

        Parameters
        ----------
        job
            What it is.
        came
            The first cycle in which it can be at hand.
        behind
            The first cycle in which another job waits behind it; None if there is none.
        """
        ready = max(came, self.free, self._followed)
        if job is Job.ROWS:
            return ready
        room, through = self._ahead(ready)
        if job is Job.TOKEN:
            if behind is None:
                return through
            return min(self._without_fetch(max(room, behind)), through)
        return self._without_fetch(room)

    def begin(self, job: Job, start: int, rows: int, token: Any) -> None:
        """Begin a job of so many rows, without the pointer of a list."""
        self.follow(start)
        if job is Job.ROWS:
            self._issue(start, rows)
        elif job is Job.TOKEN and self._ahead(start)[1] <= start:
            self._passed.append((start, token))
            self.slot = self.free = start + 1
        else:
            self.slot = self.free = start + 1
            if rows or token is not None:
                self._lists.append((start + TO_LIST, rows, token))
                self.left += rows
            else:
                self._empty.append(start + TO_EMPTY)

    def follow(self, end: int) -> None:
        """Issue the rows of lists, and pass tokens, in the cycles before one."""
        self._followed = max(self._followed, end)
        while self._lists:
            ready, rows, token = self._lists[0]
            ready = max(ready, self._at_hand)
            first = ready if token is not None else max(ready, self.slot)
            if first >= end:
                break
            if token is None:
                after = self._after(first, rows)
                if after > end:
                    done = self._room(first, end)
                    self._lists[0] = ready, rows - done, None
                    self.left -= done
                    self.slot = end
                    break
            self._next_list(first)
        while self._empty and self._empty[0] < end:
            self._empty.popleft()
        if not self._lists:
            while self._fetches and self._fetches[0] < end:
                self._fetches.popleft()
        while self._passed and self._passed[0][0] < end:
            time, token = self._passed.popleft()
            self._on_token(token, time)

    def next_token(self) -> int | None:
        """Return when the next token is through that was begun, None if there is none."""
        if self._passed:
            return self._passed[0][0]
        return next((at for at, token in self._times()[0] if token is not None), None)

    def _times(self) -> tuple[list[tuple[int, Any]], int]:
        """Return when each list is at hand, with its token, and when all are through.

        That is if no pointer goes before their rows.
        """
        found: list[tuple[int, Any]] = []
        slot, at_hand = self.slot, self._at_hand
        for ready, rows, token in self._lists:
            at = max(ready, at_hand)
            found.append((at, token))
            if token is None:
                slot = at_hand = self._after(max(at, slot), rows)
            else:
                at_hand = at + 1
        return found, max(at_hand, *self._empty) if self._empty else at_hand

    def _ahead(self, ready: int) -> tuple[int, int]:
        """Return from when on there is room for a pointer, and all lists are through."""
        if not self._lists and not self._empty:
            return ready, ready
        times, through = self._times()
        returns = sorted([*(at for at, _ in times), *self._empty])
        room = max(ready, returns[-POINTERS]) if len(returns) >= POINTERS else ready
        return room, max(ready, through)

    def _next_list(self, first: int) -> None:
        """Have all of the list at hand from a cycle on, or pass its token."""
        _, rows, token = self._lists.popleft()
        if token is None:
            self.slot = self._at_hand = self._after(first, rows)
            self.left -= rows
        else:
            self._passed.append((first, token))
            self._at_hand = first + 1

    def _issue(self, slot: int, rows: int) -> None:
        """Issue the rows of a job from a cycle on; those of lists go first."""
        slot = max(slot, self.slot)
        while rows:
            after = self._after(slot, rows)
            if self._lists:
                ready, _, token = self._lists[0]
                at = max(ready, self._at_hand)
                if at <= slot:
                    self._next_list(at if token is not None else slot)
                    slot = max(slot, self.slot)
                    continue
                if at < after:
                    rows -= self._room(slot, at)
                    slot = at
                    continue
            slot, rows = after, 0
        self.slot = self.free = slot

    def _after(self, first: int, rows: int) -> int:
        """Return the cycle after so many rows that begin in a cycle or later."""
        end = first + rows
        for fetch in self._fetches:
            if fetch >= end:
                break
            end += fetch >= first
        return end

    def _room(self, first: int, end: int) -> int:
        """Return how many rows there is room for in some cycles."""
        return end - first - sum(first <= fetch < end for fetch in self._fetches)

    def _without_fetch(self, time: int) -> int:
        return self._after(time, 1) - 1
