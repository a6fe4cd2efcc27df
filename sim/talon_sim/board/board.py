"""The parts of a board that the driver of PYNQ sees, around a simulated array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import DTypeLike

from talon.arch import registers
from talon_sim.board import dma as axi
from talon_sim.board.dma import AxiDma, SteppedArray
from talon_sim.board.faults import Fault
from talon_sim.board.interrupts import Interrupt
from talon_sim.board.memory import Buffer, Memory

MAX_BYTES = (1 << 26) - 1
"""Longest transfer of a DMA with a length of 26 bits, its most."""

_STATUS = registers.address("STATUS")


class BoardArray(SteppedArray, Protocol):
    """An array with streams and registers."""

    def read_word(self, address: int) -> int:
        """Return the register at a byte address."""
        ...

    def write_word(self, address: int, value: int) -> None:
        """Write the register at a byte address."""
        ...


class ArrayMMIO:
    """The registers of the array, with the interface of ``pynq.MMIO``."""

    def __init__(self, array: BoardArray) -> None:
        self._array = array

    def read(self, offset: int = 0) -> int:
        """Return a register."""
        return self._array.read_word(offset)

    def write(self, offset: int, value: int) -> None:
        """Write a register."""
        self._array.write_word(offset, value)


class Channel:
    """One direction of the DMA, with the interface and the ways of PYNQ's driver.

    As there, ``wait`` and ``stop`` look at the status until it changes, for ever if need be.
    """

    def __init__(self, mmio: AxiDma, base: int) -> None:
        self._mmio, self._base = mmio, base
        self._buffer: Any = None
        self._first = True
        self.transferred = 0
        self.start()

    @property
    def running(self) -> bool:
        """Whether the channel is started and not halted by an error."""
        return not self._mmio.read(self._base + axi.STATUS) & axi.HALTED

    @property
    def idle(self) -> bool:
        """Whether the transfer is done."""
        return bool(self._mmio.read(self._base + axi.STATUS) & axi.IDLE)

    @property
    def error(self) -> bool:
        """Whether an error has halted the channel."""
        return bool(self._mmio.read(self._base + axi.STATUS) & 0x70)

    def start(self) -> None:
        """Start the channel."""
        self._mmio.write(self._base + axi.CONTROL, axi.RUN)
        while not self.running:
            pass
        self._first = True

    def transfer(self, array: Any, start: int = 0, nbytes: int = 0) -> None:
        """Begin the transfer of a buffer, or of ``nbytes`` of it from ``start`` on."""
        if not self.running:
            raise RuntimeError("DMA channel not started")
        if not self.idle and not self._first:
            raise RuntimeError("DMA channel not idle")
        n_bytes = nbytes or array.nbytes - start
        if n_bytes > MAX_BYTES:
            raise ValueError(f"Transfer of {n_bytes} bytes must be of {MAX_BYTES} at most")
        if self._base == axi.MM2S:
            array.flush()
        address = array.physical_address + start
        self.transferred = 0
        self._mmio.write(self._base + axi.ADDRESS, address & 0xFFFF_FFFF)
        self._mmio.write(self._base + axi.ADDRESS_HIGH, address >> 32)
        self._mmio.write(self._base + axi.LENGTH, n_bytes)
        self._buffer, self._first = array, False

    def wait(self) -> None:
        """Wait for the end of the transfer; raise a RuntimeError where the DMA reports one."""
        if not self.running:
            raise RuntimeError("DMA channel not started")
        while not self.idle:
            if self.error:
                raise RuntimeError("DMA error")
        if self._base == axi.S2MM:
            self._buffer.invalidate()
        self.transferred = self._mmio.read(self._base + axi.LENGTH)
        self._buffer = None


class Dma:
    """The DMA, with the interface of ``pynq.lib.DMA``."""

    buffer_max_size = MAX_BYTES

    def __init__(self, registers: AxiDma) -> None:
        self.mmio = registers
        self.sendchannel = Channel(registers, axi.MM2S)
        self.recvchannel = Channel(registers, axi.S2MM)


class SimulatedBoard:
    """A simulated array behind registers, a DMA and memory, as the driver of PYNQ wants them.

    Parameters
    ----------
    array
        The array: a :class:`talon_sim.cosim.fast.FastArray`, or one of the golden model.
    cycles
        Cycles that pass when the status of the DMA is read, or an interrupt is waited for.

    Attributes
    ----------
    levels, interrupts
        Interrupts of DMA and array by name: whether they are high, and for a driver to wait for.
    """

    def __init__(self, array: BoardArray, *, cycles: int = 256) -> None:
        self.memory = Memory()
        self.mmio = ArrayMMIO(array)
        self._dma = AxiDma(array, self.memory, cycles=cycles)
        self.dma = Dma(self._dma)
        self.levels: dict[str, Callable[[], bool]] = {
            "DMA MM2S": lambda: self._dma.raised(axi.MM2S),
            "DMA S2MM": lambda: self._dma.raised(axi.S2MM),
            "array": self._array_raised,
        }
        self.interrupts = {
            name: Interrupt(level, self.advance) for name, level in self.levels.items()
        }

    def advance(self) -> None:
        """Let some cycles pass, with nobody looking."""
        self._dma.advance()

    def _array_raised(self) -> bool:
        status = registers.BY_NAME["STATUS"].layout.unpack(self.mmio.read(_STATUS))
        return bool(status["error"] or status["bad_word"])  # as the gateware makes irq

    def allocate(self, shape: Any, dtype: DTypeLike = "u4") -> Buffer:
        """Return a buffer, as ``pynq.allocate`` does."""
        return self.memory.allocate(shape, dtype)

    def inject(self, fault: Fault | None) -> None:
        """Let something go wrong in a transfer to come."""
        self._dma.inject(fault)
