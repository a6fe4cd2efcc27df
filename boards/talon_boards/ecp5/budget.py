"""What a bitstream may take and must reach: a regression fails, not the next user's board."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from talon_boards.ecp5.flow import RESOURCES, Report

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

BUDGET = Path(__file__).with_name("budget.toml")


def load_budget(preset: str, path: Path = BUDGET) -> dict[str, float] | None:
    """Return the budget of an array: resources and ``fmax_mhz``; None if it has none."""
    return tomllib.loads(path.read_text()).get(preset)


def over_budget(report: Report, budget: Mapping[str, float]) -> list[str]:
    """Return a complaint for everything of which there is too much, or too little."""
    complaints = [
        f"bitstream must take at most {budget[name]:g} {name}, not {report.used[name]}"
        for name in RESOURCES
        if report.used[name] > budget[name]
    ]
    return complaints + too_slow(report, budget["fmax_mhz"])


def too_slow(report: Report, floor_mhz: float) -> list[str]:
    """Return complaints about a clock that is not reached: its own, and that of the budget."""
    return [
        f"bitstream must reach {floor:g} MHz ({what}), not {report.fmax_mhz:.1f}"
        for what, floor in (("its clock", report.clock_mhz), ("the budget", floor_mhz))
        if report.fmax_mhz < floor
    ]
