"""What ``talon build`` makes: a folder from which Vivado makes a bitstream of an array."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from talon import __version__
from talon.arch.params import ArrayParams
from talon.errors import BackendError, TalonError
from talon_boards.fit import Use, check_fit
from talon_boards.folder import MANIFEST
from talon_boards.profile import CLOCKS_MHZ, BoardProfile
from talon_boards.profiles import board_profile
from talon_boards.revision import build_number, source_revision

REGISTERS = {
    "registers/talon_registers.h": "c",
    "registers/talon_registers.rdl": "systemrdl",
    "registers/registers.md": "markdown",
}
"""Files of the register table, and their formats."""


@dataclass(frozen=True, kw_only=True)
class Build:
    """One array for one board at one clock, known to fit, and the revision of its sources."""

    profile: BoardProfile
    params: ArrayParams
    clock_mhz: float
    uses: tuple[Use, ...]
    revision: str = ""

    def facts(self) -> dict[str, Any]:
        """Return what the build is, for a manifest or a program."""
        return {
            "board": self.profile.name,
            "part": self.profile.part,
            "array": self.params.name,
            "columns": self.params.columns,
            "rows": self.params.rows,
            "cores": self.params.n_cores,
            "lanes": self.params.lanes,
            "weight_memory": self.params.weight_memory,
            "hardware_hash": f"{self.params.hardware_hash:08x}",
            "source_revision": self.revision,
            "clock_mhz_requested": self.clock_mhz,
            "resources_estimated": {
                use.resource: {
                    "used": use.used,
                    "allowed": use.allowed,
                    "available": use.available,
                }
                for use in self.uses
            },
        }


def plan_build(
    board: str, *, params: ArrayParams | None = None, clock_mhz: float | None = None
) -> Build:
    """Decide what to build, and see that it fits.

    Parameters
    ----------
    board
        Name of a board.
    params
        The array; the one that fills the board if none is given.
    clock_mhz
        Clock to ask of the processing system; the board's if none is given.

    Raises
    ------
    TalonError
        There is no such board, the array does not fit, or no such clock can be made.
    """
    profile = board_profile(board)
    chosen = params or profile.params
    clock = profile.clock_mhz if clock_mhz is None else clock_mhz
    low, high = CLOCKS_MHZ
    if not low <= clock <= high:
        raise TalonError(f"Clock must be between {low:g} and {high:g} MHz, not {clock:g}")
    uses = check_fit(chosen, profile)
    if chosen.weight_memory == "uram" and not profile.resources.uram:
        raise TalonError(f"Board {profile.name!r} has no URAM, which {chosen.name!r} needs")
    return Build(
        profile=profile,
        params=chosen,
        clock_mhz=clock,
        uses=tuple(uses),
        revision=source_revision(),
    )


def build_files(build: Build) -> dict[str, str]:
    """Return the text of every file of the folder, by path; the same for the same build.

    Raises
    ------
    BackendError
        Amaranth, which generates the array, is not installed.
    """
    if find_spec("amaranth") is None:
        raise BackendError("Generating the array needs Amaranth; pip install 'talon-snn[hdl]'")
    # The gateware takes its time to import, and choosing what to build does without.
    from talon_boards import component
    from talon_boards.pages import makefile, readme
    from talon_boards.vivado import scripts
    from talon_hdl.csr.document import FORMATS
    from talon_hdl.emit import array_verilog, sidecar
    from talon_hdl.top import TOP

    number = build_number(build.revision)
    verilog = array_verilog(build.params, synthesis=True, build=number)
    facts = sidecar(build.params, verilog, synthesis=True)
    files = {
        f"ip/{component.VERILOG}": verilog,
        f"ip/src/{TOP}.json": json.dumps(facts, indent=2) + "\n",
        "ip/component.xml": component.component_xml(build.params, verilog),
        f"ip/{component.XGUI}": component.xgui_tcl(),
        **{name: FORMATS[kind]() for name, kind in REGISTERS.items()},
        **{name: scripts.script(name) for name in scripts.SCRIPTS},
        "settings.tcl": scripts.settings(build.profile, top=TOP, clock_mhz=build.clock_mhz),
        "Makefile": makefile(build),
        "README.md": readme(build),
    }
    return {**files, MANIFEST: manifest(build, files)}


def manifest(build: Build, files: Mapping[str, str]) -> str:
    """Return the text of the manifest: what the build is, and the SHA-256 of each of its files."""
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    facts = {"talon": __version__, **build.facts(), "files": dict(sorted(digests.items()))}
    return json.dumps(facts, indent=2) + "\n"
