"""Build the fast path: the verilated array and the C++ harness as one shared library, cached."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from talon.errors import BackendError
from talon_sim.cosim import verilator
from talon_sim.cosim.cache import cached, digest
from talon_sim.cosim.tiles import Port, module_ports, ports_header, without_reset, without_tiles

LIBRARY = "array.so"
_WHAT = "the array"
_HARNESS = Path(__file__).with_name("harness.cpp")
_RULES = Path(__file__).with_name("protocol.h")
_VERILATE = ("--cc", "-O3", "--no-assert", "-Wno-fatal", "-Wno-lint")
# Hidden symbols: one process may load several arrays, and all of them are called Vtop.
_CFLAGS = ("-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-std=c++17")
_LINK = ("-shared", "-Wl,-Bsymbolic", "-Wl,--exclude-libs,libverilated.a")
_OPTIMIZE = ("OPT_FAST=-O3", "OPT_SLOW=-O1", "OPT_GLOBAL=-O2")


@dataclass(frozen=True, kw_only=True)
class _Model:
    """One run of Verilator: ``files`` by name, of which the Verilog ones are ``sources``."""

    prefix: str
    toplevel: str
    files: dict[str, str]
    sources: tuple[str, ...]
    options: tuple[str, ...] = ()
    defines: tuple[str, ...] = field(default=())


def build_array(
    verilog: str,
    *,
    toplevel: str = "talon_array",
    tile: str | None = "talon_tile",
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
    tile
        Module that is compiled once and placed by the harness; None, or a module that is not
        there: everything is one model.
    random_start
        Undriven bits start at random, not at zero: a reset that forgets something shows.
    trace
        Waves can be recorded.
    """
    style = "unique" if random_start else "fast"
    args = [*_VERILATE, "--x-assign", style, "--x-initial", style]
    args += verilator.wave_options(trace)
    ports = module_ports(verilog, tile) if tile else []
    models = _models(verilog, toplevel, tile, ports, real_reset=random_start or trace)
    key = digest(
        repr(models),
        _HARNESS.read_text(),
        json.dumps([args, _CFLAGS, _OPTIMIZE, _LINK, verilator.wave_libraries(trace)]),
        verilator.verilator_version(),
        platform.machine(),
    )

    def build(folder: Path) -> None:
        env = {**os.environ, **verilator.environment()}
        whole: list[str] = []
        defines: list[str] = []
        for model in models:
            objects = folder / model.prefix
            objects.mkdir()
            for name, text in model.files.items():
                (objects / name).write_text(text)
            cflags = " ".join([*_CFLAGS, "-I../Vtile", *model.defines, *defines])
            names = ["--prefix", model.prefix, "--top-module", model.toplevel, "-Mdir", "."]
            options = [*args, *model.options, *names, "-CFLAGS", cflags]
            call(["verilator", *options, *model.sources], objects, env, what=_WHAT)
            defines += _clock_memory(objects / f"{model.prefix}___024root.h", trace=trace)
            libraries = [f"lib{model.prefix}.a", "libverilated.a"]
            jobs = str(min(4, os.cpu_count() or 1))
            make = ["make", "-j", jobs, "-f", f"{model.prefix}.mk", *_OPTIMIZE, *libraries]
            call(make, objects, env, what=_WHAT)
            whole.append(f"{model.prefix}/{libraries[0]}")
        link = ["g++", *_LINK, "-o", LIBRARY, "-Wl,--whole-archive", *whole]
        link += ["-Wl,--no-whole-archive", "Vtop/libverilated.a", "-pthread"]
        call([*link, *verilator.wave_libraries(trace)], folder, env, what=_WHAT)
        for waste in folder.glob("V*/*"):
            if waste.suffix not in (".v", ".vlt"):
                waste.unlink()

    return cached(f"array-{toplevel}", key, build) / LIBRARY


def _models(
    verilog: str, toplevel: str, tile: str | None, ports: list[Port], *, real_reset: bool
) -> list[_Model]:
    harness = {path.name: path.read_text() for path in (_HARNESS, _RULES)}
    if not ports or tile is None:
        return [
            _Model(
                prefix="Vtop",
                toplevel=toplevel,
                files={"array.v": verilog, **harness},
                sources=("array.v", "harness.cpp"),
            )
        ]
    header = ports_header(ports, tile)
    text, place = (verilog, tile) if real_reset else without_reset(verilog, tile, ports)
    return [
        _Model(prefix="Vtile", toplevel=place, files={"tile.v": text}, sources=("tile.v",)),
        _Model(
            prefix="Vtop",
            toplevel=toplevel,
            files={
                "array.v": without_tiles(verilog, tile, ports),
                "tile_ports.h": header,
                **harness,
            },
            sources=("array.v", "harness.cpp"),
            options=("--vpi",),
            defines=("-DTALON_TILES", *([] if real_reset else ["-DTALON_RESET_MAKES_ANEW"])),
        ),
    ]


def _clock_memory(header: Path, *, trace: bool) -> list[str]:
    """Return the definition that lets the harness skip the falling edge of a tile.

    A model finds a rising edge by what it remembers of the clock. That member is no interface of
    Verilator: where it goes by another name, the falling edge is evaluated. So it is for waves.
    """
    found = re.findall(r"\b__Vtrigprevexpr\w*___TOP__clk__0\b", header.read_text())
    return [f"-DTALON_CLOCK_MEMORY={found[0]}"] if len(set(found)) == 1 and not trace else []


def call(command: list[str], folder: Path, env: dict[str, str], *, what: str) -> None:
    """Run one step of a build; raise a BackendError with the end of what it said if it fails."""
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        text = (done.stderr + done.stdout)[-4000:]
        raise BackendError(
            f"{command[0]} failed with status {done.returncode} while building {what}:\n{text}"
        )
