"""Put faults into copies of the sources, one at a time, and see that the tests catch each.

``python tools/mutants.py`` runs all of ``tools/faults.toml``; ``python tools/mutants.py -k router``
those with the word in their name or path; ``--list`` shows them. The checkout itself is not
touched. The exit code is 0 if every fault was caught, and the tests pass without any.
"""

import argparse
import os
import queue
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
FAULTS = ROOT / "tools" / "faults.toml"
HOMES = ("talon", "hdl", "sim", "firmware", "boards", "tests", "examples", "benchmarks", "tools")
TIMEOUT_S = 900
PASSED, FAILED, INTERRUPTED = 0, 1, 2  # of pytest's exit codes


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A piece of a source file, what to put in its place, and the tests that must notice."""

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one fault."""

    fault: Fault
    caught: bool
    how: str
    seconds: float


def load_faults(path: Path = FAULTS) -> list[Fault]:
    """Read the list of faults."""
    entries = tomllib.loads(path.read_text())["fault"]
    return [Fault(**{**entry, "tests": tuple(entry["tests"])}) for entry in entries]


def make_copy(folder: Path) -> Path:
    """Copy the sources and tests to a new folder."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for home in HOMES:
        if (ROOT / home).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "sim_build", "*.vcd")
            shutil.copytree(ROOT / home, folder / home, ignore=ignored)
    check_imports(folder)
    return folder


def check_imports(folder: Path) -> None:
    """Make sure that a copy imports itself and not the checkout, or nothing would be caught."""
    packages = ("talon", "talon_hdl", "talon_sim")
    show = f"import {', '.join(packages)}; print({', '.join(f'{p}.__path__[0]' for p in packages)})"
    command = [sys.executable, "-c", show]
    result = subprocess.run(
        command, cwd=folder, env=environment_of(folder), capture_output=True, check=True, text=True
    )
    if result.stdout.count(str(folder)) != len(packages):
        raise RuntimeError(f"The copy in {folder} must import itself, not {result.stdout.strip()}")


def environment_of(folder: Path) -> dict[str, str]:
    """Return the environment in which a copy's sources go before those of the checkout."""
    homes = [folder, *(folder / home for home in ("hdl", "sim", "firmware", "boards"))]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(home) for home in homes),
        # Two faults of equal length in one second would share a cached module.
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_PROFILE": "ci",  # the same examples with and without a fault
        "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / ".hypothesis"),
    }


def run_tests(folder: Path, tests: Iterable[str], *, fail_fast: bool = True) -> tuple[int, str]:
    """Run tests of a copy on the sources of that copy; return pytest's exit code and output."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    if fail_fast:
        command.insert(3, "-x")
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            env=environment_of(folder),
            capture_output=True,
            check=False,
            text=True,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return FAILED, f"FAILED no end after {TIMEOUT_S} s"
    return result.returncode, result.stdout + result.stderr


def apply_fault(folder: Path, fault: Fault) -> str:
    """Put a fault into a copy and return the text that was there."""
    path = folder / fault.path
    text = path.read_text()
    if text.count(fault.old) != 1:
        raise ValueError(
            f"Fault {fault.name!r} must match {fault.path} once, not {text.count(fault.old)} times"
        )
    path.write_text(text.replace(fault.old, fault.new))
    return text


def first_failure(output: str) -> str:
    """Return the first failed test that pytest's summary names."""
    named = re.search(
        r"^(?:FAILED|ERROR) ((?:tests/|no end)[^\n]*?)(?: - .*)?$", output, re.MULTILINE
    )
    return named[1] if named else "no test is named"


def judge(folder: Path, fault: Fault) -> Verdict:
    """Run one fault's tests in a copy, and leave the copy as it was."""
    start = time.monotonic()
    try:
        text = apply_fault(folder, fault)
    except ValueError as stale:
        return Verdict(fault=fault, caught=False, how=str(stale), seconds=0)
    try:
        code, output = run_tests(folder, fault.tests)
    finally:
        (folder / fault.path).write_text(text)
    seconds = time.monotonic() - start
    if code in (FAILED, INTERRUPTED):  # a module that no longer imports interrupts the collection
        return Verdict(fault=fault, caught=True, how=first_failure(output), seconds=seconds)
    how = "every test passed" if code == PASSED else f"pytest ended with {code}:\n{output[-2000:]}"
    return Verdict(fault=fault, caught=False, how=how, seconds=seconds)


def run_faults(faults: list[Fault], *, n_jobs: int, folder: Path) -> list[Verdict]:
    """Judge faults on a few copies at a time, printing each verdict as it falls."""
    copies: queue.Queue[Path] = queue.Queue()
    for index in range(n_jobs):
        copies.put(make_copy(folder / f"copy{index}"))

    def work(fault: Fault) -> Verdict:
        copy = copies.get()
        try:
            verdict = judge(copy, fault)
        finally:
            copies.put(copy)
        word = "caught  " if verdict.caught else "SURVIVED"
        print(f"{word} {fault.name} ({verdict.seconds:.0f} s): {verdict.how}", flush=True)
        return verdict

    with ThreadPoolExecutor(n_jobs) as pool:
        return list(pool.map(work, faults))


def check_baseline(faults: list[Fault], folder: Path) -> bool:
    """Tell whether the tests pass without a fault; else catching one would mean nothing."""
    tests = sorted({test for fault in faults for test in fault.tests})
    print(f"without a fault: {' '.join(tests)}", flush=True)
    code, output = run_tests(make_copy(folder / "copy0"), tests, fail_fast=False)
    if code != PASSED:
        print(output[-4000:])
        print("the tests fail without a fault")
    return code == PASSED


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-k", default="", help="only faults with this in their name or path")
    parser.add_argument("-n", type=int, default=2, help="how many at a time")
    parser.add_argument("--list", action="store_true", help="show the faults and stop")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "mutants")
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()  # the tests run in the copies, where it would mean another
    faults = [fault for fault in load_faults() if options.k in f"{fault.name} {fault.path}"]
    if not faults:
        print(f"no fault has {options.k!r} in its name or path")
        return 2
    if options.list:
        for fault in faults:
            print(f"{fault.path}: {fault.name}")
        return 0
    if not check_baseline(faults, folder):
        return 1
    verdicts = run_faults(faults, n_jobs=options.n, folder=folder)
    n_caught = sum(verdict.caught for verdict in verdicts)
    print(f"{n_caught} of {len(verdicts)} faults caught")
    return 0 if n_caught == len(verdicts) else 1


if __name__ == "__main__":
    raise SystemExit(main())
