"""Testbench of the host bridge: AXI on one side, the west port of router (0, 0) on the other."""

import logging
import random
from collections import deque

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamSink, AxiStreamSource

from talon.arch import registers
from talon.arch.packet import (
    OP_OFFSET,
    SYNC_MORE,
    SYNC_RESET,
    InOp,
    Kind,
    OutOp,
    PacketLayouts,
)
from talon.arch.params import FORMAT_VERSION, ArrayParams
from talon_sim.cosim.coverage import Coverage
from talon_sim.cosim.monitor import PortMonitor
from talon_sim.cosim.testbench import parameters, record_coverage

PARAMS = ArrayParams(**parameters()["params"])
LAYOUTS = PacketLayouts(PARAMS)
MASK = (1 << LAYOUTS.width) - 1


def pauses(rng, probability):
    while True:
        yield rng.random() < probability


class Bench:
    """Drivers of both sides; ``out`` has packets into the array, ``feed`` those out of it."""

    def __init__(self, dut):
        for name in ("cocotb", "cocotb.tb"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.dut = dut
        self.rng = random.Random(cocotb.RANDOM_SEED)
        self.cycle = 0
        self.out = []  # (cycle, packet)
        self.feed = deque()
        self.fed = []  # (cycle, packet)
        self.resets = []  # cycles in which state_reset was high
        self.ready_rate = 1.0
        self.feed_rate = 1.0
        self.words = []  # (cycle, word) taken from the host

    async def start(self):
        dut = self.dut
        cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
        dut.rst.value = 1
        dut.o_ready.value = dut.i_valid.value = dut.array_error.value = 0
        dut.array_idle.value = 1
        reset = {"clock": dut.clk, "reset": dut.rst}
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), **reset)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), **reset)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), **reset)
        for part in (self.source, self.sink, self.lite.read_if, self.lite.write_if):
            part.log.setLevel(logging.WARNING)
        PortMonitor(dut, dut.clk, dut.rst)
        for _ in range(4):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        await RisingEdge(dut.clk)
        cocotb.start_soon(self._array_side())

    async def _array_side(self):
        dut, held = self.dut, None
        while True:
            dut.o_ready.value = self.rng.random() < self.ready_rate
            if held is None and self.feed and self.rng.random() < self.feed_rate:
                held = self.feed.popleft()
            dut.i_valid.value = held is not None
            dut.i_payload.value = held or 0
            await FallingEdge(dut.clk)
            if dut.o_valid.value == 1 and dut.o_ready.value == 1:
                self.out.append((self.cycle, int(dut.o_payload.value)))
            if held is not None and dut.i_ready.value == 1:
                self.fed.append((self.cycle, held))
                held = None
            if dut.state_reset.value == 1:
                self.resets.append(self.cycle)
            if dut.s_axis_tvalid.value == 1 and dut.s_axis_tready.value == 1:
                self.words.append((self.cycle, int(dut.s_axis_tdata.value)))
            await RisingEdge(dut.clk)
            self.cycle += 1

    async def clocks(self, n):
        for _ in range(n):
            await RisingEdge(self.dut.clk)

    async def until(self, condition, limit=5000):
        for _ in range(limit):
            if condition():
                return
            await RisingEdge(self.dut.clk)
        raise AssertionError(f"nothing happened within {limit} cycles")

    async def taken(self, n):
        """Wait until the array has taken ``n`` packets."""
        await self.until(lambda: len(self.out) == n)

    async def given(self, n):
        """Wait until the array has given ``n`` packets."""
        await self.until(lambda: len(self.fed) == n)

    async def read(self, name, index=0):
        return await self.lite.read_dword(registers.address(name, index))

    async def write(self, name, value, index=0):
        await self.lite.write_dword(registers.address(name, index), value)

    async def status(self):
        return registers.BY_NAME["STATUS"].layout.unpack(await self.read("STATUS"))

    async def send(self, words):
        await self.source.send(b"".join(int(w).to_bytes(8, "little") for w in words))

    async def received(self):
        """Return the words up to and with the next TLAST."""
        frame = await self.sink.recv()
        data = bytes(frame.tdata)
        return [int.from_bytes(data[i : i + 8], "little") for i in range(0, len(data), 8)]


