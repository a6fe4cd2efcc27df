"""What happens next: events in the order of their cycles."""

from __future__ import annotations

import heapq
from collections.abc import Callable

Event = Callable[[int], None]


class Clock:
    """Events by cycle; in a cycle, what makes room or asks comes before what chooses or offers."""

    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Event]] = []
        self._count = 0

    def at(self, time: int, event: Event) -> None:
        """Have an event at a time."""
        self._count += 1
        heapq.heappush(self._heap, (2 * time, self._count, event))

    def late(self, time: int, event: Event) -> None:
        """Have an event at a time, after all of :meth:`at`."""
        self._count += 1
        heapq.heappush(self._heap, (2 * time + 1, self._count, event))

    def run(self) -> None:
        """Let everything happen."""
        heap, pop = self._heap, heapq.heappop
        while heap:
            key, _, event = pop(heap)
            event(key >> 1)
