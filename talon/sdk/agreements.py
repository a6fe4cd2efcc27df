"""What ``talon compare --against`` does: one model in floats, in integers and elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from talon.errors import TalonError
from talon.sdk.diagnosis import Silence, find_silent
from talon.sdk.models import Model, open_model
from talon.sdk.side_by_side import (
    Agreement,
    Execution,
    agree,
    float_execution,
    golden_execution,
    module_execution,
    observed_execution,
)

if TYPE_CHECKING:
    from talon.arch.params import ArrayParams
    from talon.backend.inputs import Inputs
    from talon.bridge.nir_importers import ForeignRun
    from talon.compiler.passes.mapped import Passes
    from talon.compiler.tile import Objective
    from talon.ir import Graph
    from talon.sdk.console import Console
    from talon.sdk.execution import Feed
    from talon_sim.trace import Trace

GOLDEN, SNNTORCH, NIR = "golden", "snntorch", "nir"
FRAMEWORKS = (SNNTORCH, "norse", "sinabs")
"""Those whose importers of NIR can run a file, see :mod:`talon.bridge.nir_importers`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Agreements:
    """Everything that was run and compared."""

    inputs: Inputs
    executions: tuple[Execution, ...]
    agreements: tuple[Agreement, ...]
    silent: tuple[Silence, ...]
    foreign: tuple[ForeignRun, ...] = ()
    """Runs of the NIR file by other frameworks."""

    def passes(self, at_least: float) -> bool:
        """Tell whether frameworks equal the floats, and integers agree with them enough."""
        return all(
            min(layer.agreement for layer in each.layers) >= at_least
            if each.right == GOLDEN
            else each.equal
            for each in self.agreements
        )

    def accuracy(self, execution: Execution) -> float | None:
        """Return the share of right answers, if the labels are known."""
        labels = self.inputs.labels
        return None if labels is None else float(np.mean(execution.classes == labels))

    def summary(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "samples": self.inputs.n_samples,
            "timesteps": self.inputs.n_steps,
            "accuracy": {each.name: self.accuracy(each) for each in self.executions},
            "comparisons": [{**asdict(each), "equal": each.equal} for each in self.agreements],
            "silent_layers": [asdict(each) for each in self.silent],
            "importers": [
                {
                    "framework": each.framework.name,
                    "version": each.version,
                    "deviations": list(each.deviations),
                    "said": list(each.said),
                }
                for each in self.foreign
            ],
        }


def run_all(
    console: Console,
    model: str,
    against: Sequence[str],
    feed: Feed,
    *,
    params: ArrayParams,
    calibrate: str | None,
    objective: Objective,
    framework: str | None = None,
    dt: float | None = None,
    lenient: bool = False,
    max_spikes: int | None = None,
    passes: Passes = "auto",
    host: Collection[str] = (),
) -> Agreements:
    """Run a model in floats and in every other way that is asked for, and compare.

    Parameters
    ----------
    console
        Where waiting is told.
    model
        A file, or ``package.module:function``.
    against
        ``"golden"``, ``"nir"``, a name of :data:`FRAMEWORKS`, or another model.
    feed
        The samples.
    params, calibrate, objective, passes
        How the integers are made.
    framework
        Which one ``"nir"`` is; without it, the one that suits the file best.
    dt, lenient, max_spikes
        How a NIR file is read, see :func:`talon.nir.read`.

    Raises
    ------
    TalonError
        Something cannot be run; the message names it.
    """
    opened = open_model(model, _sample_of(feed), dt=dt, lenient=lenient, max_spikes=max_spikes)
    graph = opened.graph
    inputs = feed.read(graph)
    floats = float_execution(graph, inputs)
    others: list[Execution] = []
    silent: list[Silence] = []
    foreign: list[ForeignRun] = []
    for name in dict.fromkeys(against):
        if name == GOLDEN:
            from talon.sdk.execution import calibration_of, compile_model, run_target

            calibration = calibration_of(graph, calibrate, feed, inputs)
            program = compile_model(
                console,
                graph,
                params,
                objective=objective,
                calibration=calibration,
                passes=passes,
                host=host,
            )
            trace = cast("Trace", run_target(console, GOLDEN, program, inputs, probe=True))
            others.append(golden_execution(program, trace))
            silent = find_silent(program, inputs, floats, others[-1])
        elif name == NIR or (name in FRAMEWORKS and opened.module is None):
            with console.waiting(f"running {name}"):
                foreign.append(_run_nir(name, framework, opened, inputs))
            others.append(observed_execution(foreign[-1].framework.name, foreign[-1].observation))
        else:
            with console.waiting(f"running {name}"):
                others.append(_run_other(name, opened, inputs, feed))
    order = graph.topological_order()
    return Agreements(
        inputs=inputs,
        executions=(floats, *others),
        agreements=tuple(agree(floats, other, order) for other in others),
        silent=tuple(silent),
        foreign=tuple(foreign),
    )


def _run_nir(name: str, framework: str | None, opened: Model, inputs: Inputs) -> ForeignRun:
    """Return the run of the model's NIR file by another framework."""
    if opened.nir_path is None:
        also = ", or as package.module:function, which makes the module" if name == SNNTORCH else ""
        raise TalonError(
            f"--against {name} runs the file that MODEL is by another framework: give MODEL as a "
            f".nir file{also}"
        )
    if len(opened.graph.inputs) != 1:
        raise TalonError(
            f"--against {name} takes networks of one input, which is what importers of NIR run; "
            f"got {list(opened.graph.inputs)}"
        )
    from talon.bridge.nir_importers import choose_framework, read_nir, run_nir

    graph = read_nir(opened.nir_path)
    chosen = choose_framework(graph, framework if name == NIR else name)
    (raster,) = inputs.values.values()
    assert opened.nir_dt is not None
    return run_nir(chosen, graph, raster, opened.nir_dt)


def _run_other(name: str, opened: Model, inputs: Inputs, feed: Feed) -> Execution:
    """Return the run of a framework, of the module that a function makes, or of another file."""
    if name == SNNTORCH:
        return module_execution(opened.module, opened.graph, inputs)
    other = open_model(name, _sample_of(feed))
    if other.module is not None:
        return module_execution(other.module, opened.graph, inputs, name=name)
    fitted = _refit(opened.graph, other.graph, inputs)
    return float_execution(other.graph, fitted, name=name)


def _refit(graph: Graph, other: Graph, inputs: Inputs) -> Inputs:
    """Return the inputs under the names that another graph has for them, in its order."""
    from talon.backend.inputs import Inputs

    theirs, ours = list(other.inputs), list(graph.inputs)
    if len(theirs) != len(ours):
        raise TalonError(f"One model has inputs {ours}, the other {theirs}")
    values = {b: inputs.values[a] for a, b in zip(ours, theirs, strict=True)}
    return Inputs(values=values, labels=inputs.labels)


def _sample_of(feed: Feed) -> Any:
    """Return a batch of one that a PyTorch module takes, if the file of samples holds images."""
    from talon.backend.inputs import load_inputs

    loaded = load_inputs(feed.path)
    if loaded.layout != "images" or len(loaded.arrays) != 1:
        return None
    (images,) = loaded.arrays.values()
    return np.zeros((1, *images.shape[1:]), np.float32)
