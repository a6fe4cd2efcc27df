"""Testbench of the neuron engine: tokens in random order, accumulators of the testbench's own."""

import random
import sys
from collections import deque
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from talon.arch.memories import Emit, MemoryLayouts, emits
from talon.arch.packet import Kind, PacketLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_sim.cosim.coverage import Coverage
from talon_sim.cosim.testbench import parameters, record_coverage

sys.path.insert(0, str(Path(__file__).parents[1] / "core"))
from core_scenario import Reference, Stimulus, random_program, random_reset_rows

PARAMS = ArrayParams(**parameters()["params"])
PACKETS = PacketLayouts(PARAMS)
LAYOUTS = MemoryLayouts(PARAMS)
GROUP, SLOT = bits_for(PARAMS.n_groups), bits_for(PARAMS.n_slots)
ACC = PARAMS.acc_width
PORTS = ("records", "groups", "routes", "tokens", "grants")
PORTS += ("tables",) if PARAMS.table_activation else ()
FETCH_LATENCY = 6
BINS = (
    *(f"emit {emit.name}" for emit in emits(PARAMS)),
    "probing",
    "not probing",
    "output waits",
    "two groups ready at once",
    "tokens wait during a reset",
    "no current",
    *(("current", "current saturates") if PARAMS.synaptic_current else ()),
)


class EngineBench:
    """Sends tokens, answers fetches from accumulators, collects packets."""

    def __init__(self, dut, rng, coverage):
        self.dut, self.rng, self.coverage = dut, rng, coverage
        self.tokens, self.received, self.answers = deque(), deque(), deque()
        self.acc, self.stall = [], 0.0
        self.counts = {"UPDATES": 0, "SPIKES": 0, "SATURATIONS": 0}

    async def configure(self, port, entries):
        """Write a memory through its configuration port."""
        dut = self.dut
        getattr(dut, f"{port}_en").value = 1
        for address, entry in enumerate(entries):
            getattr(dut, f"{port}_addr").value = address
            getattr(dut, f"{port}_w_data").value = entry
            getattr(dut, f"{port}_w_en").value = 1
            await FallingEdge(dut.clk)
        getattr(dut, f"{port}_w_en").value = 0
        getattr(dut, f"{port}_en").value = 0

    async def run(self):
        """Do one cycle after another."""
        dut, driving = self.dut, False
        answers = deque([None] * FETCH_LATENCY)
        while True:
            if not driving and self.tokens and self.rng.random() < 0.7:
                packet = PACKETS.unpack(self.tokens.popleft())[1]
                dut.token_payload.value = (
                    packet["group"] | packet["slot"] << GROUP | packet["credit"] << GROUP + SLOT
                )
                driving = True
            dut.token_valid.value = driving
            dut.o_ready.value = int(self.rng.random() >= self.stall)
            answer = answers.popleft()
            dut.fetched_stb.value = answer is not None
            if answer is not None:
                dut.fetched.value = answer
            await RisingEdge(dut.clk)
            answers.append(self._fetch() if dut.fetch_valid.value else None)
            accepted = driving and dut.token_ready.value
            self.coverage.hit("tokens wait during a reset", driving and dut.closed.value)
            if dut.o_valid.value:
                if dut.o_ready.value:
                    self.received.append(int(dut.o_payload.value))
                self.coverage.hit("output waits", not dut.o_ready.value)
            for name, signal in (
                ("UPDATES", dut.n_updates),
                ("SPIKES", dut.n_spikes),
                ("SATURATIONS", dut.n_saturations),
            ):
                self.counts[name] += int(signal.value)
            await FallingEdge(dut.clk)
            driving = driving and not accepted

    def _fetch(self):
        """Return the accumulators of a row, and clear them."""
        payload = int(self.dut.fetch_payload.value)
        slot, row = payload & ((1 << SLOT) - 1), payload >> SLOT
        first = row * PARAMS.lanes
        values = self.acc[slot][first : first + PARAMS.lanes]
        if first < PARAMS.n_neurons:  # a sweep goes over rows that are not there
            self.acc[slot][first : first + PARAMS.lanes] = [0] * PARAMS.lanes
        return sum((value & ((1 << ACC) - 1)) << (ACC * i) for i, value in enumerate(values))

    async def settle(self):
        """Wait until all tokens are taken and the engine is idle."""
        quiet = 0
        for _ in range(50_000):
            await FallingEdge(self.dut.clk)
            done = self.dut.idle.value and not self.tokens and not self.dut.token_valid.value
            quiet = quiet + 1 if done else 0
            if quiet == 3:
                return
        raise AssertionError("The neuron engine does not come to rest")

    async def reset_state(self):
        """Strobe the reset; the sweep clears the accumulators."""
        self.dut.reset.value = 1
        await FallingEdge(self.dut.clk)
        self.dut.reset.value = 0
        assert not self.dut.idle.value


