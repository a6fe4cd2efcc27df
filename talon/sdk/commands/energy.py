"""``talon energy``, ``run``, ``profile-hw`` and ``pipeline``: what a run in floats takes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from talon.sdk.console import Console
from talon.sdk.options import MODEL, InputFile, Probability, command

if TYPE_CHECKING:
    from talon.backend.inputs import Inputs

PRESETS = (
    *("45nm_cmos", "28nm_cmos", "neuromorphic_int8"),
    *("zynq_us_plus", "zcu102", "zynq_7020"),
)

preset_option = click.option(
    "--preset",
    type=click.Choice(PRESETS),
    default=PRESETS[0],
    show_default=True,
    help="What an operation costs, estimated.",
)
steps_option = click.option(
    "-n", "--steps", type=click.IntRange(min=1), default=10, show_default=True, metavar="T"
)
input_option = click.option(
    "--input",
    "input_path",
    type=InputFile(),
    metavar="X.npz",
    help="Data as for `talon simulate`; without it zeros are held.",
)
backend_option = click.option("--backend", default="cpu", show_default=True, metavar="NAME")


@command("energy")
@click.argument("model", type=MODEL)
@click.option("--spike-rate", type=Probability(0, 1), default=0.1, show_default=True, metavar="P")
@click.option(
    "--timesteps", type=click.IntRange(min=1), default=100, show_default=True, metavar="T"
)
@preset_option
def energy_command(
    console: Console, *, model: str, spike_rate: float, timesteps: int, preset: str
) -> None:
    """Estimate the energy of a sample of MODEL if every neuron fired with probability P.

    `talon profile-hw` counts the events of a run instead.
    """
    from talon.sdk.energy import estimate_energy
    from talon.sdk.execution import read_model
    from talon.sdk.tables import fields

    found = estimate_energy(
        read_model(model), spike_rate=spike_rate, timesteps=timesteps, energy_preset=preset
    )
    result = {"model": model, "spike_rate": spike_rate, "timesteps": timesteps, **asdict(found)}
    facts = {key: value for key, value in result.items() if key != "per_layer"}
    layers = [{"node": name, "uJ": uj} for name, uj in found.per_layer.items()]
    console.emit(result, lambda out: fields(out, facts, table=layers, title="Layers"))


@command("run")
@click.argument("model", type=MODEL)
@steps_option
@input_option
@backend_option
@preset_option
def run_command(
    console: Console,
    *,
    model: str,
    steps: int,
    input_path: str | None,
    backend: str,
    preset: str,
) -> None:
    """Run MODEL on a backend, and say how often its neurons fired and what that takes."""
    from talon.backend import run
    from talon.sdk.execution import read_model
    from talon.sdk.tables import fields

    graph = read_model(model)
    data = _data(graph, input_path, steps)
    found = run(graph, data, steps, backend=backend, energy_preset=preset)
    facts: dict[str, Any] = {
        "model": model,
        "backend": backend,
        "timesteps": found.timesteps_run,
        "spike_counts": found.spike_counts,
        "energy_uj": found.energy_estimate_uj,
        "energy_preset": preset,
        "latency_us_on_this_host": found.total_latency_us,
        "mac_ops": found.mac_ops,
        "errors": found.errors,
    }
    console.emit(facts, lambda out: fields(out, facts))


@command("profile-hw")
@click.argument("model", type=MODEL)
@steps_option
@input_option
@backend_option
@preset_option
def profile_hw_command(
    console: Console,
    *,
    model: str,
    steps: int,
    input_path: str | None,
    backend: str,
    preset: str,
) -> None:
    """Run MODEL and work out its energy from the events of the run; latency is this host's."""
    from talon.backend import get_backend
    from talon.sdk.execution import read_model

    graph = read_model(model)
    data = _data(graph, input_path, steps)
    found = get_backend(backend).profile(graph, data, steps, energy_preset=preset)
    console.emit(
        {"model": model, **asdict(found)}, lambda out: out.print(found.summary(), markup=False)
    )


@command("pipeline")
@click.argument("model", type=MODEL)
@click.option("--target", default="cpu", show_default=True, metavar="BACKEND")
@click.option("-n", "--timesteps", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--quantize", type=click.IntRange(2, 16), metavar="BITS", help="Quantize weights.")
@click.option("--partition", is_flag=True, help="Put the network on cores.")
@click.option("--num-cores", type=click.IntRange(min=1), metavar="N", help="Of these cores.")
@click.option("--no-lint", is_flag=True)
@click.option("--no-profile", is_flag=True)
@input_option
@preset_option
def pipeline_command(
    console: Console,
    *,
    model: str,
    target: str,
    timesteps: int,
    quantize: int | None,
    partition: bool,
    num_cores: int | None,
    no_lint: bool,
    no_profile: bool,
    input_path: str | None,
    preset: str,
) -> int:
    """Take MODEL through lint, analysis, quantization, partition, a run and its profile.

    The exit status is 1 if it did not come to the end.
    """
    from talon.sdk.execution import read_model
    from talon.sdk.pipeline import run_pipeline
    from talon.sdk.tables import fields

    graph = read_model(model)
    found = run_pipeline(
        graph,
        input_data=_data(graph, input_path, timesteps),
        target=target,
        timesteps=timesteps,
        quantize=quantize is not None,
        bit_width=quantize or 8,
        partition=partition,
        num_cores=num_cores,
        lint=not no_lint,
        profile=not no_profile,
        energy_preset=preset,
    )
    simulation, stats = found.simulation, found.analysis
    result: dict[str, Any] = {
        "model": model,
        "success": found.success,
        "errors": found.errors,
        "issues": [f"{issue.code}: {issue.message}" for issue in found.lint_results],
        "parameters": None if stats is None else stats.total_params,
        "depth": None if stats is None else stats.depth,
        "timesteps": None if simulation is None else simulation.timesteps_run,
        "spike_counts": {} if simulation is None else simulation.spike_counts,
        "energy": found.energy,
        "partition": None if found.graph is None else _summary(found.graph.partition_metadata),
    }
    console.emit(result, lambda out: fields(out, result))
    return 0 if found.success else 1


def _summary(partition: dict[str, Any] | None) -> dict[str, Any] | None:
    if partition is None:
        return None
    return {key: partition[key] for key in ("algorithm", "num_cores_used") if key in partition}


def _data(graph: Any, path: str | None, steps: int) -> Inputs | None:
    from talon.sdk.execution import Feed

    return None if path is None else Feed(path=path, n_steps=steps, n_samples=None).read(graph)
