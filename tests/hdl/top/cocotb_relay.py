"""Testbench of a mesh of relaying cores, at its AXI ports.

Every SPIKE the host sends visits a set of cores, each of which sends a PSUM to another set, each of
which reports to the host: every path of the mesh carries packets, forks included.
"""

import logging
import random
from collections import Counter

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamSink, AxiStreamSource

from talon.arch import registers
from talon.arch.packet import OP_OFFSET, InOp, Kind, OutOp, PacketLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_sim.cosim.coverage import Coverage
from talon_sim.cosim.monitor import PortMonitor
from talon_sim.cosim.testbench import parameters, record_coverage

PARAMS = ArrayParams(**parameters()["params"])
LAYOUTS = PacketLayouts(PARAMS)
CORE_BITS = bits_for(PARAMS.n_cores)


def pauses(rng, probability):
    while True:
        yield rng.random() < probability


class Bench:
    """The host."""

    def __init__(self, dut):
        self.dut = dut
        self.rng = random.Random(cocotb.RANDOM_SEED)

    async def start(self):
        dut = self.dut
        cocotb.start_soon(Clock(dut.aclk, 10, "ns").start())
        dut.aresetn.value = 0
        reset = {"clock": dut.aclk, "reset": dut.aresetn, "reset_active_level": False}
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), **reset)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), **reset)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), **reset)
        for part in (self.source, self.sink, self.lite.read_if, self.lite.write_if):
            part.log.setLevel(logging.WARNING)
        PortMonitor(dut, dut.aclk, dut.aresetn, active_low=True)
        for _ in range(4):
            await RisingEdge(dut.aclk)
        dut.aresetn.value = 1

    async def exchange(self, words):
        """Send words; return what comes up to and with the next DONE."""
        await self.source.send(b"".join(int(w).to_bytes(8, "little") for w in words))
        data = bytes((await self.sink.recv()).tdata)
        return [int.from_bytes(data[i : i + 8], "little") for i in range(0, len(data), 8)]

    async def status(self):
        value = await self.lite.read_dword(registers.address("STATUS"))
        return registers.BY_NAME["STATUS"].layout.unpack(value)

    def mask(self, bits):
        rng = self.rng
        if rng.random() < 0.6:
            return 1 << rng.randrange(bits)
        return rng.choice([rng.randrange(1, 1 << bits), (1 << bits) - 1])


def cores(xmask, ymask):
    """Return the cores of a product multicast."""
    return [
        PARAMS.core_id(x, y)
        for x in range(PARAMS.columns)
        for y in range(PARAMS.rows)
        if xmask >> x & 1 and ymask >> y & 1
    ]


def signed(value, bits):
    return value - (1 << bits) if value >> (bits - 1) else value


@cocotb.test()
async def every_packet_reaches_every_core_it_is_for_once(dut):
    bench = Bench(dut)
    await bench.start()
    rng = bench.rng
    all_cores = range(PARAMS.n_cores)
    coverage = Coverage(
        [f"core {a} to core {b}" for a in all_cores for b in all_cores]
        + ["fork of two", "fork of all", "sync with reset", "sync without reset"]
    )
    n_tags = 1 << min(24 - CORE_BITS, 25 - PARAMS.columns - PARAMS.rows)
    tag = 0
    for burst in range(parameters()["bursts"]):
        bench.source.set_pause_generator(pauses(rng, rng.choice([0.0, 0.4])))
        bench.sink.set_pause_generator(pauses(rng, rng.choice([0.0, 0.3, 0.8])))
        words, expected, order = [], Counter(), {}
        for _ in range(rng.choice([1, 5, 40])):
            first = bench.mask(PARAMS.columns), bench.mask(PARAMS.rows)
            second = bench.mask(PARAMS.columns), bench.mask(PARAMS.rows)
            if len(cores(*first)) * len(cores(*second)) > 40:
                second = (1, 1)
            tag = (tag + 1) % n_tags
            instruction = second[0] | (second[1] | tag << PARAMS.rows) << PARAMS.columns
            packet = LAYOUTS.pack(
                Kind.SPIKE,
                xmask=first[0],
                ymask=first[1],
                slot=tag % PARAMS.n_slots,
                index=instruction & 0xFFFF,
                payload=signed(instruction >> 16, 9),
            )
            words.append(int(InOp.PACKET) << OP_OFFSET | packet)
            coverage.hit("fork of two", len(cores(*first)) == 2)
            coverage.hit("fork of all", len(cores(*first)) == PARAMS.n_cores)
            for relay in cores(*first):
                for last in cores(*second):
                    coverage.hit(f"core {relay} to core {last}")
                    expected[relay, last, tag] += 1
                    order.setdefault((relay, last), []).append(tag)
        with_reset = burst % 2
        coverage.hit("sync with reset" if with_reset else "sync without reset")
        got = await bench.exchange([*words, int(InOp.SYNC) << OP_OFFSET | with_reset])
        assert got.pop() >> OP_OFFSET == OutOp.DONE
        seen = [report(word) for word in got]
        assert Counter(seen) == expected, "lost, doubled, or behind DONE"
        for (relay, last), tags in order.items():
            path = [t for r, k, t in seen if (r, k) == (relay, last)]
            assert path == tags, f"core {relay} to core {last}: out of order"
    record_coverage(coverage)


