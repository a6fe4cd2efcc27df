"""Testbench of one core with feature maps: random programs and traffic against the contract."""

import random

import cocotb
from cocotb.triggers import FallingEdge
from cocotb_core import (
    ALL_ROWS,
    COUNTS_A_ROW,
    MASKS,
    PACKETS,
    PARAMS,
    CoreBench,
    check_read_back,
)
from map_program import MapReference, MapStimulus, map_program
from map_scenario import LOOPS, TABLE_BINS, rows_in_use

from talon.arch.memories import Counter, EdgeKind, Emit, Memory, emits
from talon.arch.packet import ConfigOp, Kind
from talon_sim.cosim.coverage import Coverage
from talon_sim.cosim.testbench import parameters, record_coverage

EVENTS = [emit for emit in emits(PARAMS) if emit.sends_events]
SLOTS = [1 << k for k in range(PARAMS.n_slots.bit_length())]
OF_GROUPS = (
    *(f"{emit.name} without a pool" for emit in emits(PARAMS)),
    *(f"{emit.name} pools the {what}" for emit in EVENTS for what in ("sum", "largest")),
    *(f"loop {name}" for name in LOOPS),
    "every loop",
    "once, the first timestep",
    "once, a later timestep",
    "hold",
    *(f"slots {n}" for n in SLOTS),
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
    *(f"{emit.name} packet with a payload above one" for emit in EVENTS),
    *(("count between one and its most",) if PARAMS.multi_spike else ()),
    *(TABLE_BINS if PARAMS.table_activation else ()),
    "value to the host for a window whose last row has none",
)
OF_EVENTS = (
    *(f"edge {kind.name}" for kind in EdgeKind),
    "edge none: partial sum",
    "taps along y x c",
    "taps on two pages",
    "packed row above page 0",
    "one lane above page 0",
    "dense rows on two pages",
)
BINS = (
    *OF_GROUPS,
    *OF_EVENTS,
    *(f"probing {emit.name}" for emit in emits(PARAMS)),
    "not probing",
    "events while groups run",
    "input full",
    "output blocked",
    "reset of all rows",
    "reset of rows in use",
    "saturated",
)


@cocotb.test()
async def core_with_maps_does_what_the_contract_says(dut):
    """Timestep after timestep, with events to other rows while groups run; resets between."""
    coverage = Coverage(BINS)
    bench = CoreBench(dut, cocotb.RANDOM_SEED)
    await bench.start()
    for trial in range(parameters()["trials"]):
        program = map_program(bench.rng, PARAMS)
        bench.gap = bench.stall = 0.0
        await bench.load(program)
        reference = MapReference(program, PARAMS, coverage)
        stimulus = MapStimulus(bench.rng, program, PARAMS, MASKS)
        for run in range(2):
            bench.full = 0
            # Rows in use in each reset but the first, which goes over all.
            rows = rows_in_use(program, PARAMS) * (trial > 0) % PARAMS.n_rows
            await _control(bench, rows=rows, probing=False, clear=run == 0)
            if run:
                reference.reset()
                assert await bench.reset_state() <= (rows or ALL_ROWS) * COUNTS_A_ROW + 30
                coverage.hit("reset of rows in use" if rows else "reset of all rows")
            for t in range(PARAMS.n_slots + 2):
                probing = bench.rng.random() < 0.4
                await _control(bench, rows=rows, probing=probing, clear=False)
                await _step(bench, reference, stimulus, t, probing=probing)
            coverage.hit("input full", bench.full > 0)
            reference.events.seen &= set(OF_EVENTS)
            for fact in reference.events.seen:
                coverage.hit(fact)
        bench.gap = bench.stall = 0.0
        await _check_counters(bench, reference, coverage)
        if trial == 0:
            await check_read_back(bench, program)
    record_coverage(coverage)


async def _control(bench, *, rows, probing, clear):
    bench.configure(ConfigOp.CONTROL, int(probing) | int(clear) << 1 | rows << 16)
    await bench.settle()


