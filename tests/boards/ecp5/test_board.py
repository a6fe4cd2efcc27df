"""Programs on the verilated ULX3S, through its serial pins: what runs equals the golden model."""

from pathlib import Path

import numpy as np
import pytest

from talon.arch.params import preset
from talon.backend.inputs import prepare_inputs
from talon.backend.programs import compile as compile_graph
from talon.compiler.compile import program_of
from talon.compiler.inputs import quantize_inputs
from talon.compiler.mapping import map_network
from talon.errors import BackendError, ImageError
from talon.image.container import read_image
from talon.image.driver import Driver
from talon.ir import read
from talon_boards.ecp5.ulx3s import TOP, Ulx3sConfig, ulx3s_verilog
from talon_serial.target import SerialTarget
from talon_serial.testing import FaultyPort
from talon_serial.transport import SerialTransport
from talon_sim.cosim.serial import SimulatedPort, build_board
from talon_sim.golden.target import GoldenTarget
from talon_sim.testing import random_network, random_payloads
from talon_sim.trace import compare

pytestmark = pytest.mark.cosim
CELLS = Path(__file__).with_name("cells.v")
MNIST = Path(__file__).parents[3] / "examples" / "mnist"
QUICK = Ulx3sConfig(params=preset("tiny_1x1"), clock_mhz=25, baud=4_000_000)
PATIENCE = {"patience_s": 1e-3, "stall_s": 2e-3}


def library_of(config):
    verilog = CELLS.read_text() + ulx3s_verilog(config)
    return build_board(verilog, TOP, clock="clk_25mhz", rx="ftdi_txd", tx="ftdi_rxd")


def board(config, *, off=0.0):
    """Return a board at power-up; the host's baud rate may be off by a share."""
    baud = config.baud * (1 + off)
    return SimulatedPort(library_of(config), clock_hz=config.clock_hz, baud=baud)


def some_program(seed=3, hw="tiny_1x1", n_steps=6, n_samples=3):
    rng = np.random.default_rng(seed)
    network = random_network(rng, max_neurons=8, max_populations=2)
    inputs = random_payloads(rng, network, n_steps=n_steps, n_samples=n_samples)
    placed = map_network(network, preset(hw), objective="latency")
    return program_of(placed, graph_hash=bytes(32), report={}), inputs


def run(program, inputs, port, clock, config=QUICK, **options):
    target = SerialTarget(
        port=port, baud=config.baud, clock=clock, **{**PATIENCE, "n_repeats": 40, **options}
    )
    return target.run(program, inputs, probe=True)


def assert_equal_golden(program, inputs, trace):
    result = compare(GoldenTarget().run(program, inputs, probe=True), trace)
    assert result.equal, result.first
    assert trace.counters["spikes"] > 0


@pytest.mark.parametrize("off", [-0.02, 0, 0.02])
def test_a_program_equals_golden(off):
    program, inputs = some_program()
    with board(QUICK, off=off) as port:
        trace = run(program, inputs, port, port.clock, verify=True)
    assert_equal_golden(program, inputs, trace)
    assert trace.cycles.min() > 0


def test_two_runs_are_the_same():
    program, inputs = some_program(seed=4)
    with board(QUICK) as port:
        first = run(program, inputs, port, port.clock)
        again = run(program, inputs, port, port.clock)
    assert compare(first, again).equal
    assert first.cycles.tolist() == again.cycles.tolist()
    assert first.cores == again.cores


@pytest.mark.parametrize("seed", range(2))
def test_accidents_on_the_line_change_nothing(seed):
    program, inputs = some_program(seed=5)
    rates = dict.fromkeys(("flip", "lose", "add", "gap"), 1e-3) | {"cut": 0.15, "mute": 0.15}
    with board(QUICK) as port:
        faulty = FaultyPort(port, rates, seed=seed)
        trace = run(program, inputs, faulty, port.clock, frame_words=32)
    assert_equal_golden(program, inputs, trace)
    assert sum(faulty.accidents.values()) > 10


def test_an_image_for_another_array_is_refused():
    program, inputs = some_program(hw="tiny_2x2")
    with board(QUICK) as port, pytest.raises((BackendError, ImageError), match="tiny_2x2"):
        run(program, inputs, port, port.clock)


def test_a_board_that_is_configured_anew_is_noticed():
    program, _ = some_program()
    with board(QUICK) as port, board(QUICK) as other:
        transport = SerialTransport(port, baud=QUICK.baud, clock=port.clock, **PATIENCE)
        driver = Driver(transport, QUICK.params)
        driver.load(read_image(program.image))
        transport._link._port, transport._link._clock = other, other.clock
        with pytest.raises(BackendError, match=r"^Array refused a READ: it has lost count of the"):
            transport.read("ID")


@pytest.mark.slow
def test_mnist_on_four_cores_equals_golden():
    config = Ulx3sConfig()
    with np.load(MNIST / "test_images.npz") as data:
        images, n_steps = data["images"][:2] * data["scale"], int(data["n_steps"])
    options = {"layout": "images", "n_steps": n_steps}
    graph = read(MNIST / "mnist_784_128_10.t1c")
    program = compile_graph(graph, hw=config.params.name, calibration=images, **options)
    data = prepare_inputs(program.inputs, images, n_steps, layout="images")
    inputs = quantize_inputs(program.network, data.values)
    assert len(read_image(program.image).cores) == 4
    with board(config) as port:
        trace = run(program, inputs, port, port.clock, config, verify=True)
    assert_equal_golden(program, inputs, trace)
