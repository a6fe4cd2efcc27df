"""``talon compile``: from a model to a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from talon.sdk.console import Console
from talon.sdk.options import MODEL, OutputFile, command, compiling

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

    from talon.arch.params import ArrayParams
    from talon.compiler.passes.mapped import Passes
    from talon.compiler.tile import Objective


@command("compile")
@click.argument("model", type=MODEL)
@click.option(
    "-o",
    "--output",
    type=OutputFile(),
    required=True,
    metavar="PROGRAM",
    help="File to write.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    metavar="T",
    help="Timesteps for which calibration images are held, if neither file nor model says so.",
)
@click.option(
    "--no-hoist",
    is_flag=True,
    help="Compute in every timestep what depends on held images alone: the program then "
    "takes inputs that change as well.",
)
@compiling
def compile_command(
    console: Console,
    *,
    model: str,
    output: str,
    hw: ArrayParams,
    calibrate: str | None,
    objective: Objective,
    passes: Passes,
    host: tuple[str, ...],
    steps: int | None,
    no_hoist: bool,
) -> None:
    """Compile MODEL into a program for an array.

    The same model, samples and options give the same bytes. With calibration samples, the share of
    spikes in which integers and floats agree on them is told for every layer.
    """
    from talon.sdk.execution import Feed, compile_model, cores_used, read_model
    from talon.sdk.tables import fields, layer_rows, node_rows, records
    from talon.sdk.verification import spike_agreement

    graph = read_model(model)
    samples = None
    if calibrate is not None:
        samples = Feed(path=calibrate, n_steps=steps, n_samples=None).read(graph)
    program = compile_model(
        console,
        graph,
        hw,
        objective=objective,
        passes=passes,
        host=host,
        calibration=samples,
        hoist=False if no_hoist else "auto",
    )
    program.save(output)
    facts: dict[str, Any] = {
        "model": model,
        "program": output,
        "bytes": len(program.image),
        "hw": hw.name,
        "hardware_hash": f"{hw.hardware_hash:#010x}",
        "graph_hash": program.graph_hash.hex(),
        "objective": objective,
        "calibration_samples": 0 if samples is None else samples.n_samples,
        "cores_used": len(cores_used(program)),
        "cores_available": hw.n_cores,
        "passes": len(program.passes),
    }
    agreement = {} if samples is None else spike_agreement(graph, program, samples)
    layers = [
        {**layer, "spike_agreement": agreement.get(layer["population"])}
        for layer in program.report["layers"]
    ]
    nodes = program.report["nodes"]

    def render(out: RichConsole) -> None:
        out.print(records(node_rows(nodes), title="Nodes"))
        fields(out, facts, table=layer_rows(layers), title="Integer formats")

    console.emit({**facts, "layers": layers, "nodes": nodes}, render)