def word(op, packet=0):
    return int(op) << OP_OFFSET | packet


def random_core_packet(rng, kinds=(Kind.SPIKE, Kind.PSUM, Kind.TOKEN)):
    return rng.getrandbits(LAYOUTS.width) & ~7 | rng.choice(list(kinds))


def random_host_packet(rng):
    """Return a packet for the host that is not a CREDIT."""
    kind = rng.choice([Kind.HOST_SPIKE, Kind.HOST_VALUE, Kind.HOST_TOKEN, Kind.HOST_CONFIG])
    packet = rng.getrandbits(LAYOUTS.width) & ~7 | kind
    if kind is Kind.HOST_TOKEN:
        packet &= ~(1 << LAYOUTS.host_token.offset_of("credit"))
    return packet


def credit(slot):
    return LAYOUTS.pack(Kind.HOST_TOKEN, slot=slot, credit=1)


@cocotb.test()
async def registers_read_and_write(dut):
    bench = Bench(dut)
    await bench.start()
    assert await bench.read("ID") == registers.ID
    assert await bench.read("VERSION") == FORMAT_VERSION
    assert await bench.read("HARDWARE_HASH") == PARAMS.hardware_hash
    for name in ("MESH", "CORE"):
        layout = registers.BY_NAME[name].layout
        want = {field.name: getattr(PARAMS, field.name) for field in layout.fields}
        assert layout.unpack(await bench.read(name)) == want
    capabilities = registers.BY_NAME["CAPABILITIES"].layout.unpack(await bench.read("CAPABILITIES"))
    assert capabilities.pop("maps") == (PARAMS.n_axis > 0)
    assert capabilities == {name: getattr(PARAMS, name) for name in capabilities}
    assert await bench.read("BUILD") == parameters()["build"]
    await bench.write("N_DESTS", 0x1A5)
    assert await bench.read("N_DESTS") == 0xA5, "eight bits"
    for index in range(16):
        await bench.write("PERMIT_INIT", 200 - index, index)
    for index in range(16):
        assert await bench.read("PERMIT_INIT", index) == 200 - index
    await bench.lite.write(registers.address("N_DESTS") + 1, b"\x77")
    assert await bench.read("N_DESTS") == 0xA5, "a write of another byte"
    await bench.write("ID", 1)
    assert await bench.read("ID") == registers.ID
    known = {r.offset + 4 * i for r in registers.REGISTERS for i in range(r.count)}
    unmapped = sorted(set(range(0, 1 << registers.ADDRESS_WIDTH, 4)) - known)
    for address in [*bench.rng.sample(unmapped, 40), registers.address("CONTROL")]:
        assert await bench.lite.read_dword(address) == 0, hex(address)
    first = await bench.read("CYCLES")
    before = bench.cycle
    await bench.clocks(50)
    elapsed = await bench.read("CYCLES") - first
    assert abs(elapsed - (bench.cycle - before)) <= 2


@cocotb.test()
async def registers_answer_under_pauses(dut):
    bench = Bench(dut)
    await bench.start()
    rng = bench.rng
    write, read = bench.lite.write_if, bench.lite.read_if
    for channel in (write.aw_channel, write.w_channel, write.b_channel):
        channel.set_pause_generator(pauses(rng, 0.5))
    for channel in (read.ar_channel, read.r_channel):
        channel.set_pause_generator(pauses(rng, 0.5))
    shadow = [0] * 16
    for _ in range(150):
        index = rng.randrange(16)
        if rng.random() < 0.5:
            shadow[index] = rng.randrange(256)
            await bench.write("PERMIT_INIT", shadow[index], index)
        else:
            assert await bench.read("PERMIT_INIT", index) == shadow[index]


