"""Testbench of the synapse engine with feature maps: edges of all kinds, on all pages."""

import random
import sys
from collections import deque
from itertools import pairwise
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
from map_events import MapEvents, random_edges, random_event

PARAMS = ArrayParams(**parameters()["params"])
PACKETS = PacketLayouts(PARAMS)
LAYOUTS = MemoryLayouts(PARAMS)
GROUP, SLOT, ROW = (bits_for(n) for n in (PARAMS.n_groups, PARAMS.n_slots, PARAMS.n_rows))
ACC = PARAMS.acc_width
MASKS = {"xmask": 1, "ymask": 1}
NAMES = ("DENSE", "SPARSE", "IDENTITY", "MAP", "PSUM", "TOKEN")
SEEN = (
    *(f"edge {kind.name}" for kind in EdgeKind),
    *(f"slots {k}" for k in range(PARAMS.n_slots.bit_length())),
    *(f"only {name} without targets" for name in "yxc"),
    *(f"taps along {names}" for names in ("none", "y", "x", "c", "y x", "y c", "x c", "y x c")),
    *(f"long {name}" for name in "yxc"),
    *(f"{name} of more than 6 bits" for name in "yxc"),
    "edge none: partial sum",
    "address wraps",
    "row wraps",
    "one lane above page 0",
    "dense rows on two pages",
    "packed row above page 0",
    "taps on two pages",
    "no x",
    "no y",
)
BINS = (
    *SEEN,
    *(f"{name} behind MAP" for name in NAMES),
    *(f"MAP behind {name}" for name in NAMES),
    "fetch between rows",
    "kept in the middle of events",
    "packet waits",
    "token waits for the receiver",
)


