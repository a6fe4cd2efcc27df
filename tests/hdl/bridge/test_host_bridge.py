from dataclasses import asdict
from pathlib import Path

import pytest

from talon.arch.params import preset
from talon_hdl.bridge.host_bridge import HostBridge
from talon_hdl.verilog import component_verilog
from talon_sim.cosim.coverage import assert_covered
from talon_sim.cosim.runner import run_cocotb

BENCH = Path(__file__).with_name("cocotb_bridge.py")


@pytest.mark.cosim
@pytest.mark.parametrize("name", ["zynq_us_plus", "tiny_1x1"])
def test_host_bridge(name):
    params = preset(name)
    result = run_cocotb(
        "host_bridge",
        component_verilog(HostBridge(params, settle=8, build=0xC0FFEE12), "host_bridge"),
        BENCH,
        parameters={"params": asdict(params), "build": 0xC0FFEE12},
    )
    assert len(result.tests) == 13
    assert_covered(result.coverage)
