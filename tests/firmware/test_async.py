"""Runs that let others run: by interrupts, by looking, cancelled, and with faults."""

import asyncio
import logging

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from talon.arch.packet import PacketLayouts
from talon.arch.params import preset
from talon.backend.target import get_target
from talon.errors import BackendError
from talon.image.container import read_image
from talon.image.driver import Driver, StalledError
from talon.image.stream import sync_word
from talon_pynq.transport import ARRAY, DmaTransport
from talon_sim.board.board import SimulatedBoard
from talon_sim.board.faults import Fault
from talon_sim.cosim.fast import BackPressure

pytestmark = pytest.mark.cosim
DATA = PacketLayouts(preset("tiny_2x2")).config.offset_of("data")


class Bench:
    """A simulated board with its driver, and a program that runs on it."""

    def __init__(self, small, array, *, interrupts):
        self.board = SimulatedBoard(array, cycles=97)
        self.program = small.program_of([30, 24, 10])
        self.image = read_image(self.program.image)
        self.inputs = small.inputs_of(self.program, n_samples=5)
        self.golden = get_target("golden").run(self.program, self.inputs)
        clock = small.Ticks()
        self.link = DmaTransport(
            self.board.mmio,
            self.board.dma,
            self.board.allocate,
            timeout=0.2,
            interrupts=interrupts(self.board),
            clock=clock,
            look=1e-3,
        )
        self.driver = Driver(self.link, self.image.params)

    def check(self, decoded):
        for name, spikes in decoded.spikes.items():
            assert_array_equal(spikes, self.golden.spikes[name])

    async def works(self):
        await self.driver.load_async(self.image)
        await self.driver.verify_async()
        self.check(await self.driver.run_async(self.inputs))


@pytest.fixture
def bench_of(small):
    def made(interrupts=lambda board: board.interrupts):
        return Bench(small, array, interrupts=interrupts)

    with small.array_of() as array:
        yield made


@pytest.fixture(params=["interrupts", "polling"])
def bench(bench_of, request):
    return bench_of() if request.param == "interrupts" else bench_of(lambda board: {})


@pytest.mark.parametrize("batch", [None, 2])
def test_runs_are_golden(bench, batch):
    async def twice():
        await bench.driver.load_async(bench.image)
        for _ in range(2):
            bench.check(await bench.driver.run_async(bench.inputs, batch=batch))

    asyncio.run(twice())
    asyncio.run(twice())  # in another loop


def test_back_pressure_changes_nothing(small):
    with small.array_of() as array:
        array.press(BackPressure(seed=4, gap_in=0.2, gap_out=0.4, burst=9))
        asyncio.run(Bench(small, array, interrupts=lambda board: board.interrupts).works())


def test_interrupts_end_the_wait(bench_of):
    bench = bench_of()
    asyncio.run(bench.works())
    answered = bench.board.interrupts["DMA S2MM"]
    assert answered.n_raised > 0
    assert answered.n_raised >= answered.n_waits // 2, "each wait ends by its interrupt"
    for name, line in bench.board.interrupts.items():
        asyncio.run(_must_be_low(name, line))


async def _must_be_low(name, line):
    task = asyncio.ensure_future(line.wait())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not task.done(), f"{name} is cleared"
    task.cancel()


def test_others_run_meanwhile(bench):
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def both():
        other = asyncio.ensure_future(count())
        await bench.works()
        other.cancel()

    asyncio.run(both())
    assert turns > 20


@pytest.mark.parametrize(
    ("fault", "error", "match"),
    [
        (Fault(kind="send_error", transfer=1, at=9), BackendError, "DMA MM2S reports halted, sl"),
        (Fault(kind="receive_error", transfer=1, at=2), BackendError, "DMA S2MM reports halted"),
        (
            Fault(kind="send_stalls", transfer=1, at=9),
            StalledError,
            r"no word for 0.2 s; STATUS: .*FIFO in_words=.*DMA MM2S: .*by group: core",
        ),
        (Fault(kind="receive_stalls", transfer=1, at=1), StalledError, "moved no word for"),
        (Fault(kind="receive_ends", transfer=1, at=3), StalledError, "and the answer has ended"),
    ],
)
def test_faults_are_reported_and_overcome(bench, fault, error, match):
    async def run():
        await bench.driver.load_async(bench.image)
        bench.board.inject(fault)
        with pytest.raises(error, match=match):
            await bench.driver.run_async(bench.inputs)
        bench.board.inject(None)
        with pytest.raises(BackendError, match="no image; load one first"):
            await bench.driver.run_async(bench.inputs)
        await bench.works()

    asyncio.run(run())


@pytest.mark.parametrize("turns", [1, 2, 5, 20, 50])
def test_a_run_that_is_cancelled_leaves_an_array_to_load(small, bench, turns):
    many = small.inputs_of(bench.program, n_samples=100)

    async def run():
        await bench.driver.load_async(bench.image)
        task = asyncio.ensure_future(bench.driver.run_async(many, batch=4))
        for _ in range(turns):
            await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        status = bench.link.state()
        assert "in_valid" not in status and "waiting" not in status
        assert bench.link.read("STEP") == 0
        with pytest.raises(BackendError, match="no image; load one first"):
            bench.driver.run(bench.inputs)
        await bench.works()
        assert bench.board.memory.n_buffers == 2

    asyncio.run(run())


