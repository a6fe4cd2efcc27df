"""The host's side of a run timestep by timestep: send one, take what the array answers to it.

NumPy and the standard library only: this travels to the board.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from talon.arch.packet import OP_OFFSET, OutOp
from talon.errors import BackendError
from talon.image.container import Image
from talon.image.decode import Decoded, OutputStream, Words
from talon.image.stream import InputStream, sync_word


class SteppingTransport(Protocol):
    """Streams of one array of which answers can be had before a sample ends."""

    def run(self, words: Words, *, room: int) -> Words:
        """As :meth:`talon.image.driver.Transport.run`."""
        ...

    def exchange(self, words: Words, enough: Callable[[Words], bool]) -> Words:
        """Send ``words``; return what comes back, as soon as ``enough`` says so of it.

        Raises
        ------
        StalledError
            Nothing moved for too long.
        """
        ...


class Stepper:
    """One sample without an end, on an array that holds an image and has probing set.

    No group of the array runs ahead of the host, so that all it answers is of the timestep that was
    sent.

    Parameters
    ----------
    transport
        The array.
    image
        What it holds.
    probe
        Whether it probes.

    Raises
    ------
    BackendError
        The program computes something once, from held frames: it cannot take events.
    """

    def __init__(self, transport: SteppingTransport, image: Image, *, probe: bool) -> None:
        once = [p["name"] for p in image.manifest["inputs"] if p.get("once", False)]
        if once:
            raise BackendError(
                f"Input {once[0]!r} is held in every timestep of this program, so it cannot take "
                "events as they come; compile with hoist=False"
            )
        self._transport, self._probe = transport, probe
        self._encoder = InputStream(image.manifest)
        self._decoder = OutputStream(image.manifest)
        self.n_steps = 0

    def step(self, payloads: Mapping[str, NDArray[np.integer[Any]]]) -> Decoded:
        """Run a timestep and return its outputs, arrays (1, 1, n).

        Parameters
        ----------
        payloads
            Payloads (1, 1, n) by input port.
        """
        words = self._transport.exchange(
            self._encoder.encode_step(payloads),
            lambda words: self._decoder.is_step(words, probe=self._probe),
        )
        done = np.array([int(OutOp.DONE) << OP_OFFSET], np.uint64)
        decoded = self._decoder.decode(
            np.concatenate([words, done]),
            n_steps=1,
            n_samples=1,
            probe=self._probe,
            first_step=self.n_steps,
        )
        self.n_steps += 1
        return decoded

    def end(self) -> None:
        """End the sample: all state is zero again."""
        self._transport.run(sync_word(reset=True), room=1)
        self.n_steps = 0
