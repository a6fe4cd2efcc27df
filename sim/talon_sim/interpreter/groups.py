"""A group: its neurons, its tokens and its decoded tables."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import TABLE_ENTRIES, Emit, Reset, emits
from talon.arch.numerics import COUNT_BITS, PAYLOAD_MAX, PAYLOAD_MIN
from talon.arch.params import ArrayParams
from talon.errors import ImageError
from talon_sim.interpreter.memories import CoreMemories, Fields, entry
from talon_sim.interpreter.packets import HOST_ONLY, Destinations, product
from talon_sim.interpreter.scan import map_of, run_of

_PLAIN = ("bias", "reset", "reset_next", "strict")
"""Fields of a record that are zero for a graded neuron."""


class Send(NamedTuple):
    """Where the value of one lane of a window goes: one route, its sums done."""

    to: Destinations
    host: bool
    delay: int
    edge: int
    target: int  # index of an event, accumulator of a partial sum, or number of the neuron


class Group:
    """Neurons of a core that are updated together, and the timestep that they are at.

    ``slots`` is log2 of the slots that they keep; ``record`` holds the parameters of each neuron in
    the order of ``scan``.
    """

    def __init__(self, number: int, core: int, params: ArrayParams, memories: CoreMemories) -> None:
        facts = entry(memories.group, number)
        where = f"Core {core} group {number}"
        self.number = number
        self.frac, self.emit = facts["frac"], _emit(facts["emit"], params, where)
        self.n_sources, self.n_dests = facts["n_sources"], facts["n_dests"]
        self.slots = facts.get("slots", params.n_slots.bit_length() - 1)
        self.once, self.hold = bool(facts.get("once", 0)), bool(facts.get("hold", 0))
        self._n_accumulators = params.n_accumulators
        self._sends: dict[int, tuple[Send, ...]] = {}
        self.n_neurons = 0
        self.table: NDArray[np.int64] | None = None  # payloads of graded neurons, by index
        if facts["n_y" if params.has_maps else "n_neurons"]:
            self._read_neurons(facts, params, memories, where)
        self.routes = [
            (HOST_ONLY if r["host"] else product(params, r["xmask"], r["ymask"]), r)
            for r in _table(memories.route, facts["route_start"], facts["n_routes"], where, "ROUTE")
        ]
        self.tokens = [
            (HOST_ONLY if r["host"] else product(params, r["xmask"], r["ymask"]), r)
            for r in _table(memories.token, facts["token_start"], facts["n_tokens"], where, "TOKEN")
        ]
        slots = slice(number * params.n_slots, (number + 1) * params.n_slots)
        self.init = [memories.init[name][slots].tolist() for name in ("sources", "dests")]
        self.reset()

    def _read_neurons(
        self, facts: dict[str, int], params: ArrayParams, memories: CoreMemories, where: str
    ) -> None:
        check_slots(self.slots, params, where)
        self.scan = (map_of if params.has_maps else run_of)(facts, params, where)
        self.numbers = self.scan.numbers
        self.senders = self.scan.senders.reshape(-1)
        self.positions = self.scan.positions.reshape(-1)
        self.n_neurons = len(self.numbers)
        self.pools_by_sum = bool(facts.get("pool_sum", 0))
        if self.scan.records.max() >= len(memories.record["threshold"]):
            raise ImageError(f"{where} has neurons without a record: RECORD ends before them")
        self.record = {k: v[self.scan.records] for k, v in memories.record.items()}
        if self.has_state and self.scan.rows.max() >= params.n_rows:
            raise ImageError(
                f"{where} keeps potentials ({self.emit.name}) and must stand in rows below "
                f"{params.n_rows}, not in row {self.scan.rows.max()}"
            )
        if self.scan.window > 1 and not self.emit.sends_events:
            raise ImageError(f"{where} pools, which {self.emit.name} groups cannot")
        if self.emit is Emit.GRADED:
            _check_graded(self.record, where)
            if facts.get("table", 0):
                self.table = self._read_table(memories, where)
        if self.emit is Emit.COUNT:
            _check_counting(self.record, where)
        if self.emit is Emit.PSUM and params.has_maps:
            _check_sums(self.record, where)

    def _read_table(self, memories: CoreMemories, where: str) -> NDArray[np.int64]:
        assert memories.table is not None
        start = self.number * TABLE_ENTRIES
        table = memories.table["payload"][start : start + TABLE_ENTRIES]
        if len(table) < TABLE_ENTRIES:
            raise ImageError(f"{where} has a table that is not loaded: TABLE ends before it")
        if table.min() < PAYLOAD_MIN:
            raise ImageError(f"{where} has a table with a payload below {PAYLOAD_MIN}")
        if self.pools_by_sum or (self.record["threshold"] != PAYLOAD_MAX).any():
            raise ImageError(
                f"{where} has a table, so it must pool the largest payload, and its records must "
                f"have the threshold {PAYLOAD_MAX}, the largest index"
            )
        return table

    @property
    def has_state(self) -> bool:
        """Its neurons have potentials."""
        return self.emit.has_state

    def reset(self) -> None:
        """Go back to timestep 0, with the tokens that are granted at start."""
        self.timestep = 0
        self.sources, self.dests = list(self.init[0]), list(self.init[1])

    @property
    def slot(self) -> int:
        """Slot of the timestep that is next."""
        return self.timestep % len(self.sources)

    @property
    def is_ready(self) -> bool:
        """All tokens of the next timestep are there."""
        slot = self.slot
        return (
            self.n_neurons > 0
            and self.sources[slot] == self.n_sources
            and self.dests[slot] == self.n_dests
        )

    def waits_for(self) -> str:
        """Name what is missing for the next timestep."""
        slot = self.slot
        return (
            f"timestep {self.timestep}: {self.sources[slot]} of {self.n_sources} END_OF_STEP, "
            f"{self.dests[slot]} of {self.n_dests} CREDIT"
        )

    def windows(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return what each lane of each window gives, of one value a neuron."""
        lanes = np.zeros((len(self.scan.rows), self.scan.used.shape[1]), np.int64)
        lanes[self.scan.used] = values
        if self.scan.window == 1:
            return lanes.reshape(-1)
        blocks = lanes.reshape(-1, self.scan.window, self.scan.used.shape[1])
        if self.pools_by_sum:
            return np.minimum(blocks.sum(axis=1), PAYLOAD_MAX).reshape(-1)
        return blocks.max(axis=1).reshape(-1)

    def sends(self, lane: int) -> tuple[Send, ...]:
        """Return where a lane of a window sends its value, in order."""
        if lane not in self._sends:
            position = int(self.positions[lane])
            self._sends[lane] = tuple(
                self._send(to, route, lane, position)
                for to, route in self.routes
                if route["first"] <= position <= route["last"]
            )
        return self._sends[lane]

    def _send(self, to: Destinations, route: dict[str, int], lane: int, position: int) -> Send:
        if route["host"]:
            target = int(self.senders[lane])
        elif self.emit is Emit.PSUM:
            target = (position + route["offset"]) % self._n_accumulators
        else:
            target = position + route["offset"] & 0xFFFF
        return Send(to, bool(route["host"]), route["delay"], route["edge"], target)


