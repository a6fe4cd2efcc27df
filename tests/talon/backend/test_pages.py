"""The pages on backends and energy print what they show."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from talon.backend import ENERGY_PRESETS

PAGES = Path(__file__).parents[3] / "docs" / "reference"


@pytest.mark.parametrize("page", ["backend.md", "energy.md"])
def test_examples_of_a_page_print_what_it_shows(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (PAGES / page).read_text("utf-8")
    pairs = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.DOTALL)
    assert len(pairs) == text.count("```python")
    names = {}
    for code, shown in pairs:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        assert printed.getvalue() == shown


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
