"""The driver of PYNQ against the verilated array behind registers, a DMA and memory."""

import asyncio

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from talon.arch.packet import OP_OFFSET, SYNC_MORE, InOp
from talon.arch.params import preset
from talon.backend.target import get_target, target_names
from talon.errors import BackendError, ImageError
from talon.image.batches import sample_sizes
from talon.image.container import read_image
from talon.image.decode import OutputStream
from talon.image.driver import Driver
from talon.image.stream import sync_word
from talon_pynq.target import PynqTarget
from talon_pynq.transport import DmaTransport
from talon_sim.board.board import SimulatedBoard
from talon_sim.board.golden import GoldenArray
from talon_sim.cosim.fast import BackPressure
from talon_sim.trace import compare

pytestmark = pytest.mark.cosim


@pytest.fixture(scope="module")
def program(small):
    return small.program_of([30, 24, 10])


@pytest.fixture
def link_to(small):
    def made(board):
        clock = small.Ticks()
        return DmaTransport(
            board.mmio, board.dma, board.allocate, timeout=0.2, clock=clock, sleep=clock.sleep
        )

    return made


def test_the_target_is_installed():
    assert "pynq" in target_names()


@pytest.mark.parametrize("probe", [False, True])
@pytest.mark.parametrize("cycles", [1, 7, 5000])
def test_runs_are_golden(small, program, probe, cycles):
    inputs = small.inputs_of(program, n_samples=5)
    golden = get_target("golden").run(program, inputs, probe=probe)
    with small.array_of() as array:
        array.press(BackPressure(seed=cycles, gap_in=0.2, gap_out=0.4, burst=9))
        board = SimulatedBoard(array, cycles=cycles)
        target = PynqTarget(overlay=board, verify=True)
        first = target.run(program, inputs, probe=probe)
        second = target.run(program, inputs, probe=probe)
    assert compare(golden, first).equal
    assert compare(first, second).equal
    assert_array_equal(first.cycles > 0, True)
    for counter in ("events", "rows", "sops", "spikes", "updates"):
        assert first.counters[counter] == second.counters[counter] > 0
    assert first.target == "pynq"
    assert board.memory.n_buffers == 0, "buffers are given back"


def test_program_run_reaches_the_board(small, program):
    raster = np.random.default_rng(2).random((6, 3, 30)) < 0.3
    with small.array_of() as array:
        run = program.run(raster, target="pynq", overlay=SimulatedBoard(array))
    assert compare(program.run(raster), run).equal


