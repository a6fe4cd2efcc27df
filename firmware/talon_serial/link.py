"""Requests and answers: what is sent is answered, repeated while it is not, and done once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from talon.arch.serial import LIMITS, PROTOCOL_VERSION, WORD_BYTES, Request
from talon.errors import BackendError
from talon_serial.frames import Damaged, Frame, FrameReader, Words, encode
from talon_serial.port import Port

_NO_WORDS: Words = np.empty(0, np.uint64)
_SEQS = 256


class LinkError(BackendError):
    """The array does not answer, or not to what was asked."""


@dataclass
class Statistics:
    """What a link has had to do."""

    requests: int = 0
    repeats: int = 0
    damaged: int = 0  # answers that were not whole
    thrown_away: int = 0  # frames that the array could not use, as it has counted them


class Link:
    """Requests over a serial port, one at a time.

    Parameters
    ----------
    port
        An open port, as pyserial has it.
    baud
        Bits a second, to know how long a frame takes.
    patience_s
        Seconds to wait for an answer beyond the time that both frames take on the line.
    n_repeats
        How often a request is sent again that is not answered.
    clock
        Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        port: Port,
        *,
        baud: float,
        patience_s: float = 0.25,
        n_repeats: int = 8,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if n_repeats < 0 or patience_s <= 0:
            raise ValueError(
                "Link must have positive patience and not a negative number of repeats, "
                f"not {patience_s} s and {n_repeats}"
            )
        self._port, self._patience_s, self._n_repeats = port, patience_s, n_repeats
        self._clock = clock
        self._byte_s = 10 / baud
        self._reader = FrameReader()
        self._seq = 0
        self.statistics = Statistics()

    def reset(self) -> dict[str, int]:
        """Reset the array and the link; return the fields of :data:`talon.arch.serial.LIMITS`.

        Raises
        ------
        LinkError
            Nothing answers, or it speaks another version.
        """
        self._port.reset_input_buffer()
        self._reader.clear()
        limits = LIMITS.unpack(int(self.ask(Request.RESET, n_answer=1).words[0]))
        if limits["version"] != PROTOCOL_VERSION:
            raise LinkError(
                f"Serial link of the array must be of version {PROTOCOL_VERSION}, "
                f"not {limits['version']}: build the bitstream with this version of Talon"
            )
        return limits

    def ask(
        self,
        op: Request,
        *,
        arg: int = 0,
        words: Words = _NO_WORDS,
        last: bool = False,
        n_answer: int = 0,
    ) -> Frame:
        """Send a request and return the answer to it.

        Parameters
        ----------
        op, arg, words, last
            The request, and what it carries.
        n_answer
            The most words that the answer may have, or that it must have if not for MOVE.

        Raises
        ------
        LinkError
            No answer came, or a refusal.
        """
        self._seq = (self._seq + 1) % _SEQS
        data = encode(words, op=op, last=last, seq=self._seq, arg=arg)
        wait_s = self._patience_s + self._byte_s * 2 * (len(data) + WORD_BYTES * (n_answer + 3))
        self.statistics.requests += 1
        why = "nothing came"
        for attempt in range(self._n_repeats + 1):
            self.statistics.repeats += attempt > 0
            self._port.write(data)
            answer = self._answer(op, self._clock() + wait_s)
            if isinstance(answer, Frame):
                self.statistics.thrown_away = answer.header["bad"]
                return self._judged(op, answer, n_answer)
            why = answer
        raise LinkError(
            f"Array gave no answer to {op.name}, sent {self._n_repeats + 1} times with "
            f"{wait_s:.3g} s to answer each ({why}): look at port, baud rate, bitstream and cable"
        )

    def _answer(self, op: Request, deadline: float) -> Frame | str:
        """Return the answer to the request under way, or why there is none."""
        while (left := deadline - self._clock()) > 0:
            self._port.timeout = left
            data = self._port.read(max(1, self._port.in_waiting))
            for found in self._reader.feed(data):
                if isinstance(found, Damaged):
                    self.statistics.damaged += 1
                    return f"what came had {found.why}"
                header = found.header
                # Answers to requests before this one may still be under way.
                fits = header["op"] == op or (header["refused"] and op != Request.RESET)
                if header["answer"] and header["seq"] == self._seq and fits:
                    return found
        return "nothing came in time"

    def _judged(self, op: Request, answer: Frame, n_answer: int) -> Frame:
        if answer.header["refused"]:
            raise LinkError(
                f"Array refused a {op.name}: it has lost count of the requests, or does not know "
                "this one; was it reset or configured anew?"
            )
        n = answer.words.size
        if n > n_answer or (op != Request.MOVE and n != n_answer):
            raise LinkError(f"Array must answer {op.name} with {n_answer} words, not {n}")
        return answer
