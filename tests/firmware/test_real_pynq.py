"""PYNQ's own classes, its DMA driver and MMIO, on the simulated board, without an overlay.

A device of PYNQ is what gives its classes registers and memory; here a simulated board does.
"""

import numpy as np
import pytest

pynq = pytest.importorskip("pynq", reason="needs PYNQ: make test-pynq", exc_type=ImportError)

from pynq.lib.dma import DMA  # noqa: E402

from talon.arch import registers  # noqa: E402
from talon.backend.target import get_target  # noqa: E402
from talon.errors import BackendError  # noqa: E402
from talon.image.container import read_image  # noqa: E402
from talon.image.driver import Driver, StalledError  # noqa: E402
from talon_pynq.overlay import VLNV, TalonArray  # noqa: E402
from talon_pynq.target import PynqTarget  # noqa: E402
from talon_pynq.transport import DmaTransport  # noqa: E402
from talon_sim.board.board import SimulatedBoard  # noqa: E402
from talon_sim.board.device import BoardDevice  # noqa: E402
from talon_sim.board.faults import Fault  # noqa: E402
from talon_sim.trace import compare  # noqa: E402

pytestmark = pytest.mark.cosim

ARRAY, DMA_AT = 0xA000_0000, 0xA001_0000
DMA_PARAMETERS = {
    "c_include_mm2s": "1",
    "c_include_s2mm": "1",
    "c_include_sg": "0",
    "c_sg_length_width": "26",
    "c_m_axi_mm2s_data_width": "64",
    "c_m_axi_s2mm_data_width": "64",
    "c_include_mm2s_dre": "0",
    "c_include_s2mm_dre": "0",
    "c_micro_dma": "0",
}


class RealOverlay:
    """What an overlay gives the driver, made of PYNQ's own classes."""

    def __init__(self, array):
        self.board = SimulatedBoard(array)
        device = BoardDevice(self.board)
        self.array = TalonArray({"phys_addr": ARRAY, "addr_range": 0x1000, "device": device})
        self.mmio = self.array.mmio
        description = {
            "phys_addr": DMA_AT,
            "addr_range": 0x1_0000,
            "device": device,
            "parameters": DMA_PARAMETERS,
            "interrupts": {},
            "fullpath": "axi_dma_0",
        }
        self.dma = DMA(description)
        self.allocate = self.board.allocate


@pytest.fixture
def overlay(small):
    with small.array_of() as array:
        yield RealOverlay(array)


def test_pynq_binds_the_array():
    from pynq.overlay import _ip_drivers

    assert _ip_drivers[VLNV] is TalonArray
    assert _ip_drivers["xilinx.com:module_ref:talon_array:1.0"] is TalonArray


def test_registers_of_the_array(overlay):
    assert isinstance(overlay.mmio, pynq.MMIO)
    assert overlay.array.read("ID") == registers.ID
    overlay.mmio.write(registers.address("N_DESTS"), 5)
    assert overlay.array.read("N_DESTS") == 5


@pytest.mark.parametrize("probe", [False, True])
def test_runs_are_golden(small, overlay, probe):
    program = small.program_of([30, 24, 10])
    inputs = small.inputs_of(program, n_samples=6)
    golden = get_target("golden").run(program, inputs, probe=probe)
    target = PynqTarget(overlay=overlay, verify=True)
    runs = [target.run(program, inputs, probe=probe) for _ in range(2)]
    assert compare(golden, runs[0]).equal
    assert compare(*runs).equal


@pytest.mark.parametrize("kind", ["send_error", "receive_error", "send_stalls", "receive_stalls"])
def test_faults_are_reported_and_overcome(small, overlay, kind):
    program = small.program_of([30, 24, 10])
    inputs = small.inputs_of(program)
    clock = small.Ticks()
    link = DmaTransport(
        overlay.mmio,
        overlay.dma,
        overlay.allocate,
        timeout=0.05,
        clock=clock,
        sleep=clock.sleep,
    )
    image = read_image(program.image)
    driver = Driver(link, image.params)
    driver.load(image)
    overlay.board.inject(Fault(kind=kind, transfer=1, at=1))
    error = StalledError if kind.endswith("stalls") else BackendError
    with pytest.raises(error):
        driver.run(inputs)
    overlay.board.inject(None)
    driver.load(image)
    golden = get_target("golden").run(program, inputs)
    for name, spikes in driver.run(inputs).spikes.items():
        np.testing.assert_array_equal(spikes, golden.spikes[name])
