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
UNCONNECTED = r"missing pin: '(PCOUT|DOUT_[AB]|CAS_(IN|OUT)_\w+)'"
"""Ends of cascades: the slice or URAM before the first, or behind the last, is not there."""

QUICK = {"kv260": "zynq_1x1", "ultra96v2": "zynq_zu3eg"}
SLOW = {"kv260": "zynq_k26", "zcu104": "zynq_us_plus", "rfsoc4x2": "zynq_zu48dr"}


@pytest.mark.cosim
@pytest.mark.parametrize(
    ("board", "array"),
    [*QUICK.items(), *(pytest.param(*pair, marks=pytest.mark.slow) for pair in SLOW.items())],
)
def test_verilator_has_nothing_to_say(board, array, tmp_path):
    verilog = build_files(plan_build(board, params=preset(array)))["ip/src/talon_array.v"]
    assert ("URAM288" in verilog) == (preset(array).weight_memory == "uram")
    (tmp_path / "talon_array.v").write_text(verilog)
    # The models of the primitives are written for simulation; only the array is judged here.
    options = ["--lint-only", "-Wall", str(WAIVERS), "--top-module", "talon_array"]
    files = [str(tmp_path / "talon_array.v"), str(PRIMITIVES)]
    with overlaid(environment()):
        command = [str(launcher_dir() / "verilator"), *options, *files]
        result = subprocess.run(command, check=False, capture_output=True, text=True)
    complaints = [
        line
        for line in result.stderr.splitlines()
        if re.match(r"%(Warning|Error)[-:]", line)
        and "primitives.v" not in line
        and not re.search(UNCONNECTED, line)
        and not line.startswith("%Error: Exiting due to")
    ]
    assert not complaints, "\n".join(complaints[:20])


def test_the_slow_ones_are_the_arrays_of_all_boards():
    arrays = {*QUICK.values(), *SLOW.values()} - {"zynq_1x1"}
    assert arrays == {profile.array for profile in PROFILES.values()}
