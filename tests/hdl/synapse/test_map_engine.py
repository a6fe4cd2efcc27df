from dataclasses import asdict, replace
from pathlib import Path

import pytest

from talon.arch.params import preset
from talon_hdl.synapse.engine import SynapseEngine
from talon_hdl.verilog import component_verilog
from talon_sim.cosim.coverage import assert_covered
from talon_sim.cosim.runner import run_cocotb

BENCH = Path(__file__).with_name("cocotb_map_engine.py")
MAP = replace(preset("zynq_us_plus_map"), n_neurons=64, weight_words=2048, n_axis=128)


@pytest.mark.cosim
@pytest.mark.parametrize(
    "params",
    [
        preset("tiny_2x2_map"),
        MAP,
        replace(MAP, lanes=8, n_neurons=32, n_slots=16),
        replace(MAP, lanes=32, n_neurons=128, int4=True),
    ],
    ids=["tiny", "16-lanes", "16-slots", "int4-32-lanes"],
)
def test_maps_add_up_as_the_contract_says(params):
    result = run_cocotb(
        "engine",
        component_verilog(SynapseEngine(params), "engine"),
        BENCH,
        parameters={"params": asdict(params), "programs": 10, "steps": 12},
    )
    assert len(result.tests) == 2
    assert_covered(result.coverage)
