"""What goes wrong between processor and array is reported, and nothing is silently wrong."""

import asyncio
import random

import pytest
from numpy.testing import assert_array_equal

from talon.arch.packet import PacketLayouts
from talon.arch.params import preset
from talon.backend.target import get_target
from talon.errors import BackendError
from talon.image.container import read_image
from talon.image.driver import Driver, StalledError
from talon.image.stream import ConfigStream, InputStream
from talon_pynq.transport import DmaTransport
from talon_sim.board.board import SimulatedBoard
from talon_sim.board.faults import KINDS, Fault

pytestmark = pytest.mark.cosim
LOAD, RUN = "load", "run"
DATA = PacketLayouts(preset("tiny_2x2")).config.offset_of("data")


class Bench:
    """One board whose driver goes on from fault to fault, as it would for a day."""

    def __init__(self, small, array, waiting):
        self.waiting = waiting
        self.board = SimulatedBoard(array, cycles=97)
        self.program = small.program_of([30, 24, 10])
        self.image = read_image(self.program.image)
        self.inputs = small.inputs_of(self.program, n_samples=3)
        self.golden = get_target("golden").run(self.program, self.inputs)
        clock = small.Ticks()
        self.link = DmaTransport(
            self.board.mmio,
            self.board.dma,
            self.board.allocate,
            timeout=0.05,
            clock=clock,
            sleep=clock.sleep,
            interrupts=self.board.interrupts if waiting == "interrupts" else None,
            look=1e-3,
        )
        self.driver = Driver(self.link, preset(small.hw))
        self.driver.load(self.image)
        self.driver.control(probe=False)
        before = self.link.read("OUT_WORDS")
        self.check(self.driver.run(self.inputs))
        answer = self.link.read("OUT_WORDS") - before - 1  # the first is for CONTROL
        config = ConfigStream(self.image.params).load(self.image)
        events = InputStream(self.image.manifest).encode(self.inputs)
        self.sent = {LOAD: config.size, RUN: events.size}
        self.received = {LOAD: 1, RUN: answer}

    def check(self, decoded):
        for name, spikes in decoded.spikes.items():
            assert_array_equal(spikes, self.golden.spikes[name])

    def attempt(self, fault, at):
        """Load and run with a fault in one of both; return the error, or None."""
        try:
            if at == LOAD:
                self.board.inject(fault)
            self._do("load", self.image)
            if at == RUN:
                self.board.inject(fault)
            decoded = self._do("run", self.inputs)
        except BackendError as error:
            return error
        finally:
            self.board.inject(None)
        self.check(decoded)
        return None

    def _do(self, verb, *args):
        if self.waiting == "blocked":
            return getattr(self.driver, verb)(*args)
        return asyncio.run(getattr(self.driver, f"{verb}_async")(*args))

    def random_fault(self, rng):
        """Return a fault, and where it happens; events on their way have no check of their own."""
        kind = rng.choice(KINDS)
        at = LOAD if kind == "flip" else rng.choice([LOAD, RUN])
        n_words = (self.received if kind.startswith("receive") else self.sent)[at]
        transfer = int(at == RUN)  # the first transfer of a run is for CONTROL
        bits = 1 << rng.randrange(64)
        return Fault(kind=kind, transfer=transfer, at=rng.randrange(n_words), bits=bits), at


@pytest.fixture(scope="module", params=["blocked", "interrupts", "polling"])
def bench(small, request):
    with small.array_of() as array:
        yield Bench(small, array, request.param)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow, id="many")])
def test_random_faults_are_reported_and_the_next_run_is_right(bench, seed):
    rng = random.Random(seed)
    seen = dict.fromkeys(KINDS, 0)
    n_trials = 1000 if seed == 2 else 64 if bench.waiting == "blocked" else 40
    for trial in range(n_trials):
        fault, at = bench.random_fault(rng)
        error = bench.attempt(fault, at)
        seen[fault.kind] += error is not None
        assert error is not None or fault.kind == "flip", (trial, fault, at)
        if isinstance(error, StalledError):
            assert "STATUS" in str(error) and "DMA MM2S" in str(error)
        assert bench.attempt(None, RUN) is None, (trial, fault, at)
    assert all(seen.values()), seen
    assert bench.board.memory.n_buffers == 2


@pytest.mark.parametrize(
    ("fault", "at", "match"),
    [
        (Fault(kind="send_error", at=9), LOAD, "DMA MM2S reports halted, slave error"),
        (Fault(kind="receive_error", transfer=1, at=2), RUN, "DMA S2MM reports halted, decode"),
        (Fault(kind="send_stalls", transfer=1, at=9), RUN, "moved no word for .*IN_WORDS="),
        (Fault(kind="receive_stalls", transfer=1, at=1), RUN, "moved no word for"),
        (Fault(kind="receive_ends", transfer=1, at=3), RUN, "and the answer has ended"),
        (Fault(kind="receive_ends", at=0), LOAD, "must answer 1 times with DONE, .* not 0"),
        (Fault(kind="flip", at=40, bits=1 << DATA), LOAD, "crc_error"),
        (Fault(kind="reset", transfer=1, at=9), RUN, r"Group \d+ of core \d+ must end 5 steps"),
    ],
)
def test_the_message_says_what_happened(bench, fault, at, match):
    error = bench.attempt(fault, at)
    assert error is not None
    with pytest.raises(BackendError, match=match):
        raise error


def test_after_an_error_the_program_must_be_loaded_again(bench):
    bench.driver.load(bench.image)
    bench.board.inject(Fault(kind="send_stalls", at=0))
    with pytest.raises(StalledError, match="load the program again"):
        bench.driver.run(bench.inputs)
    with pytest.raises(BackendError, match="no image; load one first"):
        bench.driver.run(bench.inputs)


def test_a_dma_that_stays_in_reset_is_reported(bench):
    registers = bench.board.dma.mmio
    bench.driver.load(bench.image)
    bench.board.inject(Fault(kind="send_stalls", at=0))
    read = registers.read
    registers.read = lambda offset: 0x4 if offset == 0 else read(offset)
    try:
        with pytest.raises(BackendError, match="does not come out of its reset"):
            bench.driver.run(bench.inputs)
    finally:
        registers.read = read
        bench.board.inject(None)
        bench.link.recover()
    assert bench.attempt(None, RUN) is None
