"""Tcl for the tests is found, installed by root, or asked for; without it the others still run."""

import importlib.util
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tclsh():
    spec = importlib.util.spec_from_file_location("tclsh", ROOT / "tools" / "tclsh.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Machine:
    """A machine with some programs, whose apt installs Tcl after so many failures."""

    def __init__(self, *programs, failures=0):
        self.programs, self.failures, self.commands = set(programs), failures, []

    def which(self, name):
        return f"/usr/bin/{name}" if name in self.programs else None

    def run(self, command, **options):
        self.commands.append(command[1])
        if command[1] == "update":
            return SimpleNamespace(returncode=0)
        self.failures -= 1
        if self.failures >= 0:
            return SimpleNamespace(returncode=100)
        self.programs.add("tclsh")
        return SimpleNamespace(returncode=0)


@pytest.mark.parametrize(
    ("machine", "euid", "commands", "words"),
    [
        (Machine("tclsh"), 1000, [], ("", "")),
        (Machine("apt-get"), 0, ["install"], ("no tclsh yet", "")),
        (Machine("apt-get", failures=1), 0, ["install", "update", "install"], ("no tclsh yet", "")),
        (Machine("apt-get", failures=2), 0, ["install", "update", "install"], ("yet", "skipped")),
        (Machine("apt-get"), 1000, [], ("", "are skipped: apt-get install tcl")),
        (Machine(), 0, [], ("", "are skipped: apt-get install tcl")),
    ],
)
def test_every_machine(tclsh, machine, euid, commands, words, capsys):
    assert tclsh.main(which=machine.which, euid=euid, run=machine.run) == 0
    assert machine.commands == commands
    out, err = capsys.readouterr()
    for text, word in zip((out, err), words, strict=True):
        assert (word in text) if word else not text


def test_an_apt_that_hangs_is_given_up(tclsh, capsys):
    def hangs(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    machine = Machine("apt-get")
    assert tclsh.main(which=machine.which, euid=0, run=hangs) == 0
    assert "are skipped" in capsys.readouterr().err


def test_make_sees_to_it_before_the_tests():
    rules = (ROOT / "Makefile").read_text()
    for target in ("unit", "test-all"):
        (needs,) = re.findall(rf"^{target}: (.*?) ##", rules, re.MULTILINE)
        assert "tclsh" in needs.split()
