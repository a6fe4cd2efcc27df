"""Registers and streams of an array over a serial port: what `talon.image.driver.Driver` drives."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from talon.arch import registers
from talon.arch.serial import Request
from talon.errors import BackendError
from talon.image.driver import StalledError
from talon_serial.frames import Words
from talon_serial.link import Link, LinkError, Statistics
from talon_serial.port import BAUD, Port

if TYPE_CHECKING:
    from typing_extensions import Self

FRAME_WORDS = 256
"""Words in a frame at most: half a queue, so that the next frame travels while one is worked on."""


class SerialTransport:
    """One array behind a serial port; making it resets the array.

    Parameters
    ----------
    port
        An open port, as pyserial has it (:func:`talon_serial.port.open_port`). It is closed with
        the transport.
    baud
        Bits a second of the port.
    stall_s
        Seconds without any word moved after which the array is held to hang.
    frame_words
        Most words in a frame; fewer are better on a line that often harms one.
    patience_s, n_repeats, clock
        See :class:`talon_serial.link.Link`.

    Raises
    ------
    LinkError
        Nothing answers at the port.
    """

    def __init__(
        self,
        port: Port,
        *,
        baud: float = BAUD,
        stall_s: float = 2.0,
        patience_s: float = 0.25,
        n_repeats: int = 8,
        frame_words: int = FRAME_WORDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if frame_words < 1:
            raise ValueError(f"Frames must carry at least one word, not {frame_words}")
        self._port, self._stall_s, self._clock = port, stall_s, clock
        self._link = Link(port, baud=baud, patience_s=patience_s, n_repeats=n_repeats, clock=clock)
        limits = self._link.reset()
        self._free, self._depth = limits["depth_in"], limits["depth_in"]
        self._frame_words = min(frame_words, limits["depth_in"], limits["depth_out"])

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
        """Close the port."""
        self._port.close()

    @property
    def statistics(self) -> Statistics:
        """What the link has had to do so far."""
        return self._link.statistics

    def read(self, register: str, index: int = 0) -> int:
        """Return the value of a register of the host bridge."""
        answer = self._link.ask(Request.READ, arg=registers.address(register, index), n_answer=1)
        return int(answer.words[0])

    def write(self, register: str, value: int, index: int = 0) -> None:
        """Write a register of the host bridge."""
        if not 0 <= value < 1 << 32:
            raise ValueError(f"Register {register} takes 32 bits, not {value}")
        words = np.array([value], np.uint64)
        self._link.ask(Request.WRITE, arg=registers.address(register, index), words=words)

    @property
    def max_words(self) -> int:
        """Most words of one transfer: they need no memory of the array's."""
        return 1 << 40

    @property
    def batch_words(self) -> int:
        """Words up to which samples share a transfer: any number."""
        return self.max_words

    def run(
        self,
        words: Words,
        *,
        room: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Words:
        """Send ``words`` and return what comes back, up to the word with TLAST.

        Parameters
        ----------
        words
            Stream words, uint64; the last one goes with TLAST.
        room
            Most words that may come; any number, if not given.
        progress
            Called now and then with the words sent and their number.

        Raises
        ------
        StalledError
            Nothing moved for too long; the message has the state of the bridge.
        BackendError
            The answer is longer than ``room``, or ended before all words were sent.
        LinkError
            The link broke down.
        """
        words = np.ascontiguousarray(words, dtype=np.uint64)
        chunks: list[Words] = []
        sent, n_got, done = 0, 0, False
        moved_at = self._clock()
        while not done:
            n = min(words.size - sent, self._frame_words, self._free)
            answer = self._link.ask(
                Request.MOVE,
                arg=self._frame_words,
                words=words[sent : sent + n],
                last=n > 0 and sent + n == words.size,
                n_answer=self._frame_words,
            )
            sent, n_got, done = sent + n, n_got + answer.words.size, bool(answer.header["last"])
            chunks.append(answer.words)
            moved = n > 0 or answer.words.size > 0 or answer.header["arg"] != self._free
            self._free = answer.header["arg"]
            if moved:
                moved_at = self._clock()
            elif self._clock() - moved_at > self._stall_s:
                raise StalledError(
                    f"Array moved no word for {self._stall_s} s, with "
                    f"{sent - (self._depth - self._free)} of {words.size} words taken and "
                    f"{n_got} come; {self.state()}",
                    np.concatenate(chunks),
                )
            if room is not None and n_got > room:
                raise BackendError(f"Array answered with {n_got} words, not {room} at most")
            if progress is not None:
                progress(sent, words.size)
        if sent < words.size:
            raise BackendError(f"Array ended its answer after {sent} of {words.size} words")
        return np.concatenate(chunks)

    def state(self) -> str:
        """Describe bridge and link in one line, for messages."""
        try:
            status = registers.BY_NAME["STATUS"].layout.unpack(self.read("STATUS"))
            figures = {name: self.read(name) for name in ("STEP", "IN_WORDS", "OUT_WORDS")}
        except LinkError as error:
            return str(error)
        flags = ", ".join(name for name, value in status.items() if value) or "none"
        listed = " ".join(f"{name}={value}" for name, value in figures.items())
        return f"STATUS: {flags}; {listed}; link: {self.statistics}"
