"""The page on energy has the values of the code."""

import re
from pathlib import Path

from talon.backend import ENERGY_PRESETS

PAGES = Path(__file__).parents[3] / "docs" / "reference"


def test_the_page_on_energy_has_the_values_of_the_presets():
    text = (PAGES / "energy.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.*?)" + r" \| ([\d.]+)" * 4 + r" \|", text, re.MULTILINE)
    shown = {
        name: tuple(map(float, values))
        for names, *values in rows
        for name in re.findall(r"`(\w+)`", names)
        if name in ENERGY_PRESETS
    }
    assert shown == {
        name: (p["mac_pj"], p["spike_pj"], p["sram_read_pj"], p["sram_write_pj"])
        for name, p in ENERGY_PRESETS.items()
    }
