"""``talon image``: look into programs and check them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from talon.sdk.console import Console
from talon.sdk.options import MODEL, Hardware, command

if TYPE_CHECKING:
    from talon.arch.params import ArrayParams
    from talon.compiler.program import Program


@click.group("image")
def image_group() -> None:
    """Look into programs and check them."""


def _read(path: str, hw: ArrayParams | None = None) -> Program:
    from talon.compiler.program import Program
    from talon.errors import ImageError
    from talon.image.container import check_hardware

    program = Program.load(path)
    if hw is not None:
        try:
            check_hardware(program.passes[0].contents, hw)
        except ImageError as error:
            raise ImageError(f"{path}: {error}") from error
    return program


@command("dump", group=image_group)
@click.argument("program", type=MODEL)
@click.option("--words", is_flag=True, help="Print the words of every section as well.")
def dump_command(console: Console, *, program: str, words: bool) -> None:
    """List the sections of PROGRAM, with their sizes and CRC-32.

    Of a program in several passes those of every pass.
    """
    from talon.sdk.programs import sections_of
    from talon.sdk.tables import fields

    found = _read(program)
    images = [one.contents for one in found.passes]
    sections = sections_of(found)
    facts: dict[str, Any] = {
        "program": program,
        "hw": found.params.name,
        "hardware_hash": f"{images[0].hardware_hash:#010x}",
        "graph_hash": found.graph_hash.hex(),
        "cores": list(images[0].cores) if len(images) == 1 else [list(i.cores) for i in images],
    }
    manifest = {"manifest": images[0].manifest}
    if len(images) > 1:
        manifest = {"manifests": [image.manifest for image in images]}
    result = {**facts, "sections": sections, **manifest}
    if words:
        result["words"] = {
            (section.name if len(images) == 1 else f"pass {number}: {section.name}"): [
                f"{int(word):#010x}" for word in section.words
            ]
            for number, image in enumerate(images)
            for section in image.sections
        }
    shown = [{**row, "crc": f"{row['crc']:08x}"} for row in sections]
    console.emit(
        result,
        lambda out: fields(out, facts, table=shown, title="Sections", extra=result.get("words")),
    )


@command("diff", group=image_group)
@click.argument("left", type=MODEL)
@click.argument("right", type=MODEL)
def diff_command(console: Console, *, left: str, right: str) -> int:
    """Say in what two programs differ; the exit status is 1 if they do."""
    from talon.sdk.programs import differences

    found = differences(_read(left), _read(right))
    console.emit(
        {"left": left, "right": right, "equal": not found, "differences": found},
        lambda out: out.print("\n".join(found or ["equal"]), markup=False),
    )
    return 1 if found else 0


@command("verify", group=image_group)
@click.argument("program", type=MODEL)
@click.option("--hw", type=Hardware(), metavar="PRESET", help="Array it must be for.")
def check_command(console: Console, *, program: str, hw: ArrayParams | None) -> None:
    """Check PROGRAM without running it.

    Every byte is under a CRC-32; besides, the compiler's independent checkers read back from the
    image of every pass that it fits, that no sum can wrap, that every synapse is met exactly once
    and that the tokens of all timesteps balance.
    """
    from talon.sdk.execution import check_image

    found = _read(program, hw)
    (done, *_) = [check_image(one.contents) for one in found.passes]
    result = {"program": program, "hw": found.params.name, "valid": True, "checks": done}
    console.emit(
        result, lambda out: out.print(f"{program}: valid ({', '.join(done)})", markup=False)
    )
