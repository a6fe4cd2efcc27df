"""What a host does with an array, as transfers that somebody carries out.

:class:`talon.image.driver.Driver` carries them out, and waits, with others running meanwhile or
not. NumPy and the standard library only: this travels to the board.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch import registers
from talon.arch.memories import Counter, MemoryLayouts, loaded
from talon.arch.params import FORMAT_VERSION, ArrayParams
from talon.errors import BackendError
from talon.image.batches import batches, sample_sizes
from talon.image.container import Image, check_hardware
from talon.image.decode import Decoded, OutputStream, decode_config
from talon.image.rows import rows_in_use
from talon.image.stream import ConfigStream, InputStream, Payloads, Words
from talon.image.transport import StalledError, Transfer, Transport, Work

Progress = Callable[[int, int], None]

_ERRORS = ("crc_error", "hash_error", "incomplete", "unarmed_event")
_RESET = registers.BY_NAME["CONTROL"].layout.pack({"reset": 1})


class ArrayWork:
    """One array of ``params``, its registers, and what it holds.

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

    def load(self, image: Image) -> Work[None]:
        """Fill and arm all cores of ``image``, and reset the state of the array."""
        check_hardware(image, self._params)
        self._transport.write("CONTROL", _RESET)  # forget words that were discarded before
        for name, index, value in _permits(image):
            self._transport.write(name, value, index)
        self._image = image
        self._rows = rows_in_use(image)
        yield from self._send(self._config.load(image), n_words=0)
        yield from self.check_status()

    def check_status(self) -> Work[None]:
        """Raise a BackendError unless every core is armed and without error."""
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
        answers = yield from self._ask(self._config.read_status(image.cores), 1)
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

    def verify(self) -> Work[None]:
        """Read every loaded memory back."""
        image = self._loaded()
        for core in image.cores:
            sections = [section for section in image.sections if section.core == core]
            total = sum(len(section.words) for section in sections)
            answer = yield from self._send(self._config.read_back(sections), n_words=total)
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

    def control(self, *, probe: bool, clear_counters: bool = False) -> Work[None]:
        """Turn probing on or off, and clear the counters if asked."""
        self._loaded()
        words = self._config.control(self._rows, probe=probe, clear_counters=clear_counters)
        yield from self._send(words, n_words=0)

    def counters(self) -> Work[dict[int, dict[str, int]]]:
        """Return the counters of each core of the image."""
        cores = self._loaded().cores
        answers = yield from self._ask(self._config.read_counters(cores), len(Counter))
        return {
            core: {counter.name.lower(): int(words[counter]) for counter in Counter}
            for core, words in answers.items()
        }

    def run(
        self,
        inputs: Mapping[str, Payloads],
        *,
        probe: bool,
        batch: int | None,
        progress: Progress | None,
    ) -> Work[Decoded]:
        """Run all samples, each from a state of zero, and return the outputs."""
        manifest = self._loaded().manifest
        encoder, decoder = InputStream(manifest), OutputStream(manifest)
        n_steps, n_samples = encoder.check(inputs)
        yield from self.control(probe=probe)
        room = decoder.max_words(n_steps, probe=probe)
        limit = self._transport.max_words
        if batch is None:
            limit = min(limit, self._transport.batch_words)
        sizes = sample_sizes(manifest, inputs)
        parts: list[Decoded] = []
        for chosen in batches(sizes, room=room, limit=limit, most=batch):
            n_chosen = chosen.stop - chosen.start
            words = encoder.encode({name: part[:, chosen] for name, part in inputs.items()})
            answer = yield from self._batch(words, n_chosen * room, decoder, n_steps)
            parts.append(decoder.decode(answer, n_steps=n_steps, n_samples=n_chosen, probe=probe))
            yield from self._check_after_run()
            if progress is not None:
                progress(chosen.stop, n_samples)
        return _joined(parts)

    def _check_after_run(self) -> Work[None]:
        """Raise a BackendError if the array has met an error; it costs the read of a register."""
        status = registers.BY_NAME["STATUS"].layout.unpack(self._transport.read("STATUS"))
        if status["error"] or status["bad_word"]:
            yield from self.check_status()
            raise BackendError(f"Array reports an error after the run: STATUS {status}")

    def _batch(self, words: Words, room: int, decoder: OutputStream, n_steps: int) -> Work[Words]:
        try:
            return (yield from self._transfer(words, room))
        except StalledError as error:
            counts = decoder.progress(error.words)
            waits = ", ".join(f"{key} {count}" for key, count in counts.items())
            raise StalledError(
                f"{error}; steps ended of {n_steps}, by group: {waits}", error.words
            ) from error

    def _send(self, words: Words, *, n_words: int) -> Work[Words]:
        """Carry out configuration that is answered with ``n_words`` words, and a DONE."""
        return self._transfer(words, n_words + 1)

    def _transfer(self, words: Words, room: int) -> Work[Words]:
        """Send words and return the answer; what fails leaves an array of unknown state."""
        limit = self._transport.max_words
        for size, what in ((words.size, "send"), (room, "receive")):
            if size > limit:
                raise BackendError(
                    f"Array can {what} {limit} words in one transfer, not {size}; "
                    "run fewer timesteps, or without probes"
                )
        try:
            return (yield Transfer(words=words, room=room))
        except BaseException:  # GeneratorExit too: of what was cancelled
            self._image = None
            raise

    def _ask(self, words: Words, n_words: int) -> Work[dict[int, NDArray[np.uint32]]]:
        """Return what every core of the image answers: ``n_words`` each."""
        cores = self._loaded().cores
        answer = yield from self._send(words, n_words=n_words * len(cores))
        answers = decode_config(answer, self._params)
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
