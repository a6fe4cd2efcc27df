"""Run Vivado on the folder of a build, pass on what it says, and read what came of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from talon.errors import BackendError
from talon_boards.vivado.scripts import MAIN

LOG, SUMMARY = "vivado.log", "reports/summary.json"
N_LAST_LINES = 5


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What Vivado found of the implemented design.

    Worst slack of setup and hold in ns, and the clock in Hz that the processing system makes.
    """

    met: bool
    wns_ns: float
    whs_ns: float
    clock_hz: float


def find_vivado() -> str | None:
    """Return the path of Vivado, or None if there is none on the PATH."""
    return shutil.which("vivado")


def command_line(vivado: str, jobs: int) -> list[str]:
    """Return the command that makes the bitstream, to be run in the folder of the build."""
    options = ["-mode", "batch", "-notrace", "-nojournal", "-log", LOG]
    return [vivado, *options, "-source", MAIN, "-tclargs", str(jobs)]


def read_timing(folder: Path) -> Timing:
    """Read the summary that the scripts leave behind.

    Raises
    ------
    BackendError
        There is none, or it is not what the scripts write.
    """
    path = folder / SUMMARY
    try:
        found = json.loads(path.read_text())
        return Timing(
            met=found["timing_met"] is True,
            wns_ns=float(found["wns_ns"]),
            whs_ns=float(found["whs_ns"]),
            clock_hz=float(found["clock_hz"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackendError(f"Vivado left no summary in {path} ({error}); see {LOG}") from error


def run_vivado(
    folder: Path, basename: str, *, vivado: str, jobs: int, say: Callable[[str], None]
) -> Timing:
    """Make the bitstream.

    Parameters
    ----------
    folder
        What :func:`talon_boards.folder.write_folder` wrote.
    basename
        Stem of the two files that must come of it.
    vivado
        The program.
    jobs
        Processes that it may run at once.
    say
        Called with each line that it prints.

    Raises
    ------
    BackendError
        It failed, timing is not met, or one of the files is missing.
    """
    last: list[str] = []
    with subprocess.Popen(
        command_line(vivado, jobs),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            say(line.rstrip())
            last = [*last, line.strip()][-N_LAST_LINES:]
    if process.returncode:
        raise BackendError(
            f"Vivado ended with status {process.returncode}; see {folder / LOG}. "
            f"Its last lines: {' | '.join(filter(None, last))}"
        )
    timing = read_timing(folder)
    if not timing.met:
        raise BackendError(
            f"Timing is not met (WNS {timing.wns_ns:g} ns, WHS {timing.whs_ns:g} ns); "
            "build again with a lower --clock"
        )
    for name in (f"{basename}.bit", f"{basename}.hwh"):
        if not (folder / name).is_file():
            raise BackendError(f"Vivado ended well, but left no {folder / name}; see {LOG}")
    return timing
