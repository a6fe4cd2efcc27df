"""The parts of the timing: the input of a core, and the routers."""

import itertools
from collections import deque
from dataclasses import dataclass

import numpy as np
import pytest

from talon.arch.params import preset
from talon.compiler.cover import members
from talon.compiler.performance.clock import Clock
from talon.compiler.performance.emission import Source
from talon.compiler.performance.mesh import QUEUE, ROUTER, Mesh
from talon.compiler.performance.synapse_queue import JOBS, PIPELINE, SynapseQueue

HOST = -1


@dataclass
class Message:
    """A packet to some cores with its cost there, or a token."""

    masks: tuple[int, int] = (1, 1)
    cost: tuple[int, int, int] = (1, 0, 1)
    is_token: bool = False

    def work(self, core):
        return self.cost


class Recorder:
    """Takes all packets in, and knows when they came; with ``every``, one each so many cycles."""

    def __init__(self, clock, every=1):
        self.clock, self.every, self.times, self.messages = clock, every, [], []
        self.free = 0

    def offer(self, message, time, sender):
        at = max(time, self.free)
        self.free = at + self.every
        if at > time:
            self.clock.at(at, lambda now: (self.note(message, now), sender.taken(now)))
            return False
        self.note(message, time)
        return True

    def note(self, message, time):
        self.times.append(time)
        self.messages.append(message)


def offers(messages, times, accepted=None):
    """Offer packets, each no earlier than its time; note in ``accepted`` when they were taken."""
    for message, time in zip(messages, times, strict=True):
        taken = yield time, message
        if accepted is not None:
            accepted.append(taken)


class Watch(Clock):
    """A clock that can be looked at."""

    now = 0

    def at(self, time, event):
        super().at(time, self._noted(event))

    def late(self, time, event):
        super().late(time, self._noted(event))

    def _noted(self, event):
        def noted(time):
            self.now = time
            event(time)

        return noted


class Line:
    """A core's input alone: what comes at some times, and when tokens are through."""

    def __init__(self, depth=32):
        self.clock, self.tokens, self.accepted = Watch(), [], []
        self.queue = SynapseQueue(0, depth, self.clock, self.note)

    @property
    def through(self):
        return [time for _, time in self.tokens]

    def note(self, token, time):
        # Nobody may start a group before he knows of a token that is through.
        assert time == self.clock.now
        self.tokens.append((token, time))

    def run(self, messages, times):
        source = Source(self.clock, self.queue)
        source.send(offers(messages, times, self.accepted))
        self.clock.run()
        return self.through


TOKEN = Message(is_token=True)


def test_a_clock_keeps_the_order_of_cycles_and_of_their_halves():
    clock, found = Clock(), []
    clock.late(3, lambda now: found.append(("late", now)))
    clock.at(3, lambda now: found.append(("at", now)))
    clock.at(1, lambda now: clock.at(2, lambda then: found.append(("next", then))))
    clock.run()
    assert found == [("next", 2), ("at", 3), ("late", 3)]


def test_a_token_alone_takes_the_pipeline():
    assert Line().run([TOKEN], [10]) == [11 + PIPELINE]


@pytest.mark.parametrize(("decode", "stream", "rate"), [(1, 1, 1), (3, 1, 3), (1, 7, 7), (3, 5, 5)])
def test_the_slower_of_decoder_and_streamer_sets_the_rate(decode, stream, rate):
    packet = Message(cost=(decode, 0, stream))
    (through,) = Line().run([packet] * 200 + [TOKEN], range(201))
    assert through == pytest.approx(200 * rate + PIPELINE, abs=decode + stream)


def test_packets_without_rows_cost_the_decoder_alone():
    (through,) = Line().run([Message(cost=(3, 0, 0))] * 100 + [TOKEN], range(101))
    assert through == pytest.approx(300 + PIPELINE, abs=2)


def test_fetches_take_cycles_of_rows():
    found = []
    for fetches in ([], range(20, 220, 4)):
        line = Line()
        line.queue.add_fetches(fetches)
        found += line.run([Message(cost=(1, 0, 4))] * 90 + [TOKEN], range(91))
    assert found[1] - found[0] == 50


def test_fetches_put_off_what_the_streamer_is_at():
    found = []
    for fetches in ([], [30, 34, 38]):
        line = Line()
        line.clock.at(25, line.queue.settle)
        line.clock.late(25, lambda _, line=line, times=fetches: line.queue.add_fetches(times))
        found += line.run([Message(cost=(1, 0, 100)), TOKEN], [0, 1])
    assert found[1] - found[0] == 3


