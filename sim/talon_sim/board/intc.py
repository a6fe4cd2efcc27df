"""The registers of an AXI interrupt controller (PG099), as far as PYNQ uses them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

STATUS, PENDING, ENABLE, ACKNOWLEDGE, SET_ENABLE, CLEAR_ENABLE = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14
MASTER_ENABLE = 0x1C
_MASTER = 0x1


class InterruptController:
    """Lines that are sensitive to their level, and one output.

    Parameters
    ----------
    lines
        Tell the level of each input, the first for bit 0.
    """

    def __init__(self, lines: Sequence[Callable[[], bool]]) -> None:
        self._lines = lines
        self._status = self._enable = self._master = 0

    @property
    def raised(self) -> bool:
        """Whether the output is high."""
        return bool(self._master & _MASTER and self.read(PENDING))

    def read(self, offset: int) -> int:
        """Return a register."""
        for bit, line in enumerate(self._lines):
            self._status |= line() << bit
        values = {
            STATUS: self._status,
            PENDING: self._status & self._enable,
            ENABLE: self._enable,
            MASTER_ENABLE: self._master,
        }
        return values.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Write a register."""
        if offset == ENABLE:
            self._enable = value
        elif offset == SET_ENABLE:
            self._enable |= value
        elif offset == CLEAR_ENABLE:
            self._enable &= ~value
        elif offset == ACKNOWLEDGE:
            self._status &= ~value
        elif offset == MASTER_ENABLE:
            self._master = value
