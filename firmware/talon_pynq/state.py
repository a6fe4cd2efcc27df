"""The state of bridge and DMA in one line, for messages."""

from __future__ import annotations

from collections.abc import Callable

from talon.arch import registers
from talon_pynq.dma import SIDES, DmaRegisters

_FIGURES = ("STEP", "IN_WORDS", "OUT_WORDS", "N_DESTS")


def describe(read: Callable[[str], int], dma: DmaRegisters) -> str:
    """Return what STATUS, queues, counters and DMA say.

    Parameters
    ----------
    read
        Reads a register of the array by its name.
    dma
        The registers of the DMA.
    """
    status = registers.BY_NAME["STATUS"].layout.unpack(read("STATUS"))
    levels = registers.BY_NAME["FIFO"].layout.unpack(read("FIFO"))
    parts = [f"STATUS: {', '.join(name for name, value in status.items() if value) or 'none'}"]
    parts += [f"FIFO {name}={value}" for name, value in levels.items()]
    parts += [f"{name}={read(name)}" for name in _FIGURES]
    parts += [f"DMA {side}: {', '.join(dma.flags(side)) or 'running'}" for side in SIDES]
    return "; ".join(parts)
