"""The host's own part of a run: the graphs before and behind the array, in floats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.backend.cpu.lane import held_nodes
from talon.backend.cpu.plan import build_plan
from talon.backend.cpu.record import Record
from talon.backend.cpu.simulator import FloatModel
from talon.backend.inputs import Inputs
from talon.backend.target import Run
from talon.compiler.host.parts import Host
from talon.compiler.network import IntNetwork, OutputPort
from talon.ir import Graph
from talon.ir.types import FloatArray

Values = Mapping[str, FloatArray]
"""Arrays (T, B, *shape) by name."""


def held_outputs(graph: Graph, held: set[str]) -> set[str]:
    """Return the outputs of a graph that are the same in every timestep if some inputs are."""
    nodes = held_nodes(build_plan(graph, np.dtype(np.float32)), sorted(held))
    return {name for name in graph.outputs if name in nodes}


def compute(graph: Graph, values: Values) -> dict[str, FloatArray]:
    """Return the values at the outputs of a graph, every sample from rest.

    What comes of held frames alone is held as well: an array that repeats one frame.

    Parameters
    ----------
    graph
        The graph.
    values
        What enters, float32 (T, B, *shape) by input; more than that may be there.
    """
    own = {name: values[name] for name in graph.inputs}
    n_steps = next(iter(own.values())).shape[0]
    held = held_outputs(graph, {name for name, x in own.items() if is_held(x)})
    if held == set(graph.outputs):
        own = {name: x[:1] for name, x in own.items()}
    found = FloatModel(graph).run(Inputs(values=own), record=Record.nothing()).outputs
    return {
        name: np.broadcast_to(y[:1], (n_steps, *y.shape[1:])) if name in held else y
        for name, y in found.items()
    }


def is_held(values: NDArray[Any]) -> bool:
    """Tell whether an array (T, B, ...) repeats one frame."""
    return values.shape[0] == 1 or values.strides[0] == 0


def array_inputs(
    prefix: Graph | None, feeds: Mapping[str, str], values: Values
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Return what the prefix gives, by its outputs, and what enters the array, by input.

    The latter also has the inputs of the graph, of which the array need not have all.
    """
    computed = compute(prefix, values) if prefix is not None else {}
    return computed, {**values, **{name: computed[out] for name, out in feeds.items()}}


def host_outputs(
    host: Host, network: IntNetwork, run: Run, values: Values, computed: Values
) -> dict[str, FloatArray]:
    """Return the values that the host computes behind the array, (T, B, *shape) by output.

    Parameters
    ----------
    host
        What the program has for the host.
    network, run
        The integer network, and what came of it.
    values, computed
        The inputs of the graph, and what the prefix gave.
    """
    if host.suffix is None:
        return {}
    ports = {port.name: port for port in network.outputs}
    entering: dict[str, FloatArray] = {}
    for name, (kind, source) in host.takes.items():
        if kind == "chip":
            entering[name] = output_values(network, run, ports[source])
        else:
            entering[name] = values[source] if kind == "input" else computed[source]
    return compute(host.suffix, entering)


def output_values(network: IntNetwork, run: Run, port: OutputPort) -> FloatArray:
    """Return what an output of the array means, float32 (T, B, *shape).

    Spikes are 0 and 1, or how often a neuron fired; potentials and payloads are multiplied by their
    unit.
    """
    population = next(p for p in network.populations if p.name == port.population)
    if population.kind in ("spike", "count"):
        values = run.spikes[population.name].astype(np.float32)
    else:
        values = (run.potentials[population.name] * population.v_scale).astype(np.float32)
    return values.reshape(*values.shape[:2], *port.shape)
