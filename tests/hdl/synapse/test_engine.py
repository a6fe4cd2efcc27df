from dataclasses import asdict, replace
from pathlib import Path

import pytest

from talon.arch.params import preset
from talon_hdl.synapse.engine import SynapseEngine
from talon_hdl.verilog import component_verilog
from talon_sim.cosim.coverage import assert_covered
from talon_sim.cosim.runner import run_cocotb

BENCH = Path(__file__).with_name("cocotb_engine.py")


@pytest.mark.cosim
@pytest.mark.parametrize(
    "params",
    [
        preset("tiny_1x1"),
        replace(preset("zynq_us_plus"), n_neurons=64),
        replace(preset("tiny_2x2_int4"), n_neurons=32),
        replace(preset("zynq_us_plus_int4"), n_axis=0, n_neurons=128),
    ],
    ids=["tiny", "16-lanes", "int4", "int4-32-lanes"],
)
def test_engine_sums_events_before_it_passes_their_token(params):
    result = run_cocotb(
        "engine",
        component_verilog(SynapseEngine(params), "engine"),
        BENCH,
        parameters={"params": asdict(params), "steps": 60},
    )
    assert_covered(result.coverage)
