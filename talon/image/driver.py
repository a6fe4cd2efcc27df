"""The host's side of a run: load an image, check that it arrived, run samples, read counters.

Board and co-simulation differ in their transport alone. NumPy and the standard library only: this
travels to the board.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from talon.arch import registers
from talon.arch.memories import Counter, MemoryLayouts, loaded
from talon.arch.params import FORMAT_VERSION, ArrayParams
from talon.errors import BackendError
from talon.image.container import Image, check_hardware
from talon.image.decode import Decoded, OutputStream, decode_config
from talon.image.rows import rows_in_use
from talon.image.stream import ConfigStream, InputStream

Words = NDArray[np.uint64]
Progress = Callable[[int, int], None]

_ERRORS = ("crc_error", "hash_error", "incomplete", "unarmed_event")


_RESET = registers.BY_NAME["CONTROL"].layout.pack({"reset": 1})


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


class Driver:
    """One array behind a transport; it must be of ``params``.

    Raises
    ------
    BackendError
        The registers tell of another array.
    """

    def __init__(self, transport: Transport, params: ArrayParams) -> None:
        self._transport, self._params = transport, params
        self._config = ConfigStream(params)
        self._image: Image | None = None
        self._rows: dict[int, int] = {}
        self._check_identity()

    def load(self, image: Image) -> None:
        """Fill and arm all cores of ``image``, and reset the state of the array.

        Raises
        ------
        ImageError
            The image is for another array.
        BackendError
            A core refuses it; the message names the core and its reason.
        """
        check_hardware(image, self._params)
        self._transport.write("CONTROL", _RESET)  # forget words that were discarded before
        for name, index, value in _permits(image):
            self._transport.write(name, value, index)
        self._image = image
        self._rows = rows_in_use(image)
        self._send(self._config.load(image), n_words=0)
        self.check_status()

    def check_status(self) -> None:
        """Raise a BackendError unless every core of the image is armed and without error.

        The bridge must not have discarded a word either, nor lost its registers.
        """
        image = self._loaded()
        for name, index, value in _permits(image):
            found = self._transport.read(name, index)
            if found != value:
                raise BackendError(
                    f"Array register {name}[{index}] must be {value}, as it was written, not "
                    f"{found}: the array has been reset; load the program again"
                )
        status = registers.BY_NAME["STATUS"].layout.unpack(self._transport.read("STATUS"))
        if status["bad_word"]:
            raise BackendError(
                f"Array has discarded a word of no known operation: STATUS {status}; "
                "reset it and load the program again"
            )
        layout = MemoryLayouts(self._params).status
        answers = self._ask(self._config.read_status(image.cores), 1)
        for core, words in answers.items():
            status = layout.unpack(int(words[0]))
            errors = [name for name in _ERRORS if status[name]]
            if errors or not status["armed"]:
                state = "armed" if status["armed"] else "not armed"
                good = f"{status['good']:0{len(loaded(self._params))}b}"
                raise BackendError(
                    f"Core {core} must be armed and without error, not {state} with "
                    f"{', '.join(errors) or 'no error'} (memories good: {good})"
                )

    def verify(self) -> None:
        """Read every loaded memory back; raise a BackendError at the first word that differs."""
        image = self._loaded()
        for core in image.cores:
            sections = [section for section in image.sections if section.core == core]
            total = sum(len(section.words) for section in sections)
            answer = self._send(self._config.read_back(sections), n_words=total)
            words = decode_config(answer, self._params).get(core, np.empty(0, np.uint32))
            if words.size != total:
                raise BackendError(f"Core {core} must read back {total} words, not {words.size}")
            for section in sections:
                got, words = words[: len(section.words)], words[len(section.words) :]
                bad = np.flatnonzero(got != section.words)
                if bad.size:
                    raise BackendError(
                        f"Word {bad[0]} of {section.name} must read back as "
                        f"{int(section.words[bad[0]]):#010x}, not {int(got[bad[0]]):#010x}"
                    )

    def control(self, *, probe: bool, clear_counters: bool = False) -> None:
        """Turn probing on or off, and clear the counters if asked."""
        self._loaded()
        words = self._config.control(self._rows, probe=probe, clear_counters=clear_counters)
        self._send(words, n_words=0)

    def counters(self) -> dict[int, dict[str, int]]:
        """Return the counters of each core of the image, by their names in lower case."""
        cores = self._loaded().cores
        answers = self._ask(self._config.read_counters(cores), len(Counter))
        return {
            core: {counter.name.lower(): int(words[counter]) for counter in Counter}
            for core, words in answers.items()
        }

    def run(
        self,
        inputs: Mapping[str, NDArray[np.integer[Any]]],
        *,
        probe: bool = False,
        batch: int = 16,
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
            Samples in one transfer; fewer if the transport cannot carry as many.
        progress
            Called with the samples done and their number.

        Raises
        ------
        BackendError
            The array stalls, breaks its protocol, or reports an error.
        """
        manifest = self._loaded().manifest
        encoder, decoder = InputStream(manifest), OutputStream(manifest)
        encoder.check(inputs)
        n_steps, n_samples = next(iter(inputs.values())).shape[:2]
        self.control(probe=probe)
        room = decoder.max_words(n_steps, probe=probe)
        batch = max(1, min(batch, self._transport.max_words // room))
        parts: list[Decoded] = []
        start = 0
        while start < n_samples:
            n_chosen = min(batch, n_samples - start)
            chosen = {name: part[:, start : start + n_chosen] for name, part in inputs.items()}
            words = encoder.encode(chosen)
            if words.size > self._transport.max_words and n_chosen > 1:
                batch = n_chosen // 2
                continue
            answer = self._run(words, n_chosen * room, decoder, n_steps)
            parts.append(decoder.decode(answer, n_steps=n_steps, n_samples=n_chosen, probe=probe))
            start += n_chosen
            if progress is not None:
                progress(start, n_samples)
        status = registers.BY_NAME["STATUS"].layout.unpack(self._transport.read("STATUS"))
        if status["error"] or status["bad_word"]:
            self.check_status()
            raise BackendError(f"Array reports an error after the run: STATUS {status}")
        return _joined(parts)

    def _run(self, words: Words, room: int, decoder: OutputStream, n_steps: int) -> Words:
        try:
            return self._transfer(words, room)
        except StalledError as error:
            counts = decoder.progress(error.words)
            waits = ", ".join(f"{key} {count}" for key, count in counts.items())
            raise StalledError(
                f"{error}; steps ended of {n_steps}, by group: {waits}", error.words
            ) from error

    def _send(self, words: Words, *, n_words: int) -> Words:
        """Carry out configuration that is answered with ``n_words`` words, and a DONE."""
        return self._transfer(words, n_words + 1)

    def _transfer(self, words: Words, room: int) -> Words:
        """Send words and return the answer; what fails leaves an array of unknown state."""
        limit = self._transport.max_words
        for size, what in ((words.size, "send"), (room, "receive")):
            if size > limit:
                raise BackendError(
                    f"Array can {what} {limit} words in one transfer, not {size}; "
                    "run fewer timesteps, or without probes"
                )
        try:
            return self._transport.run(words, room=room)
        except BackendError:
            self._image = None
            raise

    def _ask(self, words: Words, n_words: int) -> dict[int, NDArray[np.uint32]]:
        """Return what every core of the image answers: ``n_words`` each."""
        cores = self._loaded().cores
        answers = decode_config(self._send(words, n_words=n_words * len(cores)), self._params)
        for core in cores:
            count = answers.get(core, np.empty(0)).size
            if count != n_words:
                raise BackendError(f"Core {core} must answer with {n_words} words, not {count}")
        return answers

    def _loaded(self) -> Image:
        if self._image is None:
            raise BackendError("Array has no image; load one first")
        return self._image

    def _check_identity(self) -> None:
        expected = {
            "ID": registers.ID,
            "VERSION": FORMAT_VERSION,
            "HARDWARE_HASH": self._params.hardware_hash,
        }
        for name, value in expected.items():
            found = self._transport.read(name)
            if found != value:
                raise BackendError(
                    f"Array register {name} must be {value:#x} for {self._params.name!r}, "
                    f"not {found:#x}"
                )


def _permits(image: Image) -> list[tuple[str, int, int]]:
    """Return name, index and value of the registers that an image needs."""
    slots = enumerate(image.manifest["permit_init"])
    return [
        ("N_DESTS", 0, int(image.manifest["n_dests"])),
        *(("PERMIT_INIT", slot, int(count)) for slot, count in slots),
    ]


def _joined(parts: list[Decoded]) -> Decoded:
    def join(name: str) -> dict[str, NDArray[Any]]:
        first = getattr(parts[0], name)
        return {key: np.concatenate([getattr(p, name)[key] for p in parts], 1) for key in first}

    return Decoded(
        spikes=join("spikes"),
        potentials=join("potentials"),
        cycles=np.concatenate([part.cycles for part in parts]),
    )
