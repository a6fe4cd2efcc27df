"""What a run takes: time on this host, and operations from which energy is estimated."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from talon.backend.activity import Activity, OperationCounts, composite_nodes, count_operations
from talon.backend.composites import INPUT
from talon.backend.cpu.record import Record
from talon.backend.cpu.simulator import FloatModel, simulate_float
from talon.backend.energy import Coefficients, energy_of
from talon.backend.inputs import Inputs
from talon.backend.memory import memory_of
from talon.backend.placement import core_of_nodes
from talon.backend.results import ProfileResult
from talon.ir import Graph, Output, Skip
from talon.ir.types import FloatArray

_US_IN_NS = 1e-3
_TAP_BYTES = 1 << 27
"""Inputs of composite nodes that are kept at once."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Wall time of one run on this host, without what prepares the graph.

    Parameters
    ----------
    total_us
        From the first node to the last, in microseconds.
    nodes_us
        By node, in microseconds.
    """

    total_us: float
    nodes_us: dict[str, float]


def profile_run(graph: Graph, inputs: Inputs, price: Coefficients) -> ProfileResult:
    """Return what a run takes.

    The run is timed with nothing recorded, and then repeated to count operations.

    Parameters
    ----------
    graph
        The network.
    inputs
        Its data.
    price
        What one operation costs.

    Raises
    ------
    ModelError, BackendError
        The graph cannot be executed, or values leave the range of float32.
    """
    latency = measure_latency(graph, inputs)
    counts = count_run(graph, inputs)
    energy = energy_of(counts, price)
    memory = memory_of(graph)
    cores = core_of_nodes(graph)
    return ProfileResult(
        total_latency_us=latency.total_us,
        per_node_latency=latency.nodes_us,
        energy_estimate_uj=energy.total_uj,
        mac_energy_uj=energy.mac_uj,
        spike_energy_uj=energy.spike_uj,
        sram_energy_uj=energy.sram_uj,
        per_layer_energy_uj=energy.per_layer_uj,
        peak_memory_bytes=memory.peak_bytes,
        weight_memory_bytes=memory.weight_bytes,
        state_memory_bytes=memory.state_bytes,
        total_sram_accesses=counts.total("sram_reads") + counts.total("sram_writes"),
        spike_counts=counts.spike_counts,
        mac_ops=counts.total("dense_macs"),
        synaptic_ops=counts.total("synaptic_ops"),
        neuron_utilization=counts.utilization,
        per_core_latency=_by_core(latency.nodes_us, cores),
        per_core_energy=_by_core(energy.per_layer_uj, cores),
        energy_preset=price.name,
        n_steps=counts.n_steps,
        n_samples=counts.n_samples,
    )


def measure_latency(graph: Graph, inputs: Inputs) -> Latency:
    """Return how long a run takes on this host."""
    model = FloatModel(graph)
    record = Record(spikes=False, potentials=False, latency=True)
    began = perf_counter_ns()
    trace = model.run(inputs, record=record)
    total_ns = perf_counter_ns() - began
    return Latency(
        total_us=total_ns * _US_IN_NS,
        nodes_us={name: ns * _US_IN_NS for name, ns in trace.latency_ns.items()},
    )


def count_run(graph: Graph, inputs: Inputs) -> OperationCounts:
    """Return the operations of a run, counted from its values."""
    composites = composite_nodes(graph)
    tapped, taps = _tapped(graph, composites)
    record = Record(spikes=False, potentials=False, activity=True)
    activity: dict[str, Activity] = {}
    inner_activity: dict[str, dict[str, Activity]] = {name: {} for name in composites}
    spikes: dict[str, int] = defaultdict(int)
    for samples in _batches(inputs, composites):
        trace = simulate_float(tapped, samples, record=record)
        _add(activity, trace.activity)
        for name, count in trace.spike_counts.items():
            spikes[name] += count
        for name, inner in composites.items():
            data = Inputs(values={INPUT: trace.outputs[taps[name]]})
            _add(inner_activity[name], simulate_float(inner, data, record=record).activity)
    return count_operations(
        graph,
        activity=activity,
        inner_activity=inner_activity,
        spike_counts=spikes,
        binary_inputs={name: _is_binary(x) for name, x in inputs.values.items()},
        n_steps=inputs.n_steps,
        n_samples=inputs.n_samples,
    )


def _add(total: dict[str, Activity], more: Mapping[str, NDArray[np.int64]]) -> None:
    for name, counts in more.items():
        total[name] = total[name] + counts if name in total else counts


def _batches(inputs: Inputs, composites: Mapping[str, Graph]) -> list[Inputs]:
    """Return the samples in groups whose tapped values do not take too much memory."""
    if not composites:
        return [inputs]
    values = sum(int(np.prod(inner.input_type[INPUT])) for inner in composites.values())
    n = max(1, _TAP_BYTES // (4 * values * inputs.n_steps))
    return [inputs.take(first, first + n) for first in range(0, inputs.n_samples, n)]


def _tapped(graph: Graph, composites: Mapping[str, Graph]) -> tuple[Graph, dict[str, str]]:
    """Return a graph that also outputs what arrives at some nodes, and those outputs' names."""
    if not composites:
        return graph, {}
    nodes, delays = dict(graph.nodes), dict(graph.delays)
    joins: dict[str, str] = {}
    taps: dict[str, str] = {}
    for name, inner in composites.items():
        joins[name] = _free(nodes, f"{name} (in)")
        several = sum(dst == name for _, dst in graph.edges) > 1
        nodes[joins[name]] = Skip("residual" if several else "passthrough")
        taps[name] = _free(nodes, f"{name} (tap)")
        nodes[taps[name]] = Output(np.array(inner.input_type[INPUT]))
    edges = [(src, joins.get(dst, dst)) for src, dst in graph.edges]
    for (src, dst), delay in graph.delays.items():
        if dst in joins:
            del delays[src, dst]
            delays[src, joins[dst]] = delay
    for name, join in joins.items():
        edges += [(join, name), (join, taps[name])]
    return Graph(nodes, edges, delays=delays, allow_cycles=graph.allow_cycles), taps


def _free(nodes: Mapping[str, object], name: str) -> str:
    while name in nodes:
        name += "'"
    return name


def _is_binary(x: FloatArray) -> bool:
    values = x[:1] if x.strides[0] == 0 else x
    return bool(np.all((values == 0) | (values == 1)))


def _by_core(values: Mapping[str, float], cores: Mapping[str, int]) -> dict[int, float]:
    found: dict[int, list[float]] = defaultdict(list)
    for name, value in values.items():
        found[cores[name]].append(value)
    return {core: math.fsum(found[core]) for core in sorted(found)}
