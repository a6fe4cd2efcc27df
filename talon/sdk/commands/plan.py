"""``talon plan``: does it fit, where, and how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from talon.sdk.console import Console
from talon.sdk.options import MODEL, command, compiling

if TYPE_CHECKING:
    from talon.arch.params import ArrayParams
    from talon.compiler.tile import Objective


@command("plan")
@click.argument("model", type=MODEL)
@compiling
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    metavar="T",
    help="Timesteps of an inference, if neither calibration file nor model says so.",
)
def plan_command(
    console: Console,
    *,
    model: str,
    hw: ArrayParams,
    calibrate: str | None,
    objective: Objective,
    steps: int | None,
) -> int:
    """Say whether MODEL fits, what binds and how fast it will be.

    The exit status is 1 if it does not fit; then the reasons and the ways out are printed.
    """
    from talon.sdk.execution import Feed, read_model
    from talon.sdk.planning import plan_model, render

    graph = read_model(model)
    samples = None
    if calibrate is not None:
        samples = Feed(path=calibrate, n_steps=steps, n_samples=None).read(graph)
    plan = plan_model(graph, hw, objective=objective, calibration=samples, n_steps=steps)
    console.emit({"model": model, **plan.to_dict()}, lambda out: render(out, model, plan))
    return 0 if plan.fits else 1