def test_a_full_queue_holds_its_sender():
    line = Line(depth=8)
    line.run([Message(cost=(1, 0, 10))] * 60 + [TOKEN], range(61))
    # The decoder takes as many packets as it has stages before it sees that there is no room.
    assert line.accepted[:26] == list(range(26))
    assert np.diff(line.accepted[26:38]).tolist() == [1, 1, 1, 37] * 2 + [1, 1, 1]
    assert line.through[0] == pytest.approx(600 + PIPELINE, abs=2)


class Registers:
    """The row streamer of the gateware, register by register; ``through`` are tokens."""

    def __init__(self, fetches):
        self.fetches, self.through = fetches, []
        self.job, self.left = None, 0
        self.credits, self.under_way, self.lists, self.current = 4, {}, deque(), None

    def cycle(self, t, fifo):
        """Do a cycle; take the next of the jobs if there is none left."""
        job, current, is_fetch = self.job, self.current, t in self.fetches
        all_listed = self.credits == 4 and current is None
        is_token = job is not None and job.is_token
        is_list = job is not None and job.cost[1]
        goes_ahead = is_list or (is_token and not all_listed and fifo)
        ahead = not is_fetch and goes_ahead and self.credits > 0
        list_go = not is_fetch and not ahead and current is not None and current[1] is None
        row_go = not (is_fetch or list_go or is_token or is_list or job is None)
        passes = current is not None and current[1] is not None
        if passes or (is_token and all_listed):
            self.through.append((t, current[1] if passes else job))
        came = self.under_way.pop(t, None)
        empty = came is not None and came == (0, None)
        load = current is None or passes or (list_go and current[0] == 1)
        if list_go:
            self.current = current[0] - 1, None
        taken = load and bool(self.lists)
        if load:
            self.current = self.lists.popleft() if taken else None
        if came is not None and not empty:
            self.lists.append(came)
        if ahead:
            self.under_way[t + 4] = (0, job) if is_token else (job.cost[2] - 1, None)
        self.credits += taken + empty - bool(ahead)
        self.left -= row_go
        if job is None or ahead or (row_go and not self.left) or (is_token and all_listed):
            self.job = fifo.pop(0) if fifo else None
            self.left = self.job.cost[2] if self.job else 0


def cycle_by_cycle(messages, times, depth, fetches):
    """Return when packets are accepted and tokens are through, register by register."""
    queue, fifo, stages, streamer = [], [], [None] * 3, Registers(fetches)
    accepted, hold = [], 0
    n_tokens = sum(message.is_token for message in messages)
    for t in itertools.count():
        if len(streamer.through) == n_tokens and len(accepted) == len(messages):
            return accepted, streamer.through
        level, has_room, pushed = len(fifo), len(queue) < depth, stages[2]
        streamer.cycle(t, fifo)
        # Decoder: three stages, of which a MAP event holds the first two for a cycle.
        takes = bool(queue) and level < JOBS and not hold
        stages[2] = None if hold else stages[1]
        if hold:
            hold -= 1
        else:
            hold = stages[0].cost[0] - 1 if stages[0] is not None else 0
            stages[1], stages[0] = stages[0], queue[0] if takes else None
        if takes:
            queue.pop(0)
        if pushed is not None and pushed.cost[2]:
            fifo.append(pushed)
        number = len(accepted)
        if number < len(messages) and times[number] <= t and has_room:
            queue.append(messages[number])
            accepted.append(t)
    raise AssertionError


def check_against_registers(line, messages, times, depth, fetches):
    """Compare a line with its registers: cycles of tokens, and these cycles' tokens in order."""
    line.queue.add_fetches(fetches)
    through = line.run(messages, times)
    accepted, wanted = cycle_by_cycle(messages, times, depth, set(fetches))
    assert through == [time for time, _ in wanted]
    assert all(a is b for (a, _), (_, b) in zip(line.tokens, wanted, strict=True))
    assert line.accepted == accepted


@pytest.mark.parametrize("seed", range(40))
def test_the_input_of_a_core_is_that_of_its_registers(seed):
    rng = np.random.default_rng(seed)
    depth, n = int(rng.choice([4, 8, 16, 32])), int(rng.integers(1, 120))
    decodes = [[1], [2], [1, 2]][rng.integers(3)]
    streams = [[1], [0, 1, 2], [1, 9], [10], [3, 30]][rng.integers(5)]
    messages, times, time = [], [], 0
    for _ in range(n):
        decode, stream = int(rng.choice(decodes)), int(rng.choice(streams))
        packet = Message(cost=(decode, 0, stream if decode > 1 else max(1, stream)))
        messages.append(TOKEN if rng.random() < 0.1 else packet)
        time += int(rng.choice([0, 0, 0, 1, rng.integers(30)]))
        times.append(time)
    fetches = np.unique(rng.integers(0, 2 * time + 50, rng.choice([0, 40]))).tolist()
    check_against_registers(Line(depth), [*messages, TOKEN], [*times, time], depth, fetches)


