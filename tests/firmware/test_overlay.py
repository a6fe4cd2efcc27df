"""TalonOverlay itself: PYNQ loads a bitstream, and finds array, DMA, clock and interrupts.

The .hwh is made of what our own scripts say to Vivado, which is read by PYNQ's parser; the device
below PYNQ is a simulated board. What is left to a real board is said in docs/hardware/pynq.md.
"""

import asyncio
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

pynq = pytest.importorskip("pynq", reason="needs PYNQ: make test-pynq", exc_type=ImportError)

from pynq.lib.dma import DMA  # noqa: E402

from talon.arch import registers  # noqa: E402
from talon.backend.target import get_target  # noqa: E402
from talon.errors import BackendError  # noqa: E402
from talon.image.container import read_image  # noqa: E402
from talon.image.driver import StalledError  # noqa: E402
from talon_pynq.overlay import TalonArray, TalonOverlay  # noqa: E402
from talon_sim.board.device import uio_of  # noqa: E402
from talon_sim.board.faults import Fault  # noqa: E402
from talon_sim.trace import compare  # noqa: E402

pytestmark = [
    pytest.mark.cosim,
    pytest.mark.skipif(
        shutil.which("tclsh") is None, reason="tclsh is not installed: apt-get install tcl"
    ),
    pytest.mark.filterwarnings("ignore:Interrupt .* not created:UserWarning"),
]


@pytest.fixture
def case(small):
    program = small.program_of([30, 24, 10])
    inputs = small.inputs_of(program, n_samples=6)
    return read_image(program.image), inputs, get_target("golden").run(program, inputs), program


def check(decoded, golden):
    for name, spikes in decoded.spikes.items():
        assert_array_equal(spikes, golden.spikes[name])


def test_pynq_finds_everything(board_of, bit):
    device = board_of()
    with TalonOverlay(bit()) as overlay:
        assert len(device.downloads) == 1, "the bitstream is loaded"
        assert isinstance(overlay.array, TalonArray)
        assert isinstance(overlay.mmio, pynq.MMIO)
        assert overlay.array is overlay.talon_array_0
        assert isinstance(overlay.dma, DMA)
        assert (overlay.mmio.base_addr, overlay.mmio.length) == (0xA000_0000, 4096)
        assert overlay.dma.mmio.base_addr == 0xA001_0000
        assert overlay.dma.buffer_max_size == (1 << 26) - 1
        assert overlay.interrupt_pins["talon_array_0/irq"]["index"] == 2
        assert overlay.interrupt_controllers["axi_intc_0"]["raw_irq"] == 121
        assert overlay.array.read("ID") == registers.ID
        listed = overlay.ip_dict["talon_array_0"]["registers"]
        assert listed["PERMIT_INIT_3"]["address_offset"] == registers.address("PERMIT_INIT", 3)


def test_the_clock_is_read_back(board_of, bit, monkeypatch):
    board_of()
    overlay = TalonOverlay(bit())
    assert overlay.designed_mhz == pytest.approx(249.997498)
    assert overlay.clock_mhz == pytest.approx(249.9975, abs=1e-3), "a sixth of the PLL"
    pynq.Clocks.fclk0_mhz = 125
    assert overlay.clock_mhz == pytest.approx(124.99875, abs=1e-3)
    seconds = iter([10.0, 10.5])
    cycles = iter([0xFFFF_FFF0, 0xFFFF_FFF0 + 62_500_000 & 0xFFFF_FFFF])
    monkeypatch.setattr("talon_pynq.overlay.time.perf_counter", lambda: next(seconds))
    monkeypatch.setattr("talon_pynq.overlay.time.sleep", lambda _: None)
    monkeypatch.setattr(overlay.array, "read", lambda name: next(cycles))
    assert overlay.array.measured_mhz() == pytest.approx(125.0)


def test_a_clock_that_is_too_fast_is_refused(board_of, bit):
    board_of()
    path = bit()
    TalonOverlay(path)
    pynq.Clocks.fclk0_mhz = 300
    with pytest.raises(BackendError, match=r"must be 249.997 MHz at most, .* not 299.997 MHz"):
        TalonOverlay(path, download=False)
    TalonOverlay(path)
    silent = bit(lambda text: text.replace("PL0_REF_CTRL__ACT_FREQMHZ", "OTHER"))
    pynq.Clocks.fclk0_mhz = 300
    assert TalonOverlay(silent, download=False).designed_mhz is None


