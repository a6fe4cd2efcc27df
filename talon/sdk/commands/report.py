"""``talon report``: a run gathered into one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from talon.sdk.commands.energy import preset_option
from talon.sdk.console import Console
from talon.sdk.options import MODEL, OutputFile, command, compiling, feeding, is_given

if TYPE_CHECKING:
    from talon.arch.params import ArrayParams
    from talon.compiler.passes.mapped import Passes
    from talon.compiler.tile import Objective


@command("report")
@click.argument("model", type=MODEL, metavar="MODEL|PROGRAM")
@click.option(
    "-o",
    "--output",
    type=OutputFile(),
    metavar="OUT.html",
    help="The page.  [default: NAME-report.html in the current folder]",
)
@feeding
@compiling
@preset_option
@click.option(
    "--sample",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="K",
    help="The sample of which schedule, spikes and potentials are shown.",
)
@click.option("--rtl", is_flag=True, help="Run the RTL as well, and compare every value.")
def report_command(
    console: Console,
    *,
    model: str,
    output: str | None,
    input_path: str,
    steps: int | None,
    samples: int | None,
    encoding: str,
    seed: int,
    hw: ArrayParams,
    calibrate: str | None,
    objective: Objective,
    passes: Passes,
    host: tuple[str, ...],
    preset: str,
    sample: int,
    rtl: bool,
) -> int:
    """Gather a run of MODEL or PROGRAM into one page.

    The page has the network, what each core holds and which ways packets take, when each core does
    what, spikes, potentials and energy; it needs no network and no other file. With --rtl, every
    potential and spike of the golden model is compared with the RTL under Verilator, and the exit
    status is 1 if they differ.

    If no calibration file is given, the integer formats of a model are set by the first 100
    samples.
    """
    from talon.backend.programs import plan
    from talon.sdk.execution import Feed, calibration_of, open_program, run_target
    from talon.sdk.gathering import gather
    from talon.sdk.reporting import run_page
    from talon.sdk.tables import fields
    from talon.viz.report import write_report

    feed = Feed(path=input_path, n_steps=steps, n_samples=samples, encoding=encoding, seed=seed)
    graph, program, inputs = open_program(
        console,
        model,
        feed,
        hw=hw,
        hw_chosen=is_given("hw"),
        calibrate=calibrate,
        objective=objective,
        passes=passes,
        host=host,
    )
    if sample >= inputs.n_samples:
        raise click.UsageError(f"--sample must be one of the {inputs.n_samples} samples, from 0")
    planned = None
    if graph is not None:
        with console.waiting("planning"):
            planned = plan(
                graph,
                hw=hw,
                calibration=calibration_of(graph, calibrate, feed, inputs),
                objective=objective,
                passes=passes,
                host=host,
            )
    compared = run_target(console, "cosim", program, inputs, probe=True) if rtl else None
    timed = run_target(console, "cosim", program, inputs, probe=False) if rtl else None
    with console.progress("golden") as progress:
        found = gather(
            program,
            inputs,
            name=Path(model).name,
            graph=graph,
            plan=planned,
            rtl=compared,
            timed=timed,
            preset=preset,
            sample=sample,
            progress=progress,
        )
    path = write_report(output or f"{Path(model).stem}-report.html", run_page(found))
    result = {**found.to_dict(), "report": str(path.resolve()), "bytes": path.stat().st_size}
    console.emit(result, lambda out: fields(out, result))
    comparison = found.comparison
    return 0 if comparison is None or comparison.equal else 1
