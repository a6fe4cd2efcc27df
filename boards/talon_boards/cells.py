"""What the cells that Yosys maps to UltraScale+ cost in the device's own units."""

from __future__ import annotations

import json

RESOURCES = ("lut", "ff", "bram36", "uram", "dsp")
"""The units: LUTs, flip-flops, block RAMs of 36 kbit, URAMs of 288 kbit, DSP48E2 slices."""

FREE = ("$scopeinfo", "BUFG", "CARRY4", "CARRY8", "GND", "MUXF7", "MUXF8", "MUXF9", "VCC")
"""Cells beside the LUTs of a slice, or none at all."""

COSTS: dict[str, dict[str, float]] = {
    **{f"LUT{n}": {"lut": 1} for n in range(1, 7)},
    "INV": {"lut": 1},  # placement mostly absorbs it; counted, to be on the safe side
    "SRL16E": {"lut": 1},
    "SRLC32E": {"lut": 1},
    "RAM32X1S": {"lut": 1},
    "RAM32X1D": {"lut": 2},
    "RAM64X1S": {"lut": 1},
    "RAM64X1D": {"lut": 2},
    "RAM128X1S": {"lut": 2},
    "RAM128X1D": {"lut": 4},
    "RAM256X1S": {"lut": 4},
    "RAM256X1D": {"lut": 8},
    "RAM32M": {"lut": 4},
    "RAM64M": {"lut": 4},
    "RAM32M16": {"lut": 8},
    "RAM64M8": {"lut": 8},
    **{name: {"ff": 1} for name in ("FDRE", "FDSE", "FDCE", "FDPE")},
    "RAMB18E2": {"bram36": 0.5},
    "RAMB36E2": {"bram36": 1},
    "URAM288": {"uram": 1},
    "URAM288_BASE": {"uram": 1},
    "DSP48E2": {"dsp": 1},
}

Area = dict[str, float]
"""An amount of each of :data:`RESOURCES`."""

Modules = dict[str, dict[str, int]]
"""Number of cells by type, for every module."""


def count(modules: Modules, top: str) -> Area:
    """Add up the cells of module ``top`` and of the modules inside it.

    Raises
    ------
    ValueError
        A cell has neither a cost nor a module of its name.
    """
    total: Area = dict.fromkeys(RESOURCES, 0)
    for kind, number in modules[top].items():
        if kind in modules:
            part = count(modules, kind)
        elif kind in FREE:
            continue
        elif kind in COSTS:
            part = COSTS[kind]
        else:
            raise ValueError(
                f"Cell type {kind!r} in module {top!r} has no entry in talon_boards/cells.py"
            )
        for resource, cost in part.items():
            total[resource] += number * cost
    return total


def read_stat(text: str) -> Modules:
    """Return the number of cells by type and module from the JSON of Yosys ``stat``."""
    modules = json.loads(text)["modules"]
    return {
        name.removeprefix("\\"): {
            kind.removeprefix("\\"): number for kind, number in module["num_cells_by_type"].items()
        }
        for name, module in modules.items()
    }