@cocotb.test()
async def packets_pass_both_ways_under_pauses(dut):
    bench = Bench(dut)
    await bench.start()
    rng = bench.rng
    coverage = Coverage(
        [f"in x {Kind(k).name}" for k in range(4)]
        + [f"out x {Kind(k).name}" for k in range(4, 8)]
        + ["host stalls the array", "array stalls the host"]
    )
    into = [random_core_packet(rng, Kind.__members__.values()) for _ in range(1500)]
    into = [p for p in into if p & 7 < 4]
    back = [random_host_packet(rng) for _ in range(800)]
    for packet in into:
        coverage.cross("in", Kind(packet & 7).name)
    for packet in back:
        coverage.cross("out", Kind(packet & 7).name)
    bench.source.set_pause_generator(pauses(rng, 0.3))
    bench.sink.set_pause_generator(pauses(rng, 0.6))
    bench.feed.extend(back)
    bench.feed_rate = 0.7
    bench.ready_rate = 0.4
    await bench.send([word(InOp.PACKET, packet) for packet in into])
    # TLAST means nothing on the way in: each frame of the source ends with one.
    await bench.send([word(InOp.SYNC)])
    dut.array_idle.value = 0
    full = blocked = 0
    while len(bench.fed) < len(back) or len(bench.out) < len(into):
        await FallingEdge(dut.clk)
        full += dut.i_valid.value == 1 and dut.i_ready.value == 0
        blocked += dut.s_axis_tvalid.value == 1 and dut.s_axis_tready.value == 0
    coverage.hit("host stalls the array", full)
    coverage.hit("array stalls the host", blocked)
    dut.array_idle.value = 1
    words = await bench.received()
    assert [packet for _, packet in bench.out] == into
    assert words[:-1] == back
    assert words[-1] >> OP_OFFSET == OutOp.DONE
    assert await bench.read("IN_WORDS") == len(bench.words)
    assert await bench.read("OUT_WORDS") >= len(back) + 1
    record_coverage(coverage)


@cocotb.test()
async def a_word_every_cycle(dut):
    bench = Bench(dut)
    await bench.start()
    n = 300
    into = [random_core_packet(bench.rng) for _ in range(n)]
    back = [random_host_packet(bench.rng) for _ in range(n)]
    bench.feed.extend(back)
    await bench.send([word(InOp.EVENT, packet) for packet in into])
    await bench.until(lambda: len(bench.out) == n and len(bench.fed) == n)
    assert bench.out[-1][0] - bench.out[0][0] == n - 1
    assert bench.fed[-1][0] - bench.fed[0][0] == n - 1
    assert bench.out[0][0] - bench.words[0][0] <= 4


@cocotb.test()
async def steps_wait_for_their_credits(dut):
    """Random steps and credits against a count of each slot."""
    bench = Bench(dut)
    await bench.start()
    rng = bench.rng
    slots = PARAMS.n_slots
    coverage = Coverage(
        ["no destination", "several destinations", "waited", "granted at start", "step wraps"]
    )
    total = 0
    for n_dests in (0, 1, 3):
        init = [rng.choice([0, n_dests]) for _ in range(slots)]
        await bench.write("N_DESTS", n_dests)
        for slot in range(slots):
            await bench.write("PERMIT_INIT", init[slot], slot)
        await bench.write("CONTROL", 1)
        await bench.clocks(3)
        assert await bench.read("STEP") == 0
        bench.out.clear()
        bench.fed.clear()
        bench.ready_rate = 0.8
        n_steps = 3 * slots
        events, sent = [], []  # (step, packet as the array must see it)
        for step in range(n_steps):
            for i in range(rng.randrange(1, 5)):
                packet = random_core_packet(rng)
                last = i == 0 and rng.random() < 0.3
                events.append(word(InOp.EVENT, packet))
                fields = LAYOUTS.unpack(packet)[1]
                fields["slot"] = (fields["slot"] + step) % slots
                kind = Kind(packet & 7)
                seen = LAYOUTS.of_kind[kind]
                top = packet >> seen.width << seen.width  # bits that the kind does not use
                sent.append((step, LAYOUTS.pack(kind, **fields_of(fields)) | top))
                if last:
                    break
            events[-1] = word(InOp.EVENT_LAST, events[-1] & ((1 << OP_OFFSET) - 1))
        await bench.send(events)
        # CREDITs that come later, one missing set after the other, and other traffic between.
        owed = [n_dests * (step >= slots or init[step] == 0) for step in range(n_steps)]
        others = []
        for step in range(n_steps):
            if owed[step] and step % 4 == 0:
                await bench.clocks(30)
                coverage.hit("waited", (await bench.status())["waiting"])
            for _ in range(owed[step]):
                if rng.random() < 0.5:
                    others.append(random_host_packet(rng))
                    bench.feed.append(others[-1])
                bench.feed.append(credit(step % slots))
        await bench.taken(len(sent))
        assert [packet for _, packet in bench.out] == [packet for _, packet in sent]
        check_credits(bench, init, n_dests, [step for step, _ in sent])
        await bench.clocks(5)
        assert await bench.read("STEP") == n_steps
        coverage.hit("no destination", n_dests == 0)
        coverage.hit("several destinations", n_dests > 1)
        coverage.hit("granted at start", any(init))
        coverage.hit("step wraps", n_steps > slots)
        total += len(sent)
        await bench.send([word(InOp.SYNC)])
        assert (await bench.received())[:-1] == others, "CREDITs stay here, all else passes"
    assert total > 100
    record_coverage(coverage)