class Recorder:
    """Keeps the words of every transfer that a board's DMA is given to send."""

    def __init__(self, board):
        self.transfers = []
        self._transfer = board.dma.sendchannel.transfer
        board.dma.sendchannel.transfer = self._record

    def _record(self, buffer, nbytes):
        self.transfers.append(np.array(buffer[: nbytes // 8]))
        self._transfer(buffer, nbytes=nbytes)

    def samples(self):
        """Return the samples of each transfer that carries some."""
        found = []
        for words in self.transfers:
            syncs = words[words >> np.uint64(OP_OFFSET) == InOp.SYNC]
            more = (syncs & np.uint64(SYNC_MORE)).astype(bool)
            assert words[-1] == syncs[-1], "no transfer ends within a sample"
            assert more[:-1].all() and not more[-1], "and its last sample ends the answer"
            if (words >> np.uint64(OP_OFFSET) == InOp.EVENT_LAST).any():
                found.append(syncs.size)
        return found


def test_samples_share_a_transfer_as_far_as_buffers_go(small, program):
    inputs = small.inputs_of(program, n_samples=120, n_steps=3)
    golden = get_target("golden").run(program, inputs)
    manifest = read_image(program.image).manifest
    sizes = sample_sizes(manifest, inputs)
    room = OutputStream(manifest).max_words(3, probe=False)
    with small.array_of() as array:
        for buffer_bytes in (8 << 20, 8 * 1500, 8 * int(sizes.max()), 8):
            board = SimulatedBoard(array, cycles=5000)
            sent = Recorder(board)
            target = PynqTarget(overlay=board, buffer_bytes=buffer_bytes)
            assert compare(golden, target.run(program, inputs)).equal
            samples = sent.samples()
            assert sum(samples) == 120
            limit = buffer_bytes // 8
            if limit > sizes.sum() + 120 * room:
                assert samples == [120]
            if limit < room:
                assert samples == [1] * 120
            start = 0
            for n in samples[:-1]:
                words, more = sizes[start : start + n].sum(), sizes[start : start + n + 1].sum()
                assert n == 1 or (words <= limit and n * room <= limit)
                assert more > limit or (n + 1) * room > limit, "one more would not fit"
                start += n


def test_a_small_dma_carries_fewer_samples_at_a_time(small, link_to, program):
    inputs = small.inputs_of(program, n_samples=9)
    golden = get_target("golden").run(program, inputs)
    with small.array_of() as array:
        board = SimulatedBoard(array)
        with link_to(board) as link:
            driver = Driver(link, preset(small.hw))
            driver.load(read_image(program.image))
            sizes = []
            transfer = board.dma.sendchannel.transfer
            board.dma.sendchannel.transfer = lambda buffer, nbytes: (
                sizes.append(nbytes),
                transfer(buffer, nbytes=nbytes),
            )
            result = driver.run(inputs)
            whole = max(sizes)
            board.dma.buffer_max_size = whole // 2
            sizes.clear()
            again = driver.run(inputs)
            assert max(sizes) <= whole // 2
            board.dma.buffer_max_size = 64
            with pytest.raises(BackendError, match="words in one transfer, not"):
                driver.run(inputs)
    for outputs in (result, again):
        for name, spikes in outputs.spikes.items():
            assert_array_equal(spikes, golden.spikes[name])


def test_buffers_are_used_again(small, link_to, program):
    inputs = small.inputs_of(program)
    with small.array_of() as array:
        board = SimulatedBoard(array)
        allocated = []
        allocate = board.allocate
        board.allocate = lambda *args, **options: (
            allocated.append(args),
            allocate(*args, **options),
        )[1]
        with link_to(board) as link:
            driver = Driver(link, preset(small.hw))
            driver.load(read_image(program.image))
            for _ in range(5):
                driver.run(inputs)
            assert len(allocated) == 2


def test_a_buffer_that_cannot_grow_is_not_used_after_it_was_freed(small, link_to, program):
    with small.array_of() as array:
        board = SimulatedBoard(array)
        link = link_to(board)
        driver = Driver(link, preset(small.hw))
        driver.load(read_image(program.image))
        allocate = board.memory.allocate

        def refuse(*args, **options):
            raise MemoryError("no contiguous memory")

        link._buffers._allocate = refuse
        many = np.concatenate(
            [np.repeat(sync_word(reset=False, more=True), 5000), sync_word(reset=False)]
        )
        with pytest.raises(MemoryError):
            link.run(many, room=5001)
        link._buffers._allocate = allocate
        assert link.run(sync_word(reset=False), room=1).size == 1
        assert link.run(many, room=5001).size == 5001
        link.close()
        assert board.memory.n_buffers == 0


def test_words_that_end_no_transfer_are_refused(small, link_to, program):
    with small.array_of() as array:
        link = link_to(SimulatedBoard(array))
        for words in (np.empty(0, np.uint64), sync_word(reset=True, more=True)):
            with pytest.raises(ValueError, match="must end with a SYNC"):
                link.run(words, room=1)


def test_ctrl_c_leaves_an_array_to_load(small, program):
    inputs = small.inputs_of(program)
    golden = get_target("golden").run(program, inputs)

    def interrupted(seconds):
        raise KeyboardInterrupt

    with small.array_of() as array:
        board = SimulatedBoard(array, cycles=1)
        with DmaTransport(
            board.mmio, board.dma, board.allocate, clock=small.Ticks(), sleep=interrupted
        ) as link:
            driver = Driver(link, preset(small.hw))
            with pytest.raises(KeyboardInterrupt):
                driver.load(read_image(program.image))
            with pytest.raises(BackendError, match="no image; load one first"):
                driver.run(inputs)
            link._sleep = lambda seconds: None
            driver.load(read_image(program.image))
            for name, spikes in driver.run(inputs).spikes.items():
                assert_array_equal(spikes, golden.spikes[name])


def test_another_array_is_refused(small, link_to, program):
    other = small.program_of([30, 24, 10], hw="tiny_1x1")
    with small.array_of() as array:
        board = SimulatedBoard(array)
        with pytest.raises(BackendError, match="HARDWARE_HASH must be"):
            PynqTarget(overlay=board).run(other, small.inputs_of(other))
        with link_to(board) as link, pytest.raises(ImageError):
            Driver(link, preset(small.hw)).load(read_image(other.image))


def test_a_dma_of_one_direction_is_refused(small, program):
    with small.array_of() as array:
        board = SimulatedBoard(array)
        board.dma.recvchannel = None
        with pytest.raises(BackendError, match="both channels, but has no recvchannel"):
            PynqTarget(overlay=board).run(program, small.inputs_of(program))


def test_a_target_needs_one_of_bitfile_and_overlay():
    for options in ({}, {"bitfile": "a.bit", "overlay": object()}):
        with pytest.raises(BackendError, match=r"either bitfile= .* or overlay="):
            PynqTarget(**options)


def test_ten_thousand_samples_back_to_back(small, link_to):
    """The golden model behind the streams: what counts is that nothing is lost or mixed up."""
    program = small.program_of([20, 16, 4])
    image = read_image(program.image)
    inputs = small.inputs_of(program, n_steps=3, n_samples=10_000)
    golden = get_target("golden").run(program, inputs)
    board = SimulatedBoard(GoldenArray(program.network, image))
    with link_to(board) as link:
        driver = Driver(link, image.params)
        driver.load(image)
        driver.verify()
        runs = [driver.run(inputs, batch=batch) for batch in (7, 1000, None)]
        runs.append(asyncio.run(driver.run_async(inputs)))
    for run in runs:
        assert run.spikes.keys() == golden.spikes.keys()
        for name, spikes in run.spikes.items():
            assert spikes.any()
            assert_array_equal(spikes, golden.spikes[name])
