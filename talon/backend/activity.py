"""What a run does, counted: synaptic operations, membrane updates, spikes, memory accesses.

A synaptic operation is one value that is not zero, met by one weight. The counts of a run are those
of the values that it had (:func:`count_operations`); without a run they follow from assumed rates
(:func:`assume_operations`). Nothing here depends on what an operation costs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from talon.backend.composites import INPUT, expand
from talon.backend.fanout import fan_out
from talon.backend.signals import GRADED, Signal, input_signals
from talon.errors import BackendError
from talon.ir import IF, Graph, I, Integrator, Neuron, Node
from talon.ir.costs import count_macs, count_neurons, count_state
from talon.ir.types import Dims

Activity: TypeAlias = NDArray[np.int64]
"""How many values of each input position were not zero, summed over timesteps and samples."""


@dataclass(frozen=True, kw_only=True)
class LayerCounts:
    """What one node did in all timesteps of all samples.

    Parameters
    ----------
    node, type
        Name and primitive.
    neurons
        Membrane potentials.
    dense_macs
        Multiply-accumulates if zeros were not skipped, padding included.
    macs
        Synaptic operations of graded values.
    accumulates
        Synaptic operations of spikes.
    bias_reads
        Biases added to outputs.
    lif_updates, if_updates
        Updates of potentials and synaptic currents with and without leak.
    spikes
        Spikes fired.
    fires
        Whether its neurons fire at all; integrators do not.
    """

    node: str
    type: str
    neurons: int = 0
    dense_macs: int = 0
    macs: int = 0
    accumulates: int = 0
    bias_reads: int = 0
    lif_updates: int = 0
    if_updates: int = 0
    spikes: int = 0
    fires: bool = False

    @property
    def synaptic_ops(self) -> int:
        """Values that are not zero, met by a weight."""
        return self.macs + self.accumulates

    @property
    def membrane_updates(self) -> int:
        """Evaluations of leak and threshold, and of the leak of synaptic currents."""
        return self.lif_updates + self.if_updates

    @property
    def sram_reads(self) -> int:
        """A weight each synaptic operation, a bias each output, a potential each update."""
        return self.synaptic_ops + self.bias_reads + self.membrane_updates

    @property
    def sram_writes(self) -> int:
        """A potential each update."""
        return self.membrane_updates


@dataclass(frozen=True, kw_only=True)
class OperationCounts:
    """What a network did, by layer; the totals are the sums.

    Parameters
    ----------
    layers
        Of every node with weights or neurons, in the order of the graph.
    n_steps, n_samples
        Timesteps, and samples of so many timesteps each.
    """

    layers: tuple[LayerCounts, ...]
    n_steps: int
    n_samples: int

    def total(self, name: str) -> int:
        """Return the sum of a count over the layers, by the name of the field or property."""
        return sum(getattr(layer, name) for layer in self.layers)

    @property
    def spike_counts(self) -> dict[str, int]:
        """Spikes of each node with neurons."""
        return {layer.node: layer.spikes for layer in self.layers if layer.fires}

    @property
    def utilization(self) -> dict[str, float]:
        """Spikes of a neuron in a timestep, on average, of each node with neurons."""
        n = self.n_steps * self.n_samples
        return {
            layer.node: layer.spikes / (layer.neurons * n) for layer in self.layers if layer.fires
        }


def input_shapes(graph: Graph, shapes: Mapping[str, Dims]) -> dict[str, Dims]:
    """Return the shape of what arrives at each node that has inputs, several inputs joined."""
    parts: dict[str, list[Dims]] = {}
    for (src, dst), port in zip(graph.edges, graph.ports(), strict=True):
        parts.setdefault(dst, []).append(graph.nodes[src].edge_shape(shapes[src], port))
    return {name: graph.nodes[name].merge_shape(found) for name, found in parts.items()}


def composite_nodes(graph: Graph) -> dict[str, Graph]:
    """Return the nodes of several convolutions, each as a graph of single ones."""
    arriving = input_shapes(graph, graph.infer_shapes())
    found: dict[str, Graph] = {}
    for name, shape in arriving.items():
        inner = expand(graph.nodes[name], shape)
        if inner is not None:
            found[name] = inner
    return found


def count_operations(
    graph: Graph,
    *,
    activity: Mapping[str, Activity],
    inner_activity: Mapping[str, Mapping[str, Activity]],
    spike_counts: Mapping[str, int],
    binary_inputs: Mapping[str, bool],
    n_steps: int,
    n_samples: int,
) -> OperationCounts:
    """Return what a run did.

    Parameters
    ----------
    graph
        The network.
    activity
        Of each node of a single operation with weights.
    inner_activity
        Of the nodes inside those of :func:`composite_nodes`.
    spike_counts
        Spikes of each node with neurons.
    binary_inputs
        Whether the data of each input held nothing but 0 and 1.
    n_steps, n_samples
        Size of the run.
    """
    sources = {name: Signal(is_binary=is_binary) for name, is_binary in binary_inputs.items()}
    counter = _Counter(graph, sources, spike_rate=1.0, n=n_steps * n_samples)
    layers = [
        counter.layer(
            name,
            spikes=spike_counts.get(name, 0),
            activity=activity.get(name),
            inner_activity=inner_activity.get(name, {}),
        )
        for name in graph.nodes
    ]
    return OperationCounts(layers=_kept(layers), n_steps=n_steps, n_samples=n_samples)


def assume_operations(
    graph: Graph, *, spike_rate: float, n_steps: int, input_rate: float | None = None
) -> OperationCounts:
    """Return what a network would do for one sample if every neuron fired at one rate.

    Parameters
    ----------
    graph
        The network.
    spike_rate
        Spikes of a neuron in a timestep, 0 to 1.
    n_steps
        Timesteps.
    input_rate
        Spikes of an input in a timestep, 0 to 1; without it inputs are graded and never zero.

    Raises
    ------
    ValueError
        A rate is not from 0 to 1, or there is no timestep.
    """
    _check_rate("spike_rate", spike_rate)
    if input_rate is not None:
        _check_rate("input_rate", input_rate)
    if isinstance(n_steps, bool) or not isinstance(n_steps, int | np.integer):
        raise TypeError(f"Number of timesteps must be an int, got {n_steps!r}")
    if n_steps < 1:
        raise ValueError(f"Number of timesteps must be at least 1, got {n_steps}")
    graph.validate()
    given = GRADED if input_rate is None else Signal(density=input_rate, is_binary=True)
    sources = dict.fromkeys(graph.inputs, given)
    counter = _Counter(graph, sources, spike_rate=spike_rate, n=int(n_steps))
    layers = [counter.layer(name, spikes=None) for name in graph.nodes]
    return OperationCounts(layers=_kept(layers), n_steps=int(n_steps), n_samples=1)


def _check_rate(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"{name} must be a number from 0 to 1, got {value!r}")
    if not 0 <= value <= 1:
        raise ValueError(
            f"{name} must be from 0 to 1, spikes of a neuron in a timestep, got {value}"
        )


def _kept(layers: Sequence[LayerCounts | None]) -> tuple[LayerCounts, ...]:
    return tuple(layer for layer in layers if layer is not None)


class _Counter:
    """Counts the layers of one graph for ``n`` timesteps of all samples."""

    def __init__(
        self, graph: Graph, sources: Mapping[str, Signal], *, spike_rate: float, n: int
    ) -> None:
        self._graph = graph
        self._shapes = graph.infer_shapes()
        self._arriving = input_shapes(graph, self._shapes)
        self._signals = input_signals(graph, sources, spike_rate)
        self._spike_rate = spike_rate
        self._n = n

    def layer(
        self,
        name: str,
        *,
        spikes: int | None,
        activity: Activity | None = None,
        inner_activity: Mapping[str, Activity] | None = None,
    ) -> LayerCounts | None:
        """Return the counts of one node; what is not given is assumed from the signals."""
        node = self._graph.nodes[name]
        if name not in self._arriving:
            return None
        if isinstance(node, Neuron | Integrator):
            return self._neurons(name, node, spikes)
        shape, signal = self._arriving[name], self._signals[name]
        dense = count_macs(node, shape, self._shapes[name]) * self._n
        base = LayerCounts(node=name, type=type(node).__name__, dense_macs=dense)
        inner = expand(node, shape)
        if inner is not None:
            return self._composite(base, inner, signal, inner_activity)
        synapses = fan_out(node, shape, self._shapes[name])
        if synapses is None:
            if dense:
                raise BackendError(
                    f"Node {name!r} ({base.type}) has multiply-accumulates but no rule for its "
                    "fan-out; register one with talon.backend.fanout.fan_out.register"
                )
            return None
        if activity is None:
            n_ops = round(signal.density * self._n * int(synapses.sum()))
        elif activity.shape != shape:
            raise ValueError(f"Activity of {name!r} must have shape {shape}, not {activity.shape}")
        else:
            n_ops = int(np.sum(activity * synapses))
        return replace(
            base,
            macs=0 if signal.is_binary else n_ops,
            accumulates=n_ops if signal.is_binary else 0,
            bias_reads=_has_bias(node) * math.prod(self._shapes[name]) * self._n,
        )

    def _neurons(self, name: str, node: Neuron | Integrator, spikes: int | None) -> LayerCounts:
        neurons = count_neurons(node, self._shapes[name])
        updates = count_state(node, self._shapes[name]) * self._n
        leaks, fires = not isinstance(node, IF | I), isinstance(node, Neuron)
        assumed = round(neurons * self._n * self._spike_rate) if fires else 0
        return LayerCounts(
            node=name,
            type=type(node).__name__,
            neurons=neurons,
            lif_updates=updates if leaks else 0,
            if_updates=0 if leaks else updates,
            spikes=assumed if spikes is None else spikes,
            fires=fires,
        )

    def _composite(
        self,
        base: LayerCounts,
        inner: Graph,
        signal: Signal,
        activity: Mapping[str, Activity] | None,
    ) -> LayerCounts:
        counter = _Counter(inner, {INPUT: signal}, spike_rate=self._spike_rate, n=self._n)
        known = activity or {}
        parts = _kept(
            [counter.layer(name, spikes=None, activity=known.get(name)) for name in inner.nodes]
        )
        return replace(
            base,
            macs=sum(part.macs for part in parts),
            accumulates=sum(part.accumulates for part in parts),
            bias_reads=sum(part.bias_reads for part in parts),
        )


def _has_bias(node: Node) -> bool:
    bias = getattr(node, "bias", None)
    return bias is not None and bool(np.any(bias))
