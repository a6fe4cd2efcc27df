"""Transfers to an array and back: what a driver asks for, who carries it, and waiting for it.

NumPy and the standard library only: this travels to the board.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from talon.errors import BackendError

Words = NDArray[np.uint64]
T = TypeVar("T")


class StalledError(BackendError):
    """No word moved for too long; ``words`` are those that had come."""

    def __init__(self, message: str, words: Words) -> None:
        super().__init__(message)
        self.words = words


class Transport(Protocol):
    """Registers and streams of one array."""

    @property
    def max_words(self) -> int:
        """Most words that one transfer can carry, in either direction."""
        ...

    @property
    def batch_words(self) -> int:
        """Words up to which several samples share a transfer, in either direction."""
        ...

    def read(self, register: str, index: int = 0) -> int:
        """Return the value of a register."""
        ...

    def write(self, register: str, value: int, index: int = 0) -> None:
        """Write a register."""
        ...

    def run(self, words: Words, *, room: int) -> Words:
        """Send ``words``; return what comes back, up to the word with TLAST: at most ``room``.

        Raises
        ------
        StalledError
            Nothing moved for too long.
        """
        ...


@runtime_checkable
class AsyncTransport(Transport, Protocol):
    """A transport that lets others run while it waits."""

    async def run_async(self, words: Words, *, room: int) -> Words:
        """As :meth:`Transport.run`; what is cancelled leaves an array that must be loaded."""
        ...


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Words to send, and how many may come back."""

    words: Words
    room: int


Work = Generator[Transfer, Words, T]
"""What asks for transfers, is sent their answers, and returns a result in the end.

So that waiting is all that a run and an asynchronous run have not in common.
"""


def carry_out(work: Work[T], transport: Transport) -> T:
    """Carry out the transfers that ``work`` asks for, and return its result.

    What a transfer raises as a ``BackendError`` is raised in ``work``; after anything else ``work``
    is closed.
    """

    def answered(transfer: Transfer) -> Transfer:
        try:
            answer = transport.run(transfer.words, room=transfer.room)
        except BackendError as error:
            return work.throw(error)
        return work.send(answer)

    try:
        transfer = next(work)
        while True:
            transfer = answered(transfer)
    except StopIteration as end:
        return end.value
    finally:
        work.close()


async def carry_out_async(work: Work[T], transport: AsyncTransport) -> T:
    """As :func:`carry_out`, and others run meanwhile; ``work`` that is cancelled is closed."""

    async def answer_to(transfer: Transfer) -> Words | BackendError:
        try:
            return await transport.run_async(transfer.words, room=transfer.room)
        except BackendError as error:
            return error

    try:
        transfer = next(work)
        while True:
            answer = await answer_to(transfer)
            failed = isinstance(answer, BackendError)
            transfer = work.throw(answer) if failed else work.send(answer)
    except StopIteration as end:
        return end.value
    finally:
        work.close()
