"""What the commands share: reading models, programs and inputs, and running them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from talon.backend.inputs import Inputs, load_inputs, prepare_inputs
from talon.backend.programs import Hoist, Program, load
from talon.backend.programs import compile as compile_graph
from talon.errors import BackendError, TalonError
from talon.image import bundle
from talon.image.container import check_hardware
from talon.ir import Graph, read
from talon.sdk.sources import is_nir

if TYPE_CHECKING:
    from talon.arch.params import ArrayParams
    from talon.compiler.passes.mapped import Passes
    from talon.compiler.tile import Objective
    from talon.image.container import Image
    from talon.sdk.console import Console
    from talon_sim.trace import Trace

CALIBRATION_SAMPLES = 100
"""How many of the given inputs set the integer formats if no calibration file is given."""


@dataclass(frozen=True, kw_only=True)
class Feed:
    """What a command line says of the data that enters a network."""

    path: str
    n_steps: int | None
    n_samples: int | None
    encoding: str = "hold"
    seed: int = 0

    def read(self, graph: Graph) -> Inputs:
        """Return the samples, fitted to the inputs of ``graph``."""
        inputs = prepare_inputs(
            graph,
            load_inputs(self.path),
            self.n_steps,
            encoding=self.encoding,  # type: ignore[arg-type]
            seed=self.seed,
        )
        return inputs if self.n_samples is None else inputs.take(self.n_samples)


def is_program(path: str) -> bool:
    """Tell whether a file is a program rather than a model."""
    with Path(path).open("rb") as file:
        return bundle.is_program(file.read(len(bundle.MAGIC)))


def read_model(path: str) -> Graph:
    """Return the graph of a model file, with a hint where a program was meant."""
    if is_program(path):
        raise TalonError(
            f"{path} is a program; this command needs the model (.t1c) that it was made from"
        )
    if is_nir(path):
        raise TalonError(f"{path} is a NIR file; make a model of it: talon import {path} -o X.t1c")
    return read(path)


def compile_model(
    console: Console,
    graph: Graph,
    params: ArrayParams,
    *,
    objective: Objective = "latency",
    hoist: Hoist = "auto",
    calibration: Inputs | None = None,
    passes: Passes = "auto",
    host: Collection[str] = (),
) -> Program:
    """Compile for an array; that it takes several passes is said."""
    with console.waiting(f"compiling for {params.name}"):
        program = compile_graph(
            graph,
            hw=params,
            calibration=calibration,
            objective=objective,
            hoist=hoist,
            passes=passes,
            host=host,
        )
    if len(program.passes) > 1:
        console.say(
            f"The network is larger than {params.name} and runs in {len(program.passes)} passes"
        )
    return program


def calibration_of(graph: Graph, path: str | None, feed: Feed, inputs: Inputs | None) -> Inputs:
    """Return the samples of the calibration file, or else the first of the inputs."""
    if path is not None:
        return Feed(path=path, n_steps=feed.n_steps, n_samples=None, seed=feed.seed).read(graph)
    if inputs is None:
        inputs = feed.read(graph)
    return inputs.take(min(CALIBRATION_SAMPLES, inputs.n_samples))


def open_program(
    console: Console,
    path: str,
    feed: Feed,
    *,
    hw: ArrayParams,
    hw_chosen: bool,
    calibrate: str | None,
    objective: Objective,
    passes: Passes,
    host: Collection[str],
) -> tuple[Graph | None, Program, Inputs]:
    """Return the graph (None of a program), the program, and the samples for it.

    Parameters
    ----------
    path
        A program, which is read, or a model, which is compiled.
    feed
        The samples.
    hw, hw_chosen
        The array, and whether the user named it: then a program for another one is refused.
    calibrate, objective, passes, host
        Options of the compiler.
    """
    if not is_program(path):
        graph = read_model(path)
        inputs = feed.read(graph)
        samples = calibration_of(graph, calibrate, feed, inputs)
        program = compile_model(
            console, graph, hw, objective=objective, passes=passes, host=host, calibration=samples
        )
        return graph, program, inputs
    if calibrate is not None:
        raise TalonError(f"{path} is a program, whose formats are fixed; leave out --calibrate")
    program = load(path)
    if hw_chosen:
        check_hardware(program.passes[0].contents, hw)
    return None, program, feed.read(program.inputs)


def run_target(
    console: Console,
    name: str,
    program: Program,
    inputs: Inputs,
    *,
    probe: bool,
    **options: Any,
) -> Trace:
    """Run a program on a target, with progress."""
    if name == "cosim":
        build_simulator(console, program.params, trace=options.get("waves") is not None)
    with console.progress(name) as progress:
        run = program.run(inputs, target=name, probe=probe, progress=progress, **options)
    return cast("Trace", run)


def build_simulator(console: Console, params: ArrayParams, *, trace: bool = False) -> None:
    """Build the simulator of an array, or find it built, apart from the run that needs it."""
    try:
        from talon_sim.cosim.array import array_library
    except ImportError as error:
        raise BackendError(
            f"Target 'cosim' cannot be loaded: {error}; `talon doctor` names what is missing"
        ) from error
    with console.waiting(f"building the simulator of {params.name}, which is kept for next time"):
        array_library(params, trace=trace)


def cores_used(program: Program) -> list[int]:
    """Return the cores that a program loads, ascending; of several passes, of the largest."""
    return max((list(one.contents.cores) for one in program.passes), key=len)


def check_image(image: Image) -> list[str]:
    """Run the compiler's checkers on an image, and return their names."""
    from talon.compiler.check import CHECKERS, check_program
    from talon.compiler.network_io import network_from_bytes

    check_program(image, network_from_bytes(image.network))
    return [checker.__name__.removeprefix("check_").replace("_", " ") for checker in CHECKERS]


