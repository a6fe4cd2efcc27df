"""What a backend gives back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from talon.ir.types import Array


@dataclass
class ValidationResult:
    """Whether a backend can take a graph.

    Parameters
    ----------
    is_valid
        Whether it can.
    unsupported_nodes
        Names of the nodes that it cannot execute.
    warnings
        What is worth knowing and hinders nothing.
    errors
        Why it cannot, beyond single nodes.
    """

    is_valid: bool = True
    unsupported_nodes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@dataclass
class SimulationResult:
    """What a simulation saw.

    Where the data were one sample without a dimension of samples, the arrays have none either.

    Parameters
    ----------
    outputs
        Values at the output nodes in the last timestep.
    outputs_valid
        Whether they are all there and finite.
    timesteps_run
        Number of timesteps.
    node_states
        For each timestep the output of each node, if the simulation was step by step.
    spike_counts
        Spikes of each node of neurons, over all timesteps and samples.
    errors
        What went wrong, naming node, timestep and sample; the outputs then are missing.
    membrane_potentials
        Potentials of each node of neurons after the last timestep.
    """

    outputs: dict[str, Array] = field(default_factory=dict)
    outputs_valid: bool = True
    timesteps_run: int = 0
    node_states: list[dict[str, Array]] = field(default_factory=list)
    spike_counts: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    membrane_potentials: dict[str, Array] = field(default_factory=dict)


@dataclass
class ProfileResult:
    """What a run took. Latency is wall time of this host; energy is an estimate of a chip's.

    All counts are over all timesteps of all samples; ``docs/reference/energy.md`` defines them.

    Parameters
    ----------
    total_latency_us
        Measured wall time of the simulation on this host, in microseconds.
    per_node_latency
        Its share by node, in microseconds; the rest is between nodes.
    energy_estimate_uj, mac_energy_uj, spike_energy_uj, sram_energy_uj
        Estimated energy in microjoules, and its parts.
    per_layer_energy_uj
        By node; adds up to the whole.
    peak_memory_bytes
        Weights, potentials, and the most values alive at once if one timestep of one sample is
        executed node after node.
    weight_memory_bytes
        Arrays of all nodes as they are stored in the graph, parameters of neurons included.
    state_memory_bytes
        Membrane potentials of one sample, 4 bytes each.
    total_sram_accesses
        Reads and writes.
    spike_counts
        Spikes of each node of neurons.
    mac_ops
        Multiply-accumulates if no zero were skipped, pixels of convolutions included.
    neuron_utilization
        Spikes of a neuron in a timestep, on average, of each node of neurons.
    per_core_latency, per_core_energy
        By core, if the graph is partitioned; a node on several cores counts for its first.
    energy_preset
        Name of the coefficients, ``"custom"`` if some were given.
    synaptic_ops
        Values that were not zero, met by a weight: what the energy is worked out from.
    n_steps, n_samples
        Size of the run.
    """

    total_latency_us: float = 0.0
    per_node_latency: dict[str, float] = field(default_factory=dict)
    energy_estimate_uj: float = 0.0
    mac_energy_uj: float = 0.0
    spike_energy_uj: float = 0.0
    sram_energy_uj: float = 0.0
    per_layer_energy_uj: dict[str, float] = field(default_factory=dict)
    peak_memory_bytes: int = 0
    weight_memory_bytes: int = 0
    state_memory_bytes: int = 0
    total_sram_accesses: int = 0
    spike_counts: dict[str, int] = field(default_factory=dict)
    mac_ops: int = 0
    neuron_utilization: dict[str, float] = field(default_factory=dict)
    per_core_latency: dict[int, float] = field(default_factory=dict)
    per_core_energy: dict[int, float] = field(default_factory=dict)
    energy_preset: str = ""
    synaptic_ops: int = 0
    n_steps: int = 0
    n_samples: int = 0

    def summary(self) -> str:
        """Return the figures as text."""
        rule = "-" * 60
        lines = [
            "TALON energy profile (energy estimated, latency measured on this host)",
            rule,
            f"Run:                  {self.n_steps} timesteps, {self.n_samples} samples",
            f"Preset:               {self.energy_preset}",
            f"Total energy:         {self.energy_estimate_uj:.4f} uJ",
            f"  MAC energy:         {self.mac_energy_uj:.4f} uJ",
            f"  Spike energy:       {self.spike_energy_uj:.4f} uJ",
            f"  SRAM energy:        {self.sram_energy_uj:.4f} uJ",
            rule,
            f"Synaptic operations:  {self.synaptic_ops:,}",
            f"Dense MACs:           {self.mac_ops:,}",
            f"Spikes:               {sum(self.spike_counts.values()):,}",
            f"SRAM accesses:        {self.total_sram_accesses:,}",
            rule,
            f"Weight memory:        {self.weight_memory_bytes:,} bytes",
            f"State memory:         {self.state_memory_bytes:,} bytes",
            f"Peak memory:          {self.peak_memory_bytes:,} bytes",
            f"Latency:              {self.total_latency_us:.1f} us",
            rule,
            "Energy by layer:",
            *(f"  {name:<30s} {uj:.4f} uJ" for name, uj in _largest(self.per_layer_energy_uj)),
        ]
        return "\n".join(lines)


def _largest(values: Mapping[str, float], n: int = 10) -> list[tuple[str, float]]:
    return sorted(values.items(), key=lambda item: -item[1])[:n]


@dataclass
class RunResult:
    """What :func:`talon.backend.run` gives: outputs and, if wanted, what the run took.

    Parameters
    ----------
    outputs, spike_counts, timesteps_run, errors
        As in :class:`SimulationResult`.
    total_latency_us
        Measured wall time on this host.
    energy_estimate_uj, mac_ops, peak_memory_bytes, per_node_latency
        As in ``profile``; without it nothing, 0 or empty.
    profile
        The whole profile.
    """

    outputs: dict[str, Array] = field(default_factory=dict)
    spike_counts: dict[str, int] = field(default_factory=dict)
    timesteps_run: int = 0
    total_latency_us: float = 0.0
    energy_estimate_uj: float | None = None
    mac_ops: int = 0
    peak_memory_bytes: int = 0
    per_node_latency: dict[str, float] = field(default_factory=dict)
    profile: ProfileResult | None = None
    errors: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data, without the outputs."""
        return asdict(replace(self, outputs={}))
