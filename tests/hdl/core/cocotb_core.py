"""Testbench of one neuron core: random programs and traffic against the contract."""

import random
from collections import deque

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge
from core_scenario import (
    Reference,
    Stimulus,
    config,
    crc,
    load_packets,
    random_program,
    random_reset_rows,
    sections,
)
from map_program import map_program

from talon.arch.memories import (
    Counter,
    EdgeKind,
    Emit,
    Memory,
    MemoryLayouts,
    Reset,
    emits,
    loaded,
    resets,
)
from talon.arch.packet import ConfigOp, Kind, PacketLayouts
from talon.arch.params import ArrayParams
from talon_sim.cosim.coverage import Coverage
from talon_sim.cosim.testbench import parameters, record_coverage

PARAMS = ArrayParams(**parameters()["params"])
X, Y = parameters()["position"]
PACKETS = PacketLayouts(PARAMS)
LAYOUTS = MemoryLayouts(PARAMS)
CORE = PARAMS.core_id(X, Y)
MASKS = {"xmask": 1 << X, "ymask": 1 << Y}
LOADED = loaded(PARAMS)
ALL_ROWS = 1 << (max(PARAMS.n_rows, PARAMS.n_groups) - 1).bit_length()
COUNTS_A_ROW = max(PARAMS.n_slots, PARAMS.lanes // PARAMS.update_lanes)


class CoreBench:
    """Driver and monitor of a core; all signals change at the falling edge."""

    def __init__(self, dut, seed):
        self.dut, self.rng = dut, random.Random(seed)
        self.to_send, self.received = deque(), deque()
        self.gap = self.stall = 0.0
        self.driving = False
        self.full = 0  # cycles in which the core held back a packet

    async def start(self):
        """Reset the core and start driver and monitor."""
        dut = self.dut
        cocotb.start_soon(Clock(dut.clk, 4, "ns").start())
        dut.rst.value = 1
        dut.x.value, dut.y.value = X, Y
        dut.i_valid.value = dut.o_ready.value = dut.state_reset.value = 0
        for _ in range(3):
            await FallingEdge(dut.clk)
        dut.rst.value = 0
        cocotb.start_soon(self._drive())

    async def _drive(self):
        # Every cycle goes through here: handles are looked up once, what stays is not written.
        dut, rng = self.dut, self.rng
        i_valid, i_ready, i_payload = dut.i_valid, dut.i_ready, dut.i_payload
        o_valid, o_ready, o_payload = dut.o_valid, dut.o_ready, dut.o_payload
        rising, falling = RisingEdge(dut.clk), FallingEdge(dut.clk)
        valid = ready = False  # as start() has set them
        offered = None  # a packet that waits must stay as it is
        while True:
            if not self.driving and self.to_send and rng.random() >= self.gap:
                i_payload.value = self.to_send.popleft()
                self.driving = True
            if valid != self.driving:
                valid = self.driving
                i_valid.value = valid
            if ready != (rng.random() >= self.stall):
                ready = not ready
                o_ready.value = ready
            await rising  # before the edge takes effect
            accepted = valid and bool(i_ready.value)
            self.full += valid and not accepted
            packet = int(o_payload.value) if o_valid.value else None
            assert offered in (None, packet), "a packet was exchanged under back-pressure"
            offered = packet
            if packet is not None and ready:
                self.received.append(packet)
                offered = None
            await falling
            if accepted:
                self.driving = False

    def send(self, *packets):
        """Queue packets for the core."""
        self.to_send.extend(packets)

    def configure(self, op, value):
        """Queue a CONFIG packet."""
        self.send(config(PARAMS, op, value, **MASKS))

    async def settle(self, limit=200_000):
        """Wait until everything is sent and the core is idle."""
        quiet, idle, falling = 0, self.dut.idle, FallingEdge(self.dut.clk)
        for _ in range(limit):
            await falling
            at_rest = not self.to_send and not self.driving and idle.value
            quiet = quiet + 1 if at_rest else 0
            if quiet == 3:
                return
        raise AssertionError(f"The core is not idle after {limit} cycles")

    async def receive(self, limit=100_000):
        """Return the next packet."""
        for _ in range(limit):
            if self.received:
                return self.received.popleft()
            await FallingEdge(self.dut.clk)
        raise AssertionError(f"No packet came in {limit} cycles")

    async def read(self, memory, n_words, entry=0):
        """Read words of a memory back."""
        assert not self.received
        self.configure(ConfigOp.SELECT, memory << 28 | entry)
        self.configure(ConfigOp.READ, n_words)
        words = []
        for _ in range(n_words):
            kind, fields = PACKETS.unpack(await self.receive())
            assert kind is Kind.HOST_CONFIG
            assert fields["core"] == CORE
            words.append(fields["data"])
        await self.settle()
        assert not self.received
        return words

    async def status(self):
        """Return the fields of the status."""
        return LAYOUTS.status.unpack((await self.read(Memory.STATUS, 1))[0])

    async def load(self, program):
        """Load and arm a program."""
        self.send(*load_packets(PARAMS, sections(program, PARAMS), MASKS))
        await self.settle()
        assert not self.dut.error.value

    async def reset_state(self):
        """Strobe the state reset, wait until it is done, and return its cycles."""
        self.dut.state_reset.value = 1
        await FallingEdge(self.dut.clk)
        self.dut.state_reset.value = 0
        n_cycles = 0
        while not self.dut.idle.value:
            n_cycles += 1
            await FallingEdge(self.dut.clk)
        assert n_cycles > 0
        return n_cycles


@cocotb.test()
async def events_right_behind_arm_are_not_lost(dut):
    """Send events right behind ARM: the reset that it brings must hold them back."""
    bench = CoreBench(dut, cocotb.RANDOM_SEED)
    await bench.start()
    program = _one_group([{"kind": int(EdgeKind.IDENTITY), "weight": 3}], [])
    await bench.load(program)
    reference = Reference(program, PARAMS, CORE)
    events = [
        PACKETS.pack(Kind.SPIKE, **MASKS, index=i, payload=1) for i in range(PARAMS.n_neurons)
    ]
    for packet in events:
        reference.take(packet)
    bench.configure(ConfigOp.ARM, PARAMS.hardware_hash)
    bench.send(*events, PACKETS.pack(Kind.TOKEN, **MASKS))
    await bench.settle()
    _compare([*bench.received], reference.run(0, False), 0, 0)


async def run_steps(bench, program, reference, *, n_steps, n_events, probing, coverage):
    """Send some timesteps, as far ahead as the slots allow, and compare every block."""
    stimulus = Stimulus(bench.rng, program, PARAMS, MASKS)
    groups = reference.used_groups()
    finished = dict.fromkeys(groups, 0)
    events = {t: [stimulus.event(t) for _ in range(n_events)] for t in range(n_steps)}
    todo = {t: list(events[t]) for t in range(n_steps)}
    window = PARAMS.n_slots
    next_end = sent_until = 0
    expected = {}
    for t in range(n_steps):  # references run in order: rows of different slots do not interact
        for packet in events[t]:
            reference.take(packet)
        for number in groups:
            expected[number, t] = reference.run(number, probing)
    block = []
    n_reads = 0  # words read back that have still to come
    while any(finished[g] < n_steps for g in groups) or n_reads:
        oldest = min(finished.values())
        if next_end < n_steps and not bench.to_send:
            ahead = [t for t in range(next_end, min(n_steps, oldest + window)) if todo[t]]
            if ahead:
                # Mostly this timestep; also those whose slots are free already.
                t = ahead[0] if bench.rng.random() < 0.7 else bench.rng.choice(ahead)
                for _ in range(min(len(todo[t]), bench.rng.choice([5, 60, 200]))):
                    bench.send(todo[t].pop())
                coverage.hit("event ahead of its timestep", t != next_end)
            if next_end < oldest + window and not todo[next_end]:
                bench.send(*stimulus.tokens(next_end))
                next_end += 1
                sent_until = max(sent_until, next_end - oldest)
                if bench.rng.random() < 0.3:
                    bench.configure(ConfigOp.SELECT, Memory.STATUS << 28)
                    bench.configure(ConfigOp.READ, 1)
                    n_reads += 1
        if not bench.received:
            await FallingEdge(bench.dut.clk)
            bench.waited += 1
            assert bench.waited < 200_000, f"stuck: {finished} of {n_steps}"
        while bench.received:
            bench.waited = 0
            block.append(bench.received.popleft())
            kind, fields = PACKETS.unpack(block[-1])
            if kind is Kind.HOST_CONFIG:
                block.pop()
                n_reads -= 1
                coverage.hit("read back during a run")
                assert LAYOUTS.status.unpack(fields["data"])["armed"]
            if kind is Kind.HOST_TOKEN and not fields["credit"]:
                number = fields["group"]
                _compare(block, expected[number, finished[number]], number, finished[number])
                finished[number] += 1
                block = []
    assert not block
    coverage.hit("slots wrap", n_steps > 2 * PARAMS.n_slots)
    coverage.hit("all slots in use", sent_until >= PARAMS.n_slots)
    await bench.settle()


def _compare(block, expected, number, step):
    if block == expected:
        return
    pairs = list(zip(block, expected, strict=False))
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
    shown = [PACKETS.unpack(b[at]) if at < len(b) else None for b in (block, expected)]
    raise AssertionError(
        f"group {number} timestep {step} packet {at} of {len(block)} ({len(expected)} expected): "
        f"got {shown[0]}, expected {shown[1]}"
    )


def _cover(coverage, program, probing):
    for edge in program.edges:
        coverage.hit(f"edge {EdgeKind(edge['kind']).name}")
    for group in program.groups:
        if group.get("n_neurons"):
            coverage.hit(f"emit {Emit(group['emit']).name}")
            coverage.hit("group without routes", group["n_routes"] == 0)
            coverage.hit("group with several routes", group["n_routes"] > 1)
            coverage.hit("group that ends inside a row", group["n_neurons"] % PARAMS.lanes != 0)
    for record in program.records:
        if "decay" in record:
            late = "late" if record["reset_next"] else "at once"
            coverage.hit(f"reset {Reset(record['reset']).name} {late}")
    coverage.hit("probing" if probing else "not probing")


BINS = (
    *(f"edge {kind.name}" for kind in EdgeKind if kind is not EdgeKind.MAP),
    *(f"emit {emit.name}" for emit in emits(PARAMS)),
    *(f"reset {reset.name} {when}" for reset in resets(PARAMS) for when in ("late", "at once")),
    "group without routes",
    "group with several routes",
    "group that ends inside a row",
    "probing",
    "not probing",
    "slots wrap",
    "all slots in use",
    "event ahead of its timestep",
    "input full",
    "output blocked",
    "reset of all rows",
    "reset of rows in use",
    "read back during a run",
    "saturated",
)


@cocotb.test()
async def core_does_what_the_contract_says(dut):
    """Random programs and traffic, random back-pressure, several runs with a reset between."""
    coverage = Coverage(BINS)
    bench = CoreBench(dut, cocotb.RANDOM_SEED)
    bench.waited = 0
    await bench.start()
    for trial in range(parameters()["trials"]):
        program = random_program(bench.rng, PARAMS, parameters().get("n_words", 256))
        bench.gap, bench.stall = 0.0, 0.0
        await bench.load(program)
        reference = Reference(program, PARAMS, CORE)
        for run in range(2):
            probing = bench.rng.random() < 0.5
            rows = random_reset_rows(bench.rng, program, PARAMS)
            rows = rows if trial else 0
            bench.configure(ConfigOp.CONTROL, int(probing) | (run == 0) << 1 | rows << 16)
            bench.gap = bench.rng.choice([0.0, 0.0, 0.3]) if run else 0.0
            bench.stall = bench.rng.choice([0.0, 0.3, 0.9])
            bench.full = 0
            if run:
                reference.reset()
                await bench.settle()
                n_cycles = await bench.reset_state()
                assert n_cycles <= (rows or ALL_ROWS) * COUNTS_A_ROW + 30, n_cycles
                coverage.hit("reset of all rows", rows == 0)
                coverage.hit("reset of rows in use", rows > 0)
            await run_steps(
                bench,
                program,
                reference,
                n_steps=bench.rng.choice([PARAMS.n_slots + 2, 2 * PARAMS.n_slots + 3]),
                n_events=bench.rng.choice([3, 40, 150]) if run else 150,
                probing=probing,
                coverage=coverage,
            )
            _cover(coverage, program, probing)
            coverage.hit("input full", bench.full > 0)
        bench.gap, bench.stall = 0.0, 0.0
        await check_counters(bench, reference, coverage)
        if trial == 0:
            await check_read_back(bench, program)
    record_coverage(coverage)


async def check_counters(bench, reference, coverage):
    """Compare the counters since the program was loaded."""
    values = dict(
        zip([c.name for c in Counter], await bench.read(Memory.COUNTER, len(Counter)), strict=True)
    )
    for name, count in reference.counters.items():
        assert values[name] == count, f"{name}: {values[name]}, expected {count}"
    assert values["BUSY"] >= values["ROWS"]
    coverage.hit("output blocked", values["BLOCKED"] > 0)
    coverage.hit("saturated", values["SATURATIONS"] > 0)


async def check_read_back(bench, program):
    """Read back what was loaded, from the start and from some entry on."""
    words = sections(program, PARAMS)
    for memory in LOADED:
        layout = LAYOUTS.of_memory.get(memory)
        size = layout.n_words if layout else PARAMS.pointers_per_word
        count = min(len(words[memory]), 40 * size)
        assert await bench.read(memory, count) == words[memory][:count], memory.name
        entry = bench.rng.randrange(len(words[memory]) // size)
        found = await bench.read(memory, size, entry)
        assert found == words[memory][entry * size : (entry + 1) * size], memory.name


def any_program(rng):
    """Return a random program for the array."""
    return map_program(rng, PARAMS) if PARAMS.has_maps else random_program(rng, PARAMS)


@cocotb.test()
async def core_refuses_what_is_not_whole(dut):
    """CRC errors, another hardware, missing sections, events before ARM; DISARM forgives."""
    bench = CoreBench(dut, cocotb.RANDOM_SEED)
    await bench.start()
    program = any_program(bench.rng)
    words = sections(program, PARAMS)
    good = load_packets(PARAMS, words, MASKS)
    assert (await bench.status()) == dict.fromkeys(LAYOUTS.status.unpack(0), 0)

    # One flipped bit in one section.
    for memory in LOADED:
        bench.configure(ConfigOp.DISARM, 0)
        at, bit = bench.rng.randrange(len(words[memory])), bench.rng.randrange(32)
        at = bench.rng.choice([at, None])  # None: it is written to another place
        place = memory << 28 | (1 << bench.rng.randrange(4) if at is None else 0)
        bench.configure(ConfigOp.SELECT, place)
        for i, word in enumerate(words[memory]):
            bench.configure(ConfigOp.WRITE, word ^ (1 << bit if i == at else 0))
        bench.configure(ConfigOp.COMMIT, crc(memory, words[memory]))
        status = await bench.status()
        assert status["crc_error"]
        assert not status["good"]
        assert dut.error.value

    # Loaded but for one section; then with another hardware's hash.
    bench.configure(ConfigOp.DISARM, 0)
    await bench.settle()
    assert not dut.error.value
    bench.send(*good[1 : good.index(config(PARAMS, ConfigOp.SELECT, Memory.INIT << 28, **MASKS))])
    bench.configure(ConfigOp.ARM, PARAMS.hardware_hash)
    status = await bench.status()
    assert (status["armed"], status["incomplete"], status["hash_error"]) == (0, 1, 0)
    bench.send(*good[:-1])
    bench.configure(ConfigOp.ARM, PARAMS.hardware_hash ^ 1 << bench.rng.randrange(32))
    status = await bench.status()
    assert (status["armed"], status["incomplete"], status["hash_error"]) == (0, 0, 1)
    assert status["good"] == (1 << len(LOADED)) - 1
    assert dut.error.value

    # Events to a core that is not armed are discarded, each kind of them reported.
    stimulus = Stimulus(bench.rng, program, PARAMS, MASKS)
    for packet in (
        next(p for p in iter(lambda: stimulus.event(0), None) if p & 7 == Kind.SPIKE),
        next(p for p in iter(lambda: stimulus.event(0), None) if p & 7 == Kind.PSUM),
        PACKETS.pack(Kind.TOKEN, **MASKS),
    ):
        bench.configure(ConfigOp.DISARM, 0)
        bench.configure(ConfigOp.CONTROL, 2)
        await bench.settle()
        assert not dut.error.value
        bench.send(packet)
        await bench.settle()
        assert dut.error.value
        status = await bench.status()
        assert status["unarmed_event"]
        assert await bench.read(Memory.COUNTER, 3) == [0, 0, 0]
        assert not bench.received

    # Everything right: armed, no error; a write afterwards makes the memory not good.
    bench.send(*good)
    status = await bench.status()
    assert status == {**dict.fromkeys(status, 0), "armed": 1, "good": (1 << len(LOADED)) - 1}
    assert not dut.error.value
    bench.configure(ConfigOp.SELECT, Memory.EDGE << 28)
    bench.configure(ConfigOp.WRITE, words[Memory.EDGE][0])
    bench.configure(ConfigOp.ARM, PARAMS.hardware_hash)
    status = await bench.status()
    assert (status["armed"], status["incomplete"]) == (0, 1)
    assert status["good"] == (1 << len(LOADED)) - 1 - (1 << Memory.EDGE)


def _one_group(edges, weights):
    """Return a program whose only group reads out all neurons."""
    program = random_program(random.Random(1), PARAMS)
    program.weights[: len(weights)] = weights
    program.edges = edges
    program.routes, program.tokens = [], [{"host": 1}]
    program.groups = [{} for _ in range(PARAMS.n_groups)]
    program.groups[0] = {
        "n_neurons": PARAMS.n_neurons,
        "emit": int(Emit.READOUT),
        "n_tokens": 1,
        "n_sources": 1,
    }
    program.records = [{}] * PARAMS.n_neurons
    program.init = [{}] * (PARAMS.n_groups * PARAMS.n_slots)
    return program


@cocotb.test()
async def synapse_engine_retires_a_row_in_every_cycle(dut):
    """Back-to-back rows, also to the same accumulators: counters prove the rate, sums are exact."""
    bench = CoreBench(dut, cocotb.RANDOM_SEED)
    await bench.start()
    n_rows = min(PARAMS.n_rows, 8)
    lists = [
        {"address": 64 + 8 * i, "count": 8} for i in range(PARAMS.pointers_per_word)
    ]  # of packed words that are just any weights
    pointers = sum(LAYOUTS.pointer.pack(p) << 32 * i for i, p in enumerate(lists))
    weights = [bench.rng.getrandbits(8 * PARAMS.word_bytes) for _ in range(128)]
    places = range(PARAMS.synapses_per_word)
    row = LAYOUTS.synapse.offset_of("row")
    largest = next(field.maximum for field in LAYOUTS.synapse.fields if field.name == "row")
    clean = ~sum(largest << 16 * k + row for k in places)
    weights[32] = pointers
    weights[64:96] = [  # keep rows inside the core
        (w & clean) | sum((k + w) % PARAMS.n_rows << 16 * k + row for k in places)
        for w in weights[64:96]
    ]
    dense = {"kind": int(EdgeKind.DENSE), "last_lanes": PARAMS.lanes}
    edges = [
        {**dense, "rows": 1},
        {**dense, "rows": 2},
        {**dense, "rows": 3},
        {**dense, "rows": n_rows},
        {"kind": int(EdgeKind.IDENTITY), "weight": -PARAMS.weight_max // 2},
        {"kind": int(EdgeKind.SPARSE), "base": 32},
    ]
    program = _one_group(edges, weights)
    await bench.load(program)
    for number, expected in ((0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (5, 8 / 9)):
        reference = Reference(program, PARAMS, CORE)
        await bench.reset_state()
        bench.configure(ConfigOp.CONTROL, 2)
        await bench.settle()
        events = [
            PACKETS.pack(
                Kind.SPIKE,
                **MASKS,
                edge=number,
                index=bench.rng.randrange(len(lists) if number == 5 else 4),
                payload=bench.rng.choice([1, -255, 255]),
            )
            for _ in range(800 if number in (0, 4) else 200)
        ]
        for packet in events:
            reference.take(packet)
        bench.send(*events, PACKETS.pack(Kind.TOKEN, **MASKS))
        await bench.settle()
        _compare([*bench.received], reference.run(0, False), 0, 0)
        bench.received.clear()
        counts = dict(zip(Counter, await bench.read(Memory.COUNTER, len(Counter)), strict=True))
        rows, busy = counts[Counter.ROWS], counts[Counter.BUSY]
        assert rows == reference.counters["ROWS"]
        assert rows / busy >= 0.95 * expected, f"edge {number}: {rows} rows in {busy} cycles"
        dut._log.warning("edge %d: %d rows in %d busy cycles", number, rows, busy)
