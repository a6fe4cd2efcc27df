"""The simulator of an array: Verilog from the generator, built for the fast path, both cached."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from talon.arch.params import ArrayParams
from talon_sim.cosim.build import build_array
from talon_sim.cosim.cache import cached, digest

_FILE = "array.v"


def array_verilog(params: ArrayParams) -> str:
    """Return the Verilog of the array; generated anew only if the generator has changed."""
    key = digest(json.dumps(asdict(params), sort_keys=True), *_sources(), version("amaranth"))

    def build(folder: Path) -> None:
        from talon_hdl.emit import array_verilog as generate

        (folder / _FILE).write_text(generate(params))

    return (cached(f"verilog-{params.name}", key, build) / _FILE).read_text()


def array_library(params: ArrayParams, *, random_start: bool = False, trace: bool = False) -> Path:
    """Return the path of the simulator of an array, built first if it has changed.

    Parameters
    ----------
    params
        The array.
    random_start
        Undriven bits start at random, not at zero.
    trace
        Waves can be recorded; about five times slower while they are.
    """
    return build_array(array_verilog(params), random_start=random_start, trace=trace)


def _sources() -> list[bytes]:
    """Return the text of everything that the Verilog depends on."""
    files: list[Path] = []
    for name in ("talon_hdl", "talon.arch"):
        for place in import_module(name).__path__:
            files += sorted(Path(place).rglob("*.py"))
    return [file.read_bytes() for file in files]
