"""The registers of an AXI DMA in simple mode (PG021): errors, reset and interrupts.

PYNQ's channels start transfers; what they do not tell, or tell too late, is read here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from talon.errors import BackendError

SIDES = ("MM2S", "S2MM")
_CONTROL_OF = {"MM2S": 0x00, "S2MM": 0x30}
_STATUS_OF = {"MM2S": 0x04, "S2MM": 0x34}
_RESET = 0x4  # of both directions, whichever is asked
_FLAGS = {
    0x0001: "halted",
    0x0002: "idle",
    0x0010: "internal error",
    0x0020: "slave error",
    0x0040: "decode error",
    0x0100: "scatter-gather internal error",
    0x0200: "scatter-gather slave error",
    0x0400: "scatter-gather decode error",
}
_ERRORS = 0x770
_INTERRUPTS = 0x5000
"""End of a transfer and error: where they are permitted in CONTROL, and cleared in STATUS."""
_RESET_SECONDS = 1.0


class MMIO(Protocol):
    """The part of ``pynq.MMIO`` that is used."""

    def read(self, offset: int = 0) -> int:
        """Return the word at a byte offset."""
        ...

    def write(self, offset: int, value: int) -> None:
        """Write the word at a byte offset."""
        ...


class DmaRegisters:
    """The registers of a DMA, by ``mmio``."""

    def __init__(self, mmio: MMIO) -> None:
        self._mmio = mmio

    def flags(self, side: str) -> list[str]:
        """Return what the status of ``MM2S`` or ``S2MM`` says."""
        value = int(self._mmio.read(_STATUS_OF[side]))
        return [name for bit, name in _FLAGS.items() if value & bit]

    def failure(self) -> str | None:
        """Return what to say of the side that reports an error, or None."""
        for side in SIDES:
            if self._mmio.read(_STATUS_OF[side]) & _ERRORS:
                return f"DMA {side} reports {', '.join(self.flags(side))}"
        return None

    def permit_interrupts(self) -> None:
        """Let both sides interrupt at their end and at errors; PYNQ's channels ask for the end."""
        for offset in _CONTROL_OF.values():
            self._mmio.write(offset, int(self._mmio.read(offset)) | _INTERRUPTS)

    def clear_interrupts(self) -> None:
        """Take both interrupts back; errors stay in the status until the DMA is reset."""
        for offset in _STATUS_OF.values():
            self._mmio.write(offset, _INTERRUPTS)

    def reset(self, clock: Callable[[], float]) -> None:
        """Reset both sides, whatever they are doing.

        Raises
        ------
        BackendError
            The DMA does not come out of its reset.
        """
        at = _CONTROL_OF["MM2S"]
        self._mmio.write(at, _RESET)
        deadline = clock() + _RESET_SECONDS
        while self._mmio.read(at) & _RESET:
            if clock() > deadline:
                raise BackendError(
                    f"DMA does not come out of its reset within {_RESET_SECONDS} s; load the "
                    "bitstream again"
                )
