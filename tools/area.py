"""Area of router, core and array by Yosys, against ``hdl/area_budget.toml``.

``python tools/area.py [--only COMPONENT]`` synthesizes for UltraScale+ and prints, per
component and resource, what is used and what is allowed; the exit code is 1 if anything is over
budget. ``--parts`` prints what each module inside takes instead. The array keeps its tiles apart,
so one is synthesized and counted as often as it is placed.
"""

import argparse
import sys
import time
from pathlib import Path

from talon.arch.params import ArrayParams, preset
from talon_boards import yosys
from talon_boards.cells import RESOURCES, Area, Modules, count

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
BUDGET = ROOT / "hdl" / "area_budget.toml"
COMPONENTS = ("router", "core", "array")


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
) -> tuple[Modules, str]:
    """Run Yosys on a component in ``folder``; return the cells of its modules, and its top."""
    text, top, kept = source(component, params)
    modules = yosys.synthesize(
        text, top=top, folder=folder, name=component, kept=kept, flatten=flatten
    )
    return modules, top


def placed(modules: Modules, top: str) -> dict[str, int]:
    """Return how often each module is placed inside ``top``."""
    total: dict[str, int] = {top: 1}
    for kind, number in modules[top].items():
        if kind in modules:
            for name, inside in placed(modules, kind).items():
                total[name] = total.get(name, 0) + number * inside
    return total


def print_parts(modules: Modules, top: str) -> None:
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
