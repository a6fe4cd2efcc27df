"""Timing: when everything of a sample happens, from what its groups send.

Packets go one by one through senders, mesh and the inputs of cores, as in ``docs/hardware``; what
is left out is said in ``docs/reference/performance_model.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from talon.compiler.performance.activity import Activity
from talon.compiler.performance.clock import Clock
from talon.compiler.performance.emission import (
    Emission,
    Packet,
    Source,
    TokenPacket,
    host_packets,
)
from talon.compiler.performance.mesh import Mesh, Sender, Turns, turns_when_loaded
from talon.compiler.performance.senders import HOST, ArrayTables, Group
from talon.compiler.performance.synapse_queue import SynapseQueue
from talon.compiler.performance.update import Update, pace_of
from talon.compiler.performance.watcher import Watcher
from talon.errors import BackendError

TO_FOUND = 2
"""Cycles from the last token of a group to the poll that finds it, if it is polled first."""

TO_START = 1
"""Cycles from that poll to the start."""

MAPS = 1
"""Further cycles to a start where cores have feature maps: the descriptor is read again."""

PERMIT = 1
"""Cycles from a CREDIT that the host bridge takes off to the step that it permits."""

FIRST_WORD = 2
"""Cycles from a permitted step at the front of the host bridge to its first packet."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Timing:
    """Cycles of one sample: ``cycles`` in all, and ``ends`` (T,) when the host had each step.

    ``turns`` are those of routers in the end, with which the next sample begins.
    """

    cycles: int
    ends: NDArray[np.float64]
    turns: Turns


def time_sample(
    tables: ArrayTables,
    activity: Activity,
    sample: int,
    turns: Turns | None = None,
    watcher: Watcher | None = None,
) -> Timing:
    """Return when everything of a sample happens; without ``turns`` it is the first."""
    if turns is None:
        turns = turns_when_loaded(tables.cores, tables.params)
    return _Run(tables, activity, sample, turns, watcher).run()


@dataclass(eq=False)
class _Core:
    """Groups of a core: counts of tokens by group and slot, and whose turn it is."""

    number: int
    groups: dict[int, Group]
    queue: SynapseQueue
    step: dict[int, int]
    sources: dict[tuple[int, int], int]
    dests: dict[tuple[int, int], int]
    poll: int = 0
    poll_number: int = 0  # counts how often polling began anew
    running: bool = False
    source: Source = field(init=False)


