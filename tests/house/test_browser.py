"""The browser of the tests is found, installed by root alone, and never in the way."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def browser():
    spec = importlib.util.spec_from_file_location("browser", ROOT / "tools" / "browser.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Machine:
    """A system on which some programs exist, and apt makes more of them, or fails."""

    def __init__(self, *programs, installs=(), fails=0):
        self.programs, self.installs, self.fails = set(programs), installs, fails
        self.commands = []

    def which(self, name):
        return f"/bin/{name}" if name in self.programs else None

    def run(self, command, **options):
        self.commands.append(command[1])
        assert options["env"]["DEBIAN_FRONTEND"] == "noninteractive"
        if command[1] == "install" and self.fails:
            self.fails -= 1
            return subprocess.CompletedProcess(command, 100)
        if command[1] == "install":
            self.programs |= set(self.installs)
        return subprocess.CompletedProcess(command, 0)

    def main(self, browser, euid, environ=None):
        return browser.main(self.which, environ or {}, euid, self.run)


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_a_browser_that_is_there_is_taken(browser, name, capsys):
    machine = Machine(name, "apt-get")
    assert browser.find(machine.which, {}) == f"/bin/{name}"
    assert machine.main(browser, 0) == 0
    assert machine.commands == [] and capsys.readouterr() == ("", "")
    assert browser.find(machine.which, {"TALON_BROWSER": "/some/browser"}) == "/some/browser"


def test_root_installs_it_with_fresh_lists_if_need_be(browser, capsys):
    machine = Machine("apt-get", installs=["chromium"], fails=1)
    assert machine.main(browser, 0) == 0
    assert machine.commands == ["install", "update", "install"]
    assert "are skipped" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("machine", "euid"),
    [
        (Machine("apt-get"), 1000),
        (Machine(), 0),
        (Machine("apt-get", fails=2), 0),
        (Machine("apt-get", installs=["other"]), 0),
    ],
)
def test_others_are_told_the_command(browser, machine, euid, capsys):
    assert machine.main(browser, euid) == 0
    assert capsys.readouterr().err == (
        "talon setup: no browser on the path, so tests in a browser are skipped: "
        "apt-get install chromium fonts-dejavu-core\n"
    )
    assert euid == 0 or machine.commands == []
