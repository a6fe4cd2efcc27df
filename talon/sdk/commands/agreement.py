"""``talon compare``: two models as they are written, or one model as several executions see it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from talon.sdk.console import Console
from talon.sdk.options import Probability, command, compiling, feeding_if_asked

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

    from talon.arch.params import ArrayParams
    from talon.compiler.passes.mapped import Passes
    from talon.compiler.tile import Objective
    from talon.sdk.agreements import Agreements
    from talon.sdk.side_by_side import Parting


@command("compare")
@click.argument("left", metavar="MODEL")
@click.argument("right", required=False)
@click.option("--atol", type=click.FloatRange(min=0), default=1e-6, show_default=True)
@click.option("--rtol", type=click.FloatRange(min=0), default=1e-5, show_default=True)
@click.option(
    "--against",
    metavar="EXECUTION",
    multiple=True,
    help="Run MODEL in floats and as this, on --input: 'golden' for int8, 'snntorch' for the "
    "module that MODEL (then package.module:function) makes, 'nir', 'snntorch', 'norse' or "
    "'sinabs' for a MODEL.nir as that framework's own importer reads it, a "
    "package.module:function, or another model file; can be given several times.",
)
@click.option(
    "--framework",
    type=click.Choice(["snntorch", "norse", "sinabs"]),
    help="With --against nir: the framework; without it, the one that suits the file best.",
)
@click.option(
    "--dt",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="With --against and a MODEL.nir: length of a timestep, as in talon import.",
)
@click.option(
    "--lenient",
    is_flag=True,
    help="With --against and a MODEL.nir: mend deviations from NIR, as in talon import.",
)
@click.option(
    "--max-spikes",
    type=click.IntRange(min=2),
    metavar="N",
    help="With --against and a MODEL.nir: how often IF and LIF may fire, as in talon import.",
)
@click.option(
    "--at-least",
    type=Probability(min=0, max=1),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="With --against: the least agreement of any layer in int8 for exit status 0.",
)
@feeding_if_asked
@compiling
def compare_command(
    console: Console,
    *,
    left: str,
    right: str | None,
    against: tuple[str, ...],
    framework: str | None,
    dt: float | None,
    lenient: bool,
    max_spikes: int | None,
    at_least: float,
    atol: float,
    rtol: float,
    input_path: str | None,
    steps: int | None,
    samples: int | None,
    encoding: str,
    seed: int,
    hw: ArrayParams,
    calibrate: str | None,
    objective: Objective,
    passes: Passes,
    host: tuple[str, ...],
) -> int:
    """Say in what two models differ, or in what executions of one do; the exit status is 1 if so.

    With two models, their nodes, edges and numbers are compared; numbers are equal within --atol
    plus --rtol times their magnitude.

    With --against, MODEL runs in floats and in other ways on the samples of --input, and every
    spike of every layer is compared: share of agreement, rates, the first spike that differs with
    the potentials there, accuracy if there are labels, and, where integers fall silent, why. The
    exit status is 1 if a framework's spikes differ from the float simulation, or int8 agrees less
    than --at-least. What the importer of a framework is known to change of a NIR file is told.
    """
    if bool(right) == bool(against):
        raise click.UsageError("give either a second model or --against")
    if right:
        return _compare_models(console, left, right, atol=atol, rtol=rtol)
    if input_path is None:
        raise click.UsageError("--against needs samples: --input X.npz")
    if framework is not None and "nir" not in against:
        raise click.UsageError("--framework says what --against nir is; give both")
    from talon.sdk.agreements import run_all
    from talon.sdk.execution import Feed

    feed = Feed(path=input_path, n_steps=steps, n_samples=samples, encoding=encoding, seed=seed)
    found = run_all(
        console,
        left,
        against,
        feed,
        params=hw,
        calibrate=calibrate,
        objective=objective,
        framework=framework,
        dt=dt,
        lenient=lenient,
        max_spikes=max_spikes,
        passes=passes,
        host=host,
    )
    result = {"model": left, **found.summary()}
    console.emit(result, lambda out: _render(out, result, found))
    return 0 if found.passes(at_least) else 1


def _compare_models(console: Console, left: str, right: str, *, atol: float, rtol: float) -> int:
    from talon.sdk.compare import compare_graphs
    from talon.sdk.models import open_model

    sides = [open_model(text).graph for text in (left, right)]
    diff = compare_graphs(*sides, atol=atol, rtol=rtol)
    console.emit(
        {"left": left, "right": right, **asdict(diff)},
        lambda out: out.print(diff.summary, markup=False),
    )
    return 0 if diff.identical else 1


def _render(out: RichConsole, result: dict[str, Any], found: Agreements) -> None:
    from rich.table import Table
    from rich.text import Text

    out.print(
        Text(f"{result['model']}: {result['samples']} samples of {result['timesteps']} timesteps")
    )
    for name, share in result["accuracy"].items():
        if share is not None:
            out.print(Text(f"accuracy in {name}: {share:.2%}"))
    for each in found.agreements:
        table = Table(box=None, pad_edge=False)
        table.add_column(f"float and {each.right}")
        for title in ("neurons", "agree", "differ", "rate in float", f"rate in {each.right}"):
            table.add_column(title, justify="right")
        for layer in each.layers:
            rates = (f"{rate:.4f}" for rate in layer.rates.values())
            table.add_row(
                layer.layer,
                f"{layer.n_neurons:,}",
                f"{layer.agreement:.4%}",
                f"{layer.n_differ:,}",
                *rates,
            )
        out.print(table)
        out.print(Text(f"answers that differ: {each.answers_differ}"))
        if each.first is not None:
            out.print(Text(describe(each.first)))
    for each in found.foreign:
        title = f"{each.framework.title} {each.version}"
        for text in each.deviations:
            out.print(Text(f"importer of {title}: {text}", style="yellow"))
        for text in each.said:
            out.print(Text(f"{title} says: {text}", style="dim"))
    for silence in found.silent:
        out.print(Text(str(silence), style="red"))


def describe(first: Parting) -> str:
    """Return the first spike that differs as a sentence."""
    potentials = ", ".join(f"{value:.6g} in {name}" for name, value in first.potentials.items())
    fires = f"fires in {first.fired} alone"
    if min(first.spikes.values()) > 0 or max(first.spikes.values()) > 1:
        fires = "fires " + " and ".join(f"{n} times in {name}" for name, n in first.spikes.items())
    return (
        f"first difference: layer {first.layer!r}, timestep {first.timestep}, sample "
        f"{first.sample}, neuron {first.neuron} {fires}; its potential then is {potentials}"
    )