def fields_of(fields):
    return {name: value for name, value in fields.items() if name != "kind"}


def check_credits(bench, init, n_dests, steps):
    """Check that no packet of a step left before the CREDITs of its slot had come."""
    slot_of = {}
    counts = list(init)
    arrivals = [
        (cycle, LAYOUTS.unpack(packet)[1]["slot"])
        for cycle, packet in bench.fed
        if packet & 7 == Kind.HOST_TOKEN and LAYOUTS.unpack(packet)[1]["credit"]
    ]
    for (cycle, _), step in zip(bench.out, steps, strict=True):
        if step in slot_of:
            continue
        slot = slot_of[step] = step % PARAMS.n_slots
        while arrivals and arrivals[0][0] < cycle:
            counts[arrivals.pop(0)[1]] += 1
        assert counts[slot] >= n_dests, f"step {step} left with {counts[slot]} of {n_dests} CREDITs"
        counts[slot] -= n_dests


@cocotb.test()
async def an_event_without_credits_waits(dut):
    bench = Bench(dut)
    await bench.start()
    await bench.write("N_DESTS", 2)
    await bench.send([word(InOp.EVENT_LAST, random_core_packet(bench.rng))])
    await bench.clocks(20)
    bench.feed.append(credit(0))
    await bench.clocks(40)
    status = await bench.status()
    assert status["waiting"] == 1
    assert status["in_valid"] == 1
    assert status["idle"] == 0
    assert not bench.out
    bench.feed.append(credit(1))
    await bench.clocks(40)
    assert not bench.out, "a CREDIT of another slot permits nothing"
    bench.feed.append(credit(0))
    await bench.until(lambda: bench.out)
    await bench.clocks(40)
    status = await bench.status()
    assert status["waiting"] == 0
    assert status["idle"] == 1


@cocotb.test()
async def a_credit_that_comes_as_its_slot_is_taken_counts(dut):
    bench = Bench(dut)
    await bench.start()
    await bench.write("N_DESTS", 2)
    packet = random_core_packet(bench.rng)
    for slot in range(1, PARAMS.n_slots):
        await bench.write("PERMIT_INIT", 2, slot)
    await bench.write("CONTROL", 1)
    await bench.send([word(InOp.EVENT_LAST, packet)] * (PARAMS.n_slots + 1))
    await bench.clocks(20)
    # Two permit step 0; the third arrives in the cycle that takes them.
    bench.feed.extend([credit(0)] * 3)
    await bench.taken(PARAMS.n_slots)
    await bench.clocks(20)
    assert len(bench.out) == PARAMS.n_slots, "one of two CREDITs is there for slot 0 again"
    bench.feed.append(credit(0))
    await bench.taken(PARAMS.n_slots + 1)


