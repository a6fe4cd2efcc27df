"""Updates of groups: packets, fetches and the first token are those of the gateware's registers."""

import itertools

import numpy as np
import pytest

from talon.arch.memories import Emit
from talon.arch.params import preset
from talon.compiler.performance.clock import Clock
from talon.compiler.performance.emission import Source
from talon.compiler.performance.rows import BEATS
from talon.compiler.performance.senders import Group, Way
from talon.compiler.performance.update import TO_BEAT, TO_FETCH, pace_of

TO_PACKET = TO_FETCH + TO_BEAT
TO_TOKEN = TO_PACKET - 2
TOKEN = "token"


class Gate:
    """Takes packets in some cycles only."""

    def __init__(self, clock, opens):
        self.clock, self.opens, self.times = clock, opens, []

    def offer(self, message, time, sender):
        at = time
        while not self.opens(at):
            at += 1
        if at > time:
            self.clock.at(at, lambda now: (self.times.append(now), sender.taken(now)))
            return False
        self.times.append(time)
        return True


def group_of(params, n_rows, takes, *, emit=Emit.SPIKE):
    """Return a group of whole rows; ``takes`` (routes, neurons) tells which routes hold which."""
    rows = pace_of(params).rows
    beat = np.arange(n_rows)[:, None] * rows.per_row
    beat = (beat + np.arange(params.lanes) // params.update_lanes).reshape(-1)
    ways = tuple(
        Way(host=False, delay=0, taken=np.asarray(taken, bool), hops=0, arrivals=(),
            entry={"xmask": 1, "ymask": 1}, index=np.arange(beat.size))
        for taken in takes
    )  # fmt: skip
    return Group(
        core=0, number=0, emit=emit, once=False, hold=False, n_rows=n_rows, n_neurons=beat.size,
        population="p", neurons=np.arange(beat.size), sent=np.arange(beat.size),
        accumulators=np.arange(beat.size), beat=beat, ways=ways, tokens=(),
        n_sources=1, n_dests=0,
    )  # fmt: skip


def update(params, group, lanes, opens):
    """Return when packets of an update and its token leave, and when its rows are fetched."""
    clock, fetched = Clock(), []

    def fetch(times):
        fetched.extend(times)

    def emission():
        packets = pace_of(params).update(
            group, np.asarray(lanes, int), 0, fetch=fetch, later=clock.at
        )
        token = yield from packets(-1)
        yield token, TOKEN

    gate = Gate(clock, opens)
    Source(clock, gate).send(emission())
    clock.run()
    return gate.times, fetched


def every(n):
    return lambda time: time % n == 0


def free_run(group, lanes, gap=1):
    times, fetched = update(preset("zynq_us_plus"), group, lanes, every(gap))
    return times[:-1], fetched, times[-1]


def full_group(n_rows, n_ways):
    params = preset("zynq_us_plus")
    return group_of(params, n_rows, np.ones((n_ways, n_rows * params.lanes)))


def test_a_silent_group_fetches_its_rows_and_sends_its_tokens():
    times, fetched, token = free_run(full_group(10, 1), [])
    assert times == []
    assert fetched == [TO_FETCH + 4 * i for i in range(10)]
    assert token == TO_TOKEN + 40
    assert pace_of(preset("zynq_us_plus")).silent(10) == token


def test_neurons_of_a_beat_leave_one_a_cycle():
    times, _, token = free_run(full_group(2, 1), [0, 1, 2, 3, 16])
    assert times == [TO_PACKET + i for i in range(5)]
    assert token == TO_TOKEN + 8
    times, _, token = free_run(full_group(2, 3), [0, 1, 2, 3])
    assert times == [TO_PACKET + i for i in range(12)]
    assert token == TO_PACKET + 12


def test_rows_wait_for_a_serializer_that_is_behind():
    times, fetched, token = free_run(full_group(16, 1), range(256))
    assert times == [TO_PACKET + i for i in range(256)]
    assert fetched[:8] == [TO_FETCH + 4 * i for i in range(8)]
    # A row each time that four more beats are gone, one neuron a cycle.
    assert fetched[8] == TO_PACKET + 15 - 2
    assert np.diff(fetched[8:]).tolist() == [16] * 7
    assert token == TO_PACKET + 256


def test_who_does_not_take_packets_holds_the_rows_as_well():
    group = full_group(16, 1)
    free = free_run(group, range(0, 256, 4))
    held = free_run(group, range(0, 256, 4), 8)
    assert np.diff(held[0]).tolist() == [8] * 63
    assert held[1][-1] > free[1][-1] + 100
    assert held[2] == held[0][-1] + 8


class Registers:
    """Update engine and serializer of the gateware, cycle by cycle, from a start in cycle 0."""

    def __init__(self, params, group, lanes):
        self.params, self.group = params, group
        maps, rows = params.has_maps, pace_of(params).rows
        self.per_row, self.n_beats = rows.per_row, params.lanes // params.update_lanes
        self.numbers = rows.n_ahead + 1 if maps else None
        # From a fetch to the end of the lanes, and to the queue.
        self.to_end = 19 + 4 * params.synaptic_current + params.table_activation
        self.to_queue = self.to_end + (2 if maps else 1)
        self.first = 2 if maps else 1
        self.wanted = {}
        for lane in lanes:
            self.wanted.setdefault(int(group.beat[lane]), []).append(lane)
        self.space, self.gap, self.issued = BEATS, 0, 0
        self.ends, self.results = [], {}
        self.queue, self.source, self.item, self.o = [], None, None, None
        self.fetched, self.times, self.token = [], [], False

    def items(self, lane):
        if self.group.emit is Emit.READOUT:
            return [True]
        return [bool(way.taken[lane]) for way in self.group.ways]

    def cycle(self, t, opens):
        head = self.queue[0] if self.queue and self.queue[0][0] < t else None
        taken = self.o is not None and opens(t)
        if taken:
            self.times.append(t)
        sending = self.o is None or taken
        item_ready = self.item is None or self.item is False or sending
        source_done = self.source is not None and item_ready and len(self.source) <= 1
        ready = self.source is None or source_done
        beat_gone = head is not None and ready and len(head[2]) == 1
        result = self.results.pop(t, None)
        returned = beat_gone + (result is not None and result not in self.wanted)
        go = self.go(t, head)
        finished = self.issued == self.group.n_rows and not self.gap and self.space == BEATS
        at_end = finished and head is None and self.source is None and not self.token
        # Registers.
        if sending:
            self.o = self.item or None
        if item_ready:
            self.item = self.source[0] if self.source else None
            if at_end:
                self.item, self.token = TOKEN, True
        if source_done:
            self.source = None
        elif item_ready and self.source:
            self.source.pop(0)
        if ready and head is not None:
            self.source = self.items(head[2].pop(0))
        if beat_gone:
            self.queue.pop(0)
        if result in self.wanted:
            row = result // self.per_row
            self.queue.append((t, row, list(self.wanted[result])))
        self.space += returned - (self.n_beats if go else 0)
        self.gap = self.per_row - 1 if go else max(0, self.gap - 1)

    def go(self, t, head):
        row = self.issued
        if t < self.first or row == self.group.n_rows or self.gap or self.space < self.n_beats:
            return False
        if self.numbers is not None:
            ended = sum(end < t - 2 for end in self.ends) // self.n_beats
            oldest = ended if head is None else head[1]
            if (row + 1) % self.numbers == oldest % self.numbers:
                return False
        self.fetched.append(t)
        self.issued += 1
        for i in range(self.n_beats):
            self.ends.append(t + self.to_end + i)
            self.results[t + self.to_queue + i] = row * self.per_row + i
        return True

    def run(self, opens):
        for t in itertools.count():
            self.cycle(t, opens)
            if self.token and self.o is None and self.item is None:
                return self.times, self.fetched
        raise AssertionError


HARDWARE = [
    *("zynq_2x2", "zynq_2x2_map", "zynq_2x2_int4", "zynq_2x2_table", "zynq_us_plus_syn"),
    *("tiny_2x2", "tiny_2x2_map", "tiny_2x2_int4_map", "ecp5_2x2"),
]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("hw", HARDWARE)
def test_updates_are_those_of_the_registers(hw, seed):
    rng = np.random.default_rng(seed)
    params = preset(hw)
    n_rows, n_ways = int(rng.integers(1, 40)), int(rng.integers(0, 4))
    n = n_rows * params.lanes
    takes = rng.random((n_ways, n)) < rng.choice([0.1, 0.5, 1.0])
    emit = Emit.READOUT if rng.random() < 0.2 else Emit.SPIKE
    group = group_of(params, n_rows, takes, emit=emit)
    # Rows differ in how many of their neurons fire.
    rates = np.repeat(rng.choice([0.0, 0.02, 0.1, 0.5, 1.0], n_rows), params.lanes)
    lanes = np.flatnonzero(rng.random(n) < rates)
    if emit is Emit.READOUT:
        lanes = np.arange(n)
    shut = rng.random(4096) < rng.choice([0.0, 0.3, 0.8, 0.95])
    bursts = np.repeat(rng.random(64) < 0.5, 64) & (rng.random() < 0.5)

    def opens(time):
        return time >= 4096 or not (shut[time] or bursts[time])

    times, fetched = update(params, group, lanes, opens)
    assert (times, fetched) == Registers(params, group, lanes).run(opens)
