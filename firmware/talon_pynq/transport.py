"""Registers by MMIO, stream words by DMA: the transport of a board that runs PYNQ.

It imports NumPy and what Talon needs on a board, and not ``pynq``: its parts are handed in.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from talon.arch import registers
from talon.arch.packet import OP_OFFSET, SYNC_MORE, InOp, OutOp
from talon.errors import BackendError
from talon.image.driver import StalledError

if TYPE_CHECKING:
    from typing_extensions import Self

Words = NDArray[np.uint64]

WORD_BYTES = 8
_DMA_CONTROL, _DMA_RESET = 0x00, 0x4  # PG021; the bit resets both directions
_STATUS_OF = {"MM2S": 0x04, "S2MM": 0x34}
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
_RESET_SECONDS = 1.0
_SPIN, _NAP = 200, 50e-6
"""Looks at the DMA without a pause between them, and the pause after that, in seconds."""


class MMIO(Protocol):
    """The part of ``pynq.MMIO`` that is used."""

    def read(self, offset: int = 0) -> int:
        """Return the word at a byte offset."""
        ...

    def write(self, offset: int, value: int) -> None:
        """Write the word at a byte offset."""
        ...


class DmaTransport:
    """Carries words to an array and back; one transfer of whole samples each way.

    The receiving side is started before the sending one, so that an array is never kept waiting for
    buffers. Buffers are kept and used again. ``wait`` of PYNQ's channels waits for ever; here it
    is watched whether words move, and what stands still for ``timeout`` seconds is reported with
    the state of bridge and DMA. After an error the DMA and the array are reset, so that the next
    program can be loaded without a new bitstream.

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
    clock, sleep
        Of the time module; others in tests.
    """

    def __init__(
        self,
        mmio: MMIO,
        dma: Any,
        allocate: Callable[..., Any],
        *,
        timeout: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not timeout > 0:
            raise ValueError(f"Timeout must be a positive number of seconds, not {timeout}")
        for name in ("sendchannel", "recvchannel"):
            if getattr(dma, name, None) is None:
                raise BackendError(
                    f"DMA must have both channels, but has no {name}: build the overlay anew, with "
                    "MM2S and S2MM of its axi_dma"
                )
        self._mmio, self._dma, self._allocate = mmio, dma, allocate
        self._timeout, self._clock, self._sleep = timeout, clock, sleep
        self._buffers: dict[str, Any] = {}

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
        for buffer in self._buffers.values():
            buffer.freebuffer()
        self._buffers = {}

    @property
    def max_words(self) -> int:
        """Most words of one transfer: what the length register of the DMA can count."""
        return int(self._dma.buffer_max_size) // WORD_BYTES

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
        if not words.size or not _ends_transfer(int(words[-1])):
            raise ValueError("Words of a transfer must end with a SYNC without the bit for more")
        came = self.read("OUT_WORDS")
        sending = self._buffer("send", words.size)
        receiving = self._buffer("receive", room)
        sending[: words.size] = words
        try:
            self._dma.recvchannel.transfer(receiving, nbytes=room * WORD_BYTES)
            self._dma.sendchannel.transfer(sending, nbytes=words.size * WORD_BYTES)
            self._wait()
            self._dma.recvchannel.wait()
            self._dma.sendchannel.wait()
        except _TransferError as failure:
            raise self._failed(str(failure), receiving, came, stalled=failure.stalled) from None
        except RuntimeError as error:  # of a channel that is in no state to begin
            raise self._failed(str(error), receiving, came, stalled=False) from error
        except BaseException:  # Ctrl-C: nothing may run on into buffers that are used again
            self.recover()
            raise
        n_bytes = int(self._dma.recvchannel.transferred)
        if n_bytes % WORD_BYTES or n_bytes > room * WORD_BYTES:
            text = f"DMA received {n_bytes} bytes, no number of words up to {room}"
            raise self._failed(text, receiving, came, stalled=False)
        answer = np.array(receiving[: n_bytes // WORD_BYTES])
        asked, told = _count(words, InOp.SYNC), _count(answer, OutOp.DONE)
        if told != asked or int(answer[-1]) >> OP_OFFSET != OutOp.DONE:
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
        mmio = self._dma.mmio
        mmio.write(_DMA_CONTROL, _DMA_RESET)
        deadline = self._clock() + _RESET_SECONDS
        while mmio.read(_DMA_CONTROL) & _DMA_RESET:
            if self._clock() > deadline:
                raise BackendError(
                    f"DMA does not come out of its reset within {_RESET_SECONDS} s; load the "
                    "bitstream again"
                )
        self.write("CONTROL", _ARRAY_RESET)
        self._dma.recvchannel.start()
        self._dma.sendchannel.start()

    def state(self) -> str:
        """Describe bridge and DMA in one line, for messages."""
        status = registers.BY_NAME["STATUS"].layout.unpack(self.read("STATUS"))
        levels = registers.BY_NAME["FIFO"].layout.unpack(self.read("FIFO"))
        parts = [f"STATUS: {_named(status)}"]
        parts += [f"FIFO {name}={value}" for name, value in levels.items()]
        parts += [
            f"{name}={self.read(name)}" for name in ("STEP", "IN_WORDS", "OUT_WORDS", "N_DESTS")
        ]
        for side in _STATUS_OF:
            flags = self._flags(side)
            parts.append(f"DMA {side}: {', '.join(flags) or 'running'}")
        return "; ".join(parts)

    def _wait(self) -> None:
        """Wait until both channels are done; raise a ``_TransferError`` if they will not be."""
        looks, moved, since = 0, self._moved(), self._clock()
        while True:
            for side in _STATUS_OF:
                if self._dma.mmio.read(_STATUS_OF[side]) & _ERRORS:
                    raise _TransferError(f"DMA {side} reports {', '.join(self._flags(side))}")
            if self._dma.recvchannel.idle and self._dma.sendchannel.idle:
                return
            looks += 1
            if looks > _SPIN:
                self._sleep(_NAP)
            now = self._moved()
            if now != moved:
                moved, since = now, self._clock()
            elif self._clock() - since > self._timeout:
                done = [
                    name
                    for name, channel in (
                        ("the answer has ended", self._dma.recvchannel),
                        ("all words are taken", self._dma.sendchannel),
                    )
                    if channel.idle
                ]
                text = f"Array moved no word for {self._timeout} s"
                raise _TransferError(", and ".join([text, *done]), stalled=True)

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

    def _flags(self, side: str) -> list[str]:
        value = int(self._dma.mmio.read(_STATUS_OF[side]))
        return [name for bit, name in _FLAGS.items() if value & bit]

    def _buffer(self, name: str, n_words: int) -> Any:
        """Return a buffer of at least so many words; a larger one takes the place of the last."""
        held = self._buffers.get(name)
        if held is None or held.size < n_words:
            if held is not None:  # forgotten first: there may be no memory for the larger one
                self._buffers.pop(name).freebuffer()
            size = min(self.max_words, max(4096, 1 << (n_words - 1).bit_length()))
            held = self._buffers[name] = self._allocate((max(size, n_words),), dtype=np.uint64)
        return held


class _TransferError(Exception):
    """A transfer that will not end."""

    def __init__(self, text: str, *, stalled: bool = False) -> None:
        super().__init__(text)
        self.stalled = stalled


_ARRAY_RESET = registers.BY_NAME["CONTROL"].layout.pack({"array_reset": 1})


def _ends_transfer(word: int) -> bool:
    return word >> OP_OFFSET == InOp.SYNC and not word & SYNC_MORE


def _count(words: Words, op: int) -> int:
    return int(np.count_nonzero(words >> np.uint64(OP_OFFSET) == op))


def _named(flags: dict[str, int]) -> str:
    return ", ".join(name for name, value in flags.items() if value) or "none"
