"""``talon verify``: float reference, golden model, interpreter and RTL, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from talon.sdk.console import Console
from talon.sdk.options import MODEL, OutputFile, Probability, command, compiling, feeding

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

    from talon.arch.params import ArrayParams
    from talon.backend.programs import Program
    from talon.compiler.passes.mapped import Passes
    from talon.compiler.tile import Objective
    from talon.sdk.verification import Verification

RUNGS = ("interpreter", "rtl")


@command("verify")
@click.argument("model", type=MODEL)
@feeding
@compiling
@click.option(
    "--backpressure",
    type=Probability(min=0, max=0.95),
    default=0.0,
    show_default=True,
    metavar="P",
    help="Probability of a random pause before each word of the RTL's streams.",
)
@click.option(
    "--without",
    type=click.Choice(RUNGS),
    multiple=True,
    help="Leave one execution out; can be given twice.",
)
@click.option(
    "--html",
    type=OutputFile(),
    metavar="OUT.html",
    help="A page of where values differ, by population and timestep.",
)
def verify_command(
    console: Console,
    *,
    model: str,
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
    backpressure: float,
    without: tuple[str, ...],
    html: str | None,
) -> int:
    """Run MODEL everywhere and compare the runs, value for value.

    Every potential and spike of every timestep of the integer golden model is compared with the
    interpreter, which reads only the bytes of the image and delivers packets in random order, and
    with the RTL under Verilator. These must be equal, or else the exit status is 1 and the first
    divergence is named. The golden model is also compared with the float reference; there a
    mismatch (golden_spike_mismatches) measures quantization and is no error.

    If no calibration file is given, the integer formats are set by the first 100 samples.
    """
    from talon.backend.cpu.simulator import simulate_float
    from talon.sdk.execution import Feed, calibration_of, compile_model, cores_used, read_model
    from talon.sdk.verification import summary, verify

    chosen = tuple(name for name in RUNGS if name not in without)
    if not chosen:
        raise click.UsageError("--without leaves nothing to compare the golden model with")
    graph = read_model(model)
    feed = Feed(path=input_path, n_steps=steps, n_samples=samples, encoding=encoding, seed=seed)
    inputs = feed.read(graph)
    program = compile_model(
        console,
        graph,
        hw,
        objective=objective,
        passes=passes,
        host=host,
        calibration=calibration_of(graph, calibrate, feed, inputs),
    )
    found = verify(
        console,
        program,
        inputs,
        simulate_float(graph, inputs),
        rungs=chosen,
        options={"interpreter": {"seed": seed}, "rtl": pressure(seed, backpressure)},
    )
    result: dict[str, Any] = {
        "model": model,
        "hw": hw.name,
        "samples": inputs.n_samples,
        "timesteps": inputs.n_steps,
        "cores_used": len(cores_used(program)),
        "cores_available": hw.n_cores,
        "seed": seed,
        "backpressure": backpressure,
        **summary(found),
    }
    if html is not None:
        _write_page(html, f"{Path(model).name} on {hw.name}", program, found)
        result["html"] = html
    console.emit(result, lambda out: _render(out, result, found))
    return 0 if found.equal else 1


def _write_page(path: str, title: str, program: Program, found: Verification) -> None:
    """Write a page of each execution against the golden model."""
    from talon.sdk.execution import core_of, groups_of
    from talon.viz.divergence import divergence_section
    from talon.viz.page import HtmlPage

    manifest = groups_of(program)
    sections = tuple(
        divergence_section(
            found.golden,
            rung.trace,
            core_of=lambda name, neuron: core_of(manifest, name, neuron),
            heading=f"Golden model and {rung.name}",
        )
        for rung in found.rungs
    )
    HtmlPage(title=title, subtitle="all potentials and spikes", sections=sections).write(path)


def pressure(seed: int, probability: float) -> dict[str, Any]:
    """Return the options of the cosim target for a probability of pauses."""
    if not probability:
        return {}
    from talon_sim.cosim.fast import BackPressure

    return {"pressure": BackPressure(seed=seed, gap_in=probability, gap_out=probability, burst=4)}


def _render(out: RichConsole, result: dict[str, Any], found: Verification) -> None:
    from rich.table import Table
    from rich.text import Text

    from talon.sdk.verification import describe

    out.print(
        Text(
            f"{result['model']} on {result['hw']}: {result['samples']} samples of "
            f"{result['timesteps']} timesteps, "
            f"{result['cores_used']} of {result['cores_available']} cores"
        )
    )
    table = Table(box=None, pad_edge=False)
    for title in ("compared with golden", "V", "differ", "spikes", "differ", ""):
        table.add_column(
            title, justify="left" if title in ("compared with golden", "") else "right"
        )
    for rung in found.rungs:
        comparison = rung.comparison
        table.add_row(
            rung.name,
            f"{comparison.n_v_compared:,}",
            f"{comparison.v_mismatches:,}",
            f"{comparison.n_spikes_compared:,}",
            f"{comparison.spike_mismatches:,}",
            Text("equal", style="green") if comparison.equal else Text("DIFFERS", style="red"),
        )
    agreement = found.agreement
    table.add_row(
        "float reference",
        "",
        "",
        f"{agreement.n_spikes:,}",
        f"{agreement.spike_mismatches:,}",
        Text(f"quantization; {agreement.class_mismatches} answers differ", style="dim"),
    )
    out.print(table)
    if found.first is not None:
        out.print(Text(describe(found.first), style="red"))
