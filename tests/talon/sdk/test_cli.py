from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from talon import __version__
from talon.sdk import reference
from talon.sdk.cli import main

ROOT = Path(__file__).parents[3]
HEAVY = ("numpy", "h5py", "rich", "jinja2", "amaranth", "cocotb", "scipy", "rustworkx", "torch")


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from talon.sdk.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        f"sys.exit(' '.join(name for name in {HEAVY!r} if name in sys.modules) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "talon.sdk", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"talon, version {__version__}\n"


def test_every_command_has_help_and_json() -> None:
    for path, command in reference.walk(main, "talon"):
        text = reference.help_of(path, command)
        assert command.help, path
        assert ("  --json " in text) is not isinstance(command, click.Group), path


def test_page_on_the_commands_is_current() -> None:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert page == reference.render(), "run: python -m talon.sdk.reference docs/reference/cli.md"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify"], "Missing argument 'MODEL'"),
        (["plan", "no-such-file.t1c"], "does not exist"),
        (["plan", __file__, "--hw", "huge"], "Array preset must be one of"),
        (["verify", __file__, "--input", __file__, "--samples", "0"], "0 is not in the range"),
        (
            [
                *("verify", __file__, "--input", __file__),
                *("--without", "rtl", "--without", "interpreter"),
            ],
            "leaves nothing to compare",
        ),
        (["simulate", __file__, "--input", __file__, "--waves", "w.vcd"], "--waves needs"),
        (["no-such-command"], "No such command"),
    ],
)
def test_wrong_command_line_is_status_2(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert message in result.stderr and result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["plan"], "MissingParameter", "Missing argument 'MODEL'."),
        (["plan", "no-such-file.t1c"], "BadParameter", "does not exist"),
        (["plan", "/dev/zero"], "BadParameter", "'/dev/zero' is no regular file"),
        (["verify", __file__, "--input", "/dev/null"], "BadParameter", "'/dev/null' is no regular"),
        (["image", "dump", "/dev/null"], "BadParameter", "'/dev/null' is no regular file"),
        (["image", "dump"], "MissingParameter", "'PROGRAM'"),
        (["image", "no-such-command"], "NoSuchCommand", "no-such-command"),
        (["no-such-command"], "NoSuchCommand", "no-such-command"),
        (["--no-such-option"], "NoSuchOption", "--no-such-option"),
        (
            ["verify", __file__, "--input", __file__, "--backpressure", "nan"],
            "BadParameter",
            "nan is no number",
        ),
        (
            ["compile", __file__, "-o", "no-such-folder/x.talon"],
            "BadParameter",
            "no-such-folder' does not exist; make it first",
        ),
    ],
)
def test_wrong_command_line_is_an_object_too(arguments: list[str], kind: str, message: str) -> None:
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    assert found["error"]["kind"] == kind and message in found["error"]["message"]
    assert message in result.stderr.replace("\n", " ")


def test_foreign_model_is_one_line_and_status_1(tmp_path: Path) -> None:
    path = tmp_path / "noise.t1c"
    path.write_bytes(b"\0\1\2 not a model")
    for arguments in (["plan", str(path)], ["verify", str(path), "--input", str(path)]):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 1, result
        assert result.stderr.count("\n") == 1 and result.stderr.startswith("error: ")
        assert "noise.t1c" in result.stderr
