"""The Tcl scripts of a build: those that are the same for every board, and its settings."""

from __future__ import annotations

from pathlib import Path

from talon_boards.component import VLNV
from talon_boards.profile import BoardProfile

SCRIPTS = ("build.tcl", "common.tcl", "block_design.tcl", "package_ip.tcl", "constraints.xdc")
"""Files beside this module that every build takes along."""

MAIN = "build.tcl"

_PART_PROPERTIES = {
    "lut": "LUT_ELEMENTS",
    "ff": "FLIPFLOPS",
    "bram36": "BLOCK_RAMS",
    "uram": "ULTRA_RAMS",
    "dsp": "DSP",
}
"""What Vivado calls the resources of a part."""


def script(name: str) -> str:
    """Return the text of one of :data:`SCRIPTS`."""
    return (Path(__file__).parent / name).read_text()


def settings(profile: BoardProfile, *, top: str, clock_mhz: float) -> str:
    """Return the text of ``settings.tcl``: what the scripts must know of the board."""
    device = profile.resources.as_area()
    expected = " ".join(f"{_PART_PROPERTIES[name]} {number}" for name, number in device.items())
    values = {
        "board": profile.name,
        "basename": profile.basename,
        "part": profile.part,
        "board_part": profile.board_part,
        "board_files": profile.board_files,
        "clock_mhz": f"{clock_mhz:g}",
        "ip_vlnv": VLNV,
        "top": top,
        "expected": expected,
    }
    rows = "".join(f"set {name} {{{value}}}\n" for name, value in values.items())
    return f"# {profile.title}; written by talon build.\n{rows}"
