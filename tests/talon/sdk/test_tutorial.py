"""The tutorial does what it says: all its blocks run, in order, in an empty folder."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from talon.sdk.cli import main

PAGE = Path(__file__).parents[3] / "docs" / "tutorial" / "first-network.md"


def blocks(kind: str) -> Iterator[str]:
    yield from re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert all(line.startswith("talon ") for line in lines)
    return [shlex.split(line)[1:] for line in lines]


def run(arguments: list[str]) -> dict[str, object]:
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0, (arguments, result.stderr, result.exception)
    return json.loads(result.stdout)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    exec(compile(next(blocks("python")), str(PAGE), "exec"), {})
    return tmp_path


def test_commands_of_the_tutorial_up_to_verify(folder: Path) -> None:
    results = {arguments[0]: run(arguments) for arguments in commands() if arguments[0] != "verify"}
    assert set(results) == {"plan", "compile", "simulate"}
    assert results["plan"]["fits"] is True
    assert results["simulate"]["accuracy"] == 1.0
    with np.load(folder / "run.npz") as arrays:
        assert arrays["spikes:motion"].shape == (8, 2, 14)
        assert arrays["spikes:motion"].sum() == 14
        assert arrays["potentials:direction"].shape == (8, 2, 2)


def test_python_of_the_tutorial(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, second = blocks("python")
    exec(compile(second, str(PAGE), "exec"), {})
    assert capsys.readouterr().out == "[[7 0]\n [0 7]]\n(8, 2, 14) (8, 2, 14)\n"


def test_verify_of_the_tutorial_without_gateware(folder: Path) -> None:
    (arguments,) = [a for a in commands() if a[0] == "verify"]
    found = run([*arguments, "--without", "rtl"])
    assert found["interpreter_v_mismatches"] == found["interpreter_spike_mismatches"] == 0
    assert found["golden_spike_mismatches"] == 0
    assert found["values_compared"] == 2 * 8 * 2 * (14 + 2)


@pytest.mark.cosim
def test_verify_of_the_tutorial(folder: Path) -> None:
    (arguments,) = [a for a in commands() if a[0] == "verify"]
    for extra in ([], ["--backpressure", "0.3", "--seed", "5"]):
        found = run([*arguments, *extra])
        assert found["rtl_v_mismatches"] == found["rtl_spike_mismatches"] == 0
        assert found["rtl_v_compared"] == 8 * 2 * (14 + 2)
