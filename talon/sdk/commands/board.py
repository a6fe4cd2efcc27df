"""``talon board``: what goes to a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from talon.sdk.console import Console
from talon.sdk.options import MODEL, InputFile, command
from talon_boards.profiles import PROFILES

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group("board")
def board_group() -> None:
    """Prepare what goes to a board."""


@command("bundle", group=board_group)
@click.argument("program", type=MODEL)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR|ZIP",
    help="Folder to write, or an archive if the name ends with .zip.",
)
@click.option("--board", metavar="BOARD", help=f"The board: {', '.join(PROFILES)}.")
@click.option(
    "--overlay", type=InputFile(), metavar="BIT", help="Bitstream, with its .hwh beside it."
)
@click.option(
    "--wheel",
    type=InputFile(),
    metavar="WHL",
    help="Talon's own wheel; by default it is made of the Talon that runs.",
)
@click.option(
    "--wheels",
    type=_FOLDER,
    metavar="DIR",
    help="Take the wheels that Talon needs from DIR, not from the package index.",
)
@click.option("--no-wheels", is_flag=True, help="Leave out the wheels that Talon needs.")
@click.option(
    "--for",
    "target",
    type=click.Choice(["pynq3", "pynq4", "here"]),
    default="pynq3",
    show_default=True,
    help="Wheels for images of PYNQ 3 (Python 3.10) or PYNQ 4 (Python 3.12), or for this machine.",
)
@click.option("--force", is_flag=True, help="Replace a bundle that is there.")
def bundle_command(
    console: Console,
    *,
    program: str,
    output: Path,
    board: str | None,
    overlay: str | None,
    wheel: str | None,
    wheels: Path | None,
    no_wheels: bool,
    target: str,
    force: bool,
) -> None:
    """Pack PROGRAM with all that a board without internet needs to run it.

    The bundle has the program, the bitstream, Talon and what it needs as wheels, a notebook, a
    script that installs from the bundle alone, and a manifest with the SHA-256 of each file. It
    appears as a whole or not at all. What is missing is told, and written in its README.
    """
    from talon.compiler.program import Program
    from talon.errors import BackendError
    from talon_boards.bundle.pack import Request, check_place, check_request, write_bundle

    if no_wheels and wheels is not None:
        raise BackendError("Options --wheels and --no-wheels exclude each other; leave one out")
    request = Request(
        program=Path(program),
        params=Program.load(program).params,
        board=board,
        overlay=None if overlay is None else Path(overlay),
        wheel=None if wheel is None else Path(wheel),
        wheels=wheels,
        with_wheels=not no_wheels,
        target=target,
    )
    path = output.absolute()
    check_place(path, force=force)  # said before the work, not after it
    check_request(request)
    with console.waiting("collecting wheels"):
        facts = write_bundle(request, path, force=force)
    result = {"output": str(path), **facts}
    console.emit(result, lambda out: _render(out, result))


def _render(out: RichConsole, result: dict[str, Any]) -> None:
    from rich.text import Text

    made_for = result["made_for"]
    out.print(
        Text(
            f"wrote {result['output']}: {len(result['files'])} files, Talon {result['talon']} and "
            f"{len(result['wheels']) - 1} other wheels for Python {made_for['python']} on "
            f"{made_for['machine']}"
        )
    )
    for what in result["missing"]:
        out.print(Text(f"missing: {what}"))
    out.print(Text("on the board: sudo sh install.sh"))
