"""A board that runs PYNQ, as a target: ``program.run(raster, target="pynq", bitfile=...)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from talon.backend.driving import run_driver
from talon.backend.passes import Passing, has_passes, image_of, run_passes
from talon.backend.target import Progress, Runnable
from talon.backend.trace import Trace
from talon.compiler.network import IntArray
from talon.errors import BackendError
from talon.image.container import read_image
from talon.image.driver import Driver
from talon_pynq.transport import BUFFER_BYTES, DmaTransport


class PynqTarget:
    """Runs the image of a program on a board.

    Parameters
    ----------
    bitfile
        Path of the bitstream, with its .hwh beside it; it is loaded in the first run, and again if
        another has taken its place.
    overlay
        What is loaded already, in place of ``bitfile``: a
        :class:`talon_pynq.overlay.TalonOverlay`, or anything with ``mmio``, ``dma`` and
        ``allocate``.
    timeout
        Seconds without any word moved after which the array is held to hang.
    verify
        Read all memories back after loading, and compare.
    buffer_bytes
        Memory of each direction up to which samples share a transfer, see
        :class:`talon_pynq.transport.DmaTransport`.
    """

    name = "pynq"

    def __init__(
        self,
        *,
        bitfile: str | None = None,
        overlay: Any = None,
        timeout: float = 2.0,
        verify: bool = False,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        if (bitfile is None) == (overlay is None):
            raise BackendError(
                "Target 'pynq' needs either bitfile= (the path of a .bit, with its .hwh beside "
                "it) or overlay= (what is loaded already)"
            )
        self._bitfile, self._overlay = bitfile, overlay
        self._verify = verify
        self._link: dict[str, Any] = {"timeout": timeout, "buffer_bytes": buffer_bytes}

    def run(
        self,
        program: Runnable,
        inputs: Mapping[str, IntArray],
        *,
        probe: bool = False,
        progress: Progress | None = None,
    ) -> Trace:
        """Run all samples and return the record of the run, with the counters of the cores."""
        if has_passes(program):
            passing = cast(Passing, program)
            return run_passes(self, passing, inputs, probe=probe, progress=progress)
        image = read_image(image_of(program))
        board = self._loaded()
        with DmaTransport(board.mmio, board.dma, board.allocate, **self._link) as link:
            driver = Driver(link, image.params)
            driver.load(image)
            if self._verify:
                driver.verify()
            return run_driver(
                driver, inputs, target=self.name, probe=probe, batch=None, progress=progress
            )

    def _loaded(self) -> Any:
        """Return the overlay; load its bitstream where that is not loaded, or not any more."""
        board = self._overlay
        gone = hasattr(board, "is_loaded") and not board.is_loaded()
        if self._bitfile is not None and (board is None or gone):
            from talon_pynq.overlay import TalonOverlay

            board = self._overlay = TalonOverlay(self._bitfile)
        elif gone:
            raise BackendError(
                "Overlay of target 'pynq' is loaded no more: another has taken its place; make a "
                "new TalonOverlay, or give bitfile= to have it loaded when it is needed"
            )
        return board