async def _step(bench, reference, stimulus, t, *, probing):
    """Send events and tokens of a timestep and, behind them, events that no group waits for."""
    rng, coverage = bench.rng, reference.coverage
    bench.gap, bench.stall = rng.choice([0.0, 0.0, 0.3]), rng.choice([0.0, 0.3, 0.9])
    events = [stimulus.event(t) for _ in range(rng.choice([2, 30, 60]))]
    events += [stimulus.event_on(t) for _ in range(rng.choice([0, 30, 60]))]
    rng.shuffle(events)
    for packet in events:
        reference.events.take(packet)
    later = [stimulus.event(t + 1) for _ in range(rng.choice([0, 40]))]
    later = [packet for packet in later if stimulus.apart(t, packet)]
    bench.send(*events, *stimulus.tokens(t), *later)
    expected = {number: reference.run(number, probing) for number in stimulus.running}
    for packet in later:
        reference.events.take(packet)
    coverage.hit("events while groups run", bool(later))
    for number in stimulus.running:
        emit = Emit(reference.program.groups[number]["emit"]).name
        coverage.hit(f"probing {emit}" if probing else "not probing")
    await bench.settle()
    blocks, block = {}, []
    while bench.received:
        block.append(bench.received.popleft())
        kind, fields = PACKETS.unpack(block[-1])
        if kind is Kind.HOST_TOKEN and not fields["credit"]:
            blocks[fields["group"]] = block
            block = []
    assert not block
    assert set(blocks) == set(expected)
    for number, packets in expected.items():
        assert blocks[number] == packets, (
            f"group {number} at {t}: {_difference(blocks[number], packets)}"
        )


def _difference(found, expected):
    at = next((i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), None)
    at = min(len(found), len(expected)) if at is None else at
    shown = [PACKETS.unpack(p[at]) if at < len(p) else None for p in (found, expected)]
    return f"packet {at} of {len(found)} ({len(expected)} expected): {shown[0]}, not {shown[1]}"


async def _check_counters(bench, reference, coverage):
    words = await bench.read(Memory.COUNTER, len(Counter))
    values = dict(zip([c.name for c in Counter], words, strict=True))
    for name, count in reference.total().items():
        assert values[name] == count, f"{name}: {values[name]}, expected {count}"
    assert values["BUSY"] >= values["ROWS"]
    coverage.hit("output blocked", values["BLOCKED"] > 0)
    coverage.hit("saturated", values["SATURATIONS"] > 0)


@cocotb.test()
async def a_convolution_takes_a_cycle_a_row(dut):
    """Send every spike of a plane through 3 x 3 taps; the counters show the rate."""
    bench = CoreBench(dut, cocotb.RANDOM_SEED)
    await bench.start()
    program = map_program(random.Random(1), PARAMS)
    side, shift = 4, 2
    program.groups = [{} for _ in range(PARAMS.n_groups)]
    program.groups[0] = {
        "n_y": side, "n_x": side, "n_c": 1, "pool_y": 1, "pool_x": 1, "last_lanes": PARAMS.lanes,
        "x_step": 1, "y_step": 1, "c_step": 0, "x_index": PARAMS.lanes,
        "y_index": PARAMS.lanes, "emit": int(Emit.PSUM), "n_sources": 1, "n_tokens": 1,
        "slots": 0, "n_routes": 1,
    }  # fmt: skip
    program.routes = [{"first": 0, "last": 0xFFFF, "delay": 0, "offset": 0, "xmask": 0, "ymask": 0}]
    program.tokens = [{"host": 1}]
    program.init = [{}] * (PARAMS.n_groups * PARAMS.n_slots)
    program.records = [{"threshold": (1 << 23) - 1, "strict": 1}] * PARAMS.n_neurons
    # Taps of a padded 3 x 3 kernel: those of a plane of side x side that are inside.
    tables = []
    for at in range(side):
        first, end = max(at - 1, 0), min(at + 1, side - 1)
        tables.append((first, first - at + 1, end - first + 1))  # target, tap, count
    weight, axis = 3, program.axis
    for at, (target, tap, count) in enumerate(tables):
        axis[at] = {"weight": tap * weight, "row": target * side, "count": count}  # of y
        axis[8 + at] = {"weight": tap, "row": target, "count": count}  # of x
    axis[16] = {"count": 1}
    program.edges = [
        {
            "kind": int(EdgeKind.MAP), "y_shift": shift, "x_shift": 0, "y_axis": 0, "x_axis": 8,
            "c_axis": 16, "y_weight": weight, "x_weight": 1, "y_row": side, "x_row": 1,
        }
    ]  # fmt: skip
    await bench.load(program)
    reference = MapReference(program, PARAMS, Coverage(BINS))
    bench.configure(ConfigOp.CONTROL, 2)
    await bench.settle()
    events = [
        PACKETS.pack(Kind.SPIKE, **MASKS, index=index, payload=bench.rng.choice([1, 2, 255]))
        for index in range(side * side)
    ] * 8
    for packet in events:
        reference.events.take(packet)
    bench.send(*events, PACKETS.pack(Kind.TOKEN, **MASKS))
    await bench.settle()
    assert [*bench.received] == reference.run(0, False)
    bench.received.clear()
    counts = dict(zip(Counter, await bench.read(Memory.COUNTER, len(Counter)), strict=True))
    rows, busy = counts[Counter.ROWS], counts[Counter.BUSY]
    assert rows == reference.events.counters["ROWS"] == 8 * 100
    assert rows / busy >= 0.95, f"{rows} rows in {busy} cycles"
    await FallingEdge(dut.clk)