def groups_of(program: Program) -> dict[str, Any]:
    """Return the groups of all passes, as a manifest has them.

    Those that hold a part of a population that is divided over passes are left out.
    """
    if not program.flows:
        return program.manifest
    groups: list[dict[str, Any]] = []
    for one, flow in zip(program.passes, program.flows, strict=True):
        whole = {name for name, part in flow.parts.items() if part.is_whole}
        groups += [g for g in one.manifest["groups"] if g["population"] in whole]
    return {"groups": groups}


def core_of(manifest: Mapping[str, Any], population: str, neuron: int) -> int | None:
    """Return the core that holds a neuron of a population, None if that is not known."""
    for group in manifest["groups"]:
        if "first" not in group:  # a tile of a map
            continue
        first = int(group["first"])
        if group["population"] == population and first <= neuron < first + int(group["count"]):
            return int(group["core"])
    return None


def answer_output(program: Program) -> str:
    """Return the name of the output of the graph that gives the answers."""
    suffix = program.host.suffix
    return program.network.outputs[0].name if suffix is None else next(iter(suffix.outputs))


def answers(program: Program, trace: Trace) -> NDArray[np.int64]:
    """Return for each sample the output neuron with most spikes, or the largest sum of values.

    A tie goes to the lowest neuron. Where the host computes behind the array, its values count.
    """
    if trace.outputs:
        values = trace.outputs[answer_output(program)].sum(axis=0, dtype=np.float64)
        return values.reshape(len(values), -1).argmax(axis=1)
    port = program.network.outputs[0]
    if port.kind in ("spike", "count"):
        totals = trace.spikes[port.population].sum(axis=0, dtype=np.int64)
    else:
        (scale,) = [p.v_scale for p in program.network.populations if p.name == port.population]
        totals = (trace.potentials[port.population] * scale).sum(axis=0)
    return totals.argmax(axis=1)


def accuracy(found: NDArray[np.int64], labels: NDArray[np.int64] | None) -> float | None:
    """Return the share of right answers, if the labels are known."""
    if labels is None:
        return None
    if len(labels) != len(found):
        raise BackendError(f"There are {len(labels)} labels for {len(found)} answers")
    return float((found == labels).mean())
