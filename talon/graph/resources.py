"""What every core of a partition holds, and whether it can."""

from __future__ import annotations

from dataclasses import dataclass

from talon.graph.layout import HELD
from talon.graph.partitioning import partition
from talon.graph.spec import HardwareSpec
from talon.graph.traffic import entries_in
from talon.ir import Graph


@dataclass(frozen=True, kw_only=True)
class CoreBudget:
    """What a core holds of what there is; weights are bytes as they are stored on the chip.

    ``state_bytes`` are membrane potentials and ``routing_bytes`` route entries, 3 and 8 bytes each;
    both have memories of their own. ``groups``, ``edges``, ``routes`` and ``tokens`` are entries of
    the tables of that name. ``utilization`` is the share of the resource most used.
    """

    core_id: int
    neuron_count: int
    weight_bytes: int
    state_bytes: int
    routing_bytes: int
    total_bytes: int
    utilization: float
    accumulators: int
    groups: int
    edges: int
    routes: int
    tokens: int
    neurons_available: int
    weight_bytes_available: int
    accumulators_available: int
    synapses_available: int
    groups_available: int
    edges_available: int
    routes_available: int
    tokens_available: int


@dataclass(frozen=True, kw_only=True)
class ResourceMap:
    """The budgets of all cores in use; ``violations`` are those with too much."""

    budgets: dict[int, CoreBudget]
    total_weight_bytes: int
    total_state_bytes: int
    peak_core_utilization: float
    fits_hardware: bool
    violations: list[int]


def allocate(graph: Graph, hw_spec: HardwareSpec) -> ResourceMap:
    """Return what the cores hold; a graph that is not partitioned is, as by default.

    Raises
    ------
    MappingError
        The graph is not partitioned and does not fit at all.
    ValueError
        The partition is not of :func:`talon.graph.partition`.
    """
    hw_spec.validate()
    if graph.partition_metadata is None:
        graph = partition(graph, hw_spec)
    metadata = graph.partition_metadata or {}
    if not all(key in entry for entry in metadata.get("cores", [{}]) for key in HELD):
        raise ValueError(
            f"Partition must say for its 'cores' what they hold ({', '.join(HELD)}); make it with "
            "talon.graph.partition"
        )
    held = {int(entry["core"]): dict(entry) for entry in metadata["cores"]}
    placed = entries_in(graph, {core: core for core in held}, hw_spec)
    for core, entry in held.items():
        if placed is not None:
            entry["routes"], entry["tokens"] = placed.get(core, (0, 0))
    budgets = {core: _budget(core, entry, hw_spec) for core, entry in held.items()}
    over = [core for core, b in budgets.items() if b.utilization > 1 or core >= hw_spec.n_places]
    return ResourceMap(
        budgets=budgets,
        total_weight_bytes=sum(b.weight_bytes for b in budgets.values()),
        total_state_bytes=sum(b.state_bytes for b in budgets.values()),
        peak_core_utilization=max((b.utilization for b in budgets.values()), default=0.0),
        fits_hardware=not over,
        violations=over,
    )


def _budget(core: int, entry: dict[str, int], hw: HardwareSpec) -> CoreBudget:
    weights, neurons, words, groups, edges, routes, tokens = (
        int(entry[key]) for key in ("weight_bytes", "neurons", *HELD[2:])
    )
    state, routing = 3 * neurons, 8 * routes
    return CoreBudget(
        core_id=core,
        neuron_count=neurons,
        weight_bytes=weights,
        state_bytes=state,
        routing_bytes=routing,
        total_bytes=weights + state + routing,
        utilization=max(
            weights / hw.sram_bytes_per_core,
            weights / hw.max_synapses_per_core,
            neurons / hw.max_neurons_per_core,
            words / hw.accumulators_per_core,
            groups / hw.max_groups_per_core,
            edges / hw.max_edges_per_core,
            routes / hw.max_routes_per_core,
            tokens / hw.max_tokens_per_core,
        ),
        accumulators=words,
        groups=groups,
        edges=edges,
        routes=routes,
        tokens=tokens,
        neurons_available=hw.max_neurons_per_core,
        weight_bytes_available=hw.sram_bytes_per_core,
        accumulators_available=hw.accumulators_per_core,
        synapses_available=hw.max_synapses_per_core,
        groups_available=hw.max_groups_per_core,
        edges_available=hw.max_edges_per_core,
        routes_available=hw.max_routes_per_core,
        tokens_available=hw.max_tokens_per_core,
    )
