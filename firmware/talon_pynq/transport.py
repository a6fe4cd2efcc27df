"""Registers by MMIO, stream words by DMA: the transport of a board that runs PYNQ.

It imports NumPy and what Talon needs on a board, and not ``pynq``: its parts are handed in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from talon.arch import registers
from talon.errors import BackendError
from talon.image.transport import StalledError
from talon_pynq.buffers import Buffers
from talon_pynq.dma import MMIO, DmaRegisters
from talon_pynq.endings import Words, ends_transfer, is_told, n_asked, n_told
from talon_pynq.interrupts import Waitable, Waits
from talon_pynq.state import describe
from talon_pynq.watch import TransferError, Watch

if TYPE_CHECKING:
    from typing_extensions import Self

WORD_BYTES = 8
BUFFER_BYTES = 8 << 20
"""Memory of one direction up to which several samples share a transfer."""
ARRAY = "array"
"""Name of the array's interrupt."""
_SPIN, _NAP = 200, 50e-6
"""Looks at the DMA without a pause between them, and the pause after that, in seconds."""
_LOOK = 0.02
"""Seconds between two looks where an interrupt is waited for, which may never come."""
_MISSES = 3
"""Transfers in a row that ended without an interrupt, after which none is waited for."""
_HINT = "make the overlay in the event loop that waits, or see /proc/interrupts"
_log = logging.getLogger(__name__)


