"""Interrupts of a simulated board, with the interface of ``pynq.Interrupt``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Interrupt:
    """One interrupt line, by what tells its level.

    Parameters
    ----------
    level
        Tells whether the line is high.
    advance
        Lets time pass: nobody looks at a register while an interrupt is waited for.
    """

    def __init__(self, level: Callable[[], bool], advance: Callable[[], None]) -> None:
        self._level, self._advance = level, advance
        self.n_waits = 0
        self.n_raised = 0

    async def wait(self) -> None:
        """Return when the line is high."""
        self.n_waits += 1
        while not self._level():
            self._advance()
            await asyncio.sleep(0)
        self.n_raised += 1
