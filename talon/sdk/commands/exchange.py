"""``talon import`` and ``talon export``: between .t1c files, NIR files and models in Python."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from talon.errors import TalonError
from talon.sdk.console import Console
from talon.sdk.options import MODEL, OutputFile, command

_DT = click.option(
    "--dt",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Length of a timestep. Without it, the file tells, or the program that wrote it.",
)
_LENIENT = click.option(
    "--lenient", is_flag=True, help="Mend deviations from NIR, with a warning for each."
)

_MAX_SPIKES = click.option(
    "--max-spikes",
    type=click.IntRange(min=2),
    metavar="N",
    help="Let IF and LIF of NIR fire up to N times in a timestep and subtract their threshold each "
    "time, as those of sinabs do.",
)


@command("import")
@click.argument("model")
@click.option("-o", "--output", type=OutputFile(), required=True, metavar="OUT.t1c")
@_DT
@_LENIENT
@_MAX_SPIKES
def import_command(
    console: Console,
    *,
    model: str,
    output: str,
    dt: float | None,
    lenient: bool,
    max_spikes: int | None,
) -> None:
    """Write MODEL as a .t1c file.

    MODEL is a .nir or .t1c file, or package.module:function, which gives a graph, a PyTorch module
    and a sample, or a nir.NIRGraph.
    """
    from talon.ir import write
    from talon.sdk.models import open_model

    with _warnings(console) as said:
        graph = open_model(model, dt=dt, lenient=lenient, max_spikes=max_spikes).graph
        write(output, graph)
    _report(console, model, output, len(graph.nodes), len(graph.edges), said)


@command("export")
@click.argument("model", type=MODEL)
@click.option("-o", "--output", type=OutputFile(), required=True, metavar="OUT.nir")
@_DT
@_LENIENT
def export_command(
    console: Console, *, model: str, output: str, dt: float | None, lenient: bool
) -> None:
    """Write MODEL, a .t1c file, as a NIR file, which other frameworks read.

    What NIR cannot say (resets, delays, number formats) goes to its metadata, and talon import
    gives it back. Nodes that NIR has no form for are an error that lists them.
    """
    from talon import nir
    from talon.sdk.execution import read_model

    if Path(output).suffix != ".nir":
        raise TalonError(f"{output} must end with .nir; talon import writes .t1c files")
    graph = read_model(model)
    with _warnings(console) as said:
        nir.write(output, graph, dt=dt, lenient=lenient)
    _report(console, model, output, len(graph.nodes), len(graph.edges), said)


@contextmanager
def _warnings(console: Console) -> Iterator[list[str]]:
    """Say the warnings of the work on stderr, and collect them."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield said
        finally:
            said += [str(each.message) for each in caught]
            for text in said:
                console.say(f"warning: {text}")


def _report(
    console: Console, model: str, output: str, n_nodes: int, n_edges: int, said: list[str]
) -> None:
    from talon.sdk.tables import fields

    facts = {
        "model": model,
        "output": output,
        "bytes": Path(output).stat().st_size,
        "nodes": n_nodes,
        "edges": n_edges,
        "warnings": said,
    }
    shown = {name: value for name, value in facts.items() if name != "warnings"}
    console.emit(facts, lambda out: fields(out, shown))