@pytest.mark.parametrize("probe", [False, True])
def test_runs_are_golden(board_of, bit, case, probe):
    board_of()
    image, inputs, _, program = case
    golden = get_target("golden").run(program, inputs, probe=probe)
    path = bit()
    with TalonOverlay(path) as overlay:
        overlay.load(image, verify=True)
        for _ in range(2):
            check(overlay.run(inputs, probe=probe), golden)
    target = get_target("pynq", bitfile=path)
    assert compare(golden, target.run(program, inputs, probe=probe)).equal


def test_program_run_takes_the_path_of_a_bitstream(board_of, bit, small):
    device = board_of()
    program = small.program_of([30, 24, 10])
    raster = np.random.default_rng(2).random((6, 3, 30)) < 0.3
    run = program.run(raster, target="pynq", bitfile=bit(), verify=True)
    assert compare(program.run(raster), run).equal
    assert len(device.downloads) == 1


def test_interrupts_of_pynq_end_the_wait(board_of, bit, case):
    image, inputs, golden, _ = case

    async def run():
        device = board_of()
        async with uio_of(device):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                overlay = TalonOverlay(bit(), timeout=60)
            assert set(overlay._link._interrupts) == {"DMA MM2S", "DMA S2MM", "array"}
            overlay._link._look = 60  # so that it is they that end the wait
            await overlay.load_async(image, verify=True)
            for _ in range(3):
                check(await overlay.run_async(inputs, batch=2), golden)
            device.board.inject(Fault(kind="receive_error", transfer=1, at=2))
            with pytest.raises(BackendError, match="DMA S2MM reports halted, decode error"):
                await overlay.run_async(inputs)
            device.board.inject(None)
            await overlay.load_async(image)
            task = asyncio.ensure_future(overlay.run_async(inputs))
            for _ in range(5):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await overlay.load_async(image)
            check(await overlay.run_async(inputs), golden)
            overlay.close()
            assert device.board.memory.n_buffers == 0

    asyncio.run(asyncio.wait_for(run(), 120))


def test_the_interrupt_of_the_array_reaches_pynq(board_of, bit):
    async def run():
        device = board_of()
        async with uio_of(device):
            overlay = TalonOverlay(bit())
            waiting = asyncio.ensure_future(overlay.array.irq.wait())
            for _ in range(50):
                await asyncio.sleep(0)
            assert not waiting.done()
            device.board._dma._array.step(np.array([7 << 61], np.uint64), room=0, cycles=50)
            assert overlay.array.read("STATUS")
            await asyncio.wait_for(waiting, 30)
            overlay.mmio.write(registers.address("CONTROL"), 1)
            waiting = asyncio.ensure_future(overlay.array.irq.wait())
            for _ in range(200):
                await asyncio.sleep(0)
            spurious = waiting.done()  # the controller may have kept what was high before
            waiting = asyncio.ensure_future(overlay.array.irq.wait()) if spurious else waiting
            for _ in range(200):
                await asyncio.sleep(0)
            assert not waiting.done()
            waiting.cancel()

    asyncio.run(asyncio.wait_for(run(), 120))


def test_without_interrupts_that_pynq_can_bind_registers_are_looked_at(board_of, bit, case):
    """The concatenation of recent Vivado is text in place of a core, which PYNQ does not follow."""
    image, inputs, golden, _ = case

    async def run():
        board_of()
        overlay = TalonOverlay(bit(STUB_WITHOUT="xilinx.com:ip:xlconcat*"))
        assert not overlay._link._interrupts
        await overlay.load_async(image)
        check(await overlay.run_async(inputs), golden)

    asyncio.run(run())


def test_a_stall_is_reported(board_of, bit, case):
    device = board_of()
    image, inputs, golden, _ = case
    overlay = TalonOverlay(bit(), timeout=0.1)
    overlay.load(image)
    device.board.inject(Fault(kind="send_stalls", transfer=1, at=1))
    with pytest.raises(StalledError, match=r"STATUS: .*FIFO in_words=.*DMA MM2S"):
        overlay.run(inputs)
    device.board.inject(None)
    overlay.load(image)
    check(overlay.run(inputs), golden)


