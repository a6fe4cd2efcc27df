"""Testbench of one router: random traffic on five ports against the geometry of the mesh."""

import random
from collections import defaultdict, deque

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from talon.arch.packet import Kind, PacketLayouts
from talon.arch.params import ArrayParams
from talon_hdl.noc.route import SOURCES, Port
from talon_sim.cosim.coverage import Coverage
from talon_sim.cosim.testbench import parameters, record_coverage

PARAMS = ArrayParams(**parameters()["params"])
LAYOUTS = PacketLayouts(PARAMS)
HOST_KINDS = (Kind.HOST_SPIKE, Kind.HOST_VALUE, Kind.HOST_TOKEN, Kind.HOST_CONFIG)
HOST_ENTRIES = (Port.EAST, Port.SOUTH, Port.LOCAL)


def outputs_of(packet, entry, x, y):
    """Return the outputs of a packet: for every core it is for, one step on the way there."""
    kind, fields = LAYOUTS.unpack(packet)
    if kind in HOST_KINDS:
        return {Port.NORTH} if x == 0 and y > 0 else {Port.WEST}
    # A copy that moves in a direction is answerable for the cores ahead of it, and no other.
    columns = {
        Port.WEST: range(x, PARAMS.columns),
        Port.EAST: range(x + 1),
        Port.LOCAL: range(PARAMS.columns),
    }.get(entry, range(x, x + 1))
    rows = {Port.NORTH: range(y, PARAMS.rows), Port.SOUTH: range(y + 1)}.get(
        entry, range(PARAMS.rows)
    )
    steps = set()
    for column in columns:
        if not fields["xmask"] >> column & 1:
            continue
        if column != x:  # also with no row at all: then it is discarded there
            steps.add(Port.EAST if column > x else Port.WEST)
            continue
        for row in rows:
            if fields["ymask"] >> row & 1:
                steps.add(_step_in_column(row, y))
    return steps


def _step_in_column(row, y):
    if row == y:
        return Port.LOCAL
    return Port.SOUTH if row > y else Port.NORTH


def random_mask(rng, bits):
    """Return a mask: often of one bit, sometimes of all or none."""
    if rng.random() < 0.5:
        return 1 << rng.randrange(bits)
    return rng.choice([rng.randrange(1 << bits), (1 << bits) - 1])


def random_packet(rng, entry, number, x):
    """Return a packet that may enter column ``x`` by ``entry``; ``number`` tells it from others."""
    if entry in HOST_ENTRIES and rng.random() < 0.3:
        kind = rng.choice(HOST_KINDS)
        body = rng.getrandbits(LAYOUTS.width) & ~0xFFFFFF8
        return body & ~7 | kind | (number << 3)
    head = 3 + PARAMS.columns + PARAMS.rows
    kind = rng.choice([Kind.SPIKE, Kind.PSUM, Kind.TOKEN, Kind.CONFIG])
    xmask = random_mask(rng, PARAMS.columns)
    if entry in (Port.NORTH, Port.SOUTH):
        xmask |= 1 << x  # it turned into this column because it is for this column
    return (
        kind
        | xmask << 3
        | random_mask(rng, PARAMS.rows) << (3 + PARAMS.columns)
        | number << head
        | rng.getrandbits(LAYOUTS.width - head - 22) << (head + 22)
    )


def source_of(packet):
    """Return ``(entry, count)``, which the testbench wrote into the packet."""
    host = packet & 4
    number = packet >> (3 if host else 3 + PARAMS.columns + PARAMS.rows) & 0x3FFFFF
    return Port(number % 5), number // 5


