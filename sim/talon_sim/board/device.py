"""A device of PYNQ around a simulated board: PYNQ's own overlays, DMA, clocks and interrupts run.

A device is what gives PYNQ registers, memory, and a way to load a bitstream; all above it is PYNQ.
Importing this imports ``pynq``.
"""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pynq.interrupt import _InterruptController  # pyright: ignore[reportMissingImports]
from pynq.pl_server.device import Device  # pyright: ignore[reportMissingImports]
from pynq.pl_server.embedded_device import (  # pyright: ignore[reportMissingImports]
    EmbeddedDevice,
    bit2bin,
)
from pynq.uio import UioController  # pyright: ignore[reportMissingImports]
from pynqmetadata.frontends import Metadata  # pyright: ignore[reportMissingImports]
from pynqmetadata.views.runtime import (  # pyright: ignore[reportMissingImports]
    RuntimeMetadataParser,
)

from talon_sim.board.board import SimulatedBoard
from talon_sim.board.intc import InterruptController

_IO_PLL, _PL0 = 0xFF5E_0020, 0xFF5E_00C0
_PLL_AT_1500_MHZ = 45 << 8  # feedback divider; of a crystal of 33.333 MHz
_HALF_PLL = 15 << 8 | 1 << 16 | 1 << 24  # 100 MHz, as a board starts


class BoardDevice(Device):
    """The processing system of a Zynq UltraScale+ with a simulated board as its logic.

    Parameters
    ----------
    board
        What the registers of array and DMA are, and the memory. It is there as soon as a bitstream
        has been loaded.
    array, dma, intc
        Addresses of registers, as the block design has them.
    """

    arch = "aarch64"

    def __init__(
        self,
        board: SimulatedBoard,
        *,
        array: int = 0xA000_0000,
        dma: int = 0xA001_0000,
        intc: int = 0xA002_0000,
    ) -> None:
        super().__init__("simulated board")
        self.capabilities = {"REGISTER_RW": True}
        self.board = board
        lines = [board.levels[name] for name in ("DMA MM2S", "DMA S2MM", "array")]
        self.intc = InterruptController(lines)
        self._rooms = {array: board.mmio, dma: board.dma.mmio, intc: self.intc}
        self._words = {_IO_PLL: _PLL_AT_1500_MHZ, _PL0: _HALF_PLL}  # of the processing system
        self.downloads: list[bytes] = []

    def allocate(self, shape: Any, dtype: Any = "u4", **options: Any) -> Any:
        """Return a buffer in the memory of the board."""
        return self.board.allocate(shape, dtype, **options)

    def read_registers(self, address: int, length: int) -> bytes:
        """Return a word of array, DMA, interrupt controller or processing system."""
        room = self._room(address)
        value = self._words.get(address, 0) if room is None else room[0](address - room[2])
        return int(value).to_bytes(length, "little")

    def write_registers(self, address: int, data: Any) -> None:
        """Write a word."""
        value = int.from_bytes(bytes(data), "little")
        room = self._room(address)
        if room is None:
            self._words[address] = value
        else:
            room[1](address - room[2], value)

    def _room(self, address: int) -> tuple[Callable[..., int], Callable[..., None], int] | None:
        for start, room in self._rooms.items():
            if start <= address < start + (1 << 16):
                return room.read, room.write, start
        return None

    def get_bitfile_metadata(self, bitfile_name: str, partial: bool = False) -> Any:
        """Parse the .hwh beside a bitstream, as PYNQ does on a board."""
        del partial
        parser = RuntimeMetadataParser(Metadata(input=str(Path(bitfile_name).with_suffix(".hwh"))))
        parser.refresh_hierarchy_dict()
        return parser

    def download(self, bitstream: Any, parser: Any = None) -> None:
        """Take a bitstream, and set the widths of the buses, as PYNQ does on a board."""
        self.downloads.append(bit2bin(Path(bitstream.bitfile_name).read_bytes()))
        EmbeddedDevice.set_axi_port_width(self, parser)
        self.post_download(bitstream, parser)


class _Uio(UioController):
    """A file of interrupts that is closed in its own loop, and not by whichever runs at the end."""

    def __del__(self) -> None:
        pass


@asynccontextmanager
async def uio_of(device: BoardDevice, raw_irq: int = 121) -> AsyncIterator[None]:
    """Let the interrupts of a device reach PYNQ, through a file as Linux has for them (UIO).

    To be entered before an overlay is made, in the event loop that will wait.

    Parameters
    ----------
    device
        The device.
    raw_irq
        Number of the interrupt of the processor that its interrupt controller is on.
    """
    kernel, user = os.openpty()
    tty.setraw(user)
    os.set_blocking(kernel, False)
    devices = _InterruptController._uio_devices
    controller = devices[raw_irq] = _Uio(os.ttyname(user))
    pump = asyncio.ensure_future(_pass_on(device, kernel))
    try:
        yield
    finally:
        pump.cancel()
        del devices[raw_irq]
        _InterruptController._controllers.clear()
        asyncio.get_running_loop().remove_reader(controller.uio)
        controller.uio.close()
        os.close(kernel)
        os.close(user)


async def _pass_on(device: BoardDevice, kernel: int) -> None:
    """Let time pass, and tell of an interrupt once, each time that somebody has asked for one."""
    asked = False
    while True:
        try:
            asked = bool(os.read(kernel, 4)) or asked
        except BlockingIOError:
            device.board.advance()
        if asked and device.intc.raised:
            os.write(kernel, (1).to_bytes(4, "little"))
            asked = False
        await asyncio.sleep(0)
