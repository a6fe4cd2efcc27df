"""The host's side of a run: load an image, check that it arrived, run samples, read counters.

Board and co-simulation differ in their transport alone. NumPy and the standard library only: this
travels to the board.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from talon.arch.params import ArrayParams
from talon.errors import BackendError
from talon.image.container import Image
from talon.image.decode import Decoded
from talon.image.stream import Payloads
from talon.image.transport import (
    AsyncTransport,
    StalledError,
    T,
    Transport,
    Work,
    carry_out,
    carry_out_async,
)
from talon.image.work import ArrayWork, Progress

__all__ = ["Driver", "Progress", "StalledError", "Transport"]


class Driver:
    """One array behind a transport; it must be of ``params``.

    Raises
    ------
    BackendError
        The registers tell of another array.
    """

    def __init__(self, transport: Transport, params: ArrayParams) -> None:
        self._transport, self._work = transport, ArrayWork(transport, params)
        self._busy = False

    def load(self, image: Image) -> None:
        """Fill and arm all cores of ``image``, and reset the state of the array.

        Raises
        ------
        ImageError
            The image is for another array.
        BackendError
            A core refuses it; the message names the core and its reason.
        """
        self._do(self._work.load(image))

    async def load_async(self, image: Image) -> None:
        """As :meth:`load`, and others run meanwhile."""
        await self._do_async(self._work.load(image))

    def check_status(self) -> None:
        """Raise a BackendError unless every core of the image is armed and without error.

        The bridge must not have discarded a word either, nor lost its registers.
        """
        self._do(self._work.check_status())

    def verify(self) -> None:
        """Read every loaded memory back; raise a BackendError at the first word that differs."""
        self._do(self._work.verify())

    async def verify_async(self) -> None:
        """As :meth:`verify`, and others run meanwhile."""
        await self._do_async(self._work.verify())

    def control(self, *, probe: bool, clear_counters: bool = False) -> None:
        """Turn probing on or off, and clear the counters if asked."""
        self._do(self._work.control(probe=probe, clear_counters=clear_counters))

    def counters(self) -> dict[int, dict[str, int]]:
        """Return the counters of each core of the image, by their names in lower case."""
        return self._do(self._work.counters())

    def run(
        self,
        inputs: Mapping[str, Payloads],
        *,
        probe: bool = False,
        batch: int | None = 16,
        progress: Progress | None = None,
    ) -> Decoded:
        """Run all samples, each from a state of zero, and return the outputs.

        Parameters
        ----------
        inputs
            Payloads (T, B, n) by input port.
        probe
            Record spikes and potentials of all populations.
        batch
            Samples in one transfer; fewer if the transport cannot carry as many. None: as many as
            make up the words that the transport wants in a transfer (``batch_words``).
        progress
            Called with the samples done and their number.

        Raises
        ------
        BackendError
            The array stalls, breaks its protocol, or reports an error.
        """
        return self._do(self._work.run(inputs, probe=probe, batch=batch, progress=progress))

    async def run_async(
        self,
        inputs: Mapping[str, Payloads],
        *,
        probe: bool = False,
        batch: int | None = None,
        progress: Progress | None = None,
    ) -> Decoded:
        """As :meth:`run`, and others run meanwhile.

        A run that is cancelled has reset the array; the image must be loaded again.
        """
        work = self._work.run(inputs, probe=probe, batch=batch, progress=progress)
        return await self._do_async(work)

    def _do(self, work: Work[T]) -> T:
        with self._alone():
            return carry_out(work, self._transport)

    async def _do_async(self, work: Work[T]) -> T:
        transport = self._transport
        if not isinstance(transport, AsyncTransport):
            raise BackendError(
                f"Transport {type(transport).__name__} cannot wait asynchronously; use the method "
                "without _async, in a thread if need be"
            )
        with self._alone():
            return await carry_out_async(work, transport)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others away: the transfers of two runs must not mix."""
        if self._busy:
            raise BackendError("Array is at work; await what it does, or cancel that")
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
