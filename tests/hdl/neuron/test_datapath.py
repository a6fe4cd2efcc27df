from dataclasses import asdict
from pathlib import Path

import pytest

from talon.arch.params import preset
from talon_hdl.neuron.datapath import NeuronDatapath
from talon_hdl.verilog import component_verilog
from talon_sim.cosim.coverage import assert_covered
from talon_sim.cosim.runner import run_cocotb

BENCH = Path(__file__).with_name("cocotb_datapath.py")
PRIMITIVES = Path(__file__).parents[1] / "core" / "primitives.v"


@pytest.mark.cosim
@pytest.mark.parametrize("synthesis", [False, True], ids=["inferred", "slices"])
@pytest.mark.parametrize(
    "name", ["zynq_us_plus", "zynq_us_plus_double", "zynq_us_plus_map", "zynq_us_plus_multi"]
)
def test_datapath_is_the_numeric_contract(name, synthesis):
    params = preset(name)
    text = component_verilog(NeuronDatapath(params, synthesis=synthesis), "datapath")
    assert ("DSP48E2" in text) == synthesis
    result = run_cocotb(
        "datapath",
        [text, PRIMITIVES] if synthesis else text,
        BENCH,
        parameters={"params": asdict(params), "cases": 1500},
    )
    assert_covered(result.coverage)
