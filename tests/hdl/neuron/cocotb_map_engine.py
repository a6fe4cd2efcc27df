"""Testbench of the neuron engine with feature maps: random groups of all kinds."""

import random
import sys
from pathlib import Path

import cocotb
from cocotb.triggers import FallingEdge

from talon.arch.memories import Emit, emits
from talon.arch.packet import Kind
from talon.arch.params import bits_for
from talon_sim.cosim.coverage import Coverage
from talon_sim.cosim.testbench import parameters, record_coverage

sys.path.insert(0, str(Path(__file__).parent))
from cocotb_engine import ACC, LAYOUTS, PACKETS, PARAMS, SLOT, EngineBench, start
from cocotb_engine import Stimulus as AnyStimulus
from map_scenario import LOOPS, TABLE_BINS, Reference, places_of, random_program, rows_in_use

ROW = bits_for(PARAMS.n_rows)
BINS = (
    *(f"{emit.name} without a pool" for emit in emits(PARAMS)),
    *(
        f"{emit.name} pools the {what}"
        for emit in emits(PARAMS)
        if emit.sends_events
        for what in ("sum", "largest")
    ),
    *(f"loop {name}" for name in LOOPS),
    "every loop",
    "once, the first timestep",
    "once, a later timestep",
    "hold",
    *(f"slots {1 << k}" for k in range(SLOT + 1)),
    "a row behind those of potentials",
    "rows wrap",
    "a row twice",
    "last channels are fewer",
    "more rows than the queue has room for",
    "window beyond 255",
    "window keeps an earlier value",
    "graded payload at its top",
    "position outside of a route",
    "slot of a partial sum is cut",
    *(
        f"{emit.name} packet with a payload above one"
        for emit in emits(PARAMS)
        if emit.sends_events
    ),
    *(("count between one and its most",) if PARAMS.multi_spike else ()),
    *(TABLE_BINS if PARAMS.table_activation else ()),
    "value to the host for a window whose last row has none",
    *(f"probing {emit.name}" for emit in emits(PARAMS)),
    "not probing",
    "output waits",
    "two groups ready at once",
    "tokens wait during a reset",
)


TABLES = (("tables", LAYOUTS.table),) if PARAMS.table_activation else ()


class MapBench(EngineBench):
    """Accumulators by page and row; what a reset is to find, and what is there after it."""

    def __init__(self, dut, rng, coverage):
        super().__init__(dut, rng, coverage)
        self.acc, self.after_reset = {}, None

    def _fetch(self):
        """Return the accumulators of a row; clear them, or keep them."""
        payload = int(self.dut.fetch_payload.value)
        place = payload & ((1 << SLOT) - 1), (payload >> SLOT) & ((1 << ROW) - 1)
        values = self.acc.get(place, [0] * PARAMS.lanes)
        if not payload >> (SLOT + ROW):
            self.acc[place] = [0] * PARAMS.lanes
        return sum((value & ((1 << ACC) - 1)) << (ACC * i) for i, value in enumerate(values))


class Stimulus(AnyStimulus):
    """The tokens that groups still need."""

    def __init__(self, rng, program, params, masks):
        super().__init__(rng, program, params, masks)
        self.running = program.used()


def random_sums(rng):
    """Return accumulators of a row: of any size, but most of them small."""
    kind = rng.choice(["none", "small", "small", "mixed", "all"])
    values = {
        "none": lambda: 0,
        "small": lambda: rng.randint(-400, 400),
        "mixed": lambda: rng.choice([0, rng.randint(-3000, 3000), rng.randint(0, 100_000)]),
        "all": lambda: rng.randint(-(1 << 23), (1 << 23) - 1),
    }[kind]
    return [values() for _ in range(PARAMS.lanes)]


@cocotb.test()
async def groups_follow_the_contract(dut):
    """Tokens of all groups mixed; blocks of packets against the contract, group by group."""
    rng = random.Random(cocotb.RANDOM_SEED)
    coverage = Coverage(BINS)
    bench = MapBench(dut, rng, coverage)
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
        for port, layout in TABLES:
            await bench.configure(port, [layout.pack({"payload": p}) for p in program.tables])
        dut.enable.value = 1
        used = rows_in_use(program, PARAMS)
        dut.sweep_rows.value = rng.choice([0, used % PARAMS.n_rows])
        reference = Reference(program, PARAMS, coverage)
        for number in program.used():  # what the reset has to clear
            for slot in range(PARAMS.n_slots):
                for place in places_of(program.groups[number], slot, PARAMS):
                    bench.acc[place] = random_sums(rng)
        dut.probe.value = 0
        stimulus = Stimulus(rng, program, PARAMS, {"xmask": 1, "ymask": 1})
        await bench.reset_state()
        bench.tokens.extend(stimulus.tokens(0))
        await _give_sums_at_the_end_of_the_reset(bench, program, reference)
        bench.counts = dict.fromkeys(bench.counts, 0)
        for step in range(PARAMS.n_slots + 3):
            await _step(bench, program, reference, stimulus, step)
        for name, count in bench.counts.items():
            assert count == reference.counters[name], name
    record_coverage(coverage)


async def _give_sums_at_the_end_of_the_reset(bench, program, reference):
    """Check that all accumulators in use are clear; set those of the first timestep."""
    while not bench.dut.closed.value:
        await FallingEdge(bench.dut.clk)
    while bench.dut.closed.value:
        await FallingEdge(bench.dut.clk)
    for number in program.used():
        for slot in range(PARAMS.n_slots):
            for place in places_of(program.groups[number], slot, PARAMS):
                assert not any(bench.acc[place]), place
    _set_sums(bench, program, reference, 0)


def _set_sums(bench, program, reference, step):
    """Accumulators for a timestep; of a group that holds them, once and for all."""
    for number in program.used():
        group = program.groups[number]
        if not (group["hold"] and step):
            for place in places_of(group, step % PARAMS.n_slots, PARAMS):
                sums = random_sums(bench.rng)
                bench.acc[place], reference.acc[place] = list(sums), list(sums)


async def _step(bench, program, reference, stimulus, step):
    rng, dut, coverage = bench.rng, bench.dut, bench.coverage
    probing = bool(step) and rng.random() < 0.4
    bench.stall = rng.choice([0.0, 0.3, 0.9])
    if step:  # the first began with the reset
        dut.probe.value = probing
        _set_sums(bench, program, reference, step)
        bench.tokens.extend(stimulus.tokens(step))
    coverage.hit("not probing", not probing)
    coverage.hit("two groups ready at once", len(stimulus.running) > 1)
    await bench.settle()
    blocks, block = {}, []
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
        coverage.hit(f"probing {Emit(program.groups[number]['emit']).name}", probing)
        expected = reference.run(number, probing)
        assert blocks[number] == expected, f"{program.groups[number]} at {step}"
    for place, sums in reference.acc.items():
        assert bench.acc[place] == sums, f"accumulators at {place}"
