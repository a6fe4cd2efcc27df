"""``talon build``: the folder from which a bitstream for a board is made, and the bitstream."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from talon.sdk.console import Console
from talon.sdk.options import Hardware, command
from talon_boards.profiles import PROFILES

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

    from talon.arch.params import ArrayParams
    from talon_boards.build import Build
    from talon_boards.vivado.run import Timing


@command("build")
@click.option("--board", required=True, metavar="BOARD", help=f"The board: {', '.join(PROFILES)}.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder to write.",
)
@click.option(
    "--hw", type=Hardware(), metavar="PRESET", help="The array; by default, what fills the board."
)
@click.option(
    "--clock",
    type=float,
    metavar="MHZ",
    help="Clock to ask of the processing system; by default, the board's.",
)
@click.option("--force", is_flag=True, help="Replace a build that is in DIR.")
@click.option("--report", is_flag=True, help="Count the cells of the array by Yosys, in minutes.")
@click.option("--no-vivado", is_flag=True, help="Write DIR, and leave it at that.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    metavar="N",
    help="Processes of Vivado.",
)
def build_command(
    console: Console,
    *,
    board: str,
    output: Path,
    hw: ArrayParams | None,
    clock: float | None,
    force: bool,
    report: bool,
    no_vivado: bool,
    jobs: int,
) -> None:
    """Make a bitstream of the array for BOARD.

    DIR gets the Verilog, an IP-XACT component, the scripts of a Vivado project (processing system,
    DMA, interrupts, clock), constraints, the register table and a Makefile; all of it or nothing.
    If Vivado is on the PATH it makes the .bit and the .hwh there, which takes an hour or so; else
    the command to run is told. Area is estimated, by Yosys; no board was at hand.
    """
    from talon_boards.build import build_files, plan_build
    from talon_boards.folder import check_place, write_folder
    from talon_boards.vivado.run import command_line, find_vivado, run_vivado

    build = plan_build(board, params=hw, clock_mhz=clock)
    folder = output.absolute()
    check_place(folder, force=force)  # said before the work, not after it
    with console.waiting("generating the array"):
        files = build_files(build)
    cells = _count(console, build) if report else None
    write_folder(folder, files, force=force)
    vivado = None if no_vivado else find_vivado()
    timing = None
    if vivado is not None:
        timing = run_vivado(
            folder, build.profile.basename, vivado=vivado, jobs=jobs, say=console.say
        )
    result = {
        **build.facts(),
        "output": str(folder),
        "files": sorted(files),
        "cells_counted": cells,
        "bitstream": str(folder / f"{build.profile.basename}.bit") if timing else None,
        "timing": _timing(timing),
        "next": None if timing else _shell(folder, command_line("vivado", jobs)),
    }
    console.emit(result, lambda out: _render(out, build, result))


def _count(console: Console, build: Build) -> dict[str, Any]:
    from talon_boards.fit import measure

    with console.waiting("counting cells by Yosys"):
        area = measure(build.params)
    return {"tile": area.tile, "array": area.of(build.params.n_cores)}


def _timing(timing: Timing | None) -> dict[str, Any] | None:
    if timing is None:
        return None
    return {"wns_ns": timing.wns_ns, "whs_ns": timing.whs_ns, "clock_hz": timing.clock_hz}


def _shell(folder: Path, words: list[str]) -> str:
    return f"cd {shlex.quote(str(folder))} && {shlex.join(words)}"


def _render(out: RichConsole, build: Build, result: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    params, profile = build.params, build.profile
    out.print(
        Text(
            f"{params.name}: {params.columns} x {params.rows} cores for {profile.title} "
            f"({profile.part}), {build.clock_mhz:g} MHz asked for"
        )
    )
    counted = result["cells_counted"]
    table = Table(box=None, pad_edge=False)
    titles = ("", "array, estimated", *(("counted now",) if counted else ()), "allowed", "device")
    for title in titles:
        table.add_column(title, justify="left" if not title else "right")
    for use in build.uses:
        now = (f"{counted['array'][use.resource]:,g}",) if counted else ()
        row = (f"{use.used:,g}", *now, f"{use.allowed:,g}", f"{use.available:,g}")
        table.add_row(use.resource, *row)
    out.print(table)
    out.print(Text(f"wrote {result['output']}"))
    timing = result["timing"]
    if timing is None:
        out.print(Text("Vivado was not run. Where it is installed, with the board's files:"))
        out.print(Text(f"  {result['next']}"))
        out.print(Text(f"makes {profile.basename}.bit and {profile.basename}.hwh there."))
    else:
        out.print(Text(f"{result['bitstream']}: timing met, WNS {timing['wns_ns']:g} ns"))
