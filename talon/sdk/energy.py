"""Energy before a run: the model of ``talon.backend``, fed with assumed rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from talon.backend.activity import assume_operations
from talon.backend.energy import (
    DEFAULT_PRESET,
    ENERGY_PRESETS,
    coefficients,
    energy_of,
)
from talon.sdk.sources import GraphSource, as_graph

ENERGY_TABLE = ENERGY_PRESETS[DEFAULT_PRESET]
"""Picojoules of an operation each, as :func:`estimate_energy` takes them if nothing is said."""


@dataclass(kw_only=True)
class EnergyEstimate:
    """Estimated energy of one sample.

    Parameters
    ----------
    total_uj, mac_energy_uj, spike_energy_uj, memory_energy_uj
        Microjoules, and their parts.
    per_layer
        Microjoules by node; adds up to the total.
    mac_count
        Multiply-accumulates: synaptic operations of graded values.
    spike_count
        Spikes fired.
    synaptic_ops
        Synaptic operations of graded values and of spikes.
    memory_accesses
        Reads and writes.
    energy_preset
        What one operation was taken to cost.
    """

    total_uj: float
    mac_energy_uj: float
    spike_energy_uj: float
    memory_energy_uj: float
    per_layer: dict[str, float] = field(default_factory=dict)
    mac_count: int
    spike_count: int
    synaptic_ops: int
    memory_accesses: int
    energy_preset: str


def estimate_energy(
    graph: GraphSource,
    spike_rate: float = 0.1,
    timesteps: int = 100,
    energy_table: Mapping[str, float] | None = None,
    *,
    energy_preset: str = DEFAULT_PRESET,
    input_rate: float | None = None,
) -> EnergyEstimate:
    """Return what a sample would cost if every neuron fired at one rate.

    The model is that of ``talon.backend``, where a profile counts the events of a run instead; see
    ``docs/reference/energy.md``.

    Parameters
    ----------
    graph
        The network, or the path of its file.
    spike_rate
        Spikes of a neuron in a timestep, 0 to 1.
    timesteps
        Timesteps of the sample.
    energy_table
        Coefficients that take the place of the preset's: ``mac_pj``, ``spike_pj``,
        ``sram_read_pj``, ``sram_write_pj``.
    energy_preset
        A name of ``talon.backend.ENERGY_PRESETS``.
    input_rate
        Spikes of an input in a timestep; without it inputs are graded and never zero.
    """
    counts = assume_operations(
        as_graph(graph), spike_rate=spike_rate, n_steps=timesteps, input_rate=input_rate
    )
    given = dict(energy_table or {})
    known = ("mac_pj", "spike_pj", "sram_read_pj", "sram_write_pj")
    unknown = sorted(given.keys() - {*known, "description"})
    if unknown:
        raise ValueError(f"energy_table may have {', '.join(known)}, got {unknown[0]!r}")
    price = coefficients(
        energy_preset,
        energy_per_mac_pj=given.get("mac_pj"),
        energy_per_spike_pj=given.get("spike_pj"),
        energy_per_sram_read_pj=given.get("sram_read_pj"),
        energy_per_sram_write_pj=given.get("sram_write_pj"),
    )
    report = energy_of(counts, price)
    return EnergyEstimate(
        total_uj=report.total_uj,
        mac_energy_uj=report.mac_uj,
        spike_energy_uj=report.spike_uj,
        memory_energy_uj=report.sram_uj,
        per_layer=report.per_layer_uj,
        mac_count=counts.total("macs"),
        spike_count=counts.total("spikes"),
        synaptic_ops=counts.total("synaptic_ops"),
        memory_accesses=counts.total("sram_reads") + counts.total("sram_writes"),
        energy_preset=price.name,
    )
