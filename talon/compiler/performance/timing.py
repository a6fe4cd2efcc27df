"""Timing: when everything of a sample happens, from what its groups send.

Senders are followed timestep by timestep, packets as arrays of times; tokens one by one, as in
``docs/hardware/array.md``. What is left out is said in ``docs/reference/performance_model.md``.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import Emit
from talon.arch.params import ArrayParams, bits_for
from talon.compiler.performance.activity import Activity
from talon.compiler.performance.mesh import ROUTER, Mesh, Place
from talon.compiler.performance.senders import (
    HOST,
    ArrayTables,
    Group,
    TokenWay,
    Way,
    routers_to_host,
)
from talon.compiler.performance.synapse_queue import SynapseQueue
from talon.errors import BackendError

Times = NDArray[np.number[Any]]
Lanes = NDArray[np.int64]

TO_START = 3
"""Cycles from the last token of a group to its start."""

TO_FETCH = 2
"""Cycles from a start to the first row of accumulators."""

TO_PACKET = 26
"""Cycles from a start to the first packet, if the first neuron sends one."""

TO_TOKEN = 24
"""Cycles of a group without packets, from its start to its first token, besides those of beats."""

SKIPPED = 3
"""The same of a group that updates once, in a later timestep."""

CURRENT = 4
"""Further cycles of an update where cores have synaptic currents."""

MAPS = 1
"""Further cycles to a start, and from it to packets and tokens, where cores have feature maps."""

PERMIT = 2
"""Cycles from a CREDIT that the host bridge takes off to the step that it permits."""

FIRST_WORD = 2
"""Cycles from a permitted step at the front of the host bridge to its first packet."""

BEATS = 32
"""Beats of an update that may be under way."""

ROW_LATENCY = 24
"""On arrays with feature maps, cycles of a row from which follows how many may be under way."""

FETCH_TO_TAKEN = 23
"""Cycles from the fetch of a row to the next fetch that its first beat, once taken, allows."""

_CHUNK = 8  # packets that a sender sends before it looks again whether there is room
_ROUTER_ROOM = 5  # packets that a router holds for a port


@dataclass(frozen=True, kw_only=True, eq=False)
class Timing:
    """Cycles of one sample: ``cycles`` in all, and ``ends`` (T,) when the host had each step."""

    cycles: int
    ends: NDArray[np.float64]


def time_sample(tables: ArrayTables, activity: Activity, sample: int) -> Timing:
    """Return when everything of a sample happens."""
    return _Run(tables, activity, sample).run()


@dataclass(eq=False)
class _Batch:
    """What a sender sends in a timestep: packets in the order of the times when they are ready."""

    sender: int
    step: int
    first_token: float
    tokens: tuple[TokenWay, ...]
    ways: list[Way] = field(default_factory=list)
    times: Times = field(default_factory=lambda: np.zeros(0))
    way: Lanes = field(default_factory=lambda: np.zeros(0, np.int64))
    lane: Lanes = field(default_factory=lambda: np.zeros(0, np.int64))
    done: int = 0  # packets that have left
    free: float = 0.0  # when the next one may
    targets: dict[int, int] = field(default_factory=dict)  # routers on the way, by core

    def fill(self, parts: list[tuple[Way, Lanes, Times]]) -> None:
        """Take the packets of some routes, with their lanes and times."""
        if not parts:
            return
        self.ways = [way for way, _, _ in parts]
        times = np.concatenate([times for _, _, times in parts])
        order = np.argsort(times, kind="stable")
        sizes = [times.size for _, _, times in parts]
        self.times = times[order]
        self.way = np.repeat(np.arange(len(parts)), sizes)[order]
        self.lane = np.concatenate([lanes for _, lanes, _ in parts])[order]


@dataclass(frozen=True, eq=False)
class _Token:
    way: TokenWay
    sender: int
    slot: int
    step: int


@dataclass(eq=False)
class _Core:
    queue: SynapseQueue
    groups: dict[int, Group]
    poll: int = 0
    work: float = -1.0  # when there will be room for a token that waits
    running: bool = False
    start: float = np.inf  # of the group that will run next
    step: dict[int, int] = field(default_factory=dict)
    sources: dict[tuple[int, int], int] = field(default_factory=dict)
    dests: dict[tuple[int, int], int] = field(default_factory=dict)


class _Run:
    """One sample, event by event."""

    def __init__(self, tables: ArrayTables, activity: Activity, sample: int) -> None:
        self._tables = tables
        self._params: ArrayParams = tables.params
        self._activity = activity
        self._sample = sample
        self._heap: list[tuple[float, int, str, tuple[int, ...]]] = []
        self._count = itertools.count()
        self._cores = {core: _core(tables, core) for core in tables.cores}
        self._batches: dict[int, _Batch] = {}  # by core; HOST
        self._mesh = Mesh(tables.params)
        self._sent: dict[int, _Token] = {}
        self._tokens: dict[int, tuple[int, int, int]] = {}
        self._permits = list(tables.permits)
        self._host_step = 0
        self._host_waits = True
        self._host_front = 0.0
        self._host_output = 0.0
        self._ends = np.zeros(activity.n_steps)
        self._per_row = max(1, self._params.lanes // self._params.update_lanes)
        if self._params.has_maps:
            self._per_row = max(2, self._per_row)
        self._rows_ahead = BEATS // max(1, self._params.lanes // self._params.update_lanes)
        if self._params.has_maps:
            self._rows_ahead = (1 << bits_for(ROW_LATENCY // self._per_row + 2)) - 1
        maps = MAPS if self._params.has_maps else 0
        self._to_start = TO_START + maps
        extra = maps + (CURRENT if self._params.synaptic_current else 0)
        self._to_packet = TO_PACKET + extra
        self._to_token = TO_TOKEN + extra

    def run(self) -> Timing:
        """Follow everything to its end."""
        self._host_begin(0.0)
        for number in self._cores:
            self._start_next(number, 0.0)
        while self._heap:
            time, _, kind, facts = heapq.heappop(self._heap)
            getattr(self, f"_on_{kind}")(time, *facts)
        if not self._ends.all():
            raise BackendError(
                f"Program stalls in timestep {int(np.argmin(self._ends))}: its tokens do not "
                "balance; compile it again, or run the interpreter to see what waits"
            )
        return Timing(cycles=round(float(self._ends.max())), ends=self._ends)

    def _push(self, time: float, kind: str, *facts: int) -> None:
        heapq.heappush(self._heap, (time, next(self._count), kind, facts))

    # The host.

    def _host_begin(self, time: float) -> None:
        """Start the host's next step, if it is permitted."""
        if self._host_step == self._activity.n_steps:
            return
        slot = self._host_step % self._params.n_slots
        if self._permits[slot] < self._tables.n_dests:
            return
        self._permits[slot] = 0
        self._host_waits = False
        step, self._host_step = self._host_step, self._host_step + 1
        self._host_send(max(time, self._host_front), step)

    def _host_send(self, time: float, step: int) -> None:
        parts: list[tuple[Way, Lanes]] = []
        for port in self._tables.ports:
            active = np.flatnonzero(self._activity.inputs[port.name][step, self._sample])
            parts += [(way, active[way.taken[active]]) for way in port.ways]
        # The k-th event of every route, then the k+1-th.
        ranks = np.concatenate([np.zeros(0, int), *(np.arange(n.size) for _, n in parts)])
        places = np.empty(ranks.size, np.int64)
        places[np.argsort(ranks, kind="stable")] = np.arange(ranks.size)
        first = time + FIRST_WORD
        batch = _Batch(
            sender=HOST,
            step=step,
            first_token=first + ranks.size,
            tokens=self._tables.host_tokens,
        )
        ends = np.cumsum([lines.size for _, lines in parts])
        batch.fill(
            [
                (way, lines, first + places[end - lines.size : end])
                for (way, lines), end in zip(parts, ends.tolist(), strict=True)
            ]
        )
        self._batches[HOST] = batch
        self._push(first, "sent", HOST)

    # Groups.

    def _start_next(self, number: int, time: float) -> None:
        """Have an idle core start the group that it polls first, if one is ready.

        A token that comes before it does so makes it begin to poll anew.
        """
        core = self._cores[number]
        n_groups = self._params.n_groups
        core.start = np.inf
        for distance in range(n_groups):
            group = (core.poll + distance) % n_groups
            if group in core.groups and self._is_ready(core, core.groups[group]):
                core.start = time + self._to_start + distance
                self._push(core.start, "start", number, group)
                return

    def _on_start(self, time: float, number: int, group: int) -> None:
        core = self._cores[number]
        if core.running or core.start != time:
            return
        core.running = True
        core.poll = (group + 1) % self._params.n_groups
        self._start(core, core.groups[group], time)

    def _is_ready(self, core: _Core, group: Group) -> bool:
        key = (group.number, core.step[group.number] % self._params.n_slots)
        return core.sources[key] == group.n_sources and core.dests[key] == group.n_dests

    def _start(self, core: _Core, group: Group, time: float) -> None:
        """Update a group: fetch its rows, and send what its neurons have to send."""
        step = core.step[group.number]
        core.step[group.number] += 1
        key = (group.number, step % self._params.n_slots)
        core.sources[key] = core.dests[key] = 0
        skipped = group.once and step > 0
        if skipped:
            first_token = time + SKIPPED
        else:
            self._on_work(time, group.core)
            core.queue.add_fetches(time + TO_FETCH + self._per_row * np.arange(group.n_rows))
            first_token = time + self._to_token + group.n_rows * self._per_row
        batch = _Batch(sender=group.core, step=step, first_token=first_token, tokens=group.tokens)
        if not skipped and step < self._activity.n_steps:
            self._send_lanes(group, time, batch)
        self._batches[group.core] = batch
        self._push(time, "sent", group.core)

    def _send_lanes(self, group: Group, time: float, batch: _Batch) -> None:
        flags = self._activity.groups[group.core, group.number][batch.step, self._sample]
        active = np.flatnonzero(flags)
        if not active.size:
            return
        each = 1 if group.emit is Emit.READOUT else max(1, len(group.ways))
        items, late = _in_turn(group.beat[active], each, self._per_row, self._rows_ahead)
        items += time + self._to_packet
        batch.first_token = max(batch.first_token + late, float(items[-1]) + each)
        if group.emit is Emit.READOUT:
            self._to_host(items, group.core)
            return
        parts: list[tuple[Way, Lanes, Times]] = []
        for i, way in enumerate(group.ways):
            taken = way.taken[active]
            if way.host:
                self._to_host(items[taken] + i, group.core)
            else:
                parts.append((way, active[taken], items[taken] + i))
        batch.fill(parts)

    def _deliver(self, way: Way, lanes: Lanes, times: Times, batch: _Batch) -> None:
        """Let packets that leave at some times come to the cores of their route."""
        for arrival in way.arrivals:
            costs = arrival.costs
            self._cores[arrival.core].queue.add(
                batch.sender + 1,
                times + (ROUTER * arrival.distance + 1),
                np.full(lanes.size, float(costs.decode)),
                costs.stream[lanes].astype(np.float64),
                np.full(lanes.size, float(costs.lag)),
            )
            batch.targets[arrival.core] = arrival.distance

    def _to_host(self, times: Times, core: int) -> None:
        if times.size:
            arrived = float(times[-1]) + ROUTER * routers_to_host(core, self._params)
            self._push(arrived, "output", int(times.size))

    # Events.

    def _on_sent(self, time: float, sender: int) -> None:
        """Send some more, as soon as the queues on the way have room for what was sent before."""
        batch = self._batches[sender]
        free = time
        for core, distance in batch.targets.items():
            way = ROUTER * distance + 1
            queue = self._cores[core].queue
            # All that the sender sends shares the first router.
            room = _ROUTER_ROOM * (distance - 1) + _ROUTER_ROOM // len(batch.targets)
            free = max(free, queue.room_at(time + way, sender + 1, room) - way)
        if free > time:
            batch.free = max(batch.free, free + 1)
            self._push(free, "sent", sender)
        elif batch.done < batch.times.size:
            self._send_some(batch, time)
        elif batch.first_token - 1 > time:
            self._push(batch.first_token - 1, "sent", sender)
        else:
            self._end(batch, time)

    def _send_some(self, batch: _Batch, time: float) -> None:
        """Send the next packets, one a cycle at most."""
        some = slice(batch.done, batch.done + _CHUNK)
        ready, way_of, lane = batch.times[some], batch.way[some], batch.lane[some]
        late = batch.free - float(ready[0])
        if batch.sender != HOST and late > 0:  # the scan waits as well
            batch.times[batch.done :] += late
            batch.first_token += late
            ready = batch.times[some]
        count = np.arange(ready.size)
        times = count + np.maximum(np.maximum.accumulate(ready - count), batch.free)
        batch.done += ready.size
        batch.free = float(times[-1]) + 1
        for i in np.unique(way_of).tolist():
            mine = way_of == i
            self._deliver(batch.ways[i], lane[mine], times[mine], batch)
        self._push(max(time, float(times[-1])), "sent", batch.sender)

    def _end(self, batch: _Batch, time: float) -> None:
        """Send the tokens of a timestep."""
        sender = batch.sender
        del self._batches[sender]
        token = max(batch.first_token, time + 1)
        for way in batch.tokens:
            self._send_token(way, token, sender, batch.step)
            token += 1
        if sender == HOST:
            self._host_waits = True
            self._host_front = token - 1
            self._push(token - 1, "step")
        else:
            self._push(token - 1, "free", sender)

    def _send_token(self, way: TokenWay, time: float, sender: int, step: int) -> None:
        number = next(self._count)
        slot = (step + way.delta) % self._params.n_slots
        self._sent[number] = _Token(way=way, sender=sender, slot=slot, step=step)
        self._push(time, "hop", number, *self._mesh.entrance(sender))

    def _on_hop(self, time: float, number: int, x: int, y: int, port: int) -> None:
        """Pass a token on through a router; to a core its packets came by the same way."""
        token = self._sent[number]
        way, core = token.way, y * self._params.columns + x
        for at, place in self._mesh.pass_on(Place(x, y, port), way.xmask, way.ymask, time):
            if place is not None:
                self._push(at, "hop", number, *place)
            elif way.host:
                self._take_host_token(token, at)
            else:
                facts = (core, token.sender + 1, way.group, token.slot, int(way.credit))
                self._push(at + 1, "token", *facts)

    def _take_host_token(self, token: _Token, time: float) -> None:
        if token.way.credit:
            self._push(time + PERMIT, "permit", token.slot)
        elif token.step < self._activity.n_steps:
            self._host_output = max(time, self._host_output + 1)
            self._ends[token.step] = max(self._ends[token.step], self._host_output)

    def _on_output(self, time: float, n_packets: int) -> None:
        self._host_output = max(time, self._host_output + n_packets)

    def _on_step(self, time: float) -> None:
        if self._host_waits:
            self._host_begin(time)

    def _on_permit(self, time: float, slot: int) -> None:
        self._permits[slot] += 1
        if self._host_waits:
            self._host_begin(time)

    def _on_token(
        self, time: float, number: int, port: int, group: int, slot: int, credit: int
    ) -> None:
        token = next(self._count)
        self._tokens[token] = (group, slot, credit)
        through = self._cores[number].queue.add_token(port, time, token)
        if through is None:
            self._on_work(time, number)
        else:
            self._push(through, "counted", number, token)

    def _on_work(self, time: float, number: int) -> None:
        """Take in what a core has room for; come back for tokens that wait."""
        came, again = self._cores[number].queue.take_in(time)
        for token, through in came.items():
            self._push(through, "counted", number, token)
        again = max(again, time + 1)
        core = self._cores[number]
        if again < np.inf and not time < core.work <= again:
            core.work = again
            self._push(again, "work", number)

    def _on_counted(self, time: float, number: int, token: int) -> None:
        core = self._cores[number]
        late = core.queue.token_time(token)
        if late > time:
            self._push(late, "counted", number, token)
            return
        group, slot, credit = self._tokens.pop(token)
        core.queue.drop_token(token)
        counts = core.dests if credit else core.sources
        counts[group, slot] += 1
        core.poll = group
        if not core.running and time < core.start:
            self._start_next(number, time)

    def _on_free(self, time: float, number: int) -> None:
        self._cores[number].running = False
        self._start_next(number, time)


