"""What the host sends: stream words that load an image, read cores back, and carry inputs.

All functions return NumPy arrays of 64-bit stream words as :mod:`talon.arch.packet` declares them.
NumPy and the standard library only: this travels to the board. What the host receives is read by
:mod:`talon.image.decode`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.layout import Layout
from talon.arch.memories import Counter, Memory, loaded
from talon.arch.packet import (
    OP_OFFSET,
    SYNC_MORE,
    SYNC_RESET,
    ConfigOp,
    InOp,
    Kind,
    PacketLayouts,
)
from talon.arch.params import ArrayParams
from talon.errors import BackendError, ImageError
from talon.image.container import Image, Section
from talon.image.manifest import params_of
from talon.image.maps import lines_of

Words = NDArray[np.uint64]
Payloads = NDArray[np.integer[Any]]

CONTROL_PROBE = 1
CONTROL_CLEAR_COUNTERS = 2
CONTROL_ROWS_OFFSET = 16


def sync_word(*, reset: bool, more: bool = False) -> Words:
    """Return the one word that asks for a DONE, and for a reset of all state before it.

    The DONE ends the transfer to the host (TLAST), unless ``more`` answers follow.
    """
    bits = SYNC_RESET * reset | SYNC_MORE * more
    return np.array([(int(InOp.SYNC) << OP_OFFSET) | bits], dtype=np.uint64)


class ConfigStream:
    """Stream words of configuration commands for the cores of one array."""

    def __init__(self, params: ArrayParams) -> None:
        self._params = params
        self._layout = PacketLayouts(params).config

    def load(self, image: Image) -> Words:
        """Return the words that disarm every core, load and arm those of ``image``, and reset."""
        sections = {(s.core, s.memory): s for s in image.sections}
        parts = [self.command(None, ConfigOp.DISARM)]
        for core in image.cores:
            parts += [self.section(sections[core, memory]) for memory in loaded(self._params)]
        parts += [
            self.command(core, ConfigOp.ARM, self._params.hardware_hash) for core in image.cores
        ]
        return np.concatenate([*parts, sync_word(reset=True)])

    def section(self, section: Section) -> Words:
        """Return the words that fill one memory of one core and commit it."""
        place = int(section.memory) << 28
        checked = np.concatenate([[place], section.words]).astype("<u4")
        return np.concatenate(
            [
                self.command(section.core, ConfigOp.SELECT, place),
                self.commands(section.core, ConfigOp.WRITE, section.words),
                self.command(section.core, ConfigOp.COMMIT, zlib.crc32(checked.tobytes())),
            ]
        )

    def read(self, core: int, memory: Memory, n_words: int, *, entry: int = 0) -> Words:
        """Return the words that ask ``core`` for ``n_words`` 32-bit words of ``memory``."""
        select = self.command(core, ConfigOp.SELECT, (int(memory) << 28) | entry)
        return np.concatenate([select, self.command(core, ConfigOp.READ, n_words)])

    def read_back(self, sections: Iterable[Section]) -> Words:
        """Return the words that ask for everything that ``sections`` have loaded."""
        parts = [self.read(s.core, s.memory, len(s.words)) for s in sections]
        return np.concatenate([*parts, sync_word(reset=False)])

    def read_status(self, cores: Sequence[int]) -> Words:
        """Return the words that ask each of ``cores`` for its status."""
        parts = [self.read(core, Memory.STATUS, 1) for core in cores]
        return np.concatenate([*parts, sync_word(reset=False)])

    def read_counters(self, cores: Sequence[int]) -> Words:
        """Return the words that ask each of ``cores`` for its counters."""
        parts = [self.read(core, Memory.COUNTER, len(Counter)) for core in cores]
        return np.concatenate([*parts, sync_word(reset=False)])

    def control(
        self, rows_in_use: Mapping[int, int], *, probe: bool, clear_counters: bool
    ) -> Words:
        """Return the words that turn probing on or off, and clear the counters if asked.

        Each core also learns how many rows it is to reset between samples, see
        :func:`talon.image.rows.rows_in_use`.
        """
        flags = CONTROL_PROBE * probe | CONTROL_CLEAR_COUNTERS * clear_counters
        parts = [
            self.command(core, ConfigOp.CONTROL, flags | n_rows << CONTROL_ROWS_OFFSET)
            for core, n_rows in rows_in_use.items()
        ]
        return np.concatenate([*parts, sync_word(reset=False)])

    def command(self, core: int | None, op: ConfigOp, data: int = 0) -> Words:
        """Return one command for ``core``, or for all cores if it is None."""
        return self.commands(core, op, np.array([data], dtype=np.uint64))

    def commands(self, core: int | None, op: ConfigOp, data: NDArray[Any]) -> Words:
        """Return one command for each operand in ``data``."""
        if core is None:
            xmask, ymask = (1 << self._params.columns) - 1, (1 << self._params.rows) - 1
        else:
            x, y = self._params.position(core)
            xmask, ymask = 1 << x, 1 << y
        head = self._layout.pack(
            {"kind": int(Kind.CONFIG), "xmask": xmask, "ymask": ymask, "op": int(op)}
        )
        shift = np.uint64(self._layout.offset_of("data"))
        return np.uint64(head) | (data.astype(np.uint64) << shift)


class InputStream:
    """Stream words of the inputs of one image."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        self._ports: list[dict[str, Any]] = list(manifest["inputs"])
        if not self._ports:
            raise ImageError("Manifest inputs must name at least one port")
        layouts = PacketLayouts(params_of(dict(manifest)))
        self._spike = layouts.spike
        token = layouts.token
        if not manifest["host_tokens"]:
            raise ImageError("Manifest host_tokens must name at least one token: no step would end")
        heads = [
            token.pack(
                {
                    "kind": int(Kind.TOKEN),
                    "xmask": entry["xmask"],
                    "ymask": entry["ymask"],
                    "group": entry["group"],
                    "slot": entry["delta"],
                }
            )
            for entry in manifest["host_tokens"]
        ]
        tokens = np.array(heads, dtype=np.uint64) | _op(InOp.EVENT)
        tokens[-1] = np.uint64(heads[-1]) | _op(InOp.EVENT_LAST)
        self._tokens = tokens

    def encode(self, inputs: Mapping[str, Payloads]) -> Words:
        """Return the words of all samples: the steps of each, then a SYNC that resets the state.

        The answers of all samples come in one transfer: TLAST stands at the last DONE alone.

        Parameters
        ----------
        inputs
            Payloads (T, B, n) of every input port, by name.

        Raises
        ------
        ValueError
            A port is missing or unknown, shapes disagree, or a payload is out of range.
        BackendError
            Payloads of an input that is sent once are not the same in all timesteps.
        """
        n_steps, n_samples = self.check(inputs)
        steps: list[NDArray[np.int64]] = []
        ranks: list[NDArray[np.int64]] = []
        words: list[Words] = []
        for port in self._ports:
            # Sample-major, so that a row index is the number of the step in the whole stream.
            rows = np.moveaxis(inputs[port["name"]], 0, 1).reshape(n_steps * n_samples, -1)
            step, line, payload = _events_of(rows, n_steps, once=port.get("once", False))
            for route in port["routes"]:
                inside, index = lines_of(route, port["shape"])
                mine = inside[line]
                words.append(self._events(route, index[line[mine]], payload[mine]))
                steps.append(step[mine])
                ranks.append(_ranks(step[mine], n_steps * n_samples))
        per_step = self._tokens.size
        n_events = sum(part.size for part in words)
        steps.append(np.repeat(np.arange(n_steps * n_samples), per_step))
        ranks.append(np.tile(np.arange(n_events, n_events + per_step), n_steps * n_samples))
        words.append(np.tile(self._tokens, n_steps * n_samples))
        steps.append(np.arange(1, n_samples + 1) * n_steps - 1)
        ranks.append(np.full(n_samples, n_events + per_step))
        answers = np.repeat(sync_word(reset=True, more=True), n_samples)
        answers[-1:] = sync_word(reset=True)
        words.append(answers)
        # The k-th event of every route, then the k+1-th: so cores of different routes work at once.
        order = np.lexsort((np.concatenate(ranks), np.concatenate(steps)))
        return np.concatenate(words)[order]

    def encode_step(self, inputs: Mapping[str, Payloads]) -> Words:
        """Return the words of one timestep of one sample: payloads (1, 1, n) of every input port.

        It raises as :meth:`encode` does; no SYNC follows, so that the next timestep goes on.
        """
        return self.encode(inputs)[:-1]

    def _events(
        self, route: Mapping[str, Any], index: NDArray[np.int64], payload: Payloads
    ) -> Words:
        head = self._spike.pack(
            {
                "kind": int(Kind.SPIKE),
                "xmask": route["xmask"],
                "ymask": route["ymask"],
                "edge": route["edge"],
                "slot": route["delay"],
            }
        )
        return (
            np.uint64(head)
            | _op(InOp.EVENT)
            | _put(self._spike, "index", index)
            | _put(self._spike, "payload", payload)
        )

    def check(self, inputs: Mapping[str, Payloads]) -> tuple[int, int]:
        """Return the numbers of timesteps and samples; raise as :meth:`encode` does."""
        names = [port["name"] for port in self._ports]
        if set(names) != set(inputs):
            raise ValueError(f"Inputs must be those of the ports {names}, not {sorted(inputs)}")
        shape = inputs[names[0]].shape[:2]
        for port in self._ports:
            name, payload = port["name"], inputs[port["name"]]
            n = int(np.prod(port["shape"]))
            if payload.ndim != 3 or payload.shape[:2] != shape or payload.shape[2] != n:
                raise ValueError(
                    f"Payloads of input {name!r} must have shape {(*shape, n)}, not {payload.shape}"
                )
            if not np.issubdtype(payload.dtype, np.integer):
                raise TypeError(f"Payloads of input {name!r} must be integers, not {payload.dtype}")
            low, high = -port["payload_max"] * port["signed"], port["payload_max"]
            if payload.size and not (low <= payload.min() and payload.max() <= high):
                raise ValueError(
                    f"Payloads of input {name!r} must be between {low} and {high}, "
                    f"not {payload.min()} to {payload.max()}"
                )
            if port.get("once", False):
                check_held(name, payload)
        return shape[0], shape[1]