@pytest.mark.parametrize("seed", range(100))
def test_lists_and_the_tokens_between_them_are_those_of_registers(seed):
    rng = np.random.default_rng(seed)
    depth, n = int(rng.choice([4, 32])), int(rng.integers(1, 120))
    rows = [[1], [0, 1], [1, 2, 5], [0, 1, 8], [20]][rng.integers(5)]
    dense, gap = rng.choice([0, 0, 0.3]), int(rng.choice([1, 3, 30]))
    messages, times, time = [], [], 0
    for _ in range(n):
        stream = int(rng.choice(rows))
        packet = Message(cost=(1, 1, 1 + stream))
        if rng.random() < dense:
            packet = Message(cost=(int(rng.choice([1, 2])), 0, 1 + stream))
        messages.append(Message(is_token=True) if rng.random() < 0.4 else packet)
        time += int(rng.choice([0, 0, 0, 1, rng.integers(gap)]))
        times.append(time)
    fetches = np.unique(rng.integers(0, 2 * time + 50, rng.choice([0, 40]))).tolist()
    check_against_registers(Line(depth), [*messages, TOKEN], [*times, time], depth, fetches)


def cores_of(clock, every=1):
    cores = {}

    def core(number):
        return cores.setdefault(number, Recorder(clock, every))

    return cores, core


def follow(sender, masks, time=100):
    """Return when a packet comes to each core, and when to the host."""
    clock = Clock()
    cores, core = cores_of(clock)
    host = Recorder(clock)
    mesh = Mesh(preset("zynq_us_plus"), clock, core, host)
    Source(clock, mesh.entrance(sender)).send(offers([Message(masks)], [time]))
    clock.run()
    assert all(len(found.times) == 1 for found in cores.values())
    return {number: found.times[0] for number, found in cores.items()}, host.times


@pytest.mark.parametrize("sender", [HOST, 0, 7, 12, 31])
def test_a_multicast_comes_to_each_core_once_by_the_shortest_way(sender):
    start = max(sender, 0)
    for xmask, ymask in itertools.product((0b1, 0b10010000, 0xFF), (0b1, 0b1010, 0xF)):
        found, host = follow(sender, (xmask, ymask))
        assert not host
        assert sorted(found) == members(xmask, ymask, 8)
        for core, at in found.items():
            distance = abs(core % 8 - start % 8) + abs(core // 8 - start // 8)
            assert at == 100 + ROUTER * (distance + 1)


def test_the_host_is_west_of_the_first_router():
    assert follow(19, (0, 0), 0) == ({}, [ROUTER * (1 + 3 + 2)])


def test_senders_take_turns_at_a_link():
    clock = Clock()
    cores, core = cores_of(clock)
    mesh = Mesh(preset("zynq_us_plus"), clock, core, Recorder(clock))
    packets = {sender: Message((0b1000, 0b1)) for sender in (0, 1, 2)}
    for sender, packet in packets.items():
        Source(clock, mesh.entrance(sender)).send(offers([packet] * 40, range(40)))
    clock.run()
    assert len(cores[3].times) == 120
    assert (np.diff(cores[3].times) == 1).all()
    # In the middle router the one beside it has every second turn, the others the rest.
    middle = cores[3].messages[20:60]
    counts = {sender: sum(m is packet for m in middle) for sender, packet in packets.items()}
    assert counts[2] == pytest.approx(20, abs=1)
    assert counts[0] == pytest.approx(10, abs=1)


def test_a_slow_core_holds_the_routers_before_it_and_a_fork_waits_for_all_branches():
    clock, accepted = Clock(), []
    cores, core = cores_of(clock)
    slow = Recorder(clock, every=10)
    mesh = Mesh(preset("zynq_us_plus"), clock, lambda n: slow if n == 2 else core(n), slow)
    to_both = Message((0b110, 0b1))
    Source(clock, mesh.entrance(0)).send(offers([to_both] * 60, range(60), accepted))
    clock.run()
    held = 3 * (QUEUE + 1)
    assert accepted[:held] == list(range(held))
    assert (np.diff(accepted[held + 2 :]) == 10).all()
    assert len(slow.times) == len(cores[1].times) == 60
    assert (np.diff(slow.times) == 10).all()