def _core(tables: ArrayTables, number: int) -> _Core:
    n_slots = tables.params.n_slots
    init = tables.cores[number].init
    groups = {group.number: group for group in tables.groups if group.core == number}
    keys = [(group, slot) for group in groups for slot in range(n_slots)]
    return _Core(
        queue=SynapseQueue(tables.params.fifo_depth, _sides(number, tables.params)),
        groups=groups,
        step=dict.fromkeys(groups, 0),
        sources={(g, s): init[g * n_slots + s]["sources"] for g, s in keys},
        dests={(g, s): init[g * n_slots + s]["dests"] for g, s in keys},
    )


def _sides(core: int, params: ArrayParams) -> tuple[int, ...]:
    """Return by which port of a core's router packets of the host and of each core come."""
    to_x, to_y = params.position(core)
    found = [1 if to_y else 3]
    for sender in range(params.n_cores):
        x, y = params.position(sender)
        if y != to_y:
            found.append(1 if y < to_y else 2)
        else:
            found.append(0 if x == to_x else 3 if x < to_x else 4)
    return tuple(found)


def _in_turn(beat: Lanes, each: int, per_row: int, n_ahead: int) -> tuple[Times, float]:
    """Return when each neuron has its first route, and by how much the scan is late at its end.

    Parameters
    ----------
    beat
        When the beat of each neuron would come, had the scan never to wait.
    each
        Cycles of routes of a neuron.
    per_row
        Cycles of a row of the scan.
    n_ahead
        Rows that the scan may be ahead of the oldest that has a beat left to be taken.
    """
    before = each * np.arange(beat.size)
    items = before + np.maximum.accumulate(beat - before)
    slack = n_ahead * per_row - FETCH_TO_TAKEN
    if int((items - beat // per_row * per_row).max()) + each - 1 <= slack:
        return items.astype(np.float64), 0.0
    found: list[int] = []
    stalls: list[tuple[int, int]] = []  # the first row that is so late
    stall = free = at_stall = 0
    for at in beat.tolist():
        row = at // per_row
        while at_stall < len(stalls) and stalls[at_stall][0] <= row:
            stall = max(stall, stalls[at_stall][1])
            at_stall += 1
        item = max(at + stall, free)
        found.append(item)
        free = item + each
        late = free - 1 - row * per_row - slack
        if late > stall:
            stalls.append((row + n_ahead, late))
    return np.array(found, np.float64), float(stall)