@cocotb.test()
async def sync_waits_for_the_array_and_tells_the_latency(dut):
    bench = Bench(dut)
    await bench.start()
    rng = bench.rng
    for trial in range(12):
        bench.out.clear()
        bench.fed.clear()
        bench.words.clear()
        bench.resets.clear()
        with_reset = trial % 2
        dut.array_idle.value = 0
        bench.ready_rate = rng.choice([0.3, 1.0])
        n = rng.randrange(1, 20)
        events = [word(InOp.EVENT, random_core_packet(rng)) for _ in range(n)]
        await bench.send([*events, word(InOp.SYNC, with_reset)])
        await bench.taken(n)
        back = [random_host_packet(rng) for _ in range(rng.randrange(1, 6))]
        await bench.clocks(rng.randrange(30))
        bench.feed.extend(back)
        await bench.given(len(back))
        await bench.clocks(rng.randrange(20))
        assert not bench.resets, "reset while the array worked"
        assert bench.sink.empty(), "DONE while the array worked"
        idle_from = bench.cycle
        dut.array_idle.value = 1
        if with_reset:
            await bench.until(lambda: bench.resets, limit=20)
            await bench.clocks(2)
            dut.array_idle.value = 0
            await bench.clocks(25)
            assert bench.sink.empty(), "DONE before the reset was done"
            dut.array_idle.value = 1
        words = await bench.received()
        assert len(bench.resets) == with_reset, "one strobe"
        assert bench.cycle - idle_from < 80
        assert words[:-1] == back
        done = words[-1]
        # The first EVENT stands at the front in the cycle after it was taken.
        latency = bench.fed[-1][0] - (bench.words[0][0] + 1)
        assert done == word(OutOp.DONE, latency), (trial, hex(done), latency)
        assert await bench.read("LATENCY") == latency
        assert await bench.read("STEP") == 0
    await bench.send([word(InOp.SYNC)])
    assert await bench.received() == [word(OutOp.DONE, 0)], "no EVENT: no latency"


@cocotb.test()
async def a_state_reset_restores_step_and_permits(dut):
    bench = Bench(dut)
    await bench.start()
    await bench.write("N_DESTS", 1)
    await bench.write("PERMIT_INIT", 1, 0)
    for _ in range(3):
        await bench.send([word(InOp.SYNC, 1)])
        await bench.received()
        bench.out.clear()
        packet = LAYOUTS.pack(Kind.TOKEN, xmask=1, ymask=1, slot=0, group=1)
        await bench.send([word(InOp.EVENT_LAST, packet), word(InOp.EVENT_LAST, packet)])
        await bench.until(lambda: bench.out)
        await bench.clocks(30)
        assert len(bench.out) == 1, "step 0 is granted, step 1 is not"
        assert bench.out[0][1] == packet
        assert (await bench.read("STEP")) == 1
        bench.feed.append(credit(1))
        await bench.until(lambda: len(bench.out) == 2)
        fields = LAYOUTS.unpack(bench.out[1][1])[1]
        assert fields["slot"] == 1
        bench.feed.append(credit(3))  # left over: forgotten by the reset


@cocotb.test()
async def words_that_nobody_may_send_are_discarded(dut):
    bench = Bench(dut)
    await bench.start()
    rng = bench.rng
    bad = [word(op, random_core_packet(rng)) for op in range(4, 16)]
    bad += [word(InOp.PACKET, random_host_packet(rng)) for _ in range(4)]
    bad += [word(op, random_host_packet(rng)) for op in (InOp.EVENT, InOp.EVENT_LAST)]
    bad += [
        word(op, random_core_packet(rng, [Kind.CONFIG])) for op in (InOp.EVENT, InOp.EVENT_LAST)
    ]
    for one in bad:
        assert dut.irq.value == 0
        good = [random_core_packet(rng) for _ in range(2)]
        bench.out.clear()
        await bench.send([word(InOp.PACKET, good[0]), one, word(InOp.PACKET, good[1])])
        await bench.until(lambda: len(bench.out) == 2, limit=50)
        await bench.clocks(4)
        assert [packet for _, packet in bench.out] == good
        assert (await bench.status())["bad_word"] == 1, hex(one)
        assert dut.irq.value == 1
        await bench.write("CONTROL", 1)
        await bench.clocks(20)
        assert (await bench.status())["bad_word"] == 0
    assert await bench.read("STEP") == 0
    dut.array_error.value = 1
    await bench.clocks(2)
    assert dut.irq.value == 1
    assert (await bench.status())["error"] == 1


