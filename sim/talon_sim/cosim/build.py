"""Build the fast path: the verilated array and the C++ harness as one shared library, cached."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from talon.errors import BackendError
from talon_sim.cosim import verilator
from talon_sim.cosim.cache import cached, digest

LIBRARY = "array.so"
_HARNESS = Path(__file__).with_name("harness.cpp")
_VERILATE = ("--cc", "-O3", "--no-assert", "-Wno-fatal", "--prefix", "Vtop")
# Hidden symbols: one process may load several arrays, and all of them are called Vtop.
_CFLAGS = "-fPIC -fvisibility=hidden -fno-gnu-unique -std=c++17"
_LINK = ("-shared", "-Wl,-Bsymbolic", "-Wl,--exclude-libs,libverilated.a")
_OPTIMIZE = ("OPT_FAST=-O2", "OPT_SLOW=-O1", "OPT_GLOBAL=-O2")


def build_array(
    verilog: str,
    *,
    toplevel: str = "talon_array",
    keep_modules: Sequence[str] = ("talon_tile",),
    random_start: bool = False,
    trace: bool = False,
) -> Path:
    """Return the path of the shared library of the harness around ``verilog``.

    Parameters
    ----------
    verilog
        Text of the whole array; its top has the AXI ports of ``talon_hdl.emit``.
    toplevel
        Name of the top module.
    keep_modules
        Modules that Verilator must not inline: C++ of 32 copies takes ten times as long to compile.
    random_start
        Undriven bits start at random, not at zero: a reset that forgets something shows.
    trace
        Waves can be recorded.
    """
    args = [*_VERILATE, "--top-module", toplevel]
    style = "unique" if random_start else "fast"
    args += ["--x-assign", style, "--x-initial", style, "-CFLAGS", _CFLAGS]
    if trace:
        args.append("--trace-fst" if verilator.has_fst() else "--trace")
    control = "".join(
        f'no_inline -module "{module}"\n'
        for module in keep_modules
        if f"module {module}" in verilog
    )
    parts = [verilog, control, _HARNESS.read_text(), json.dumps([args, _OPTIMIZE, _LINK])]
    key = digest(*parts, verilator.verilator_version(), platform.machine())

    def build(folder: Path) -> None:
        (folder / "array.v").write_text(verilog)
        (folder / "array.vlt").write_text(f"`verilator_config\n{control}")
        (folder / "harness.cpp").write_text(_HARNESS.read_text())
        env = {**os.environ, **verilator.environment()}
        objects = folder / "obj"
        sources = ["array.vlt", "array.v", "../harness.cpp"]
        libraries = ["libVtop.a", "libverilated.a"]
        _call(["verilator", *args, "-Mdir", "obj", *sources], folder, env)
        jobs = str(min(4, os.cpu_count() or 1))
        _call(["make", "-j", jobs, "-f", "Vtop.mk", *_OPTIMIZE, *libraries], objects, env)
        whole = ["-Wl,--whole-archive", libraries[0], "-Wl,--no-whole-archive", libraries[1]]
        extra = ["-lz"] if trace and verilator.has_fst() else []
        _call(["g++", *_LINK, "-o", f"../{LIBRARY}", *whole, *extra, "-pthread"], objects, env)
        for waste in objects.iterdir():
            waste.unlink()
        objects.rmdir()

    return cached(f"array-{toplevel}", key, build) / LIBRARY


def _call(command: list[str], folder: Path, env: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        text = (done.stderr + done.stdout)[-4000:]
        raise BackendError(
            f"{command[0]} failed with status {done.returncode} while building the array:\n{text}"
        )