class DmaTransport:
    """Carries words to an array and back; one transfer of whole samples each way.

    The receiving side is started before the sending one, so that an array is never kept waiting for
    buffers. Buffers are kept and used again. ``wait`` of PYNQ's channels waits for ever; here it
    is watched whether words move, and what stands still for ``timeout`` seconds is reported with
    the state of bridge and DMA. After an error the DMA and the array are reset, so that the next
    program can be loaded without a new bitstream; so they are if a run is cancelled.

    Parameters
    ----------
    mmio
        Registers of the array, by byte offset.
    dma
        The DMA: a ``pynq.lib.DMA`` in simple mode, with both channels.
    allocate
        ``pynq.allocate``, or what stands for it.
    timeout
        Seconds without any word moved after which the array is held to hang.
    buffer_bytes
        Memory of one direction up to which several samples share a transfer. A sample that needs
        more gets it, as far as the DMA can count.
    interrupts
        Interrupts of DMA and array by name, ``ARRAY`` for that of the array; :meth:`run_async`
        waits for them. Without any it looks at the registers now and then.
    clock, sleep
        Of the time module; others in tests.
    look
        Seconds between two looks at the registers where an interrupt is waited for.
    """

    def __init__(
        self,
        mmio: MMIO,
        dma: Any,
        allocate: Callable[..., Any],
        *,
        timeout: float = 2.0,
        buffer_bytes: int = BUFFER_BYTES,
        interrupts: Mapping[str, Waitable] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        look: float = _LOOK,
    ) -> None:
        for what, value in (("Timeout", timeout), ("Time between looks", look)):
            if not value > 0:
                raise ValueError(f"{what} must be a positive number of seconds, not {value}")
        if buffer_bytes < WORD_BYTES:
            raise ValueError(f"Buffers must hold a word of {WORD_BYTES} bytes, not {buffer_bytes}")
        for name in ("sendchannel", "recvchannel"):
            if getattr(dma, name, None) is None:
                raise BackendError(
                    f"DMA must have both channels, but has no {name}: build the overlay anew, with "
                    "MM2S and S2MM of its axi_dma"
                )
        self._mmio, self._dma, self._buffers = mmio, dma, Buffers(allocate)
        self._registers = DmaRegisters(dma.mmio)
        self._timeout, self._clock, self._sleep, self._look = timeout, clock, sleep, look
        self._buffer_bytes, self._interrupts = buffer_bytes, dict(interrupts or {})
        self._busy, self._missed = False, 0

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
        """Give the buffers back."""
        self._buffers.free()

    @property
    def max_words(self) -> int:
        """Most words of one transfer: what the length register of the DMA can count."""
        return int(self._dma.buffer_max_size) // WORD_BYTES

    @property
    def batch_words(self) -> int:
        """Words up to which several samples share a transfer: what buffers are made for."""
        return min(self.max_words, self._buffer_bytes // WORD_BYTES)

    def read(self, register: str, index: int = 0) -> int:
        """Return the value of a register of the array."""
        return int(self._mmio.read(registers.address(register, index)))

    def write(self, register: str, value: int, index: int = 0) -> None:
        """Write a register of the array."""
        self._mmio.write(registers.address(register, index), int(value))

    def run(self, words: Words, *, room: int) -> Words:
        """Send ``words``; return what comes back, up to the word with TLAST: at most ``room``.

        Raises
        ------
        StalledError
            No word moved for ``timeout`` seconds; the message has the state of bridge and DMA.
        BackendError
            The DMA reports an error, or the answer ended before all words were taken.
        ValueError
            The words do not end with a SYNC that asks for the end of the answer.
        """
        with self._transfer(words, room) as transfer:
            looks = 0
            while not transfer.watch.done():
                looks += 1
                if looks > _SPIN:
                    self._sleep(_NAP)
        return transfer.answer

    async def run_async(self, words: Words, *, room: int) -> Words:
        """As :meth:`run`, and others run meanwhile; what is cancelled leaves a reset array."""
        with self._transfer(words, room, interrupting=bool(self._interrupts)) as transfer:
            await self._until_done(transfer.watch)
        return transfer.answer

    async def _until_done(self, watch: Watch) -> None:
        waits = Waits(self._lines())
        looks, missed = 0, False
        try:
            await asyncio.sleep(0)  # others get their turn, however short the transfer
            while not watch.done():
                looks += 1
                if waits.names <= {ARRAY}:  # the end of a transfer comes as no interrupt
                    await asyncio.sleep(0 if looks <= _SPIN else _NAP)
                    continue
                came = await waits.pause(self._look)
                missed = not came
                if ARRAY in came:  # until its error is mended, which loading does
                    waits.forget(ARRAY)
                    _log.warning("Array has raised its interrupt; %s", self.state())
                if came:
                    self._registers.clear_interrupts()
            self._missed = self._missed + 1 if missed else 0
        finally:
            waits.close()
            for name in waits.broken:
                self._interrupts.pop(name)
            if self._interrupts:
                self._registers.clear_interrupts()
            if self._missed == _MISSES:
                self._interrupts.clear()
                _log.warning("Interrupts do not come, so registers are polled; %s", _HINT)

    def _lines(self) -> dict[str, Waitable]:
        """Return the interrupts to wait for: that of the array stays active while it has errors."""
        status = registers.BY_NAME["STATUS"].layout.unpack(self.read("STATUS"))
        raised = status["error"] or status["bad_word"]
        return {
            name: line for name, line in self._interrupts.items() if not (raised and name == ARRAY)
        }

    @contextmanager
    def _transfer(
        self, words: Words, room: int, *, interrupting: bool = False
    ) -> Iterator[_Transfer]:
        """Begin a transfer, and take its answer up after somebody has waited for its end."""
        if not ends_transfer(words):
            raise ValueError("Words of a transfer must end with a SYNC without the bit for more")
        if self._busy:
            raise BackendError("DMA has a transfer under way; await it, or cancel it")
        came = self.read("OUT_WORDS")
        sending = self._buffers.get("send", words.size, most=self.max_words)
        receiving = self._buffers.get("receive", room, most=self.max_words)
        sending[: words.size] = words
        self._busy = True
        try:
            if interrupting:
                self._registers.clear_interrupts()
                self._registers.permit_interrupts()
            self._dma.recvchannel.transfer(receiving, nbytes=room * WORD_BYTES)
            self._dma.sendchannel.transfer(sending, nbytes=words.size * WORD_BYTES)
            limits = {"timeout": self._timeout, "clock": self._clock}
            transfer = _Transfer(Watch(self._dma, self._registers, self._moved, **limits))
            yield transfer
            self._dma.recvchannel.wait()
            self._dma.sendchannel.wait()
        except TransferError as failure:
            raise self._failed(str(failure), receiving, came, stalled=failure.stalled) from None
        except RuntimeError as error:  # of a channel that is in no state to begin
            raise self._failed(str(error), receiving, came, stalled=False) from error
        except BaseException as error:  # Ctrl-C, cancelled
            self._give_up(error)
            raise
        finally:
            self._busy = False
        transfer.answer = self._answer(words, room, receiving, came)

    def _give_up(self, error: BaseException) -> None:
        """Reset everything: nothing may run on into buffers that are used again."""
        try:
            _log.warning("Transfer is given up (%s); %s", type(error).__name__, self.state())
        finally:
            self.recover()

    def _answer(self, words: Words, room: int, receiving: Any, came: int) -> Words:
        """Return what came; raise a BackendError if that cannot be the answer to ``words``."""
        n_bytes = int(self._dma.recvchannel.transferred)
        if n_bytes % WORD_BYTES or n_bytes > room * WORD_BYTES:
            text = f"DMA received {n_bytes} bytes, no number of words up to {room}"
            raise self._failed(text, receiving, came, stalled=False)
        answer = np.array(receiving[: n_bytes // WORD_BYTES])
        asked, told = n_asked(words), n_told(answer)
        if told != asked or not is_told(answer):
            text = f"Array must answer {asked} times with DONE, and then no more, not {told} times"
            raise self._failed(text, receiving, came, stalled=False)
        return answer

    def recover(self) -> None:
        """Reset DMA and array, whatever they are doing; the array forgets its image.

        Raises
        ------
        BackendError
            The DMA does not come out of its reset.
        """
        self._registers.reset(self._clock)
        self.write("CONTROL", _ARRAY_RESET)
        self._dma.recvchannel.start()
        self._dma.sendchannel.start()

    def state(self) -> str:
        """Describe bridge and DMA in one line, for messages."""
        return describe(self.read, self._registers)

    def _moved(self) -> tuple[int, int]:
        return self.read("IN_WORDS"), self.read("OUT_WORDS")

    def _failed(self, text: str, receiving: Any, came: int, *, stalled: bool) -> BackendError:
        """Reset everything, and return the error with the state before and the words so far."""
        message = f"{text}; {self.state()}"
        n_words = min((self.read("OUT_WORDS") - came) & 0xFFFF_FFFF, receiving.size)
        receiving.invalidate()
        words = np.array(receiving[:n_words])
        self.recover()
        message += "; DMA and array are reset, load the program again"
        return StalledError(message, words) if stalled else BackendError(message)


class _Transfer:
    """One transfer: what watches it, and its answer in the end."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.answer: Words = np.empty(0, np.uint64)


_ARRAY_RESET = registers.BY_NAME["CONTROL"].layout.pack({"array_reset": 1})