async def start(dut):
    """Start the clock and reset the engine."""
    cocotb.start_soon(Clock(dut.clk, 4, "ns").start())
    for name in ("token_valid", "fetched_stb", "enable", "reset", "probe", "o_ready",
                 *(f"{port}_{pin}" for port in PORTS for pin in ("en", "w_en"))):  # fmt: skip
        getattr(dut, name).value = 0
    dut.core.value = 0
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    dut.rst.value = 0


@cocotb.test()
async def engine_updates_groups_when_their_tokens_are_there(dut):
    """Tokens of all groups mixed; blocks of packets against the contract, group by group."""
    rng = random.Random(cocotb.RANDOM_SEED)
    coverage = Coverage(BINS)
    bench = EngineBench(dut, rng, coverage)
    bench.acc = [[0] * PARAMS.n_neurons for _ in range(PARAMS.n_slots)]
    await start(dut)
    cocotb.start_soon(bench.run())
    for _ in range(parameters()["trials"]):
        program = random_program(rng, PARAMS)
        dut.enable.value = 0
        for port, layout, entries in (
            ("records", LAYOUTS.record, program.records),
            ("groups", LAYOUTS.group, program.groups),
            ("routes", LAYOUTS.route, program.routes),
            ("tokens", LAYOUTS.token, program.tokens),
            ("grants", LAYOUTS.init, program.init),
        ):
            await bench.configure(port, [layout.pack(entry) for entry in entries])
        dut.enable.value = 1
        dut.sweep_rows.value = random_reset_rows(rng, program, PARAMS)
        await bench.reset_state()
        reference = Reference(program, PARAMS, 0)
        bench.counts = dict.fromkeys(bench.counts, 0)
        await _steps(bench, program, reference, coverage)
        for feature in reference.seen:
            coverage.hit(feature)
        for name, count in bench.counts.items():
            assert count == reference.counters[name], name
    record_coverage(coverage)


async def _steps(bench, program, reference, coverage):
    rng, dut = bench.rng, bench.dut
    stimulus = Stimulus(rng, program, PARAMS, {"xmask": 1, "ymask": 1})
    for step in range(PARAMS.n_slots + 3):
        slot = step % PARAMS.n_slots
        probing = rng.random() < 0.5
        coverage.hit("probing" if probing else "not probing")
        bench.stall = rng.choice([0.0, 0.3, 0.9])
        if step:  # at first the sweep is still to come
            dut.probe.value = probing
            sums = [rng.choice([0, rng.randint(-3000, 3000)]) for _ in range(PARAMS.n_neurons)]
            bench.acc[slot], reference.acc[slot] = list(sums), list(sums)
        else:
            probing = False
            dut.probe.value = 0
        bench.tokens.extend(stimulus.tokens(step))
        coverage.hit("two groups ready at once", len(stimulus.running) > 1)
        await bench.settle()
        blocks = {}
        block = []
        while bench.received:
            block.append(bench.received.popleft())
            kind, fields = PACKETS.unpack(block[-1])
            if kind is Kind.HOST_TOKEN and not fields["credit"]:
                assert fields["group"] not in blocks
                blocks[fields["group"]] = block
                block = []
        assert not block
        assert set(blocks) == set(stimulus.running)
        for number in stimulus.running:
            coverage.hit(f"emit {Emit(program.groups[number]['emit']).name}")
            assert blocks[number] == reference.run(number, probing), f"{number} at {step}"
        assert not any(bench.acc[slot][i] for i in _owned(program))


def _owned(program):
    """Return the neurons of all groups."""
    for group in program.groups:
        first = group.get("row_start", 0) * PARAMS.lanes
        yield from range(first, first + group.get("n_neurons", 0))
