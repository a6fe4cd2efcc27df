"""Write the Verilog of an array: ``python -m talon_hdl.emit --params zynq_us_plus -o DIR``."""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from talon.arch.params import FORMAT_VERSION, PRESETS, ArrayParams, preset
from talon_hdl.core.core import NeuronCore
from talon_hdl.top import TOP, assemble


def array_verilog(params: ArrayParams, *, synthesis: bool = False, build: int = 0) -> str:
    """Return the Verilog of the array: module ``talon_array``, deterministic text.

    Parameters
    ----------
    params
        The array.
    synthesis
        Place the memory primitives of the device where ``weight_memory`` asks for them, instead of
        the behavioural memories that every simulator runs.
    build
        What the register BUILD tells: the first 32 bits of the git hash.
    """
    return assemble(params, NeuronCore(params, synthesis=synthesis), build=build)


def sidecar(params: ArrayParams, verilog: str, *, synthesis: bool) -> dict[str, object]:
    """Return the facts that go beside the Verilog: what it is and how to recognise it."""
    return {
        "top": TOP,
        "params": asdict(params),
        "synthesis": synthesis,
        "format_version": FORMAT_VERSION,
        "hardware_hash": f"{params.hardware_hash:08x}",
        "sha256": hashlib.sha256(verilog.encode()).hexdigest(),
        "amaranth": version("amaranth"),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m talon_hdl.emit", description=__doc__)
    parser.add_argument("--params", default="zynq_us_plus", choices=sorted(PRESETS))
    parser.add_argument("-o", "--output", type=Path, default=Path("build/verilog"))
    parser.add_argument("--synthesis", action="store_true", help="with primitives of the device")
    options = parser.parse_args(arguments)

    params = preset(options.params)
    text = array_verilog(params, synthesis=options.synthesis)
    facts = sidecar(params, text, synthesis=options.synthesis)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"{TOP}.v"
    path.write_text(text)
    path.with_suffix(".json").write_text(json.dumps(facts, indent=2) + "\n")
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
