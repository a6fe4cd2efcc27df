"""``talon convert``, ``quantize`` and ``merge``: models from models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from talon.sdk.console import Console
from talon.sdk.options import MODEL, OutputFile, command

if TYPE_CHECKING:
    from talon.ir import Graph
    from talon.sdk.convert import Storage

SPIKE_MODES = ("binary", "graded", "rate")
BITS = {"int4": 4, "int8": 8, "int16": 16}


@command("convert")
@click.argument("model", type=MODEL)
@click.option("-o", "--output", type=OutputFile(), metavar="OUT.t1c")
@click.option("--spiking", is_flag=True, help="Make every Affine a SpikingAffine.")
@click.option("--quantize", type=click.IntRange(2, 16), metavar="BITS", help="Quantize weights.")
@click.option("--weight-bits", type=click.IntRange(1, 32), default=8, show_default=True)
@click.option("--accumulator-bits", type=click.IntRange(1, 64), default=16, show_default=True)
@click.option("--spike-mode", type=click.Choice(SPIKE_MODES), default="binary", show_default=True)
def convert_command(
    console: Console,
    *,
    model: str,
    output: str | None,
    spiking: bool,
    quantize: int | None,
    weight_bits: int,
    accumulator_bits: int,
    spike_mode: str,
) -> None:
    """Write a copy of MODEL with spiking layers, quantized weights, or both.

    Without --output it goes beside MODEL, to a name that tells what was done.
    """
    from talon.sdk.convert import convert_to_spiking, quantize_weights
    from talon.sdk.execution import read_model

    if not spiking and quantize is None:
        raise click.UsageError("Give --spiking, --quantize BITS, or both: else nothing changes")
    graph = read_model(model)
    suffix = ""
    if spiking:
        graph = convert_to_spiking(
            graph,
            weight_bits=weight_bits,
            accumulator_bits=accumulator_bits,
            spike_mode=spike_mode,
        )
        suffix += "_spiking"
    if quantize is not None:
        graph = quantize_weights(graph, bits=quantize)
        suffix += f"_q{quantize}"
    _write(console, model, output, suffix, graph)


@command("quantize")
@click.argument("model", type=MODEL)
@click.option("-o", "--output", type=OutputFile(), metavar="OUT.t1c")
@click.option("--precision", type=click.Choice(list(BITS)), default="int8", show_default=True)
@click.option("--per-tensor", is_flag=True, help="One scale an array, not one a channel.")
@click.option(
    "--storage",
    type=click.Choice(["float", "integer"]),
    default="integer",
    show_default=True,
    help="Write floats that hold the quantized values, or true integers with their scales.",
)
def quantize_command(
    console: Console,
    *,
    model: str,
    output: str | None,
    precision: str,
    per_tensor: bool,
    storage: Storage,
) -> None:
    """Write a copy of MODEL with quantized weights.

    Symmetric and uniform, each output channel with a scale of its own. What the array runs is
    quantized by `talon compile`, from the model that is given to it.
    """
    from talon.sdk.convert import quantize_weights

    graph = quantize_weights(
        model, bits=BITS[precision], per_channel=not per_tensor, storage=storage
    )
    _write(console, model, output, f"_{precision}", graph)


@command("merge")
@click.argument("models", type=MODEL, nargs=-1, required=True, metavar="MODEL...")
@click.option("-o", "--output", type=OutputFile(), required=True, metavar="OUT.t1c")
@click.option("--no-prefix", is_flag=True, help="Keep the names, which must differ.")
def merge_command(
    console: Console, *, models: tuple[str, ...], output: str, no_prefix: bool
) -> None:
    """Write one model that holds several, with no edge between them."""
    from talon.sdk.merge import merge_graphs

    _write(console, ", ".join(models), output, "", merge_graphs(*models, prefix=not no_prefix))


def _write(console: Console, model: str, output: str | None, suffix: str, graph: Graph) -> None:
    from talon.ir import write
    from talon.sdk.tables import fields

    if output is None:
        source = Path(model)
        output = str(source.with_name(f"{source.stem}{suffix}.t1c"))
    write(output, graph)
    facts = {
        "model": model,
        "output": output,
        "bytes": Path(output).stat().st_size,
        "nodes": len(graph.nodes),
        "edges": len(graph.edges),
    }
    console.emit(facts, lambda out: fields(out, facts))
