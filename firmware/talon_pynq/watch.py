"""Watching a transfer: whether it is done, has failed, or stands still."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talon_pynq.dma import DmaRegisters


class TransferError(Exception):
    """A transfer that will not end."""

    def __init__(self, text: str, *, stalled: bool = False) -> None:
        super().__init__(text)
        self.stalled = stalled


class Watch:
    """Looks at one transfer under way.

    Parameters
    ----------
    dma
        The DMA, for its channels.
    registers
        Its registers.
    moved
        Tells the words sent and received so far.
    timeout, clock
        Seconds without any word moved after which the array is held to hang, and their clock.
    """

    def __init__(
        self,
        dma: Any,
        registers: DmaRegisters,
        moved: Callable[[], tuple[int, int]],
        *,
        timeout: float,
        clock: Callable[[], float],
    ) -> None:
        self._dma, self._registers, self._moved = dma, registers, moved
        self._timeout, self._clock = timeout, clock
        self._last, self._since = moved(), clock()

    def done(self) -> bool:
        """Tell whether both channels are done.

        Raises
        ------
        TransferError
            They will not be: the DMA reports an error, or no word has moved for too long.
        """
        failure = self._registers.failure()
        if failure is not None:
            raise TransferError(failure)
        ends = {
            "the answer has ended": bool(self._dma.recvchannel.idle),
            "all words are taken": bool(self._dma.sendchannel.idle),
        }
        if all(ends.values()):
            return True
        now = self._moved()
        if now != self._last:
            self._last, self._since = now, self._clock()
        elif self._clock() - self._since > self._timeout:
            parts = [text for text, ended in ends.items() if ended]
            text = f"Array moved no word for {self._timeout} s"
            raise TransferError(", and ".join([text, *parts]), stalled=True)
        return False
