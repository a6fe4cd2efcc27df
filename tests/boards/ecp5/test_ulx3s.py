"""The design of a ULX3S, its constraints, its PLL, its reports and its budget."""

import json
import re
from dataclasses import replace

import pytest

from talon.arch.params import ECP5_2X2, preset
from talon.errors import BackendError
from talon_boards.ecp5 import __main__ as command
from talon_boards.ecp5.budget import load_budget, over_budget
from talon_boards.ecp5.flow import call, read_report, synthesis_script
from talon_boards.ecp5.pll import PFD_MIN, VCO_MAX, VCO_MIN, choose_dividers
from talon_boards.ecp5.ulx3s import PINS, TOP, Ulx3sConfig, constraints, ulx3s_verilog

SMALL = Ulx3sConfig(params=preset("tiny_1x1"))


@pytest.mark.parametrize("clock_mhz", [25, 30, 37.5, 40, 50, 62.5, 75, 100])
def test_dividers_give_exactly_the_clock(clock_mhz):
    dividers = choose_dividers(25, clock_mhz)
    assert dividers.clock_mhz(25) == pytest.approx(clock_mhz, rel=1e-9)
    assert VCO_MIN <= clock_mhz * dividers.output <= VCO_MAX
    assert 25 / dividers.reference >= PFD_MIN


def test_a_clock_that_no_dividers_give_is_refused():
    with pytest.raises(ValueError, match=r"^PLL must make a multiple or a simple fraction of 25 M"):
        choose_dividers(25, 41.7)


@pytest.fixture(scope="module")
def verilog():
    return ulx3s_verilog(SMALL)


def test_every_port_has_a_site_and_every_site_a_port(verilog):
    text = constraints(SMALL)
    header = re.search(rf"^module {TOP}\((.*?)\);", verilog, re.MULTILINE)
    ports = {port.strip() for port in header[1].split(",")}
    assert {name.split("[")[0] for name in PINS} == ports
    assert sorted(re.findall(r'LOCATE COMP "([^"]+)"', text)) == sorted(PINS)
    assert len(set(PINS.values())) == len(PINS)
    assert 'FREQUENCY PORT "clk_25mhz" 25.0 MHZ;' in text


def test_the_tile_is_synthesized_once():
    lines = synthesis_script(TOP).splitlines()
    kept = lines.index("setattr -mod -set keep_hierarchy 1 talon_tile")
    assert kept < lines.index(f"synth_ecp5 -top {TOP}") < lines.index("flatten")


def test_sources_are_written_and_the_same_each_time(tmp_path, verilog):
    arguments = ["--params", "tiny_1x1", "--sources-only", "-o", str(tmp_path / "new")]
    assert command.main(arguments) == 0
    assert {path.name for path in (tmp_path / "new").iterdir()} == {f"{TOP}.v", f"{TOP}.lpf"}
    assert (tmp_path / "new" / f"{TOP}.v").read_text() == verilog


def test_a_tool_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BackendError, match=r"^A bitstream needs the tool no-such: pip install yo"):
        call(["no-such"], tmp_path)


def report_text(**changes):
    clocks = {"$glbnet$clock": {"achieved": 52.5, "constraint": 40.0}}
    cells = {"TRELLIS_COMB": 100, "TRELLIS_FF": 50, "DP16KD": 4, "MULT18X18D": 2}
    found = {
        "fmax": {**clocks, "$glbnet$clk_25mhz$TRELLIS_IO_IN": {"achieved": 500, "constraint": 25}},
        "utilization": {name: {"used": used, "available": 208} for name, used in cells.items()},
    }
    return json.dumps({**found, **changes})


def test_a_report_is_read():
    report = read_report(report_text())
    assert report.used == {"lut": 100, "ff": 50, "bram": 4, "dsp": 2}
    assert (report.clock_mhz, report.fmax_mhz) == (40.0, 52.5)
    assert "Fmax     52.5 MHz, runs at 40 MHz" in report.table()
    assert report.as_dict()["kind"] == "estimated"


@pytest.mark.parametrize("changes", [{"fmax": {}}, {"utilization": {}}])
def test_a_report_that_lacks_something_is_refused(changes):
    with pytest.raises(
        BackendError, match=r"^Report of nextpnr must have one clock behind the PLL"
    ):
        read_report(report_text(**changes))


def test_what_is_over_budget_is_named():
    report = read_report(report_text())
    budget = {"lut": 100, "ff": 49, "bram": 3, "dsp": 2, "fmax_mhz": 55}
    assert over_budget(report, budget) == [
        "bitstream must take at most 49 ff, not 50",
        "bitstream must take at most 3 bram, not 4",
        "bitstream must reach 55 MHz (the budget), not 52.5",
    ]
    slow = replace(report, clock_mhz=60)
    assert over_budget(slow, {**budget, "ff": 50, "bram": 4, "fmax_mhz": 0}) == [
        "bitstream must reach 60 MHz (its clock), not 52.5"
    ]


@pytest.mark.parametrize("name", [ECP5_2X2.name, SMALL.params.name])
def test_a_budget_is_within_the_device(name):
    budget = load_budget(name)
    assert budget["lut"] <= 83_640
    assert budget["bram"] <= 208
    assert budget["dsp"] <= 156
    assert budget["fmax_mhz"] >= Ulx3sConfig().clock_mhz


def test_the_usual_bitstream_has_a_budget_and_others_may_have_none():
    assert load_budget(Ulx3sConfig().params.name)
    assert load_budget("tiny_2x2") is None
