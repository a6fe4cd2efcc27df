"""``talon plan``: does it fit, where, and how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from talon.sdk.console import Console
from talon.sdk.options import MODEL, command, compiling

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

    from talon.arch.params import ArrayParams
    from talon.compiler.passes.mapped import Passes
    from talon.compiler.plan import Plan
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
    passes: Passes,
    host: tuple[str, ...],
    steps: int | None,
) -> int:
    """Say whether MODEL fits, what binds and how fast it will be.

    What each node becomes, what each core holds of what it has, and the cycles of an inference,
    estimated from the traffic of the calibration samples (or from a tenth of all lines and neurons
    active), beside the least that the array could take. The exit status is 1 if the network does
    not fit; then the node, the limit and the ways out are named.
    """
    from talon.backend.programs import plan
    from talon.sdk.execution import Feed, read_model

    graph = read_model(model)
    samples = None
    if calibrate is not None:
        samples = Feed(path=calibrate, n_steps=steps, n_samples=None).read(graph)
    found = plan(
        graph,
        hw=hw,
        calibration=samples,
        objective=objective,
        n_steps=steps,
        passes=passes,
        host=host,
    )
    console.emit({"model": model, **found.to_dict()}, lambda out: render(out, model, found))
    return 0 if found.fits else 1


def render(out: RichConsole, model: str, plan: Plan) -> None:
    """Print a plan as tables."""
    from rich.text import Text

    from talon.sdk.tables import fields, layer_rows, node_rows, records

    if plan.nodes:
        out.print(records(node_rows(plan.to_dict()["nodes"]), title="Nodes"))
    if plan.layers:
        out.print(records(layer_rows(plan.to_dict()["layers"]), title="Integer formats"))
    if len(plan.passes) > 1:
        out.print(records(pass_rows(plan), title="Passes, one after another"))
    if plan.cores:
        out.print(records(core_rows(plan), title="Cores, used / available"))
    fields(out, facts_of(model, plan))
    for item in plan.unmapped[1:]:
        out.print(Text(str(item), style="red"))
    if plan.reason:
        out.print(Text(plan.reason, style="red"))


def pass_rows(plan: Plan) -> list[dict[str, Any]]:
    """Return a record of each pass."""
    return [
        {
            "pass": one.number,
            "cores": one.cores_used,
            "cycles an inference": one.prediction.cycles_per_inference,
            "takes": ", ".join(one.takes),
            "holds": ", ".join(one.holds),
            "sends on": ", ".join(one.sends),
        }
        for one in plan.passes
    ]


def core_rows(plan: Plan) -> list[dict[str, Any]]:
    """Return a record of each core in use."""
    return [
        {
            **({"pass": core.in_pass} if len(plan.passes) > 1 else {}),
            "core": core.core,
            **{name: f"{used:,} / {room:,}" for name, (used, room) in core.resources.items()},
            "binding": core.binding,
            "cycles a step": core.cycles_per_timestep,
            "holds": ", ".join(core.holds),
        }
        for core in plan.cores
    ]


def facts_of(model: str, plan: Plan) -> dict[str, Any]:
    """Return the facts of a plan, one a line."""
    from talon.compiler.plan import gap_of

    facts: dict[str, Any] = {
        "model": model,
        "hw": plan.hw,
        "fits": plan.fits,
        "objective": plan.objective,
        "cores": f"{plan.cores_used} of {plan.cores_available}" if plan.fits else None,
    }
    if len(plan.passes) > 1:
        facts["passes"] = f"{len(plan.passes)}, as the network is larger than the array"
    if plan.bounds is not None:
        words, rows = plan.bounds.weight_words, plan.bounds.rows
        groups, edges = plan.bounds.groups, plan.bounds.edges
        least = plan.bounds.cores
        above = f", {gap_of(plan.cores_used, least):.0f} % above" if plan.fits else ""
        facts["least cores"] = f"{least}, by {plan.bounds.binding}{above}"
        facts["weight words"] = f"{words[0]:,} of {words[1]:,}"
        facts["accumulator rows"] = f"{rows[0]:,} of {rows[1]:,}"
        facts["groups, at least"] = f"{groups[0]:,} of {groups[1]:,}"
        facts["edges, at least"] = f"{edges[0]:,} of {edges[1]:,}"
    if plan.prediction is not None:
        guess = plan.prediction
        facts["cycles an inference"] = (
            f"{guess.cycles_per_inference:,} estimated for {guess.n_steps} timesteps, "
            f"{guess.lower_bound:,} at least"
            f" ({gap_of(guess.cycles_per_inference, guess.lower_bound):.0f} % above)"
        )
        facts["cycles a timestep"] = f"{guess.cycles_per_timestep:,} estimated, in the pipeline"
    if plan.traffic is not None:
        sent = plan.traffic
        facts["links a timestep"] = (
            f"{sent.hops_per_timestep:,} estimated, {sent.lower_bound:,} at least "
            f"({sent.gap:.0f} % above)"
        )
        facts["connectivity"] = f"{sent.connectivity:,g} packets times cores that they reach"
    return facts
