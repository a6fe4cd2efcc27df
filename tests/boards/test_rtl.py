"""The Verilog of a build, with the primitives of the device in it, passes Verilator."""

import re
import subprocess
from pathlib import Path

import pytest

from talon.arch.params import preset
from talon_boards.build import build_files, plan_build
from talon_boards.profiles import PROFILES
from talon_sim.cosim.verilator import environment, launcher_dir, overlaid

ROOT = Path(__file__).parents[2]
WAIVERS = ROOT / "hdl" / "lint.vlt"
PRIMITIVES = ROOT / "tests" / "hdl" / "core" / "primitives.v"
ARRAYS = sorted({profile.array for profile in PROFILES.values()})
QUICK = "zynq_zu3eg"


def board_of(array):
    return next(profile.name for profile in PROFILES.values() if profile.array == array)


@pytest.mark.cosim
@pytest.mark.parametrize(
    "array",
    [pytest.param(name, marks=() if name == QUICK else pytest.mark.slow) for name in ARRAYS],
)
def test_verilator_has_nothing_to_say(array, tmp_path):
    verilog = build_files(plan_build(board_of(array)))["ip/src/talon_array.v"]
    assert ("URAM288" in verilog) == (preset(array).weight_memory == "uram")
    (tmp_path / "talon_array.v").write_text(verilog)
    # The models of the primitives are written for simulation; only the array is judged here.
    options = ["--lint-only", "-Wall", str(WAIVERS), "--top-module", "talon_array"]
    files = [str(tmp_path / "talon_array.v"), str(PRIMITIVES)]
    with overlaid(environment()):
        command = [str(launcher_dir() / "verilator"), *options, *files]
        result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "Cannot find" not in result.stderr
    complaints = [
        line
        for line in result.stderr.splitlines()
        if re.match(r"%(Warning|Error)-", line)
        and "primitives.v" not in line
        and "missing pin: 'PCOUT'" not in line  # the cascade out of a slice that has no next one
    ]
    assert not complaints, "\n".join(complaints[:20])
