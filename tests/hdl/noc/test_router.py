from dataclasses import asdict
from pathlib import Path

import pytest

from talon.arch.params import ArrayParams, preset
from talon_hdl.noc.router import Router
from talon_hdl.verilog import component_verilog
from talon_sim.cosim.coverage import assert_covered
from talon_sim.cosim.runner import run_cocotb

BENCH = Path(__file__).with_name("cocotb_router.py")


@pytest.mark.cosim
@pytest.mark.parametrize(
    ("params", "positions"),
    [
        (preset("zynq_us_plus"), [(0, 0), (3, 2), (0, 3), (7, 0)]),
        (ArrayParams(columns=3, rows=3, n_neurons=32, lanes=4), [(1, 1), (0, 0), (2, 2)]),
    ],
    ids=["8x4", "3x3"],
)
def test_router_loses_nothing_doubles_nothing_and_keeps_order(params, positions):
    result = run_cocotb(
        "router",
        component_verilog(Router(params), "router"),
        BENCH,
        parameters={"params": asdict(params), "positions": positions, "phases": 40},
    )
    assert len(result.tests) == 3
    assert_covered(result.coverage)
