"""A neuron core, packet by packet: what its memories make of events and tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import Emit
from talon.arch.params import ArrayParams
from talon.errors import BackendError
from talon_sim.interpreter.groups import Group
from talon_sim.interpreter.memories import CoreMemories
from talon_sim.interpreter.neurons import count, grade, update, wrap
from talon_sim.interpreter.packets import (
    HOST_ONLY,
    Destinations,
    HostSpike,
    HostValue,
    Packet,
    PartialSum,
    Spike,
    Token,
)
from talon_sim.interpreter.synapses import Synapses

COUNTERS = ("events", "rows", "sops", "spikes", "updates", "saturations")

Values = NDArray[np.int64]

Result = tuple[Values, NDArray[Any]] | None
"""Of each neuron of a group, in the order of its scan: its potential, partial sum or payload, and
whether, or how often, it fired. None of a group that updates once, and has."""


class Core:
    """State and behavior of one configured core.

    The accumulators are one memory of ``n_slots`` pages, as in hardware: groups that overlap in it
    get wrong sums.
    """

    def __init__(self, number: int, params: ArrayParams, memories: CoreMemories) -> None:
        self.number = number
        self._params = params
        self._synapses = Synapses(number, params, memories)
        self.groups = [Group(i, number, params, memories) for i in range(params.n_groups)]
        self.counters = dict.fromkeys(COUNTERS, 0)
        # Pages of a power of two rows: a page is then chosen by an exclusive or with the row.
        page = 1 << (params.n_rows - 1).bit_length()
        width = params.n_slots.bit_length() - 1
        self._page_of = [_mirrored(slot, width) * page for slot in range(params.n_slots)]
        self._n_rows = params.n_slots * page
        self.reset()

    def reset(self) -> None:
        """Reset the state: potentials, currents, accumulators, tokens; counters stay."""
        self.v = np.zeros(self._params.n_neurons, np.int64)
        self.i = np.zeros(self._params.n_neurons, np.int64)
        # Sums are wrapped when they are taken: addition modulo 2^24 does not care when.
        self._acc = np.zeros((self._n_rows, self._params.lanes), np.int64)
        self._flat = self._acc.reshape(-1)
        for group in self.groups:
            group.reset()

    def take(self, packet: Packet) -> Group | None:
        """Take one packet; return the group that a token was for."""
        if type(packet) is Spike:
            self._take_spike(packet)
        elif type(packet) is PartialSum:
            self._flat[packet.neuron ^ self._page_of[packet.slot] * self._params.lanes] += (
                packet.value
            )
            self._count(rows=1, sops=1)
        elif type(packet) is Token:
            return self._take_token(packet)
        else:
            raise TypeError(f"Core {self.number} cannot take {packet!r}")
        return None

    def update(self, group: Group) -> Result:
        """Run the next timestep of a ready group."""
        slot, first = group.slot, group.timestep == 0
        group.sources[slot] = group.dests[slot] = 0
        group.timestep += 1
        if group.once and not first:
            return None
        rows = group.scan.rows ^ self._page_of[0 if group.hold else slot % (1 << group.slots)]
        acc = wrap(self._acc[rows][group.scan.used])
        if not group.hold:
            self._acc[rows] = 0
        values, fired = self._advance(group, acc)
        self.counters["spikes"] += int(np.count_nonzero(fired))
        self.counters["updates"] += group.n_neurons
        return values, fired

    def _advance(self, group: Group, acc: Values) -> tuple[Values, NDArray[Any]]:
        if group.emit is Emit.GRADED:
            payloads = grade(acc, group.record)
            if group.table is not None:
                payloads = group.table[payloads]
            return payloads, payloads != 0
        # Partial sums have no state: they may stand where no potentials are.
        at = group.numbers
        if group.emit is Emit.COUNT:
            self.v[at], times, saturated = count(self.v[at], acc, group.record)
            self.counters["saturations"] += saturated
            return self.v[at], times
        v, i = (self.v[at], self.i[at]) if group.has_state else (np.zeros_like(acc),) * 2
        v, i, fired, saturated = update(v, i, acc, group.record, frac=group.frac)
        if group.has_state:
            self.v[at], self.i[at] = v, i
        self.counters["saturations"] += saturated
        return v, fired

    def packets(self, group: Group, result: Result) -> Iterator[tuple[Destinations, Packet]]:
        """Yield what a group sends after an update, in order."""
        t, n_slots = group.timestep - 1, self._params.n_slots
        if result is not None and group.emit is Emit.READOUT:
            for number, value in zip(group.numbers.tolist(), result[0].tolist(), strict=True):
                yield HOST_ONLY, HostValue(t % n_slots, number, value)
        elif result is not None:
            yield from self._values(group, result, t)
        for to, token in group.tokens:
            number = group.number if token["host"] else token["group"]
            at = (t + token["delta"]) % n_slots
            yield to, Token(at, number, bool(token["credit"]))

    def _values(
        self, group: Group, result: tuple[Values, NDArray[Any]], t: int
    ) -> Iterator[tuple[Destinations, Packet]]:
        n_slots, emit = self._params.n_slots, group.emit
        fires = emit in (Emit.SPIKE, Emit.COUNT)
        values = group.windows(result[1].astype(np.int64) if fires else result[0])
        for lane in np.flatnonzero(values).tolist():
            value = int(values[lane])
            for to, host, delay, edge, target in group.sends(lane):
                if emit is Emit.PSUM:
                    yield to, PartialSum((t + delay) % (1 << group.slots), target, value)
                elif not host:
                    yield to, Spike((t + delay) % n_slots, edge, target, value)
                elif emit in (Emit.GRADED, Emit.COUNT):
                    yield to, HostValue(t % n_slots, target, value)
                else:
                    yield to, HostSpike(t % n_slots, target)

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
        ahead = (token.slot - group.timestep) % self._params.n_slots
        if not token.credit and ahead >= 1 << group.slots:
            raise BackendError(
                f"Core {self.number} group {token.group} keeps {1 << group.slots} slots and is at "
                f"timestep {group.timestep}, but a sender has ended timestep "
                f"{group.timestep + ahead}: it was permitted too early"
            )
        counts[token.slot] += 1
        return group

    def _take_spike(self, spike: Spike) -> None:
        found = self._synapses.rows(spike)
        page = self._page_of[spike.slot % (1 << found.slots)]
        if found.words is not None:
            memory, at = self._acc, found.targets ^ page
            weights = self._synapses.words[found.words]
        else:
            memory, at = self._flat, found.targets ^ page * self._params.lanes
            weights = found.weights
        assert weights is not None
        if found.distinct:
            memory[at] += weights * spike.payload
        else:
            np.add.at(memory, at, weights * spike.payload)
        self._count(rows=found.n_rows, sops=found.sops)

    def _count(self, *, rows: int, sops: int) -> None:
        self.counters["events"] += 1
        self.counters["rows"] += rows
        self.counters["sops"] += sops


def _mirrored(number: int, width: int) -> int:
    """Return a number of ``width`` bits with its bits in the opposite order."""
    return int(f"{number:0{width}b}"[::-1], 2)
