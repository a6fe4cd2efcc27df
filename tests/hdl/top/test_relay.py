"""Mesh, bridge and idle tree with cores that relay packets: every path, in little time."""

import importlib.util
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from talon.arch.params import preset
from talon_hdl.top import TOP, assemble
from talon_sim.cosim.coverage import assert_covered
from talon_sim.cosim.runner import run_cocotb

HERE = Path(__file__).parent
_SPEC = importlib.util.spec_from_file_location("relay_core", HERE / "relay_core.py")
relay_core = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(relay_core)


@pytest.mark.cosim
@pytest.mark.parametrize(
    ("columns", "rows", "bursts"),
    [(1, 1, 30), (2, 2, 30), (3, 2, 30), pytest.param(8, 4, 150, marks=pytest.mark.slow)],
)
def test_mesh_of_relays(columns, rows, bursts):
    params = replace(preset("tiny_2x2"), name="relays", columns=columns, rows=rows)
    result = run_cocotb(
        TOP,
        assemble(params, relay_core.RelayCore(params)),
        HERE / "cocotb_relay.py",
        parameters={"params": asdict(params), "bursts": bursts},
    )
    assert len(result.tests) == 4
    counts = {
        name: count
        for name, count in result.coverage.items()
        if not (name == "fork of two" and params.n_cores == 1)
    }
    assert_covered(counts)
