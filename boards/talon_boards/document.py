"""The table of the boards in ``docs/hardware/boards.md``: ``python -m talon_boards.document``."""

from __future__ import annotations

import sys

from talon_boards.fit import Use, uses
from talon_boards.profiles import PROFILES

_HEAD = """| Board | `--board` | Part | Array | Cores | Weights in | MHz asked | LUT | FF | BRAM36 | URAM | DSP |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""  # noqa: E501 (a row of a table)


def boards_table() -> str:
    """Return the table in Markdown: boards, arrays, and what these take of the devices."""
    rows = []
    for profile in PROFILES.values():
        facts = (
            profile.title,
            f"`{profile.name}`",
            f"`{profile.part}`",
            f"`{profile.array}`",
            str(profile.n_cores),
            profile.weight_memory,
            f"{profile.clock_mhz:g}",
            *(_share(use) for use in uses(profile.params, profile)),
        )
        rows.append(f"| {' | '.join(facts)} |\n")
    return _HEAD + "".join(rows)


def _share(use: Use) -> str:
    if not use.available:
        return "none there"
    return f"{use.used:,g} of {use.available:,g} ({use.used / use.available:.0%})"


if __name__ == "__main__":
    sys.stdout.write(boards_table())