def report(word):
    """Return (relaying core, reporting core, tag) of a word from the array."""
    kind, fields = LAYOUTS.unpack(word)
    assert kind is Kind.HOST_VALUE, word
    value = fields["value"] & 0xFFFFFF
    tag = value & ((1 << (24 - CORE_BITS)) - 1)
    assert fields["slot"] == tag % PARAMS.n_slots
    return value >> (24 - CORE_BITS), fields["core"], tag


@cocotb.test()
async def a_state_reset_reaches_every_core_once(dut):
    bench = Bench(dut)
    await bench.start()
    everyone = {"xmask": (1 << PARAMS.columns) - 1, "ymask": (1 << PARAMS.rows) - 1}
    ask = int(InOp.PACKET) << OP_OFFSET | LAYOUTS.pack(Kind.CONFIG, op=3, **everyone)
    sync = int(InOp.SYNC) << OP_OFFSET
    for resets in range(3):
        got = await bench.exchange([ask, sync | 1])
        answers = {f["core"]: f["data"] for _, f in (LAYOUTS.unpack(w) for w in got[:-1])}
        assert answers == dict.fromkeys(range(PARAMS.n_cores), resets)
    await bench.lite.write_dword(registers.address("CONTROL"), 1)
    for _ in range(10):
        await RisingEdge(dut.aclk)
    assert (await bench.status())["idle"] == 0
    got = await bench.exchange([ask, sync])
    assert {LAYOUTS.unpack(w)[1]["data"] for w in got[:-1]} == {4}
    assert (await bench.status())["idle"] == 1


@cocotb.test()
async def an_error_of_any_core_is_seen(dut):
    bench = Bench(dut)
    await bench.start()
    for core in range(PARAMS.n_cores):
        x, y = PARAMS.position(core)
        for op, wanted in ((7, 1), (5, 0)):
            packet = LAYOUTS.pack(Kind.CONFIG, op=op, xmask=1 << x, ymask=1 << y)
            await bench.exchange(
                [int(InOp.PACKET) << OP_OFFSET | packet, int(InOp.SYNC) << OP_OFFSET]
            )
            assert (await bench.status())["error"] == wanted
            assert dut.irq.value == wanted


@cocotb.test()
async def credits_of_the_array_permit_the_steps_of_the_host(dut):
    bench = Bench(dut)
    await bench.start()
    await bench.lite.write_dword(registers.address("N_DESTS"), PARAMS.n_cores)
    for slot in range(PARAMS.n_slots):
        address = registers.address("PERMIT_INIT", slot)
        await bench.lite.write_dword(address, PARAMS.n_cores * (slot == 0))
    everyone = {"xmask": (1 << PARAMS.columns) - 1, "ymask": (1 << PARAMS.rows) - 1}
    # Each step asks all cores for the credits of the next: slot 1 with the step added.
    ask = LAYOUTS.pack(Kind.TOKEN, slot=1, credit=1, **everyone)
    end = LAYOUTS.pack(Kind.TOKEN, slot=0, credit=0, group=1, **everyone)
    n_steps = 2 * PARAMS.n_slots + 3
    words = [int(InOp.SYNC) << OP_OFFSET | 1]
    assert len(await bench.exchange(words)) == 1
    words = []
    for _ in range(n_steps):
        words += [int(InOp.EVENT) << OP_OFFSET | ask, int(InOp.EVENT_LAST) << OP_OFFSET | end]
    got = await bench.exchange([*words, int(InOp.SYNC) << OP_OFFSET])
    seen = Counter((f["core"], f["slot"]) for _, f in (LAYOUTS.unpack(w) for w in got[:-1]))
    steps = Counter(step % PARAMS.n_slots for step in range(n_steps))
    assert seen == {
        (core, slot): count for core in range(PARAMS.n_cores) for slot, count in steps.items()
    }
    latency = got[-1] & 0xFFFFFFFF
    assert latency >= n_steps * 8, "each step waits for the credits of the one before"
    assert await bench.lite.read_dword(registers.address("LATENCY")) == latency
    assert await bench.lite.read_dword(registers.address("STEP")) == n_steps