@cocotb.test()
async def answers_of_one_transfer_end_together(dut):
    """TLAST stands at the DONE of a SYNC after which no more follow, whatever comes between."""
    bench = Bench(dut)
    await bench.start()
    rng = bench.rng
    bench.source.set_pause_generator(pauses(rng, 0.2))
    bench.sink.set_pause_generator(pauses(rng, 0.4))
    for _ in range(10):
        n = rng.randrange(1, 6)
        flags = [SYNC_RESET * rng.randrange(2) | SYNC_MORE * (i < n - 1) for i in range(n)]
        back = [random_host_packet(rng) for _ in range(rng.randrange(4))]
        bench.feed.extend(back)
        await bench.send([word(InOp.SYNC, flag) for flag in flags])
        words = await bench.received()
        assert [w for w in words if w >> OP_OFFSET == OutOp.DONE] == [word(OutOp.DONE)] * n
        rest = [w for w in words if w >> OP_OFFSET != OutOp.DONE]
        if len(rest) < len(back):  # the array was not done with them when the last SYNC was
            await bench.send([word(InOp.SYNC)])
            rest += (await bench.received())[:-1]
        assert rest == back


@cocotb.test()
async def the_queues_tell_how_full_they_are(dut):
    bench = Bench(dut)
    await bench.start()
    layout = registers.BY_NAME["FIFO"].layout
    assert layout.unpack(await bench.read("FIFO")) == {"in_words": 0, "out_words": 0}
    await bench.write("N_DESTS", 1)
    bench.sink.set_pause_generator(pauses(bench.rng, 1.0))
    bench.feed.extend(random_host_packet(bench.rng) for _ in range(9))
    await bench.send([word(InOp.EVENT, random_core_packet(bench.rng))] * 3)
    await bench.clocks(40)
    levels = layout.unpack(await bench.read("FIFO"))
    assert levels["in_words"] == 3
    assert 7 <= levels["out_words"] <= 9, "the sink may hold one or two"


@cocotb.test()
async def an_array_reset_clears_what_is_in_flight(dut):
    """After it the bridge works as after `aresetn`, but its registers are as they were."""
    bench = Bench(dut)
    await bench.start()
    rng = bench.rng
    await bench.write("N_DESTS", 1)
    await bench.write("PERMIT_INIT", 1, 0)
    bench.ready_rate = 0.0
    dut.array_idle.value = 0
    events = [word(InOp.EVENT, random_core_packet(rng)) for _ in range(4)]
    await bench.send([word(9), *events])
    bench.sink.set_pause_generator(pauses(rng, 1.0))
    bench.feed.extend(random_host_packet(rng) for _ in range(5))
    await bench.given(5)
    await bench.clocks(10)
    status = await bench.status()
    assert status["bad_word"] and status["waiting"] and not status["idle"]
    held = cycles_of(dut.array_reset, bench)
    await bench.write("CONTROL", 2)
    await bench.clocks(30)
    assert held.count >= 8, "every tile has seen it"
    dut.array_idle.value = 1
    bench.ready_rate = 1.0
    await bench.clocks(20)
    status = await bench.status()
    assert status["idle"] and not status["bad_word"] and not status["waiting"]
    assert await bench.read("FIFO") == 0
    assert await bench.read("N_DESTS") == 1
    assert await bench.read("PERMIT_INIT", 0) == 1
    assert not bench.out, "no EVENT has left"
    bench.sink.clear()
    bench.sink.set_pause_generator(pauses(rng, 0.0))
    await bench.send([word(InOp.SYNC, SYNC_RESET), word(InOp.EVENT_LAST, random_core_packet(rng))])
    assert (await bench.received())[-1:] == [word(OutOp.DONE)]
    await bench.taken(1)
    assert await bench.read("STEP") == 1


def cycles_of(signal, bench):
    """Count the cycles in which a signal is high, from now on."""

    class Count:
        count = 0

    async def watch():
        while True:
            await FallingEdge(bench.dut.clk)
            Count.count += signal.value == 1

    cocotb.start_soon(watch())
    return Count
