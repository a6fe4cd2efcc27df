"""One call that runs a graph and tells what it took."""

from typing import Any

from talon.backend.base import BackendBase
from talon.backend.energy import DEFAULT_PRESET
from talon.backend.feeds import InputData
from talon.backend.registry import get_backend
from talon.backend.results import RunResult
from talon.ir import Graph


def run(
    graph: Graph,
    input_data: InputData = None,
    timesteps: int | None = None,
    backend: str = "cpu",
    profile: bool = True,
    energy_per_mac_pj: float | None = None,
    energy_per_spike_pj: float | None = None,
    energy_per_sram_read_pj: float | None = None,
    *,
    energy_per_sram_write_pj: float | None = None,
    energy_preset: str = DEFAULT_PRESET,
    **options: Any,
) -> RunResult:
    """Run a graph on a backend.

    Parameters
    ----------
    graph
        The network.
    input_data, timesteps
        As in the backend's ``simulate``: held arrays, unless ``layout`` says otherwise.
    backend
        Name of a backend.
    profile
        Whether to tell what the run took, if the backend can; without it there is no energy.
    energy_per_mac_pj, energy_per_spike_pj, energy_per_sram_read_pj, energy_per_sram_write_pj
        Picojoules that take the place of the preset's.
    energy_preset
        Name of the coefficients.
    **options
        ``layout``, ``encoding``, ``seed``, and what else the backend's ``simulate`` knows.

    Raises
    ------
    BackendError, InputError
        The backend is unknown or cannot run the graph; the data do not fit it.
    """
    chosen = get_backend(backend)
    simulation = chosen.simulate(graph, input_data, timesteps, **options)
    result = RunResult(
        outputs=simulation.outputs,
        spike_counts=simulation.spike_counts,
        timesteps_run=simulation.timesteps_run,
        errors=simulation.errors,
    )
    can_profile = type(chosen).profile is not BackendBase.profile
    if not (profile and can_profile) or simulation.errors:
        return result
    found = chosen.profile(
        graph,
        input_data,
        timesteps,
        energy_preset=energy_preset,
        energy_per_mac_pj=energy_per_mac_pj,
        energy_per_spike_pj=energy_per_spike_pj,
        energy_per_sram_read_pj=energy_per_sram_read_pj,
        energy_per_sram_write_pj=energy_per_sram_write_pj,
        **options,
    )
    result.profile = found
    result.total_latency_us = found.total_latency_us
    result.energy_estimate_uj = found.energy_estimate_uj
    result.mac_ops = found.mac_ops
    result.peak_memory_bytes = found.peak_memory_bytes
    result.per_node_latency = found.per_node_latency
    return result