class Bench:
    """Five drivers, five sinks, and a scoreboard of queues by (input, output)."""

    def __init__(self, dut, rng, coverage):
        self.dut, self.rng, self.coverage = dut, rng, coverage
        self.wire = {
            f"{side}_{port.value}_{name}": getattr(dut, f"{side}_{port.value}_{name}")
            for side in "io"
            for port in Port
            for name in ("payload", "valid", "ready")
        }
        self.cycle = 0
        self.sent = [0] * 5
        self.received = defaultdict(int)
        self.waiting = defaultdict(deque)  # (entry, output) -> packets that must still come
        self.offered = [None] * 5  # packet on each input that is not taken yet
        self.blocked = [None] * 5  # packet on each output that was not taken in the last cycle

    async def start(self, x, y):
        self.dut.rst.value = 1
        self.x, self.y = x, y
        self.dut.x.value, self.dut.y.value = x, y
        for port in Port:
            self.wire[f"i_{port.value}_valid"].value = 0
            self.wire[f"o_{port.value}_ready"].value = 0
        for _ in range(3):
            await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0

    async def step(self, offer, ready):
        """Run one cycle: ``offer(port)`` gives a new packet or None, ``ready(port)`` a bool."""
        for port in Port:
            if self.offered[port] is None:
                self.offered[port] = offer(port)
            packet = self.offered[port]
            self.wire[f"i_{port.value}_valid"].value = packet is not None
            if packet is not None:
                self.wire[f"i_{port.value}_payload"].value = packet
            self.wire[f"o_{port.value}_ready"].value = ready(port)
        await FallingEdge(self.dut.clk)
        inside = any(self.waiting.values())
        assert not (inside and self.dut.idle.value == 1), "idle with a packet inside"
        for port in Port:
            self._watch_output(port)
        for port in Port:
            self._watch_input(port)
        await RisingEdge(self.dut.clk)
        self.cycle += 1

    def _watch_input(self, port):
        packet = self.offered[port]
        if packet is None:
            return
        if self.wire[f"i_{port.value}_ready"].value != 1:
            self.coverage.cross("full", port.name)
            return
        outputs = outputs_of(packet, port, self.x, self.y)
        for output in outputs:
            self.waiting[port, output].append(packet)
        self.coverage.cross("fork", len(outputs))
        self.coverage.cross("kind", Kind(packet & 7).name)
        self.sent[port] += 1
        self.offered[port] = None

    def _watch_output(self, port):
        valid = self.wire[f"o_{port.value}_valid"].value == 1
        packet = int(self.wire[f"o_{port.value}_payload"].value) if valid else None
        if self.blocked[port] is not None:
            assert packet == self.blocked[port], f"{port.name} changed its packet while it waited"
        self.blocked[port] = None
        if not valid:
            return
        if self.wire[f"o_{port.value}_ready"].value != 1:
            self.blocked[port] = packet
            self.coverage.cross("stalled", port.name)
            return
        entry, count = source_of(packet)
        queue = self.waiting[entry, port]
        assert queue, f"{port.name} sent packet {count} of {entry.name}, which was not for it"
        expected = queue.popleft()
        assert packet == expected, (
            f"{port.name} sent packet {count} of {entry.name} instead of "
            f"{source_of(expected)[1]}: lost, doubled or out of order"
        )
        self.coverage.cross("turn", entry.name, port.name)
        self.received[entry, port] += 1

    def number(self, port):
        return self.sent[port] * 5 + port


def all_bins():
    bins = [f"turn x {s.name} x {o.name}" for o, sources in SOURCES.items() for s in sources]
    bins += [f"{what} x {port.name}" for what in ("full", "stalled") for port in Port]
    bins += [f"kind x {kind.name}" for kind in Kind]
    return bins + [f"fork x {n}" for n in range(6)]


@cocotb.test()
async def random_traffic(dut):
    rng = random.Random(cocotb.RANDOM_SEED)
    coverage = Coverage(all_bins())
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    for x, y in parameters()["positions"]:
        bench = Bench(dut, rng, coverage)
        await bench.start(x, y)
        for _phase in range(parameters()["phases"]):
            busy = [rng.choice([0.1, 0.5, 1.0]) for _ in Port]
            open_ = [rng.choice([0.1, 0.5, 0.9, 1.0]) for _ in Port]

            def offer(port, busy=busy, bench=bench):
                if rng.random() >= busy[port]:
                    return None
                return random_packet(rng, port, bench.number(port), bench.x)

            for _ in range(100):
                await bench.step(offer, lambda port, p=open_: rng.random() < p[port])
        for _ in range(100):
            await bench.step(lambda port: None, lambda port: True)
        left = {key: len(queue) for key, queue in bench.waiting.items() if queue}
        assert not left, f"packets lost at {(x, y)}: {left}"
        assert dut.idle.value == 1
        assert sum(bench.sent) > 20 * parameters()["phases"]
    record_coverage(coverage)


@cocotb.test()
async def a_fork_flows_every_cycle(dut):
    """West to east and to the core, one packet a cycle."""
    rng = random.Random(cocotb.RANDOM_SEED)
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    bench = Bench(dut, rng, Coverage(all_bins()))
    await bench.start(0, 0)
    n = 200

    def offer(port):
        if port is not Port.WEST or bench.sent[port] == n:
            return None
        head = 3 + PARAMS.columns + PARAMS.rows
        mask = (0b11 << 3) | (1 << (3 + PARAMS.columns))
        return Kind.SPIKE | mask | bench.number(port) << head

    while bench.received[Port.WEST, Port.EAST] < n:
        await bench.step(offer, lambda port: True)
        assert bench.cycle <= n + 3, "a packet a cycle, two cycles of latency"
    assert bench.received[Port.WEST, Port.LOCAL] == n


@cocotb.test()
async def five_inputs_share_an_output_fairly(dut):
    rng = random.Random(cocotb.RANDOM_SEED)
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    bench = Bench(dut, rng, Coverage(all_bins()))
    await bench.start(0, 0)

    def offer(port):
        head = 3 + PARAMS.columns + PARAMS.rows
        mask = (1 << 3) | (1 << (3 + PARAMS.columns))
        return Kind.SPIKE | mask | bench.number(port) << head

    for _ in range(503):
        await bench.step(offer, lambda port: True)
    counts = [bench.received[port, Port.LOCAL] for port in Port]
    assert sum(counts) >= 500
    assert max(counts) - min(counts) <= 1, f"unfair: {counts}"
