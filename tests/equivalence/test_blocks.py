"""Named blocks on the RTL: exact under back-pressure, and in the cycles that are predicted."""

import numpy as np
import pytest

from talon.backend.performance import performance_of_passes
from talon.backend.programs import compile as compile_graph
from talon.backend.target import get_target
from talon.compiler.inputs import quantize_inputs
from talon.testing import random_inputs
from talon.testing.blocks import BLOCKS
from talon_sim.cosim.fast import BackPressure
from talon_sim.cosim.target import CosimTarget
from talon_sim.testing import assert_same_run
from talon_sim.trace import compare

pytestmark = pytest.mark.cosim

PRESSURE = BackPressure(seed=3, gap_in=0.3, gap_out=0.5, burst=5)
N_STEPS, N_SAMPLES = 8, 2

small = pytest.mark.parametrize("size", [("tiny_2x2_map", 4, 4)], ids=["small"])
large = pytest.mark.parametrize("size", [("zynq_2x2_map", 16, 6)], ids=["large"])
each_block = pytest.mark.parametrize("block", BLOCKS)


def run(block, size):
    """Return a program, its payloads, and a golden run in which all layers say something."""
    hw, channels, width = size
    graph = BLOCKS[block](channels, width)
    raster = random_inputs(np.random.default_rng(1), graph, N_STEPS, N_SAMPLES, rate=0.3)
    program = compile_graph(graph, hw=hw, calibration=raster)
    payloads = quantize_inputs(program.network, raster)
    golden = get_target("golden").run(program, payloads, probe=True)
    assert all(0.02 < (values != 0).mean() < 0.98 for values in golden.spikes.values())
    return program, payloads, golden


def is_exact(block, size):
    program, payloads, golden = run(block, size)
    for target in (get_target("interpreter", seed=1), CosimTarget(pressure=PRESSURE)):
        other = target.run(program, payloads, probe=True)
        assert_same_run(golden, other, program)
        n_neurons = sum(population.n for population in program.network.populations)
        assert compare(golden, other).n_v_compared == n_neurons * N_STEPS * N_SAMPLES


def takes_the_predicted_cycles(block, size):
    program, payloads, _ = run(block, size)
    (predicted,) = performance_of_passes(program, payloads)
    rtl = CosimTarget().run(program, payloads)
    assert predicted.cycles.tolist() == rtl.cycles.tolist()


@small
@each_block
def test_block_is_exact_on_rtl(block, size):
    is_exact(block, size)


@small
@each_block
def test_block_takes_the_predicted_cycles(block, size):
    takes_the_predicted_cycles(block, size)


@pytest.mark.slow
@large
@each_block
def test_large_block_is_exact_on_rtl(block, size):
    is_exact(block, size)


@pytest.mark.slow
@large
@each_block
def test_large_block_takes_the_predicted_cycles(block, size):
    takes_the_predicted_cycles(block, size)
