"""A neuron core, packet by packet: what its memories make of events and tokens."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import EdgeKind, Emit
from talon.arch.params import ArrayParams, bits_for
from talon.errors import BackendError, ImageError
from talon_sim.interpreter.memories import CoreMemories, entry
from talon_sim.interpreter.neurons import update, wrap
from talon_sim.interpreter.packets import (
    HOST,
    Destinations,
    HostSpike,
    HostValue,
    Packet,
    PartialSum,
    Spike,
    Token,
    product,
)

COUNTERS = ("events", "rows", "sops", "spikes", "updates", "saturations")

Gathered = tuple[NDArray[np.int64], NDArray[np.int64]]


class Group:
    """A run of neurons with its timestep, its tokens and its decoded tables."""

    def __init__(self, number: int, core: int, params: ArrayParams, memories: CoreMemories) -> None:
        facts = entry(memories.group, number)
        self.number = number
        self.n_neurons, self.frac = facts["n_neurons"], facts["frac"]
        self.n_sources, self.n_dests = facts["n_sources"], facts["n_dests"]
        self.start = facts["row_start"] * params.lanes
        self.stop = self.start + self.n_neurons
        self.cleared = self.start + -(-self.n_neurons // params.lanes) * params.lanes
        where = f"Core {core} group {number}"
        if facts["emit"] not in list(Emit):
            raise ImageError(
                f"{where} emit must be one of {[*map(int, Emit)]}, not {facts['emit']}"
            )
        self.emit = Emit(facts["emit"])
        if self.cleared > params.n_neurons:
            raise ImageError(f"{where} must end by neuron {params.n_neurons}, not {self.stop}")
        if self.n_neurons and self.stop > len(memories.record["threshold"]):
            raise ImageError(f"{where} has neurons without a record: RECORD ends before them")
        self.record = {k: v[self.start : self.stop] for k, v in memories.record.items()}
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


HOST_ONLY: Destinations = (HOST,)


class Core:
    """State and behavior of one configured core."""

    def __init__(self, number: int, params: ArrayParams, memories: CoreMemories) -> None:
        self.number = number
        self._params = params
        self._memories = memories
        self._address_mask = (1 << bits_for(params.weight_words)) - 1
        self._flat = memories.weights.reshape(-1).astype(np.int64)
        self._edges = [entry(memories.edge, i) for i in range(len(memories.edge["kind"]))]
        self._gathered: dict[tuple[int, int], Gathered] = {}
        self.groups = [Group(i, number, params, memories) for i in range(params.n_groups)]
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.reset()

    def reset(self) -> None:
        """Reset the state: potentials, currents, accumulators, tokens; counters stay."""
        self.v = np.zeros(self._params.n_neurons, np.int64)
        self.i = np.zeros(self._params.n_neurons, np.int64)
        # Sums are wrapped when they are taken: addition modulo 2^24 does not care when.
        self.acc = np.zeros((self._params.n_slots, self._params.n_neurons), np.int64)
        for group in self.groups:
            group.reset()

    def take(self, packet: Packet) -> Group | None:
        """Take one packet; return the group that a token was for."""
        if type(packet) is Spike:
            self._take_spike(packet)
        elif type(packet) is PartialSum:
            self.acc[packet.slot, packet.neuron] += packet.value
            self._count(rows=1, sops=1)
        elif type(packet) is Token:
            return self._take_token(packet)
        else:
            raise TypeError(f"Core {self.number} cannot take {packet!r}")
        return None

    def update(self, group: Group) -> NDArray[np.bool_]:
        """Run the next timestep of a ready group and return who fired."""
        slot = group.slot
        group.sources[slot] = group.dests[slot] = 0
        group.timestep += 1
        acc = wrap(self.acc[slot, group.start : group.stop])
        self.acc[slot, group.start : group.cleared] = 0
        neurons = slice(group.start, group.stop)
        self.v[neurons], self.i[neurons], fired, saturated = update(
            self.v[neurons], self.i[neurons], acc, group.record, frac=group.frac
        )
        self.counters["spikes"] += int(np.count_nonzero(fired))
        self.counters["updates"] += group.n_neurons
        self.counters["saturations"] += saturated
        return fired

    def packets(
        self, group: Group, fired: NDArray[np.bool_]
    ) -> Iterator[tuple[Destinations, Packet]]:
        """Yield what a group sends after an update, in order."""
        t, n_slots = group.timestep - 1, self._params.n_slots
        if group.emit is Emit.SPIKE:
            yield from self._spikes(group, np.flatnonzero(fired), t)
        elif group.emit is Emit.READOUT:
            for neuron in range(group.start, group.stop):
                yield HOST_ONLY, HostValue(t % n_slots, neuron, int(self.v[neuron]))
        else:
            yield from self._partial_sums(group, t)
        for to, token in group.tokens:
            number = group.number if token["host"] else token["group"]
            at = (t + token["delta"]) % n_slots
            yield to, Token(at, number, bool(token["credit"]))

    def _spikes(
        self, group: Group, fired: NDArray[np.intp], t: int
    ) -> Iterator[tuple[Destinations, Packet]]:
        n_slots = self._params.n_slots
        for neuron in (fired + group.start).tolist():
            for to, route in group.routes:
                if not route["first"] <= neuron <= route["last"]:
                    continue
                if route["host"]:
                    yield to, HostSpike(t % n_slots, neuron)
                else:
                    index = neuron + route["offset"] & 0xFFFF
                    yield to, Spike((t + route["delay"]) % n_slots, route["edge"], index, 1)

    def _partial_sums(self, group: Group, t: int) -> Iterator[tuple[Destinations, Packet]]:
        slots, size = self._params.n_slots, self._params.n_neurons
        for neuron in range(group.start, group.stop):
            value = int(self.v[neuron])
            for to, route in group.routes if value else ():
                if route["first"] <= neuron <= route["last"]:
                    target = (neuron + route["offset"]) % size
                    yield to, PartialSum((t + route["delay"]) % slots, target, value)

    def _take_token(self, token: Token) -> Group:
        group = self.groups[token.group]
        kind, counts, limit = (
            ("CREDIT", group.dests, group.n_dests)
            if token.credit
            else ("END_OF_STEP", group.sources, group.n_sources)
        )
        if group.n_neurons == 0 or counts[token.slot] >= limit:
            raise BackendError(
                f"Core {self.number} group {token.group} got more {kind} tokens for slot "
                f"{token.slot} than the {limit} of a timestep (at timestep {group.timestep})"
            )
        counts[token.slot] += 1
        return group

    def _take_spike(self, spike: Spike) -> None:
        if spike.edge >= len(self._edges):
            raise ImageError(f"Core {self.number} got an event on edge {spike.edge}, not loaded")
        edge = self._edges[spike.edge]
        if edge["kind"] == EdgeKind.DENSE:
            self._add_dense(spike, edge)
        elif edge["kind"] == EdgeKind.SPARSE:
            self._add_sparse(spike, edge)
        elif edge["kind"] == EdgeKind.IDENTITY:
            neuron = (spike.source + edge["offset"] & 0xFFFF) % self._params.n_neurons
            self.acc[spike.slot, neuron] += edge["weight"] * spike.payload
            self._count(rows=1, sops=1)
        else:
            raise ImageError(f"Core {self.number} edge {spike.edge} has no kind {edge['kind']}")

    def _add_dense(self, spike: Spike, edge: dict[str, int]) -> None:
        lanes, rows = self._params.lanes, edge["rows"]
        start = edge["row_start"] * lanes
        if start + rows * lanes > self._params.n_neurons:
            raise ImageError(f"Core {self.number} edge {spike.edge} adds to rows past the last")
        first = self._address(edge["base"] + spike.source * rows, rows, spike)
        words = self._flat[first * lanes : (first + rows) * lanes]
        self.acc[spike.slot, start : start + rows * lanes] += words * spike.payload
        self._count(rows=rows, sops=(rows - 1) * lanes + edge["last_lanes"])

    def _add_sparse(self, spike: Spike, edge: dict[str, int]) -> None:
        key = (spike.edge, spike.source)
        if key not in self._gathered:
            self._gathered[key] = self._gather(spike, edge)
        neurons, weights = self._gathered[key]
        np.add.at(self.acc[spike.slot], neurons.reshape(-1), weights.reshape(-1) * spike.payload)
        self._count(rows=len(weights), sops=int(np.count_nonzero(weights)))

    def _gather(self, spike: Spike, edge: dict[str, int]) -> Gathered:
        """Return neurons and weights, a row for each word, of one source of a SPARSE edge."""
        lanes = self._params.lanes
        pointer = spike.source + edge["offset"] & 0xFFFF
        word, position = divmod(pointer, lanes // 4)
        found = int(self._memories.pointers[self._address(edge["base"] + word, 1, spike), position])
        count = found >> 16
        first = self._address(found & 0xFFFF, count, spike)
        packed = self._memories.packed[first : first + count].astype(np.int64)
        weights = (packed & 0xFF ^ 0x80) - 0x80
        row, half = packed >> 8 & 0x7F, packed >> 15
        lane = np.arange(lanes // 2) + half * (lanes // 2)
        used = weights != 0
        if np.any(row[used] >= self._params.n_rows):
            raise ImageError(f"Core {self.number} edge {spike.edge} adds to rows past the last")
        return np.where(used, row * lanes + lane, 0), weights

    def _address(self, address: int, count: int, spike: Spike) -> int:
        """Return a weight address as the hardware computes it; refuse one that is not loaded."""
        address &= self._address_mask
        if count and address + count > len(self._memories.weights):
            raise ImageError(
                f"Core {self.number} edge {spike.edge} index {spike.source} reads weight words "
                f"{address} to {address + count - 1}, but {len(self._memories.weights)} are loaded"
            )
        return address

    def _count(self, *, rows: int, sops: int) -> None:
        self.counters["events"] += 1
        self.counters["rows"] += rows
        self.counters["sops"] += sops


def _table(
    fields: dict[str, NDArray[np.int64]], start: int, count: int, where: str, memory: str
) -> list[dict[str, int]]:
    if count and start + count > len(fields["host"]):
        raise ImageError(f"{where} uses entries of {memory} that are not loaded")
    return [entry(fields, start + i) for i in range(count)]
