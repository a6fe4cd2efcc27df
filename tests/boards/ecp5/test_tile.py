"""The tile of the bitstream, with its neuron records in block RAM, is the tile of all others."""

import numpy as np
import pytest

from talon.arch.params import ECP5_2X2, preset
from talon.compiler.compile import program_of
from talon.compiler.mapping import map_network
from talon_boards.ecp5.ulx3s import ulx3s_tile
from talon_hdl.emit import array_verilog
from talon_hdl.serial.top import tile_verilog
from talon_hdl.top import TOP, ArrayTop
from talon_hdl.verilog import component_verilog
from talon_sim.cosim.build import build_array
from talon_sim.cosim.target import CosimTarget
from talon_sim.golden.target import GoldenTarget
from talon_sim.testing import random_network, random_payloads
from talon_sim.trace import compare

BLOCK = 'ram_style = "block"'


def program(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng, max_neurons=8, max_populations=2)
    inputs = random_payloads(rng, network, n_steps=8, n_samples=2)
    placed = map_network(network, ECP5_2X2, objective="latency")
    return program_of(placed, graph_hash=bytes(32), report={}), inputs


@pytest.mark.cosim
def test_it_does_the_same_in_the_same_cycles():
    tiles = [tile_verilog(ECP5_2X2), ulx3s_tile(ECP5_2X2)]
    assert tiles[1].count(BLOCK) == tiles[0].count(BLOCK) + ECP5_2X2.update_lanes
    texts = [array_verilog(ECP5_2X2), tiles[1] + component_verilog(ArrayTop(ECP5_2X2), TOP)]
    libraries = [build_array(text) for text in texts]
    targets = [CosimTarget(library=lambda _, path=path: path, verify=True) for path in libraries]
    n_spikes = 0
    for seed in range(3):
        compiled, inputs = program(seed)
        golden = GoldenTarget().run(compiled, inputs, probe=True)
        usual, ours = (target.run(compiled, inputs, probe=True) for target in targets)
        assert compare(golden, ours).equal
        n_spikes += ours.counters["spikes"]
        assert ours.cycles.tolist() == usual.cycles.tolist()
        assert ours.cores == usual.cores
    assert n_spikes > 0


def test_shallow_records_stay_in_distributed_ram():
    params = preset("tiny_1x1")
    assert ulx3s_tile(params) == tile_verilog(params)
