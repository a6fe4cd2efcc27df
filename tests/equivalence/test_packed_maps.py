"""Maps whose pixels share rows of lanes: golden model = interpreter = RTL, value for value.

Maps of 1 to 12 channels in random networks and graphs, and named blocks: depthwise, pooled, joined,
recurrent, with lanes of 4, 16 and 32. Every block takes the cycles predicted.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talon.backend.performance import performance_of_passes
from talon.backend.programs import compile as compile_graph
from talon.backend.target import get_target
from talon.compiler.inputs import quantize_inputs
from talon.errors import MappingError
from talon.testing import random_inputs, random_map_graph
from talon.testing.blocks import BLOCKS
from talon_sim.cosim.fast import BackPressure
from talon_sim.cosim.target import CosimTarget
from talon_sim.testing import assert_same_run, pressures, random_map_program

seeds = st.integers(0, 2**32 - 1)


def packed_tiles(program):
    """Return the tiles of the groups whose pixels share rows of lanes."""
    groups = [group for one in program.passes for group in one.manifest["groups"]]
    return [group["tile"] for group in groups if group["tile"] and "pixels" in group["tile"]]


def program_of_network(seed, hw, objective):
    """Return a network of packed maps as a program, and payloads: the first that fits."""
    rng = np.random.default_rng(seed)
    for _ in range(40):
        limits = {"max_channels": 12, "max_size": int(rng.integers(4, 15)), "odd": 0.3}
        try:
            found = random_map_program(rng, hw, objective=objective, max_steps=8, **limits)
        except MappingError:
            continue
        if packed_tiles(found[0]):
            return found
    raise AssertionError


def check(program, payloads, target):
    golden = get_target("golden").run(program, payloads, probe=True)
    assert_same_run(golden, target.run(program, payloads, probe=True), program)


@settings(max_examples=50)
@given(
    seed=seeds,
    hw=st.sampled_from(["zynq_2x2_map", "zynq_2x2_int4", "tiny_2x2_multi", "tiny_2x2_table"]),
    objective=st.sampled_from(["latency", "cores", "traffic"]),
    order=st.integers(0, 2**31),
)
def test_interpreter_is_golden_on_networks(seed, hw, objective, order):
    program, payloads = program_of_network(seed, hw, objective)
    check(program, payloads, get_target("interpreter", seed=order))


def test_interpreter_is_golden_on_graphs():
    tiles = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        graph = random_map_graph(rng, max_channels=8)
        raster = random_inputs(rng, graph, 5, 2, rate=0.3)
        program = compile_graph(graph, hw="zynq_2x2_map", calibration=raster, objective="cores")
        tiles += packed_tiles(program)
        check(program, quantize_inputs(program.network, raster), get_target("interpreter", seed=1))
    assert len(tiles) > 12
    assert any(tile["window"] > 1 for tile in tiles)


@pytest.mark.cosim
@pytest.mark.parametrize(
    ("hw", "n_examples"),
    [("tiny_2x2_map", 12), ("tiny_2x2_int4_map", 6), ("zynq_2x2_map", 8), ("zynq_2x2_int4", 4)],
)
def test_rtl_is_golden_on_networks(hw, n_examples):
    @settings(max_examples=n_examples)
    @given(seed=seeds, objective=st.sampled_from(["latency", "cores"]), pressure=pressures())
    def check_examples(seed, objective, pressure):
        program, payloads = program_of_network(seed, hw, objective)
        check(program, payloads, CosimTarget(pressure=pressure))

    check_examples()


@pytest.mark.cosim
@pytest.mark.parametrize(
    ("block", "hw", "channels"),
    [
        ("separable", "zynq_2x2_map", 4),
        ("pyramid", "zynq_2x2_map", 4),
        ("ghost", "zynq_2x2_map", 4),
        ("recurrent maps", "zynq_2x2_map", 2),
        ("separable", "zynq_2x2_int4", 8),
        ("pyramid", "zynq_2x2_map", 3),
        ("recurrent maps", "zynq_2x2_map", 6),
        ("residual", "zynq_2x2_map", 12),
        ("pyramid", "zynq_2x2_int4", 12),
    ],
)
@pytest.mark.parametrize("objective", ["latency", "cores"])
def test_narrow_block_is_exact_on_rtl_in_the_predicted_cycles(block, hw, channels, objective):
    graph = BLOCKS[block](channels, 8)
    raster = random_inputs(np.random.default_rng(1), graph, 6, 2, rate=0.3)
    program = compile_graph(graph, hw=hw, calibration=raster, objective=objective)
    payloads = quantize_inputs(program.network, raster)
    tiles = packed_tiles(program)
    assert tiles
    assert (block == "separable") == any(tile["window"] > 1 for tile in tiles)
    pressure = BackPressure(seed=3, gap_in=0.3, gap_out=0.5, burst=5)
    check(program, payloads, CosimTarget(pressure=pressure))
    cycles = np.sum([one.cycles for one in performance_of_passes(program, payloads)], axis=0)
    free = CosimTarget().run(program, payloads)
    assert cycles.tolist() == free.cycles.tolist()
