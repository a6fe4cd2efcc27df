from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import click
import numpy as np
import pytest
from click.testing import CliRunner

from talon.errors import MappingError
from talon.sdk import console as console_module
from talon.sdk.console import Console, to_json
from talon.sdk.options import command


@command("noisy")
@click.option("--fail", is_flag=True)
@click.option("--bug", is_flag=True)
@click.option("--status", type=int, default=0)
def noisy(console: Console, *, fail: bool, bug: bool, status: int) -> int:
    """Print to every stream there is."""
    print("a stray print")  # noqa: T201
    console.say("a message")
    if fail:
        raise MappingError("Layer 'fc1' does\nnot fit")
    if bug:
        raise ZeroDivisionError("a bug")
    console.emit({"value": np.float32(1.5)}, lambda out: out.print("a table"))
    return status


def test_json_mode_prints_one_object_on_stdout_and_nothing_else() -> None:
    result = CliRunner().invoke(noisy, ["--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"value": 1.5}
    assert "a stray print" in result.stderr and "a message" in result.stderr


def test_screen_mode_prints_the_table_on_stdout() -> None:
    result = CliRunner().invoke(noisy, [])
    assert "a table" in result.stdout and "{" not in result.stdout
    assert "a message" in result.stderr and "a message" not in result.stdout


@pytest.mark.parametrize("as_json", [False, True])
def test_error_is_one_line_on_stderr_and_status_1(as_json: bool) -> None:
    result = CliRunner().invoke(noisy, ["--fail"] + ["--json"] * as_json)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "error: Layer 'fc1' does not fit"
    if as_json:
        message = "Layer 'fc1' does not fit"
        assert json.loads(result.stdout) == {"error": {"kind": "MappingError", "message": message}}
    else:
        assert "error" not in result.stdout


def test_bug_shows_its_traceback() -> None:
    result = CliRunner().invoke(noisy, ["--bug", "--json"])
    assert isinstance(result.exception, ZeroDivisionError)
    assert result.stdout == ""


def test_status_of_a_command_is_the_exit_status() -> None:
    assert CliRunner().invoke(noisy, ["--status", "1", "--json"]).exit_code == 1


def test_unknown_option_is_status_2() -> None:
    result = CliRunner().invoke(noisy, ["--nonsense"])
    assert result.exit_code == 2 and result.stdout == ""


def test_subprocesses_do_not_reach_stdout_in_json_mode() -> None:
    program = (
        "import subprocess, click\n"
        "from talon.sdk.options import command\n"
        "@command('sub')\n"
        "def sub(console):\n"
        "    '''Start a process.'''\n"
        "    subprocess.run(['echo', 'from a compiler'], check=True)\n"
        "    console.emit({'ok': True})\n"
        "sub()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--json"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {"ok": True}
    assert "from a compiler" in done.stderr


def test_numbers_without_a_json_form_become_null() -> None:
    text = to_json({"a": float("nan"), "b": np.array([1, 2]), "c": (np.int64(3), None), 4: True})
    assert json.loads(text) == {"a": None, "b": [1, 2], "c": [3, None], "4": True}


def test_progress_is_silent_at_first_and_plain_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(console_module.time, "monotonic", lambda: now[0])
    with Console(as_json=True).progress("rtl") as update:
        update(1, 500)
        assert capfd.readouterr().err == ""
        now[0] += 11
        update(2, 500)
        assert capfd.readouterr().err == "rtl: 2/500 samples\n"
        now[0] += 1
        update(3, 500)
        assert capfd.readouterr().err == ""


def test_progress_draws_a_bar_on_a_terminal() -> None:
    import pty

    program = (
        "import time\n"
        "from talon.sdk import console\n"
        "console.PATIENCE = 0.0\n"
        "with console.Console(as_json=False).progress('rtl') as update:\n"
        "    update(250, 500)\n"
        "    time.sleep(0.3)\n"
    )
    try:
        main, side = pty.openpty()
    except OSError as error:
        pytest.skip(f"no terminal to draw on: {error}")
    environment = {**os.environ, "TERM": "xterm"}
    subprocess.run(
        [sys.executable, "-c", program], stderr=side, stdout=side, check=True, env=environment
    )
    time.sleep(0.1)
    drawn = os.read(main, 1 << 16).decode()
    os.close(main)
    os.close(side)
    assert "rtl" in drawn and "50%" in drawn
