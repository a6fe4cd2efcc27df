from dataclasses import asdict, replace
from pathlib import Path

import pytest

from talon.arch.params import preset
from talon_hdl.neuron.current import CurrentDatapath
from talon_hdl.verilog import component_verilog
from talon_sim.cosim.coverage import assert_covered
from talon_sim.cosim.runner import run_cocotb

BENCH = Path(__file__).with_name("cocotb_current.py")
PRIMITIVES = Path(__file__).parents[1] / "core" / "primitives.v"


@pytest.mark.cosim
@pytest.mark.parametrize("synthesis", [False, True], ids=["inferred", "slices"])
def test_currents_are_the_numeric_contract(synthesis):
    params = replace(preset("zynq_us_plus"), synaptic_current=True)
    text = component_verilog(CurrentDatapath(params, synthesis=synthesis), "current")
    assert ("DSP48E2" in text) == synthesis
    result = run_cocotb(
        "current",
        [text, PRIMITIVES] if synthesis else text,
        BENCH,
        parameters={"params": asdict(params), "cases": 1500},
    )
    assert_covered(result.coverage)
