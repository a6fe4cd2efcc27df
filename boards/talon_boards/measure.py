"""Count the areas of array presets by Yosys: ``python -m talon_boards.measure [PRESET ...]``.

Writes what one tile and the rest of each array take to ``area.json`` beside this file; without
names, those of every preset. An array takes a minute or two.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence

from talon.arch.params import PRESETS, preset
from talon_boards.cells import Area
from talon_boards.fit import MEASURED, measure


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m talon_boards.measure", description="Count the areas of arrays by Yosys."
    )
    parser.add_argument("presets", nargs="*", metavar="PRESET", help=", ".join(PRESETS))
    names = parser.parse_args(arguments).presets or list(PRESETS)
    for params in [preset(name) for name in names]:
        start = time.monotonic()
        area = measure(params)
        _record(params.name, {"tile": area.tile, "rest": area.rest})
        sys.stdout.write(f"{params.name}: {area.tile} ({time.monotonic() - start:.0f} s)\n")
        sys.stdout.flush()


def _record(name: str, area: dict[str, Area]) -> None:
    known: dict[str, dict[str, Area]] = json.loads(MEASURED.read_text())
    known[name] = area
    ordered = {name: known[name] for name in PRESETS if name in known}
    rows = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in ordered.items())
    MEASURED.write_text(f"{{\n{rows}\n}}\n")


if __name__ == "__main__":
    main()
