"""Run cocotb tests on Verilog under Verilator, from pytest or anywhere, with a build cache."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from talon_sim.cosim import testbench, verilator
from talon_sim.cosim.simulator import build_cocotb

_TAIL = 4000


@dataclass(frozen=True, kw_only=True)
class CocotbResult:
    """What a run of cocotb tests left behind."""

    tests: tuple[str, ...]
    coverage: dict[str, int]
    seed: int
    waves: Path | None


def run_cocotb(
    toplevel: str,
    verilog: str | Path | Sequence[str | Path],
    test_module: str | Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    testcase: str | Sequence[str] | None = None,
    env: Mapping[str, str] | None = None,
    build_args: Sequence[str] = (),
    internals: bool = False,
    waves: bool | None = None,
    seed: int | None = None,
) -> CocotbResult:
    """Build ``verilog`` (cached), run the cocotb tests of ``test_module`` on it, check the result.

    Parameters
    ----------
    toplevel
        Name of the module under test.
    verilog
        Verilog text, a path of a ``.v``, ``.sv`` or ``.vlt`` file, or a sequence of both.
    test_module
        Path of the Python file with the ``@cocotb.test()`` functions, usually
        ``Path(__file__).with_name("cocotb_block.py")``; or the name of an importable module.
    parameters
        Anything JSON; the test module reads it with ``talon_sim.cosim.testbench.parameters()``.
    testcase
        Name or names of the tests to run instead of all.
    env
        More environment variables for the simulation.
    build_args
        More options for Verilator.
    internals
        Tests may look at signals inside. By default they see the ports of ``toplevel`` alone, and
        a large design compiles and runs several times faster.
    waves
        Record waves, of all signals; default: if ``TALON_WAVES`` is set in the environment. They
        are kept in ``build/waves/<test>/`` of the working directory.
    seed
        Random seed of cocotb (``cocotb.RANDOM_SEED``); default: ``TALON_SEED``, else 1;
        ``TALON_SEED=random`` draws one.

    Raises
    ------
    AssertionError
        A test failed, or none ran; the message has its traceback and the seed.
    BackendError
        A tool is missing, or the Verilog does not build.
    """
    seed = _seed() if seed is None else seed
    waves = bool(os.environ.get("TALON_WAVES")) if waves is None else waves
    build = build_cocotb(toplevel, verilog, build_args=build_args, internals=internals, waves=waves)
    folder = Path(tempfile.mkdtemp(prefix=f"talon-{toplevel}-"))
    try:
        variables = {
            **(env or {}),
            testbench.PARAMETERS: json.dumps(dict(parameters or {})),
            testbench.COVERAGE: str(folder / "coverage.json"),
            "COCOTB_ANSI_OUTPUT": "0",
        }
        with _importable(test_module) as module:
            _simulate(toplevel, module, build, folder, testcase, variables, waves, seed)
        tests = _check(folder, toplevel, module, seed)
        return CocotbResult(
            tests=tests, coverage=_coverage(folder), seed=seed, waves=_keep_waves(folder, module)
        )
    finally:
        _keep_waves(folder, Path(str(test_module)).stem)
        shutil.rmtree(folder, ignore_errors=True)


def _seed() -> int:
    text = os.environ.get("TALON_SEED", "1")
    return random.SystemRandom().randrange(1 << 31) if text == "random" else int(text)


@contextmanager
def _importable(test_module: str | Path) -> Iterator[str]:
    """Put the folder of the module on the path, which the runner hands to the simulation."""
    path = Path(test_module)
    if path.suffix != ".py":
        yield str(test_module)
        return
    if not path.is_file():
        raise ValueError(f"Test module {path} must be an existing file")
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        yield path.stem
    finally:
        sys.path.remove(str(path.parent.resolve()))


def _simulate(
    toplevel: str,
    module: str,
    build: Path,
    folder: Path,
    testcase: str | Sequence[str] | None,
    variables: Mapping[str, str],
    waves: bool,
    seed: int,
) -> None:
    from cocotb_tools.runner import get_runner

    # The runner speaks through exceptions of several kinds and exit codes: results.xml decides.
    with verilator.overlaid(verilator.environment()), suppress(RuntimeError, SystemExit):
        get_runner("verilator").test(
            test_module=module,
            hdl_toplevel=toplevel,
            hdl_toplevel_lang="verilog",
            build_dir=build,
            test_dir=folder,
            results_xml=str(folder / "results.xml"),
            testcase=testcase,
            seed=seed,
            extra_env=dict(variables),
            waves=waves,
            log_file=folder / "run.log",
        )


def _check(folder: Path, toplevel: str, module: str, seed: int) -> tuple[str, ...]:
    """Return the names of the tests, all of which have passed."""
    results = folder / "results.xml"
    where = f"{module} on {toplevel} (TALON_SEED={seed})"
    if not results.is_file():
        raise AssertionError(f"{where} ended without results:\n{_tail(folder / 'run.log')}")
    names: list[str] = []
    for case in ElementTree.parse(results).getroot().iter("testcase"):
        name = case.get("name", "?")
        for bad in (*case.iter("failure"), *case.iter("error")):
            detail = bad.text or bad.get("message") or bad.get("error_msg") or ""
            raise AssertionError(f"{name} of {where} failed: {detail}\n{_tail(folder / 'run.log')}")
        if case.find("skipped") is None:
            names.append(name)
    if not names:
        raise AssertionError(f"{where} ran no test:\n{_tail(folder / 'run.log')}")
    return tuple(names)


def _coverage(folder: Path) -> dict[str, int]:
    path = folder / "coverage.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _keep_waves(folder: Path, name: str) -> Path | None:
    for wave in (*folder.glob("dump.vcd"), *folder.glob("dump.fst")):
        test = os.environ.get("PYTEST_CURRENT_TEST", name).split(" ")[0].rpartition("::")[2]
        kept = Path("build", "waves", test).absolute()
        kept.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(wave, kept / wave.name))
    return None


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-_TAIL:] if log.exists() else "(no log)"
