"""``talon simulate``: run a model or a program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from talon.sdk.console import Console
from talon.sdk.options import MODEL, OutputFile, command, compiling, feeding, is_given

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from talon.arch.params import ArrayParams
    from talon.compiler.passes.mapped import Passes
    from talon.compiler.tile import Objective
    from talon.sdk.execution import Feed

TARGETS = ("golden", "cosim", "interpreter", "reference")


@command("simulate")
@click.argument("model", type=MODEL, metavar="MODEL|PROGRAM")
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    default="golden",
    show_default=True,
    help="Integer golden model, the RTL under Verilator, the image's interpreter, or floats.",
)
@feeding
@compiling
@click.option("--probe", is_flag=True, help="Record every spike and potential, not outputs alone.")
@click.option(
    "-o",
    "--output",
    type=OutputFile(),
    metavar="OUT.npz",
    help="Write spikes and potentials, arrays of timesteps, samples and neurons.",
)
@click.option(
    "--waves",
    type=OutputFile(),
    metavar="OUT.vcd",
    help="Write waves of the RTL (target cosim).",
)
def simulate_command(
    console: Console,
    *,
    model: str,
    target: str,
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
    probe: bool,
    output: str | None,
    waves: str | None,
) -> None:
    """Run MODEL or PROGRAM on the samples of a file.

    A model is compiled first, for every target but `reference`; if no calibration file is given,
    its integer formats are set by the first 100 of the samples. A program is run as it is, and
    knows its array; with --hw, it is refused if that is another.
    """
    from talon.sdk.execution import Feed
    from talon.sdk.tables import fields

    feed = Feed(path=input_path, n_steps=steps, n_samples=samples, encoding=encoding, seed=seed)
    if waves is not None and target != "cosim":
        raise click.UsageError(f"--waves needs --target cosim, not {target}")
    if target == "reference":
        result, arrays = _reference(model, feed, probe=probe)
    else:
        options: dict[str, Any] = {}
        if target == "cosim" and waves is not None:
            options["waves"] = Path(waves)
        if target == "interpreter":
            options["seed"] = seed
        result, arrays = _program(
            console,
            model,
            feed,
            target,
            hw=hw,
            hw_chosen=is_given("hw"),
            calibrate=calibrate,
            objective=objective,
            passes=passes,
            host=host,
            probe=probe,
            options=options,
        )
    if output is not None:
        _save(output, arrays)
        result["output"] = output
    facts = {key: value for key, value in result.items() if key not in ("answers", "labels")}
    console.emit(result, lambda out: fields(out, facts, answers=result.get("answers")))


def _reference(
    path: str, feed: Feed, *, probe: bool
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    from talon.backend.cpu.simulator import simulate_float
    from talon.sdk.execution import accuracy, read_model

    graph = read_model(path)
    inputs = feed.read(graph)
    trace = simulate_float(graph, inputs)
    found = trace.classes()
    arrays: dict[str, NDArray[Any]] = {f"output:{k}": v for k, v in trace.outputs.items()}
    if probe:
        arrays |= {f"spikes:{name}": value for name, value in trace.spikes.items()}
        arrays |= {f"potentials:{name}": value for name, value in trace.potentials.items()}
    result: dict[str, Any] = {
        "model": path,
        "target": "reference",
        "samples": inputs.n_samples,
        "timesteps": inputs.n_steps,
        "answers": found,
        "accuracy": accuracy(found, inputs.labels),
        "spikes": {name: int(value.sum()) for name, value in trace.spikes.items()},
    }
    return result, arrays


def _program(
    console: Console,
    path: str,
    feed: Feed,
    target: str,
    *,
    hw: ArrayParams,
    hw_chosen: bool,
    calibrate: str | None,
    objective: Objective,
    passes: Passes,
    host: tuple[str, ...],
    probe: bool,
    options: dict[str, Any],
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    from talon.sdk.execution import accuracy, answers, cores_used, open_program, run_target

    _, program, inputs = open_program(
        console,
        path,
        feed,
        hw=hw,
        hw_chosen=hw_chosen,
        calibrate=calibrate,
        objective=objective,
        passes=passes,
        host=host,
    )
    trace = run_target(console, target, program, inputs, probe=probe, **options)
    found = answers(program, trace)
    arrays: dict[str, NDArray[Any]] = {f"spikes:{k}": v for k, v in trace.spikes.items()}
    arrays |= {f"potentials:{name}": value for name, value in trace.potentials.items()}
    arrays |= {f"output:{name}": value for name, value in trace.outputs.items()}
    result: dict[str, Any] = {
        "model": path,
        "target": target,
        "hw": program.params.name,
        "cores_used": len(cores_used(program)),
        "passes": len(program.passes),
        "samples": trace.n_samples,
        "timesteps": trace.n_steps,
        "answers": found,
        "accuracy": accuracy(found, inputs.labels),
        "spikes": {name: int(value.sum()) for name, value in trace.spikes.items()},
        "counters": dict(trace.counters),
    }
    if trace.cycles is not None:
        arrays["cycles"] = trace.cycles
        result["cycles_per_inference"] = float(trace.cycles.mean())
        if trace.passes:
            result["cycles_per_pass"] = [
                float(one.cycles.mean()) for one in trace.passes if one.cycles is not None
            ]
    return result, arrays


def _save(path: str, arrays: dict[str, NDArray[Any]]) -> None:
    import io

    import numpy as np

    from talon.image.files import whole_file

    buffer = io.BytesIO()  # a zip archive is not written from front to back, as a pipe must be
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    with whole_file(path) as file:
        file.write(buffer.getbuffer())
