"""A budget that is passed is named."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def area():
    spec = importlib.util.spec_from_file_location("area", ROOT / "tools" / "area.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_passed_budget_is_named(area):
    allowed = {"lut": 100, "ff": 100, "bram36": 0, "uram": 0, "dsp": 2}
    used = {"lut": 100, "ff": 101, "bram36": 0.5, "uram": 0, "dsp": 2}
    assert area.over_budget("core", used, allowed) == [
        "core must take at most 100 ff, not 101",
        "core must take at most 0 bram36, not 0.5",
    ]


def test_budget_of_the_array_is_a_share_of_the_device(area):
    budget = area.tomllib.loads(area.BUDGET.read_text())
    allowed = area.allowances(budget, "array")
    assert allowed["lut"] == pytest.approx(0.70 * 230_400)
    assert allowed["bram36"] == pytest.approx(0.90 * 312)
    assert allowed["uram"] == 96
    assert allowed["dsp"] == pytest.approx(0.60 * 1_728)
    assert set(area.COMPONENTS) <= set(budget)