def test_an_image_for_other_hardware_is_refused(board_of, bit, small):
    board_of()
    other = read_image(small.program_of([30, 24, 10], hw="tiny_1x1").image)
    overlay = TalonOverlay(bit())
    with pytest.raises(BackendError, match=r"HARDWARE_HASH must be .* for 'tiny_1x1', not 0x"):
        overlay.load(other)
    with pytest.raises(BackendError, match="no program; load an image first"):
        overlay.run({})


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (("talon-snn.org:talon:talon_array:1.0", "acme.org:x:other:1.0"), r"one array .*, not 0"),
        (("xilinx.com:ip:axi_dma:7.1", "acme.org:x:mover:1.0"), r"one DMA .*, not 0"),
    ],
)
def test_a_bitstream_of_something_else_is_refused(board_of, bit, change, match):
    board_of()
    with pytest.raises(BackendError, match=match):
        TalonOverlay(bit(lambda text: text.replace(*change)))


@pytest.mark.filterwarnings("ignore:IP talon_array_0 is of type:UserWarning")
def test_an_array_of_another_version_is_refused(board_of, bit):
    board_of()
    path = bit(lambda text: text.replace("talon_array:1.0", "talon_array:2.0"))
    with pytest.raises(BackendError, match=r"one array .*, not 0"):
        TalonOverlay(path)


@pytest.mark.parametrize("register", ["ID", "VERSION"])
def test_registers_of_something_else_are_refused(board_of, bit, register, monkeypatch):
    device = board_of()
    at, read = registers.address(register), device.board.mmio.read
    monkeypatch.setattr(
        device.board.mmio, "read", lambda offset: 77 if offset == at else read(offset)
    )
    with pytest.raises(BackendError, match=rf"register {register} must be 0x\w+, not 0x4d: .*bit"):
        TalonOverlay(bit())


def test_a_dma_of_one_direction_is_refused(board_of, bit):
    board_of()
    path = bit(
        lambda text: text.replace('"c_include_s2mm" VALUE="1"', '"c_include_s2mm" VALUE="0"')
    )
    with pytest.raises(BackendError, match="both channels, but has no recvchannel"):
        TalonOverlay(path)


def test_an_overlay_whose_place_was_taken_is_refused(board_of, bit, case):
    board_of()
    image, inputs, *_ = case
    path = bit()
    first = TalonOverlay(path)
    first.load(image)
    second = TalonOverlay(path)
    for use in (lambda: first.run(inputs), lambda: first.load(image)):
        with pytest.raises(BackendError, match="loaded no more: another has taken its place"):
            use()
    second.load(image)


def test_a_target_loads_its_bitstream_again_where_another_took_its_place(board_of, bit, case):
    device = board_of()
    _, inputs, golden, program = case
    path = bit()
    by_path = get_target("pynq", bitfile=path)
    assert compare(golden, by_path.run(program, inputs, probe=False)).equal
    overlay = TalonOverlay(path)
    by_overlay = get_target("pynq", overlay=overlay)
    assert compare(golden, by_overlay.run(program, inputs, probe=False)).equal
    assert len(device.downloads) == 2
    assert compare(golden, by_path.run(program, inputs, probe=False)).equal
    assert compare(golden, by_path.run(program, inputs, probe=False)).equal
    assert len(device.downloads) == 3
    with pytest.raises(BackendError, match="Overlay of target 'pynq' is loaded no more"):
        by_overlay.run(program, inputs)


def test_memory_comes_from_the_device_of_the_overlay(board_of, bit, case):
    device = board_of()
    image, *_ = case
    path = bit()
    other = board_of()  # is the active one now
    TalonOverlay(path)  # PYNQ looks there for the pins of interrupts
    with TalonOverlay(path, device=device) as overlay:
        overlay.load(image)
        assert (device.board.memory.n_buffers, other.board.memory.n_buffers) == (2, 0)


def test_missing_files_are_named(board_of, bit, tmp_path):
    board_of()
    with pytest.raises(OSError, match=r"none\.bit does not exist"):
        TalonOverlay(str(tmp_path / "none.bit"))


def test_nothing_heavy_comes_with_the_overlay():
    code = (
        "import sys, talon_pynq.overlay; heavy = {'talon.compiler', 'h5py', 'rustworkx', 'scipy'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
