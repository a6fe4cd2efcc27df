"""``talon image``: look into programs and check them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from talon.sdk.console import Console
from talon.sdk.options import MODEL, Hardware, command

if TYPE_CHECKING:
    from talon.arch.params import ArrayParams
    from talon.image.container import Image


@click.group("image")
def image_group() -> None:
    """Look into programs and check them."""


def _read(path: str, hw: ArrayParams | None = None) -> Image:
    from talon.errors import ImageError
    from talon.image.container import read_image

    try:
        return read_image(Path(path).read_bytes(), params=hw)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


@command("dump", group=image_group)
@click.argument("program", type=MODEL)
@click.option("--words", is_flag=True, help="Print the words of every section as well.")
def dump_command(console: Console, *, program: str, words: bool) -> None:
    """List the sections of PROGRAM, with their sizes and CRC-32."""
    from talon.image.container import describe
    from talon.sdk.tables import fields

    image = _read(program)
    sections = describe(image)
    facts: dict[str, Any] = {
        "program": program,
        "hw": image.params.name,
        "hardware_hash": f"{image.hardware_hash:#010x}",
        "graph_hash": image.graph_hash.hex(),
        "cores": list(image.cores),
    }
    result = {**facts, "sections": sections, "manifest": image.manifest}
    if words:
        result["words"] = {
            section.name: [f"{int(word):#010x}" for word in section.words]
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
    from talon.image.container import difference

    found = difference(_read(left), _read(right))
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
    image that it fits, that no sum can wrap, that every synapse is met exactly once and that the
    tokens of all timesteps balance.
    """
    from talon.sdk.execution import check_image

    image = _read(program, hw)
    done = check_image(image)
    result = {"program": program, "hw": image.params.name, "valid": True, "checks": done}
    console.emit(
        result, lambda out: out.print(f"{program}: valid ({', '.join(done)})", markup=False)
    )
