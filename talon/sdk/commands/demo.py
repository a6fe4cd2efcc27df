"""``talon demo``: MNIST from the shipped model to the RTL, with a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from talon.sdk.console import Console
from talon.sdk.options import command, hardware

if TYPE_CHECKING:
    from talon.arch.params import ArrayParams


@command("demo")
@hardware
@click.option(
    "--report",
    "report_path",
    type=click.Path(dir_okay=False, writable=True),
    default="build/talon-demo.html",
    show_default=True,
    metavar="OUT.html",
    help="Where the report goes.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    metavar="N",
    help="Use the first N shipped images instead of all.",
)
@click.option(
    "--probed",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="Images of which every potential and spike of every timestep is compared.",
)
def demo_command(
    console: Console,
    *,
    hw: ArrayParams,
    report_path: str,
    samples: int | None,
    probed: int,
) -> int:
    """Take the shipped MNIST network from its file to the RTL.

    Plan and compile it, measure its accuracy in floats and on the integer golden model, run all
    images on the RTL under Verilator, compare, and write an HTML page. The first run builds the
    simulator, which takes a few minutes; it is kept for the next.
    """
    from talon.sdk.demonstration import demonstrate
    from talon.sdk.pages import demonstration_page
    from talon.sdk.tables import fields
    from talon.viz.report import write_report

    found = demonstrate(console, hw, n_samples=samples, n_probed=probed)
    path = Path(report_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_report(path, demonstration_page(found))
    result = {**found.to_dict(), "report": str(path.resolve())}
    console.emit(result, lambda out: fields(out, result))
    return 0 if found.equal else 1
