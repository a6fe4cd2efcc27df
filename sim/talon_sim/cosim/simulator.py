"""Build a simulator for cocotb: a verilated model with cocotb's main program, cached by digest."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from talon_sim.cosim import verilator
from talon_sim.cosim.build import call
from talon_sim.cosim.cache import cached, digest
from talon_sim.cosim.tiles import module_ports

_TILE = "talon_tile"
_ARGS = ("--cc", "--exe", "--vpi", "-Wno-fatal", "-Wno-lint", "--timescale", "1ns/1ps")


def build_cocotb(
    toplevel: str,
    verilog: str | Path | Sequence[str | Path],
    *,
    build_args: Sequence[str] = (),
    internals: bool = False,
    waves: bool = False,
) -> Path:
    """Return the folder with the simulator of ``verilog``, built if it is not cached.

    Parameters are those of :func:`talon_sim.cosim.runner.run_cocotb`. It is called ``toplevel`` in
    that folder, where cocotb's runner looks for it.
    """
    parts = [verilog] if isinstance(verilog, (str, Path)) else list(verilog)
    texts = [
        (part.name, part.read_text()) if isinstance(part, Path) else (f"part{i}.v", part)
        for i, part in enumerate(parts)
    ]
    whole = "\n".join(text for _, text in texts)
    # Ports are found as Amaranth writes them; of other Verilog everything is visible.
    if internals or waves or not module_ports(whole, toplevel):
        visible = ["--public-flat-rw"]
    else:
        visible = []
        texts.insert(0, ("ports.vlt", _visible_ports(whole, toplevel)))
    args = [*_ARGS, *visible, *verilator.wave_options(waves), *build_args]
    key = digest(
        toplevel,
        json.dumps([texts, args, verilator.wave_libraries(waves)]),
        verilator.verilator_version(),
        version("cocotb"),
        sys.executable,
    )

    def build(folder: Path) -> None:
        from cocotb_tools import config

        for name, text in texts:
            (folder / name).write_text(text)
        main = config.share_dir / "lib" / "verilator" / "verilator.cpp"
        libraries = ["-lcocotbvpi_verilator", *verilator.wave_libraries(waves)]
        link = " ".join([f"-Wl,-rpath,{config.libs_dir}", f"-L{config.libs_dir}", *libraries])
        names = ["--top-module", toplevel, "--prefix", "Vtop", "-o", toplevel, "-Mdir", "."]
        sources = [name for name, _ in texts]
        env = {**os.environ, **verilator.environment()}
        command = ["verilator", *args, *names, "-LDFLAGS", link, str(main), *sources]
        call(command, folder, env, what=toplevel)
        jobs = str(min(4, os.cpu_count() or 1))
        make = ["make", "-j", jobs, "-f", "Vtop.mk", f"VM_TRACE={int(waves)}"]
        call(make, folder, env, what=toplevel)
        for waste in folder.glob("V*"):
            waste.unlink()

    return cached(f"cocotb-{toplevel}", key, build)


def _visible_ports(text: str, toplevel: str) -> str:
    """Return a Verilator configuration that shows the ports of ``toplevel`` to cocotb."""
    lines = [
        f'public_flat_rw -module "{toplevel}" -var "{port.name}"\n'
        for port in module_ports(text, toplevel)
    ]
    if toplevel != _TILE and module_ports(text, _TILE):
        # C++ of 32 inlined tiles takes ten times as long to compile, and runs no faster.
        lines.append(f'no_inline -module "{_TILE}"\n')
    return "`verilator_config\n" + "".join(lines)