def test_a_run_that_takes_too_long_for_its_caller(bench, caplog):
    async def run():
        await bench.driver.load_async(bench.image)
        bench.board.inject(Fault(kind="send_stalls", transfer=1, at=3))
        bench.link._timeout = 1e9
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(bench.driver.run_async(bench.inputs), 0.05)
        bench.board.inject(None)
        await bench.works()

    with caplog.at_level(logging.WARNING, "talon_pynq"):
        asyncio.run(run())
    assert "Transfer is given up (CancelledError); STATUS: " in caplog.text
    assert "FIFO in_words=" in caplog.text and "DMA MM2S: running" in caplog.text


def test_an_array_is_not_shared_by_two_runs(bench):
    async def run():
        await bench.driver.load_async(bench.image)
        task = asyncio.ensure_future(bench.driver.run_async(bench.inputs))
        await asyncio.sleep(0)
        with pytest.raises(BackendError, match="Array is at work; await"):
            await bench.driver.run_async(bench.inputs)
        with pytest.raises(BackendError, match="Array is at work; await"):
            bench.driver.run(bench.inputs)
        with pytest.raises(BackendError, match="transfer under way"):
            bench.link.run(sync_word(reset=False), room=1)
        bench.check(await task)

    asyncio.run(run())


class Dead:
    async def wait(self):
        await asyncio.Event().wait()


class Broken:
    async def wait(self):
        raise RuntimeError("is bound to a different event loop")


def test_interrupts_that_never_come_cost_time_for_three_transfers(bench_of, caplog):
    bench = bench_of(lambda board: dict.fromkeys(board.interrupts, Dead()))
    with caplog.at_level(logging.WARNING, "talon_pynq"):
        asyncio.run(bench.works())
        bench.link._look = 3600
        asyncio.run(asyncio.wait_for(bench.works(), 60))
    assert caplog.text.count("Interrupts do not come, so registers are polled; make the") == 1


def test_interrupts_that_cannot_be_waited_for_are_polled(bench_of, caplog):
    bench = bench_of(lambda board: {**board.interrupts, "DMA S2MM": Broken(), ARRAY: Broken()})
    with caplog.at_level(logging.WARNING, "talon_pynq"):
        asyncio.run(bench.works())
    for name in ("DMA S2MM", ARRAY):
        said = f"Interrupt {name} cannot be waited for, so it is polled: is bound to"
        assert caplog.text.count(said) == 1, "once, and not in every transfer"


def test_the_interrupt_of_the_array_alone_delays_nothing(bench_of):
    """It does not tell of the end of a transfer, so the registers are looked at as without it."""
    bench = bench_of(lambda board: {ARRAY: board.interrupts[ARRAY]})
    bench.link._look = 3600
    asyncio.run(asyncio.wait_for(bench.works(), 60))


def test_the_interrupt_of_the_array_is_told_and_stays_until_the_array_is_mended(bench_of, caplog):
    bench = bench_of()
    line = bench.board.interrupts[ARRAY]

    async def run():
        await bench.works()
        assert line.n_raised == 0
        bench.board.inject(Fault(kind="flip", at=40, bits=1 << DATA))
        with pytest.raises(BackendError, match="crc_error"):
            await bench.driver.load_async(bench.image)
        bench.board.inject(None)
        assert line.n_raised == 1, "told once, while it stays high"
        await asyncio.wait_for(line.wait(), 1)
        await bench.works()
        await _must_be_low(ARRAY, line)
        before = line.n_waits
        await bench.works()
        assert line.n_waits > before, "it is waited for again"

    with caplog.at_level(logging.WARNING, "talon_pynq"):
        asyncio.run(run())
    assert caplog.text.count("Array has raised its interrupt; STATUS: error") == 1


def test_a_word_of_no_operation_is_told_after_its_batch(bench):
    async def run():
        await bench.driver.load_async(bench.image)
        sent = []
        bench.board.inject(Fault(kind="flip", transfer=1, at=0, bits=7 << 61))
        with pytest.raises(BackendError, match="discarded a word of no known operation"):
            await bench.driver.run_async(
                bench.inputs, batch=1, progress=lambda done, total: sent.append(done)
            )
        bench.board.inject(None)
        assert not sent, "no further batch is run"
        await bench.works()

    asyncio.run(run())


def test_a_transport_that_can_only_block_says_so(small):
    with small.array_of() as array:
        driver = Driver(array, preset(small.hw))
        image = read_image(small.program_of([30, 24, 10]).image)
        with pytest.raises(BackendError, match="Transport FastArray cannot wait asynchronously"):
            asyncio.run(driver.load_async(image))


def test_words_that_end_no_transfer_are_refused(bench):
    async def run():
        with pytest.raises(ValueError, match="must end with a SYNC"):
            await bench.link.run_async(np.empty(0, np.uint64), room=1)

    asyncio.run(run())
