from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from talon.sdk.cli import main
from talon.sdk.commands import doctor


def run_doctor() -> tuple[int, dict[str, dict[str, object]], str]:
    result = CliRunner().invoke(main, ["doctor", "--json"])
    found = json.loads(result.stdout)
    assert found["healthy"] is (result.exit_code == 0)
    return result.exit_code, {c["name"]: c for c in found["checks"]}, result.stderr


def test_every_package_of_this_environment_is_found() -> None:
    _, checks, _ = run_doctor()
    for name in ("python", "numpy", "h5py", "click", "amaranth", "verilator", "libpython"):
        if name in checks:
            assert checks[name]["ok"], checks[name]
    assert {"g++", "make", "verilator", "cocotb", "libpython", "targets", "cache"} <= set(checks)


def test_missing_program_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    status, checks, _ = run_doctor()
    assert status == 1
    assert checks["make"]["ok"] is False
    assert checks["make"]["fix"] == "apt-get install make"
    text = CliRunner().invoke(main, ["doctor"]).stdout
    assert "make: Talon needs it for compiling simulators; apt-get install make" in text


def test_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (("no-such-package", "no_such_module", "tests", doctor.COSIM_EXTRA, True),)
    monkeypatch.setattr(doctor, "PACKAGES", rows)
    status, checks, _ = run_doctor()
    assert status == 1
    assert checks["no-such-package"]["found"] == "not installed"
    assert checks["no-such-package"]["fix"] == "pip install 'talon-snn[cosim]'"


def test_distribution_without_its_module_is_not_good_enough() -> None:
    finding = doctor.find_package("numpy", "no_such_module", "tests", "pip install numpy", True)
    assert not finding.ok and "its module no_such_module is missing" in finding.found


def test_optional_package_does_not_make_it_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    before, _, _ = run_doctor()
    rows = (*doctor.PACKAGES, ("no-such-package", None, "comfort", "pip install it", False))
    monkeypatch.setattr(doctor, "PACKAGES", rows)
    after, checks, _ = run_doctor()
    assert after == before and checks["no-such-package"]["ok"] is False


def test_cache_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TALON_CACHE", str(tmp_path / "file" / "cache"))
    finding = doctor.find_cache()
    assert not finding.ok and finding.fix.startswith("set TALON_CACHE")
