from dataclasses import asdict, replace
from pathlib import Path

import pytest

from talon.arch.params import preset
from talon_hdl.synapse.accumulator import Accumulators
from talon_hdl.verilog import component_verilog
from talon_sim.cosim.coverage import assert_covered
from talon_sim.cosim.runner import run_cocotb

BENCH = Path(__file__).with_name("cocotb_accumulators.py")
PRIMITIVES = Path(__file__).parents[1] / "core" / "primitives.v"


@pytest.mark.cosim
@pytest.mark.parametrize("synthesis", [False, True], ids=["inferred", "slices"])
def test_accumulators_add_and_clear_in_order(synthesis):
    params = replace(preset("zynq_us_plus"), lanes=4, n_neurons=48)
    text = component_verilog(Accumulators(params, synthesis=synthesis), "accumulators")
    assert ("DSP48E2" in text) == synthesis
    result = run_cocotb(
        "accumulators",
        [text, PRIMITIVES] if synthesis else text,
        BENCH,
        parameters={"params": asdict(params), "cycles": 12_000},
    )
    assert_covered(result.coverage)