class _Run:
    """One sample."""

    def __init__(
        self,
        tables: ArrayTables,
        activity: Activity,
        sample: int,
        turns: Turns,
        watcher: Watcher | None,
    ) -> None:
        self._tables, self._watcher = tables, watcher
        self._params = params = tables.params
        self._activity, self._sample = activity, sample
        self._clock = Clock()
        self._pace = pace_of(params)
        self._to_start = TO_START + (MAPS if params.has_maps else 0)
        self._cores = {number: self._core(number) for number in tables.cores}
        self._mesh = mesh = Mesh(
            params, self._clock, lambda core: self._cores[core].queue, self, turns
        )
        for number, core in self._cores.items():
            core.source = Source(self._clock, mesh.entrance(number))
        self._host = Source(self._clock, mesh.entrance(HOST))
        self._permits = list(tables.permits)
        self._host_step = 0
        self._host_waits = True
        self._host_front = 0
        self._host_output = 0
        self._ends = np.zeros(activity.n_steps)

    def run(self) -> Timing:
        """Follow everything to its end."""
        self._host_begin(0)
        for core in self._cores.values():
            self._poll(core, 0)
        self._clock.run()
        if not self._ends.all():
            raise BackendError(
                f"Program stalls in timestep {int(np.argmin(self._ends))}: its tokens do not "
                "balance; compile it again, or run the interpreter to see what waits"
            )
        cycles = round(float(self._ends.max()))
        return Timing(cycles=cycles, ends=self._ends, turns=self._mesh.turns)

    def _core(self, number: int) -> _Core:
        n_slots = self._params.n_slots
        init = self._tables.cores[number].init
        groups = {group.number: group for group in self._tables.groups if group.core == number}
        keys = [(group, slot) for group in groups for slot in range(n_slots)]
        found: _Core

        def on_token(token: TokenPacket, time: int) -> None:
            self._count(found, token, time)

        found = _Core(
            number=number,
            groups=groups,
            queue=SynapseQueue(number, self._params.fifo_depth, self._clock, on_token),
            step=dict.fromkeys(groups, 0),
            sources={(g, s): init[g * n_slots + s]["sources"] for g, s in keys},
            dests={(g, s): init[g * n_slots + s]["dests"] for g, s in keys},
        )
        return found

    # The host.

    def offer(self, message: Packet | TokenPacket, time: int, sender: Sender) -> bool:
        """Take what leaves the mesh: permits, and words of which the host gets one a cycle."""
        if not isinstance(message, TokenPacket):
            self._host_output = max(time, self._host_output + 1)
        elif message.way.credit:
            if self._watcher is not None:
                self._watcher.token(HOST, 0, message, time)
            self._clock.at(time + PERMIT, partial(self._on_permit, message.slot))
        elif message.step < self._activity.n_steps:
            self._host_output = max(time, self._host_output + 1)
            self._ends[message.step] = max(self._ends[message.step], self._host_output)
        return True

    def _on_permit(self, slot: int, time: int) -> None:
        self._permits[slot] += 1
        if self._host_waits:
            self._host_begin(time)

    def _host_begin(self, time: int) -> None:
        """Start the host's next step, if it is permitted."""
        if self._host_step == self._activity.n_steps:
            return
        slot = self._host_step % self._params.n_slots
        if self._permits[slot] < self._tables.n_dests:
            return
        self._permits[slot] = 0
        self._host_waits = False
        step, self._host_step = self._host_step, self._host_step + 1
        first = max(time, self._host_front) + FIRST_WORD
        if self._watcher is not None:
            self._watcher.begin(HOST, 0, step, first)
        self._host.send(self._host_packets(step, first))

    def _host_packets(self, step: int, time: int) -> Emission:
        active = {
            port.name: np.flatnonzero(self._activity.inputs[port.name][step, self._sample])
            for port in self._tables.ports
        }
        taken, least = time - 1, time
        for packet in host_packets(self._tables.ports, active):
            time = max(time, taken + 1)
            taken = yield time, packet
            time += 1
            least += 1
        for way in self._tables.host_tokens:
            time = max(time, taken + 1)
            slot = (step + way.delta) % self._params.n_slots
            if way is self._tables.host_tokens[-1]:
                self._host_front = time
                if self._watcher is not None:
                    self._watcher.end(HOST, time, least + len(self._tables.host_tokens) - 1)
                self._clock.late(time, self._host_next)
            taken = yield time, TokenPacket(way, slot, step)
            time += 1

    def _host_next(self, time: int) -> None:
        self._host_waits = True
        self._host_begin(time)

    # Groups.

    def _count(self, core: _Core, token: TokenPacket, time: int) -> None:
        """Count a token, which makes a core that has no group yet poll anew."""
        if self._watcher is not None:
            self._watcher.token(core.number, token.way.group, token, time)
        counts = core.dests if token.way.credit else core.sources
        counts[token.way.group, token.slot] += 1
        core.poll = token.way.group
        if not core.running:
            self._poll(core, time)

    def _poll(self, core: _Core, time: int) -> None:
        """Have an idle core find the first group that is ready, unless a token comes before."""
        core.poll_number += 1
        n_groups = self._params.n_groups
        for distance in range(n_groups):
            group = core.groups.get((core.poll + distance) % n_groups)
            if group is not None and self._is_ready(core, group):
                found = partial(self._found, core, group, core.poll_number)
                self._clock.late(time + TO_FOUND + distance, found)
                return

    def _is_ready(self, core: _Core, group: Group) -> bool:
        key = (group.number, core.step[group.number] % self._params.n_slots)
        return core.sources[key] == group.n_sources and core.dests[key] == group.n_dests

    def _found(self, core: _Core, group: Group, poll_number: int, time: int) -> None:
        """Take the tokens of a group, and start it."""
        if core.running or core.poll_number != poll_number:
            return
        core.running = True
        core.poll = (group.number + 1) % self._params.n_groups
        step = core.step[group.number]
        core.step[group.number] += 1
        key = (group.number, step % self._params.n_slots)
        core.sources[key] = core.dests[key] = 0
        self._clock.at(time + self._to_start, partial(self._start, core, group, step))

    def _start(self, core: _Core, group: Group, step: int, time: int) -> None:
        """Update a group: fetch its rows, send what its neurons have to send, and its tokens.

        Rows are fetched although packets of the group before may still wait.
        """
        core.queue.settle(time)
        if self._watcher is not None:
            self._watcher.begin(core.number, group.number, step, time)
        update = None
        if step == 0 or not group.once:
            lanes = np.zeros(0, np.int64)
            if step < self._activity.n_steps:
                flags = self._activity.groups[group.core, group.number][step, self._sample]
                lanes = np.flatnonzero(flags)
            update = self._pace.update(
                group, lanes, time, fetch=core.queue.add_fetches, later=self._clock.at
            )
        core.source.send(self._group_packets(core, group, step, time, update))

    def _group_packets(
        self, core: _Core, group: Group, step: int, time: int, update: Update | None
    ) -> Emission:
        """Give the packets of an update, if there is one, and those of the tokens."""
        token = time + self._pace.skipped
        first = token if update is None else time + self._pace.silent(group.n_rows)
        least = first + max(0, len(group.tokens) - 1)
        if update is not None:
            token = yield from update(core.source.free - 1)
        taken = core.source.free - 1
        for way in group.tokens:
            token = max(token, taken + 1)
            slot = (step + way.delta) % self._params.n_slots
            if way is group.tokens[-1]:
                self._clock.at(token, lambda now: self._free(core, now, least))
            taken = yield token, TokenPacket(way, slot, step)
            token += 1
        if not group.tokens:
            self._clock.at(token - 1, lambda now: self._free(core, now, least))

    def _free(self, core: _Core, time: int, least: int) -> None:
        if self._watcher is not None:
            self._watcher.end(core.number, time, least)
        core.running = False
        self._poll(core, time)
