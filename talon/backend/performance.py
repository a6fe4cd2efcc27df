"""Energy of what the performance model counts, by the one energy model."""

from __future__ import annotations

from talon.backend.activity import LayerCounts, OperationCounts
from talon.backend.energy import Coefficients, EnergyReport, energy_of
from talon.compiler.performance import Performance


def operations_of(performance: Performance) -> OperationCounts:
    """Return the operations of a run of a program, one item a core.

    Rows of graded values are multiply-accumulates, those of spikes accumulates; every update is
    that of a neuron with a leak.
    """
    traffic = performance.traffic
    n_steps, n_samples, _ = traffic.sops.shape
    layers = tuple(
        LayerCounts(
            node=f"core {core}",
            type="core",
            macs=int(traffic.graded[..., i].sum()),
            accumulates=int((traffic.sops - traffic.graded)[..., i].sum()),
            lif_updates=int(traffic.updates[..., i].sum()),
            spikes=int(traffic.spikes[..., i].sum()),
            fires=True,
        )
        for i, core in enumerate(traffic.cores)
    )
    return OperationCounts(layers=layers, n_steps=n_steps, n_samples=n_samples)


def energy_of_program(performance: Performance, price: Coefficients) -> EnergyReport:
    """Return the estimated energy of a run of a program by core, of all its samples together.

    Parameters
    ----------
    performance
        What it does.
    price
        What one operation costs, see :func:`talon.backend.energy.coefficients`.
    """
    return energy_of(operations_of(performance), price)
