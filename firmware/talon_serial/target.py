"""An array on a board with a serial port, as a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from talon.backend.driving import run_driver
from talon.backend.passes import Passing, has_passes, image_of, run_passes
from talon.backend.target import Progress, Runnable
from talon.backend.trace import Trace
from talon.compiler.network import IntArray
from talon.errors import BackendError
from talon.image.container import read_image
from talon.image.driver import Driver
from talon_serial.port import BAUD, Port, open_port
from talon_serial.transport import SerialTransport


class SerialTarget:
    """Runs the image of a program on a board: ``program.run(x, target="serial", port=...)``.

    Parameters
    ----------
    port
        Device of the board, such as ``/dev/ttyUSB0``; or an open port, as pyserial has it.
    baud
        Bits a second; what the bitstream was built for.
    verify
        Read all memories back after loading, and compare.
    **link
        Further options of :class:`talon_serial.transport.SerialTransport`.
    """

    name = "serial"

    def __init__(
        self, *, port: str | Port | None = None, baud: int = BAUD, verify: bool = False, **link
    ) -> None:
        if port is None:
            raise BackendError(
                "Target 'serial' needs the port of the board, such as port='/dev/ttyUSB0'"
            )
        self._port, self._baud, self._verify, self._link = port, baud, verify, link

    def run(
        self,
        program: Runnable,
        inputs: Mapping[str, IntArray],
        *,
        probe: bool = False,
        progress: Progress | None = None,
    ) -> Trace:
        """Run all samples and return the record of the run; ``cores`` has the counters of each."""
        if has_passes(program):
            passing = cast(Passing, program)
            return run_passes(self, passing, inputs, probe=probe, progress=progress)
        image = read_image(image_of(program))
        chosen = self._port
        port = open_port(chosen, baud=self._baud) if isinstance(chosen, str) else chosen
        try:
            driver = Driver(SerialTransport(port, baud=self._baud, **self._link), image.params)
            driver.load(image)
            if self._verify:
                driver.verify()
            return run_driver(driver, inputs, target=self.name, probe=probe, progress=progress)
        finally:
            if isinstance(chosen, str):
                port.close()
