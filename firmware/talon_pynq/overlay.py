"""A bitstream with an array, on a board: ``TalonOverlay("talon_array.bit").run(image, inputs)``.

Importing this imports ``pynq``, so it is for the board. It needs NumPy, ``pynq`` and what Talon
needs on a board, and no compiler: an image and payloads are enough.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pynq  # pyright: ignore[reportMissingImports]  # it is on boards alone

from talon.arch import registers
from talon.arch.params import FORMAT_VERSION
from talon.errors import BackendError
from talon.image.container import Image
from talon.image.decode import Decoded
from talon.image.driver import Driver, Progress
from talon.image.stream import Payloads
from talon_pynq.interrupts import Waitable
from talon_pynq.transport import ARRAY, BUFFER_BYTES, DmaTransport

if TYPE_CHECKING:
    from typing_extensions import Self

VLNV = "talon-snn.org:talon:talon_array:1.0"
"""Vendor, library, name and version of the array in a block design."""

_CLOCK = 0
"""The clock of the programmable logic that drives the array: ``fclk0`` of ``pynq.Clocks``."""

_CLOCK_TOLERANCE = 1.001  # what is set is rounded


class TalonArray(pynq.DefaultIP):
    """The registers of an array; PYNQ binds it to the IP of this name in every overlay."""

    bindto = (VLNV, "xilinx.com:module_ref:talon_array:1.0")

    def read(self, register: str, index: int = 0) -> int:
        """Return the value of a register."""
        return int(self.mmio.read(registers.address(register, index)))

    def measured_mhz(self, seconds: float = 0.1) -> float:
        """Measure the clock of the array by its counter of cycles, in MHz."""
        start, first = time.perf_counter(), self.read("CYCLES")
        time.sleep(seconds)
        last, end = self.read("CYCLES"), time.perf_counter()
        return ((last - first) & 0xFFFF_FFFF) / (end - start) / 1e6


class TalonOverlay(pynq.Overlay):
    """A bitstream with one array and its DMA.

    Parameters
    ----------
    bitfile
        Path of the bitstream; the .hwh of the same name must lie beside it.
    timeout
        Seconds without any word moved after which the array is held to hang.
    buffer_bytes
        Memory of each direction up to which samples share a transfer, see
        :class:`talon_pynq.transport.DmaTransport`.
    **options
        Of ``pynq.Overlay``.

    Raises
    ------
    BackendError
        The bitstream has no array, more than one, or no DMA; its registers are not those of an
        array of this version of Talon; its clock is faster than the bitstream was made for.
    """

    def __init__(
        self,
        bitfile: str,
        *,
        timeout: float = 2.0,
        buffer_bytes: int = BUFFER_BYTES,
        **options: Any,
    ) -> None:
        super().__init__(bitfile, **options)
        self.array = _only(self, TalonArray, "array (IP talon_array)")
        self.dma = _only(self, pynq.lib.DMA, "DMA (IP axi_dma)")
        self.mmio = self.array.mmio
        self.allocate = functools.partial(pynq.allocate, target=self.device)
        self._link = DmaTransport(
            self.mmio,
            self.dma,
            self.allocate,
            timeout=timeout,
            buffer_bytes=buffer_bytes,
            interrupts=_interrupts(self.dma, self.array),
        )
        self._driver: Driver | None = None
        self._check_array()
        self._check_clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the buffers back; the bitstream stays loaded."""
        self._link.close()

    @property
    def clock_mhz(self) -> float:
        """Clock that the processor is set to give the array, in MHz."""
        return float(pynq.Clocks.fclk0_mhz)  # get_pl_clk of PYNQ 3 returns nothing

    @property
    def designed_mhz(self) -> float | None:
        """Clock in MHz that the bitstream was made for, by its .hwh; None if that does not say."""
        value = self.clock_dict.get(_CLOCK, {}).get("frequency")
        return None if value is None else float(value)

    def load(self, image: Image, *, verify: bool = False) -> Driver:
        """Load an image into the array, and return the driver that runs it.

        Parameters
        ----------
        image
            What :func:`talon.image.container.read_image` read.
        verify
            Read all memories back, and compare.
        """
        driver = self._driver_of(image)
        driver.load(image)
        if verify:
            driver.verify()
        return driver

    async def load_async(self, image: Image, *, verify: bool = False) -> Driver:
        """As :meth:`load`, and others run meanwhile."""
        driver = self._driver_of(image)
        await driver.load_async(image)
        if verify:
            await driver.verify_async()
        return driver

    def run(
        self,
        inputs: Mapping[str, Payloads],
        *,
        probe: bool = False,
        batch: int | None = None,
        progress: Progress | None = None,
    ) -> Decoded:
        """Run samples on the image that is loaded, as :meth:`talon.image.driver.Driver.run`."""
        driver = self._loaded()
        return driver.run(inputs, probe=probe, batch=batch, progress=progress)

    async def run_async(
        self,
        inputs: Mapping[str, Payloads],
        *,
        probe: bool = False,
        batch: int | None = None,
        progress: Progress | None = None,
    ) -> Decoded:
        """As :meth:`run`, and others run meanwhile.

        Interrupts of DMA and array end the waiting where the overlay has them. A run that is
        cancelled has reset the array; load the image again.
        """
        driver = self._loaded()
        return await driver.run_async(inputs, probe=probe, batch=batch, progress=progress)

    def _check_array(self) -> None:
        expected = {"ID": registers.ID, "VERSION": FORMAT_VERSION}
        for name, value in expected.items():
            found = self.array.read(name)
            if found != value:
                raise BackendError(
                    f"Array register {name} must be {value:#x}, not {found:#x}: {self.bitfile_name}"
                    " is of another version of Talon, or its .hwh of another bitstream; build it "
                    "anew"
                )

    def _check_clock(self) -> None:
        designed, clock = self.designed_mhz, self.clock_mhz
        if designed is not None and clock > designed * _CLOCK_TOLERANCE:
            raise BackendError(
                f"Clock of the array must be {designed:g} MHz at most, as the bitstream was made "
                f"for, not {clock:g} MHz; set pynq.Clocks.fclk0_mhz, or load it with download=True"
            )

    def _check_loaded(self) -> None:
        if not self.is_loaded():
            raise BackendError(
                f"Overlay {self.bitfile_name} is loaded no more: another has taken its place; make "
                "a new TalonOverlay"
            )

    def _driver_of(self, image: Image) -> Driver:
        self._check_loaded()
        self._driver = None
        self._driver = Driver(self._link, image.params)
        return self._driver

    def _loaded(self) -> Driver:
        self._check_loaded()
        if self._driver is None:
            raise BackendError("Overlay has no program; load an image first")
        return self._driver


def _interrupts(dma: Any, array: Any) -> dict[str, Waitable]:
    """Return the interrupts that an overlay has; a pin that is not connected has none."""
    lines = {
        "DMA MM2S": getattr(dma, "mm2s_introut", None),
        "DMA S2MM": getattr(dma, "s2mm_introut", None),
        ARRAY: getattr(array, "irq", None),
    }
    return {name: line for name, line in lines.items() if line is not None}


def _only(overlay: Any, kind: type, what: str) -> Any:
    """Return the one IP of a type in an overlay."""
    found = [
        name
        for name, entry in overlay.ip_dict.items()
        if isinstance(entry.get("driver"), type) and issubclass(entry["driver"], kind)
    ]
    if len(found) != 1:
        raise BackendError(
            f"Overlay must have one {what}, not {len(found)}: {sorted(overlay.ip_dict)}"
        )
    return getattr(overlay, found[0])
