"""Waiting for one of several interrupts, and never for longer than asked.

``pynq.Interrupt`` can miss what it waits for: its device is read by the event loop that ran when
it was made, and it belongs to the first loop that waited. So an interrupt makes a look at the
registers come sooner, and nothing hangs on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

_log = logging.getLogger(__name__)


class Waitable(Protocol):
    """The part of ``pynq.Interrupt`` that is used."""

    async def wait(self) -> None:
        """Return when the interrupt is active."""
        ...


class Waits:
    """Waits for some interrupts, by name, while one transfer is under way.

    Attributes
    ----------
    broken
        Those that could not be waited for.
    """

    def __init__(self, lines: Mapping[str, Waitable]) -> None:
        self._lines = dict(lines)
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self.broken: set[str] = set()

    @property
    def names(self) -> set[str]:
        """Names of the interrupts that are waited for."""
        return set(self._lines)

    def listen(self) -> None:
        """Begin to wait for those that are not waited for."""
        for name, line in self._lines.items():
            if name not in self._tasks:
                self._tasks[name] = asyncio.ensure_future(line.wait())

    async def pause(self, seconds: float) -> set[str]:
        """Return as soon as an interrupt comes, after ``seconds`` at most; say which came."""
        self.listen()
        if not self._tasks:
            await asyncio.sleep(seconds)
            return set()
        done, _ = await asyncio.wait(
            self._tasks.values(), timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        came: set[str] = set()
        for name in [name for name, task in self._tasks.items() if task in done]:
            error = self._tasks.pop(name).exception()
            if error is None:
                came.add(name)
            else:
                self.forget(name)
                self.broken.add(name)
                _log.warning("Interrupt %s cannot be waited for, so it is polled: %s", name, error)
        return came

    def forget(self, name: str) -> None:
        """Wait no more for an interrupt: it stays active until what has caused it is mended."""
        self._lines.pop(name, None)

    def close(self) -> None:
        """Give up waiting."""
        for task in self._tasks.values():
            if not task.done():
                task.cancel()
            elif not task.cancelled():
                task.exception()  # looked at, or asyncio complains of it
        self._tasks = {}