class MapBench:
    """Drives packets and fetches, takes tokens; all signals change at the falling edge."""

    def __init__(self, dut, rng, coverage):
        self.dut, self.rng, self.coverage = dut, rng, coverage
        self.to_send, self.fetches, self.asked = deque(), deque(), deque()
        self.tokens, self.fetched = [], []
        self.counts = {"EVENTS": 0, "ROWS": 0, "SOPS": 0}
        self.gap, self.noise, self.busy = 0.0, 0.0, 0

    async def start(self):
        """Reset the engine and start to drive it."""
        dut = self.dut
        cocotb.start_soon(Clock(dut.clk, 4, "ns").start())
        ports = ("edges", "weights", "axis")
        for name in (
            "i_valid", "token_ready", "fetch_valid",
            *(f"{port}_{strobe}" for port in ports for strobe in ("en", "w_en")),
        ):  # fmt: skip
            getattr(dut, name).value = 0
        dut.rst.value = 1
        for _ in range(3):
            await FallingEdge(dut.clk)
        dut.rst.value = 0
        cocotb.start_soon(self._run())

    async def configure(self, program):
        """Write the three memories, and read some of the axis tables back."""
        axis = [LAYOUTS.axis.pack(entry) for entry in program.axis]
        await self._write("edges", [LAYOUTS.edge.pack(edge) for edge in program.edges])
        await self._write("weights", program.weights)
        await self._write("axis", axis)
        dut = self.dut
        dut.axis_en.value = 1
        for address in self.rng.sample(range(PARAMS.n_axis), 8):
            dut.axis_addr.value = address
            for _ in range(4):
                await FallingEdge(dut.clk)
            assert int(dut.axis_r_data.value) == axis[address]
        dut.axis_en.value = 0

    async def _write(self, port, entries):
        dut = self.dut
        getattr(dut, f"{port}_en").value = getattr(dut, f"{port}_w_en").value = 1
        for address, entry in enumerate(entries):
            getattr(dut, f"{port}_addr").value = address
            getattr(dut, f"{port}_w_data").value = entry
            await FallingEdge(dut.clk)
        getattr(dut, f"{port}_en").value = getattr(dut, f"{port}_w_en").value = 0

    async def _run(self):
        dut, driving = self.dut, False
        while True:
            if not driving and self.to_send and self.rng.random() >= self.gap:
                dut.i_payload.value = self.to_send.popleft()
                driving = True
            dut.i_valid.value = driving
            dut.token_ready.value = int(self.rng.random() < 0.5)
            under_way = bool(self.asked)
            self._fetch()
            await RisingEdge(dut.clk)
            assert not (under_way and dut.drained.value), "drained with a fetch under way"
            self._observe(driving)
            accepted = driving and dut.i_ready.value
            await FallingEdge(dut.clk)
            driving = driving and not accepted

    def _fetch(self):
        """Ask for the next row that is wanted; now and then keep any row, whatever it holds."""
        dut, draw = self.dut, self.rng.random()
        fetch = None
        if self.fetches and draw < 0.3:
            fetch = (*self.fetches.popleft(), True)
        elif not self.fetches and draw < self.noise:
            page, row = self.rng.randrange(PARAMS.n_slots), self.rng.randrange(PARAMS.n_rows)
            fetch = (page, row, True, False)
            self.coverage.hit("kept in the middle of events", bool(dut.busy.value))
        dut.fetch_valid.value = fetch is not None
        if fetch:
            page, row, keep, _ = fetch
            dut.fetch_payload.value = page | row << SLOT | int(keep) << SLOT + ROW
            self.asked.append(fetch)
            self.coverage.hit("fetch between rows", bool(dut.busy.value))

    def _observe(self, driving):
        dut = self.dut
        self.coverage.hit("packet waits", driving and not dut.i_ready.value)
        if dut.token_valid.value:
            if dut.token_ready.value:
                self.tokens.append(int(dut.token_payload.value))
            self.coverage.hit("token waits for the receiver", not dut.token_ready.value)
        self.busy += int(dut.busy.value)
        self.counts["EVENTS"] += int(dut.event.value)
        self.counts["ROWS"] += int(dut.row.value)
        self.counts["SOPS"] += int(dut.n_synapses.value)
        if dut.fetched_stb.value:
            words = int(dut.fetched.value)
            values = [words >> ACC * lane & (1 << ACC) - 1 for lane in range(PARAMS.lanes)]
            page, row, _, wanted = self.asked.popleft()
            if wanted:
                self.fetched.append(((page, row), values))

    async def until(self, condition, limit=100_000):
        """Wait for ``condition()``."""
        for _ in range(limit):
            if condition():
                return
            await FallingEdge(self.dut.clk)
        raise AssertionError(f"The synapse engine did not get there in {limit} cycles")

    async def fetch_all(self, *, keep):
        """Fetch all accumulators, and clear them unless they are to be kept."""
        places = [(p, r) for p in range(PARAMS.n_slots) for r in range(PARAMS.n_rows)]
        self.rng.shuffle(places)
        self.fetched.clear()
        self.fetches.extend((*place, keep) for place in places)
        await self.until(lambda: len(self.fetched) == len(places))
        return dict(self.fetched)

    async def send(self, packets, slot):
        """Send packets and a token; return when the token has passed the rows before it."""
        group, credit = self.rng.randrange(PARAMS.n_groups), self.rng.getrandbits(1)
        n_tokens = len(self.tokens)
        token = PACKETS.pack(Kind.TOKEN, slot=slot, group=group, credit=credit)
        self.to_send.extend([*packets, token])
        await self.until(lambda: len(self.tokens) > n_tokens)
        assert self.tokens[-1] == group | slot << GROUP | credit << GROUP + SLOT
        for _ in range(4):  # as long as the neuron engine takes at least
            await FallingEdge(self.dut.clk)


def wrapped(acc):
    """Return sums modulo 2^24."""
    return {place: [value % (1 << ACC) for value in sums] for place, sums in acc.items()}


def name_of(program, packet):
    """Return what a packet is, by its edge."""
    kind, fields = PACKETS.unpack(packet)
    return EdgeKind(program.edges[fields["edge"]]["kind"]).name if kind is Kind.SPIKE else kind.name