def check_slots(slots: int, params: ArrayParams, where: str) -> None:
    """Raise an ImageError unless an array has 2^``slots`` slots."""
    if 1 << slots > params.n_slots:
        raise ImageError(
            f"{where} slots must be at most {params.n_slots.bit_length() - 1} (log2 of the "
            f"{params.n_slots} there are), not {slots}"
        )


def _emit(value: int, params: ArrayParams, where: str) -> Emit:
    known = emits(params)
    if value not in known:
        raise ImageError(f"{where} emit must be one of {[*map(int, known)]}, not {value}")
    return Emit(value)


def _check_graded(record: Fields, where: str) -> None:
    for name in _PLAIN:
        if np.any(record[name]):
            raise ImageError(f"{where} has a graded neuron whose record has a {name}: must be 0")
    largest = record["threshold"]
    bad = (largest < 1) | (largest > PAYLOAD_MAX) | ((largest + 1 & largest) != 0)
    if np.any(bad):
        raise ImageError(
            f"{where} has a graded neuron whose threshold, its largest payload, must be one less "
            f"than a power of two, 1 to {PAYLOAD_MAX}, not {largest[bad][0]}"
        )


def _check_counting(record: Fields, where: str) -> None:
    if np.any(record["reset_next"]) or np.any(record["reset"] > Reset.SUBTRACT):
        raise ImageError(f"{where} has a neuron that counts and does not reset at once")
    most = record["threshold"] >> COUNT_BITS
    if np.any(bad := (most < 1) | (most > PAYLOAD_MAX)):
        raise ImageError(
            f"{where} has a neuron that counts up to {most[bad][0]}, not up to 1 to {PAYLOAD_MAX}"
        )


def _check_sums(record: Fields, where: str) -> None:
    for name in ("decay", "no_leak", "bias", "reset"):
        if np.any(record[name]):
            raise ImageError(f"{where} has a partial sum whose record has a {name}: must be 0")


def _table(fields: Fields, start: int, count: int, where: str, memory: str) -> list[dict[str, int]]:
    if count and start + count > len(fields["host"]):
        raise ImageError(f"{where} uses entries of {memory} that are not loaded")
    return [entry(fields, start + i) for i in range(count)]
