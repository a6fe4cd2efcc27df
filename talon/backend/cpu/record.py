"""What a float simulation is asked to keep, and what it gives."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from talon.ir.types import BoolArray, FloatArray


@dataclass(frozen=True, kw_only=True)
class Record:
    """What to keep of a run; the values at the outputs and the counts of spikes always are.

    Memory grows with what is kept: a bit less than 5 bytes a neuron, timestep and sample for spikes
    and potentials in float32, nothing beyond the outputs for ``Record.nothing()``.

    Parameters
    ----------
    spikes
        Whether each neuron fired.
    potentials
        Membrane potentials after each timestep.
    currents
        Inputs of the neurons, summed over their edges.
    synaptic
        Synaptic currents of CubaLIF and CubaLI after each timestep.
    values
        Outputs of all nodes.
    activity
        For every node with weights, how many of its inputs were not zero, by feature.
    latency
        How long each node took.
    nodes
        Names of the nodes of which the above is kept; all if not given.
    peaks
        Names of nodes whose largest values are kept, which takes no memory for each timestep.
    shares
        Names of nodes of which is kept how many values would be payloads that are not zero.
    spans
        Names of nodes of whose inputs the least and the greatest value are kept; not of neurons.
    """

    spikes: bool = True
    potentials: bool = True
    currents: bool = False
    synaptic: bool = False
    values: bool = False
    activity: bool = False
    latency: bool = False
    nodes: Collection[str] | None = None
    peaks: Collection[str] = ()
    shares: Collection[str] = ()
    spans: Collection[str] = ()

    @classmethod
    def nothing(cls) -> "Record":
        """Return a record of the outputs and the counts alone."""
        return cls(spikes=False, potentials=False)

    def wants(self, name: str) -> bool:
        """Tell whether anything of a node may be kept."""
        return self.nodes is None or name in self.nodes


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatTrace:
    """Everything that a float simulation kept, as ``(n_steps, n_samples, *shape)`` by node name.

    Feature maps may lie channel-last in memory.

    Parameters
    ----------
    spikes
        Whether each neuron fired.
    potentials
        Membrane potentials after each timestep, as the equations leave them.
    currents
        Inputs of the neurons.
    synaptic
        Synaptic currents after each timestep.
    outputs
        Values at the output nodes.
    spike_counts
        Spikes of each node of neurons, over all timesteps and samples; several in a timestep too.
    values
        Outputs of all nodes.
    activity
        For nodes with weights: how many inputs were not zero, over all timesteps and samples, as
        ``(*shape)`` of their inputs together.
    latency_ns
        Wall time of each node in nanoseconds; the nodes of a cycle share its time equally.
    peaks
        The largest magnitude of each value of a node, as ``(*shape)``, and the share of its values
        that were not zero.
    shares
        The share of a node's values that are at least half of the least payload, if the largest
        magnitude is the largest payload; by octaves, so estimated between two.
    spans
        The least and the greatest input of a node.
    n_steps, n_samples
        Length of the run and number of samples.
    """

    spikes: Mapping[str, BoolArray]
    potentials: Mapping[str, FloatArray]
    currents: Mapping[str, FloatArray]
    outputs: Mapping[str, FloatArray]
    spike_counts: Mapping[str, int] = field(default_factory=dict)
    synaptic: Mapping[str, FloatArray] = field(default_factory=dict)
    values: Mapping[str, FloatArray] = field(default_factory=dict)
    activity: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    latency_ns: Mapping[str, float] = field(default_factory=dict)
    peaks: Mapping[str, tuple[FloatArray, float]] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    spans: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    n_steps: int = 0
    n_samples: int = 0

    def classes(self, output: str | None = None) -> NDArray[np.int64]:
        """Return for each sample the output neuron with the largest sum over all timesteps."""
        name = next(iter(self.outputs)) if output is None else output
        totals = self.outputs[name].sum(axis=0, dtype=np.float64)
        return totals.reshape(totals.shape[0], -1).argmax(axis=1)
