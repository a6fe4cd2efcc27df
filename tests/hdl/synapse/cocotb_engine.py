"""Testbench of the synapse engine: random events and tokens, fetches at any time."""

import random
import sys
from collections import deque
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from talon.arch.memories import EdgeKind, MemoryLayouts
from talon.arch.packet import Kind, PacketLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_sim.cosim.coverage import Coverage
from talon_sim.cosim.testbench import parameters, record_coverage

sys.path.insert(0, str(Path(__file__).parents[1] / "core"))
from core_scenario import Reference, Stimulus, random_program

PARAMS = ArrayParams(**parameters()["params"])
PACKETS = PacketLayouts(PARAMS)
EDGE = MemoryLayouts(PARAMS).edge
GROUP, SLOT = bits_for(PARAMS.n_groups), bits_for(PARAMS.n_slots)
ACC = PARAMS.acc_width
BINS = (
    *(f"edge {kind.name}" for kind in EdgeKind if kind is not EdgeKind.MAP),
    "partial sum",
    "token waits for the receiver",
    "token behind sparse rows",
    "packet waits",
    "fetch between rows",
)


async def configure(dut, port, entries):
    """Write a memory through its configuration port."""
    getattr(dut, f"{port}_en").value = 1
    for address, entry in enumerate(entries):
        getattr(dut, f"{port}_addr").value = address
        getattr(dut, f"{port}_w_data").value = entry
        getattr(dut, f"{port}_w_en").value = 1
        await FallingEdge(dut.clk)
    getattr(dut, f"{port}_w_en").value = 0
    getattr(dut, f"{port}_en").value = 0


class EngineBench:
    """Drives packets and fetches, takes tokens; all signals change at the falling edge."""

    def __init__(self, dut, rng, coverage):
        self.dut, self.rng, self.coverage = dut, rng, coverage
        self.to_send, self.tokens, self.fetches = deque(), [], deque()
        self.fetched, self.asked = [], deque()
        self.counts = {"EVENTS": 0, "ROWS": 0, "SOPS": 0}
        self.gap, self.readiness = 0.0, 0.5
        self.cycle, self.rows_by_cycle, self.token_cycles = 0, [], []

    async def run(self):
        """Do one cycle after another."""
        dut, driving = self.dut, False
        while True:
            if not driving and self.to_send and self.rng.random() >= self.gap:
                dut.i_payload.value = self.to_send.popleft()
                driving = True
            dut.i_valid.value = driving
            dut.token_ready.value = int(self.rng.random() < self.readiness)
            fetch = bool(self.fetches) and self.rng.random() < 0.3
            dut.fetch_valid.value = fetch
            if fetch:
                slot, row = self.fetches.popleft()
                dut.fetch_payload.value = slot | row << SLOT
                self.asked.append((slot, row))
                self.coverage.hit("fetch between rows", bool(dut.busy.value))
            await RisingEdge(dut.clk)
            self._observe(driving)
            accepted = driving and dut.i_ready.value
            await FallingEdge(dut.clk)
            driving = driving and not accepted

    def _observe(self, driving):
        dut = self.dut
        self.coverage.hit("packet waits", driving and not dut.i_ready.value)
        if dut.token_valid.value:
            if dut.token_ready.value:
                self.tokens.append(int(dut.token_payload.value))
                self.token_cycles.append(self.cycle)
            self.coverage.hit("token waits for the receiver", not dut.token_ready.value)
        self.counts["EVENTS"] += int(dut.event.value)
        if dut.row.value:
            self.counts["ROWS"] += 1
        self.counts["SOPS"] += int(dut.n_synapses.value)
        self.rows_by_cycle.append(self.counts["ROWS"])
        self.cycle += 1
        if dut.fetched_stb.value:
            words = int(dut.fetched.value)
            values = [words >> (ACC * lane) & ((1 << ACC) - 1) for lane in range(PARAMS.lanes)]
            self.fetched.append((self.asked.popleft(), values))

    async def until(self, condition, limit=20_000):
        """Wait for ``condition()``."""
        for _ in range(limit):
            if condition():
                return
            await FallingEdge(self.dut.clk)
        raise AssertionError(f"The synapse engine did not get there in {limit} cycles")

    async def fetch_all(self, slot):
        """Fetch, and so clear, all accumulators of a slot."""
        self.fetched.clear()
        self.fetches.extend((slot, row) for row in range(PARAMS.n_rows))
        await self.until(lambda: len(self.fetched) == PARAMS.n_rows)
        return [value for (_, row), values in sorted(self.fetched) for value in values]


async def start(dut, rng, coverage):
    """Reset the engine and load a random program; return it and the bench that runs."""
    cocotb.start_soon(Clock(dut.clk, 4, "ns").start())
    for name in ("i_valid", "token_ready", "fetch_valid", "edges_en", "edges_w_en", "weights_en",
                 "weights_w_en"):  # fmt: skip
        getattr(dut, name).value = 0
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    program = random_program(rng, PARAMS)
    await configure(dut, "edges", [EDGE.pack(edge) for edge in program.edges])
    await configure(dut, "weights", program.weights)
    bench = EngineBench(dut, rng, coverage)
    cocotb.start_soon(bench.run())
    return program, bench


