"""One network as several executions see it: floats, integers, and the framework that it is from.

An execution is reduced to the spikes of every layer of neurons, in one form, so that any two can be
compared: how often they agree, where they first part, and what the potentials were there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from talon.errors import BackendError
from talon.ir.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from talon.backend.inputs import Inputs
    from talon.backend.programs import Program
    from talon.bridge.observe import Observation
    from talon.ir import Graph
    from talon_sim.trace import Trace


@dataclass(frozen=True, kw_only=True, eq=False)
class Execution:
    """What one execution did, as ``(n_steps, n_samples, n_neurons)`` by layer.

    Parameters
    ----------
    name
        Who executed: ``"float"``, ``"golden"``, ``"snntorch"``.
    spikes
        Whether each neuron fired, or how often, where it may fire several times in a timestep.
    potentials
        Membrane potentials after the timestep, in the units of the float network.
    classes
        The answer to each sample: the output neuron with the largest sum over all timesteps.
    """

    name: str
    spikes: Mapping[str, NDArray[Any]]
    potentials: Mapping[str, FloatArray]
    classes: NDArray[np.int64]

    def rate(self, layer: str) -> float:
        """Return the spikes of a neuron in a timestep, on average."""
        return float(self.spikes[layer].mean())


@dataclass(frozen=True, kw_only=True)
class Parting:
    """The first spike that one execution has and the other has not."""

    layer: str
    timestep: int
    sample: int
    neuron: int
    fired: str
    """Which of the two fired, or fired more often."""
    spikes: Mapping[str, int]
    """How often the neuron fired, by execution."""
    potentials: Mapping[str, float]
    """Membrane potential after the timestep, by execution."""


@dataclass(frozen=True, kw_only=True)
class LayerAgreement:
    """How two executions agree on one layer."""

    layer: str
    n_neurons: int
    agreement: float
    n_differ: int
    rates: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How two executions agree."""

    left: str
    right: str
    layers: tuple[LayerAgreement, ...]
    first: Parting | None
    answers_differ: int

    @property
    def equal(self) -> bool:
        """Whether no spike differs."""
        return self.first is None


def float_execution(graph: Graph, inputs: Inputs, *, name: str = "float") -> Execution:
    """Return the float simulation of a graph."""
    from talon.backend.cpu.record import Record
    from talon.backend.cpu.simulator import simulate_float

    counting = {layer for layer, node in graph.nodes.items() if getattr(node, "max_spikes", 1) > 1}
    trace = simulate_float(graph, inputs, record=Record(values=bool(counting)))
    counts = {layer: trace.values[layer].astype(np.int32) for layer in counting}
    return Execution(
        name=name,
        spikes={layer: _flat(counts.get(layer, fired)) for layer, fired in trace.spikes.items()},
        potentials={layer: _flat(v) for layer, v in trace.potentials.items()},
        classes=trace.classes(),
    )


def golden_execution(program: Program, trace: Trace) -> Execution:
    """Return a probed run of a program on the golden model."""
    from talon.sdk.execution import answers

    scales = {p.name: p.v_scale for p in program.network.populations}
    return Execution(
        name="golden",
        spikes=dict(trace.spikes),
        potentials={name: v * scales[name] for name, v in trace.potentials.items()},
        classes=answers(program, trace),
    )


def module_execution(
    model: Any, graph: Graph, inputs: Inputs, *, name: str = "snntorch"
) -> Execution:
    """Return a run of a PyTorch or snnTorch module that takes the inputs of a graph in order."""
    from talon.bridge.observe import observe

    return observed_execution(name, observe(model, [inputs.values[name] for name in graph.inputs]))


def observed_execution(name: str, seen: Observation) -> Execution:
    """Return what a framework did as an execution."""
    totals = seen.output.sum(axis=0, dtype=np.float64)
    return Execution(
        name=name,
        spikes={layer: _flat(spikes) for layer, spikes in seen.spikes.items()},
        potentials={layer: _flat(v) for layer, v in seen.potentials.items()},
        classes=totals.reshape(len(totals), -1).argmax(axis=1),
    )


def agree(left: Execution, right: Execution, order: Sequence[str]) -> Agreement:
    """Compare two executions, layer by layer.

    Parameters
    ----------
    left, right
        Executions of the same samples.
    order
        Names in the order in which a timestep visits them; of several spikes that differ in the
        first timestep, the one of the first layer is told.

    Raises
    ------
    BackendError
        They have no layer of neurons in common, or one of different size.
    """
    common = [name for name in order if name in left.spikes and name in right.spikes]
    if not common:
        raise BackendError(
            f"{left.name} and {right.name} have no layer of neurons in common: "
            f"{sorted(left.spikes)} and {sorted(right.spikes)}"
        )
    layers: list[LayerAgreement] = []
    partings: list[tuple[int, Parting]] = []
    for name in common:
        ours, theirs = left.spikes[name], right.spikes[name]
        if ours.shape != theirs.shape:
            raise BackendError(
                f"Layer {name!r} is {ours.shape} in {left.name} and {theirs.shape} in {right.name}"
            )
        differs = ours != theirs
        layers.append(
            LayerAgreement(
                layer=name,
                n_neurons=ours.shape[2],
                agreement=1 - float(differs.mean()),
                n_differ=int(np.count_nonzero(differs)),
                rates={left.name: left.rate(name), right.name: right.rate(name)},
            )
        )
        if layers[-1].n_differ:
            found = _parting(name, differs, left, right)
            partings.append((found.timestep, found))
    return Agreement(
        left=left.name,
        right=right.name,
        layers=tuple(layers),
        first=min(partings, key=lambda pair: pair[0])[1] if partings else None,
        answers_differ=int(np.count_nonzero(left.classes != right.classes)),
    )


def _parting(name: str, differs: BoolArray, left: Execution, right: Execution) -> Parting:
    at = tuple(int(i) for i in np.argwhere(differs)[0])
    sides = (left, right)
    spikes = {side.name: int(side.spikes[name][at]) for side in sides}
    return Parting(
        layer=name,
        timestep=at[0],
        sample=at[1],
        neuron=at[2],
        fired=max(spikes, key=spikes.__getitem__),
        spikes=spikes,
        potentials={s.name: float(s.potentials[name][at]) for s in sides if name in s.potentials},
    )


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    return values.reshape(*values.shape[:2], -1)
