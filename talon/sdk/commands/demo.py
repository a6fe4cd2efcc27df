"""``talon demo``: MNIST from a shipped model to the RTL, with a report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from talon.arch.params import PRESETS, preset
from talon.errors import TalonError
from talon.sdk.console import Console
from talon.sdk.examples import EXAMPLES, MNIST
from talon.sdk.options import Hardware, command

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

    from talon.arch.params import ArrayParams
    from talon.sdk.demonstration import Demonstration


def _own(field: str) -> str:
    return ", ".join(f"{getattr(example, field)} for {name}" for name, example in EXAMPLES.items())


@command("demo")
@click.argument("name", type=click.Choice(list(EXAMPLES)), default=MNIST.name)
@click.option(
    "--hw",
    type=Hardware(),
    metavar="PRESET",
    help=f"The array: {', '.join(PRESETS)}.  [default: {_own('hw')}]",
)
@click.option(
    "--report",
    "report_path",
    type=click.Path(dir_okay=False, writable=True),
    metavar="OUT.html",
    help=f"Where the report goes.  [default: {_own('report')}]",
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
    name: str,
    hw: ArrayParams | None,
    report_path: str | None,
    samples: int | None,
    probed: int,
) -> int:
    """Take a shipped MNIST network from its file to the RTL.

    mnist, the default, is fully connected; convsnn has a convolution and a pool. Plan and compile
    it, measure its accuracy in floats and on the integer golden model, run all images on the RTL
    under Verilator, compare, and write an HTML page. The first run builds the simulator, which
    takes a few minutes; it is kept for the next.
    """
    from talon.sdk.demonstration import demonstrate
    from talon.sdk.pages import demonstration_page
    from talon.viz.report import write_report

    example = EXAMPLES[name]
    path = Path(report_path or example.report)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):  # said before the work, not after it
        raise TalonError(
            f"Folder {str(path.parent)!r} cannot be written to; choose --report OUT.html"
        )
    found = demonstrate(
        console, example, hw or preset(example.hw), n_samples=samples, n_probed=probed
    )
    write_report(path, demonstration_page(found))
    result = {**found.to_dict(), "report": str(path.resolve())}
    console.emit(result, lambda out: _render(out, found, path))
    return 0 if found.equal else 1


def _render(out: RichConsole, found: Demonstration, page: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from talon.sdk.commands.plan import render
    from talon.sdk.verification import describe

    render(out, found.model, found.plan)
    grid = Table.grid(padding=(0, 2))
    for name, value, kind in rows(found):
        grid.add_row(Text(name, style="dim"), Text(value), Text(kind, style="dim"))
    out.print()
    out.print(grid)
    if found.first is not None:
        out.print(Text(describe(found.first), style="red"))
    verdict = "golden model and RTL agree, value for value" if found.equal else "they DIFFER"
    out.print(Text(verdict, style="green" if found.equal else "red"))
    out.print(Text(f"report: {page}"))


def rows(found: Demonstration) -> list[tuple[str, str, str]]:
    """Return what the demo found, as name, value and kind of each figure."""
    values = found.to_dict()
    images, probed = values["images"], found.probed
    few = values["rtl_samples"]
    clock = f"{values['clock_hz_assumed'] / 1e6:.0f} MHz"
    rate = f"{values['cosim_cycles_per_s']:,} cycles of the array a second"
    return [
        ("accuracy, float", f"{found.float_accuracy:.1%} of {images} images", "counted"),
        ("accuracy, int8 golden", f"{found.golden_accuracy:.1%} of {images} images", "counted"),
        (
            f"outputs of {images} images",
            _compared(values["rtl_outputs_compared"], values["rtl_output_mismatches"]),
            "counted",
        ),
        (f"all V of {few} images", _compared(probed.n_v_compared, probed.v_mismatches), "counted"),
        (
            f"all spikes of {few} images",
            _compared(probed.n_spikes_compared, probed.spike_mismatches),
            "counted",
        ),
        ("cycles an image", f"{found.cycles_per_inference:,.0f}", "simulated"),
        ("synaptic operations an image", f"{values['sops_per_inference']:,.0f}", "simulated"),
        ("lane occupancy", f"{found.lane_occupancy:.1%}", "simulated"),
        ("rows a busy cycle", f"{found.engine_occupancy:.3f}", "simulated"),
        ("latency", f"{found.latency_us:.2f} µs at an assumed {clock}", "estimated"),
        (
            "simulation",
            f"{rate}, {values['cosim_seconds']:.1f} s for {images} images",
            "on this machine",
        ),
    ]


def _compared(n: int, mismatches: int) -> str:
    return f"{n:,} compared, golden model and RTL: {mismatches:,} differ"
