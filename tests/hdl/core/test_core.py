from dataclasses import asdict, replace
from pathlib import Path

import pytest

from talon.arch.params import ArrayParams, preset
from talon_hdl.core.core import NeuronCore
from talon_hdl.verilog import component_verilog
from talon_sim.cosim.coverage import assert_covered
from talon_sim.cosim.runner import run_cocotb

BENCH = Path(__file__).with_name("cocotb_core.py")
PRIMITIVES = Path(__file__).with_name("primitives.v")
SMALL = replace(preset("tiny_2x2"), name="small", n_neurons=48, n_groups=3, n_slots=4, max_delay=2)


each_core = pytest.mark.parametrize(
    ("params", "position", "trials"),
    [
        (preset("tiny_1x1"), (0, 0), 9),
        (replace(preset("zynq_us_plus"), n_neurons=128), (5, 2), 5),
        (SMALL, (1, 0), 7),
        (ArrayParams(columns=3, rows=3, n_neurons=64, lanes=8, update_lanes=1), (2, 1), 5),
        (replace(preset("tiny_2x2"), synaptic_current=True), (0, 1), 3),
        (replace(preset("tiny_2x2_syn"), double_threshold=True), (1, 1), 6),
        (preset("tiny_2x2_int4"), (1, 0), 5),
    ],
    ids=["tiny", "16-lanes", "48-neurons", "8-lanes", "currents", "currents-doubles", "int4"],
)


def follows_the_contract(params, position, trials):
    result = run_cocotb(
        "core",
        component_verilog(NeuronCore(params), "core"),
        BENCH,
        parameters={"params": asdict(params), "position": position, "trials": trials},
    )
    assert len(result.tests) == 4
    assert_covered(result.coverage)


@pytest.mark.cosim
@each_core
def test_core_follows_the_contract_under_random_traffic(params, position, trials):
    follows_the_contract(params, position, trials)


@pytest.mark.cosim
@pytest.mark.slow
@each_core
def test_core_follows_the_contract_under_more_random_traffic(params, position, trials):
    follows_the_contract(params, position, 4 * trials)


@pytest.mark.cosim
@pytest.mark.parametrize(
    "options",
    [{}, {"synaptic_current": True}, {"int4": True, "lanes": 32}],
    ids=["plain", "currents", "int4-32-lanes"],
)
def test_core_of_device_primitives_follows_the_contract(options):
    # The words reach into the third URAM of the cascade.
    params = replace(preset("zynq_us_plus"), n_neurons=128, **options)
    result = run_cocotb(
        "core",
        [component_verilog(NeuronCore(params, synthesis=True), "core"), PRIMITIVES],
        BENCH,
        parameters={"params": asdict(params), "position": (7, 3), "trials": 2, "n_words": 4300},
    )
    assert len(result.tests) == 4


@pytest.mark.cosim
@pytest.mark.parametrize(
    "params",
    [
        preset("tiny_1x1"),
        pytest.param(preset("tiny_2x2_syn"), marks=pytest.mark.slow),
        pytest.param(replace(preset("ecp5_2x2"), weight_words=1024), marks=pytest.mark.slow),
    ],
    ids=["tiny", "currents", "ecp5"],
)
def test_core_with_records_in_block_ram_follows_the_contract(params):
    text = component_verilog(NeuronCore(params, block_records=True), "core")
    n_blocks = [each.count('ram_style = "block"') for each in (plain(params), text)]
    assert n_blocks[1] == n_blocks[0] + params.update_lanes
    facts = {"params": asdict(params), "position": (0, 0), "trials": 5}
    result = run_cocotb("core", text, BENCH, parameters=facts)
    assert len(result.tests) == 4


def plain(params):
    return component_verilog(NeuronCore(params), "core")


MAP = replace(preset("zynq_us_plus_map"), columns=1, rows=1, n_neurons=256, weight_words=1024)


@pytest.mark.cosim
@pytest.mark.parametrize(
    ("params", "trials"),
    [
        (preset("tiny_2x2_map"), 16),
        (preset("tiny_2x2_multi"), 24),
        (preset("tiny_2x2_int4_map"), 16),
        (preset("tiny_2x2_table"), 28),
        pytest.param(MAP, 14, marks=pytest.mark.slow),
    ],
    ids=["tiny", "tiny-counting", "tiny-int4", "tiny-tables", "16-lanes"],
)
def test_core_with_maps_follows_the_contract(params, trials):
    text = component_verilog(NeuronCore(params), "core")
    facts = {"params": asdict(params), "position": (0, 0), "trials": trials}
    result = run_cocotb("core", text, BENCH.with_name("cocotb_map_core.py"), parameters=facts)
    assert len(result.tests) == 2
    assert_covered(result.coverage)
    run_cocotb("core", text, BENCH, parameters=facts, testcase="core_refuses_what_is_not_whole")


@pytest.mark.cosim
@pytest.mark.slow
def test_core_with_maps_and_records_in_block_ram_follows_the_contract():
    params = preset("tiny_2x2_multi")
    text = component_verilog(NeuronCore(params, block_records=True), "core")
    facts = {"params": asdict(params), "position": (0, 0), "trials": 8}
    result = run_cocotb("core", text, BENCH.with_name("cocotb_map_core.py"), parameters=facts)
    assert len(result.tests) == 2