@cocotb.test()
async def engine_sums_events_before_it_passes_their_token(dut):
    """Events of two slots in turn; behind the token of one, its sums are fetched and compared."""
    rng = random.Random(cocotb.RANDOM_SEED)
    coverage = Coverage(BINS)
    program, bench = await start(dut, rng, coverage)
    reference, stimulus = (
        Reference(program, PARAMS, 0),
        Stimulus(rng, program, PARAMS, {"xmask": 1, "ymask": 1}),
    )
    for slot in range(PARAMS.n_slots):
        await bench.fetch_all(slot)  # whatever the memories came up with
    for step in range(parameters()["steps"]):
        bench.gap = rng.choice([0.0, 0.0, 0.5])
        slot, n_tokens = step % PARAMS.n_slots, len(bench.tokens)
        events = [stimulus.event(step) for _ in range(rng.choice([2, 30, 100]))]
        for packet in events:
            reference.take(packet)
            kind, fields = PACKETS.unpack(packet)
            coverage.hit(
                "partial sum"
                if kind is Kind.PSUM
                else f"edge {EdgeKind(program.edges[fields['edge']]['kind']).name}"
            )
        last = program.edges[PACKETS.unpack(events[-1])[1].get("edge", 0)]["kind"]
        coverage.hit("token behind sparse rows", last == EdgeKind.SPARSE)
        group, credit = rng.randrange(PARAMS.n_groups), rng.getrandbits(1)
        token = PACKETS.pack(Kind.TOKEN, slot=slot, group=group, credit=credit)
        # Events of the next slot follow at once: they must not end up in this one.
        later = [stimulus.event(step + 1) for _ in range(rng.choice([0, 20]))]
        for packet in later:
            reference.take(packet)
        bench.to_send.extend([*events, token, *later])
        await bench.until(lambda n=n_tokens: len(bench.tokens) > n)
        assert bench.tokens[-1] == group | slot << GROUP | credit << GROUP + SLOT
        for _ in range(4):  # as long as the neuron engine takes at least
            await FallingEdge(dut.clk)
        sums = [value % (1 << ACC) for value in reference.acc[slot]]
        assert await bench.fetch_all(slot) == sums, f"timestep {step}"
        reference.acc[slot] = [0] * PARAMS.n_neurons
    await bench.until(lambda: not bench.to_send and dut.drained.value)
    assert bench.counts == {name: reference.counters[name] for name in bench.counts}
    assert not dut.busy.value
    record_coverage(coverage)


@cocotb.test()
async def tokens_between_sparse_events_hide_the_latency_of_pointers(dut):
    """Many senders with a list or two each: tokens wait for theirs, and hold up nothing behind."""
    rng = random.Random(cocotb.RANDOM_SEED)
    program, bench = await start(dut, rng, Coverage(BINS))
    edges = sorted(program.pointers)
    for n_events, readiness in [(1, 1.0), (2, 1.0), (1, 0.5), (2, 0.2)]:
        await bench.until(lambda: not bench.to_send and dut.drained.value)
        bench.readiness = readiness
        reference, first = Reference(program, PARAMS, 0), bench.counts["ROWS"]
        packets, sent, rows, busiest = [], [], [], 0
        for number in range(200):
            before = reference.counters["ROWS"]
            for _ in range(rng.randint(0, n_events)):
                edge = rng.choice(edges)
                n_lists, offset = program.pointers[edge]
                where = {"edge": edge, "index": rng.randrange(n_lists) + offset}
                packets.append(PACKETS.pack(Kind.SPIKE, slot=number % PARAMS.n_slots, **where))
                reference.take(packets[-1])
                busiest += 1
            token = {"slot": number % PARAMS.n_slots, "group": rng.randrange(PARAMS.n_groups)}
            packets.append(PACKETS.pack(Kind.TOKEN, **token, credit=number & 1))
            sent.append(token["group"] | token["slot"] << GROUP | (number & 1) << GROUP + SLOT)
            rows.append(first + reference.counters["ROWS"])
            busiest += 1 + max(reference.counters["ROWS"] - before, 1)
        n_tokens, bench.to_send = len(bench.tokens), deque(packets)
        began = bench.cycle
        await bench.until(lambda n=n_tokens: len(bench.tokens) == n + 200)
        assert bench.tokens[n_tokens:] == sent
        # A row is counted three cycles after the first cycle in which a token may follow it.
        await bench.until(lambda: bench.cycle > bench.token_cycles[-1] + 3)
        for cycle, n_rows in zip(bench.token_cycles[n_tokens:], rows, strict=True):
            assert bench.rows_by_cycle[cycle + 3] >= n_rows
        if readiness == 1:
            # A cycle each: pointers, tokens, and rows, or what a token without rows waits for.
            assert bench.cycle - began <= busiest + 20
