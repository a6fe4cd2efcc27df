from dataclasses import asdict, replace
from pathlib import Path

import pytest

from talon.arch.params import preset
from talon_hdl.neuron.engine import NeuronEngine
from talon_hdl.verilog import component_verilog
from talon_sim.cosim.coverage import assert_covered
from talon_sim.cosim.runner import run_cocotb

BENCH = Path(__file__).with_name("cocotb_engine.py")


@pytest.mark.cosim
@pytest.mark.parametrize(
    "params",
    [
        preset("tiny_1x1"),
        replace(preset("zynq_us_plus"), n_neurons=128),
        replace(preset("tiny_1x1"), synaptic_current=True),
        replace(preset("zynq_us_plus"), n_neurons=128, synaptic_current=True),
        replace(preset("tiny_1x1"), double_threshold=True),
    ],
    ids=["tiny", "16-lanes", "tiny-currents", "16-lanes-currents", "tiny-doubles"],
)
def test_engine_updates_groups_when_their_tokens_are_there(params):
    result = run_cocotb(
        "engine",
        component_verilog(NeuronEngine(params), "engine"),
        BENCH,
        parameters={"params": asdict(params), "trials": 8},
    )
    assert_covered(result.coverage)


@pytest.mark.cosim
@pytest.mark.parametrize(
    "params",
    [
        preset("tiny_2x2_map"),
        replace(preset("tiny_2x2_map"), update_lanes=4),
        preset("zynq_us_plus_map"),
        preset("tiny_2x2_multi"),
        preset("tiny_2x2_table"),
        replace(preset("tiny_2x2_table"), update_lanes=4),
        replace(preset("tiny_2x2_table"), multi_spike=True),
    ],
    ids=[
        "4-lanes",
        "4-lanes-at-once",
        "16-lanes",
        "4-lanes-counting",
        "4-lanes-tables",
        "4-lanes-at-once-tables",
        "4-lanes-counting-tables",
    ],
)
def test_groups_with_feature_maps_follow_the_contract(params):
    result = run_cocotb(
        "engine",
        component_verilog(NeuronEngine(params), "engine"),
        BENCH.with_name("cocotb_map_engine.py"),
        parameters={"params": asdict(params), "trials": 36 if params.lanes == 4 else 24},
    )
    assert_covered(result.coverage)