@cocotb.test()
async def maps_add_up_as_the_contract_says(dut):
    """Events of all kinds and slots at once; behind a token all pages are kept, then cleared."""
    rng = random.Random(cocotb.RANDOM_SEED)
    coverage = Coverage(BINS)
    bench = MapBench(dut, rng, coverage)
    await bench.start()
    await bench.fetch_all(keep=False)  # whatever the memories came up with
    totals = dict.fromkeys(bench.counts, 0)
    for _ in range(parameters()["programs"]):
        program = random_edges(rng, PARAMS)
        await bench.configure(program)
        reference = MapEvents(program, PARAMS)
        for step in range(parameters()["steps"]):
            bench.gap = rng.choice([0.0, 0.0, 0.5])
            bench.noise = rng.choice([0.0, 0.3])
            number = rng.choice([None, None, *range(PARAMS.n_edges)])
            packets = [
                random_event(rng, program, PARAMS, rng.randrange(PARAMS.n_slots), MASKS, number)
                for _ in range(rng.choice([1, 30, 100]))
            ]
            for packet in packets:
                reference.take(packet)
            names = [*(name_of(program, packet) for packet in packets), "TOKEN"]
            for before, after in pairwise(["TOKEN", *names]):
                if before == "MAP":
                    coverage.hit(f"{after} behind MAP")
                if after == "MAP":
                    coverage.hit(f"MAP behind {before}")
            await bench.send(packets, rng.randrange(PARAMS.n_slots))
            sums = wrapped(reference.acc)
            if rng.random() < 0.5:
                assert await bench.fetch_all(keep=True) == sums, f"kept sums of step {step}"
            if rng.random() < 0.7:
                assert await bench.fetch_all(keep=False) == sums, f"sums of step {step}"
                reference.reset_sums()
        assert await bench.fetch_all(keep=False) == wrapped(reference.acc)
        await bench.until(lambda: not bench.to_send and not bench.asked and dut.drained.value)
        totals = {name: count + reference.counters[name] for name, count in totals.items()}
        for fact in reference.seen & set(SEEN):
            coverage.hit(fact)
    assert bench.counts == totals
    assert not dut.busy.value
    record_coverage(coverage)


@cocotb.test()
async def a_row_is_issued_in_every_cycle(dut):
    """Measure rows and busy cycles of events with given taps: two cycles an event at least."""
    rng = random.Random(cocotb.RANDOM_SEED)
    bench = MapBench(dut, rng, Coverage(BINS))
    await bench.start()
    program = random_edges(rng, PARAMS)
    taps = [(1, 1, 1), (1, 1, 2), (1, 1, 3), (3, 1, 1), (1, 3, 1), (3, 3, 1), (3, 3, 2), (1, 0, 1)]
    for i, counts in enumerate(taps):
        for k, count in enumerate(counts):
            program.axis[3 * i + k]["count"] = count
    edge = {"kind": int(EdgeKind.MAP), "y_weight": 40, "x_weight": 5, "x_row": 1, "y_row": 2}
    mixed = [1, 2, 2, 4]  # rows of a convolution of 3 x 3 with a stride of 2
    program.axis[40]["count"] = program.axis[41]["count"] = 1
    for i, count in enumerate(mixed):
        program.axis[42 + i]["count"] = count
    program.edges = [
        {**edge, "y_shift": 16, "y_axis": 3 * i, "x_shift": 16, "x_axis": 3 * i + 1,
         "c_axis": 3 * i + 2} for i in range(len(taps))
    ]  # fmt: skip
    n_events, programs = 300, [program.edges[: PARAMS.n_edges], program.edges[PARAMS.n_edges :]]
    programs[1] += [
        {**edge, "y_shift": 16, "y_axis": 40, "x_shift": 16, "x_axis": 41, "c_axis": 42},
        {"kind": int(EdgeKind.DENSE), "rows": 1, "last_lanes": PARAMS.lanes},
        {"kind": int(EdgeKind.IDENTITY), "weight": 3},
    ]
    for edges in programs:
        program.edges = edges
        await bench.configure(program)
        for number, entry in enumerate(edges):
            is_mixed = entry.get("c_axis") == 42
            packets = [
                PACKETS.pack(
                    Kind.SPIKE,
                    **MASKS,
                    edge=number,
                    index=i % len(mixed) if is_mixed else 0,
                    payload=1,
                )
                for i in range(n_events)
            ]
            await bench.until(lambda: dut.drained.value)
            bench.busy = bench.counts["ROWS"] = 0
            reference = MapEvents(program, PARAMS)
            for packet in packets:
                reference.take(packet)
            await bench.send(packets, 0)
            assert bench.counts["ROWS"] == reference.counters["ROWS"]
            rows, least = reference.counters["ROWS"], 2 * n_events * (entry["kind"] == EdgeKind.MAP)
            dut._log.warning("%s: %d rows in %d busy cycles", entry, rows, bench.busy)
            assert bench.busy <= max(rows, least) + 12, f"{rows} rows in {bench.busy} cycles"