def check_held(name: str, payload: Payloads) -> None:
    """Raise a BackendError unless every timestep of ``payload`` (T, B, n) is as the first."""
    if payload.strides[0] == 0:  # one frame, held
        return
    differs = np.argwhere(payload != payload[:1])
    if differs.size:
        t, sample, line = (int(i) for i in differs[0])
        raise BackendError(
            f"Payloads of input {name!r} must be the same in every timestep, since the program was "
            f"compiled to take them once; in sample {sample}, line {line} has "
            f"{payload[0, sample, line]} in timestep 0 and {payload[t, sample, line]} in timestep "
            f"{t}: hold one frame, or compile with hoist=False"
        )


def _events_of(
    rows: Payloads, n_steps: int, *, once: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], Payloads]:
    """Return step, line and payload of what is not zero in ``rows`` (steps of all samples, n).

    With ``once`` that is of the first of the ``n_steps`` steps of each sample.
    """
    stride = n_steps if once else 1
    step, line = np.nonzero(rows[::stride])
    step *= stride
    return step, line, rows[step, line]


def _op(op: InOp) -> np.uint64:
    return np.uint64(int(op) << OP_OFFSET)


def _put(layout: Layout, name: str, values: NDArray[Any]) -> Words:
    """Return the bits of field ``name`` for each value, modulo the width of the field."""
    width = next(field.width for field in layout.fields if field.name == name)
    bits = values.astype(np.int64) & ((1 << width) - 1)
    return bits.astype(np.uint64) << np.uint64(layout.offset_of(name))


def _ranks(step: NDArray[np.int64], n_steps: int) -> NDArray[np.int64]:
    """Return the position of each entry among those of its step; ``step`` ascends."""
    first = np.searchsorted(step, np.arange(n_steps))
    return np.arange(step.size) - first[step]
