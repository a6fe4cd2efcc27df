"""Where on the mesh the cores of a partition are best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talon.compiler.placing import MeshProblem, lower_bound, solve
from talon.errors import MappingError
from talon.graph.spec import HardwareSpec
from talon.graph.tables import excess
from talon.graph.traffic import Traffic, cores_of, entries_in, traffic_of
from talon.ir import Graph


@dataclass(frozen=True, kw_only=True)
class PlacementResult:
    """Places of cores.

    Parameters
    ----------
    logical_to_physical
        Place in the mesh, as :meth:`HardwareSpec.position` gives it, by number of the core.
    total_hop_distance
        Links between the cores, summed over all that they send each other.
    improvement
        Percent of the hops saved, against cores in the order of their numbers.
    lower_bound
        Links that no placement of these cores can go below.
    """

    logical_to_physical: dict[int, tuple[int, int]]
    total_hop_distance: int
    improvement: float
    lower_bound: int

    @property
    def gap(self) -> float:
        """Percent by which the hops are above what they are at least; 0 is proven to be best."""
        if self.total_hop_distance == self.lower_bound:
            return 0.0
        return 100.0 * (self.total_hop_distance / max(1, self.lower_bound) - 1)


def place(graph: Graph, hw_spec: HardwareSpec) -> PlacementResult:
    """Return places that keep short what cores send each other, never worse than their order.

    The routes and tokens of a core depend on places, too: such as need more than there are, are not
    taken.

    The cores of the compiler's mapping have their places, and keep them.

    Raises
    ------
    MappingError
        More cores are in use than the mesh has.
    """
    traffic, used = traffic_of(graph), cores_of(graph)
    if used and used[-1] >= hw_spec.n_places:
        raise MappingError(
            f"Core {used[-1]} has no place among the {hw_spec.n_places} of the hardware; "
            "partition the graph for this hardware"
        )
    best = np.array(used, np.intp)
    if hw_spec.core_mesh_topology is None:
        hops = sum(n for (a, b), n in traffic.items() if a != b)
        return _result(hw_spec, used, best, before=hops, after=hops, least=hops)
    problem = _problem(traffic, used, hw_spec.core_mesh_topology)
    before, least = problem.cost(best), lower_bound(problem)
    is_placed = (graph.partition_metadata or {}).get("planned") is False
    if not is_placed and before > least:
        found = solve(problem, seeds=[best], library=True)
        holding = (at for at in found if _holds(graph, used, at, hw_spec))
        best = min((best, next(holding, best)), key=problem.cost)
    return _result(hw_spec, used, best, before=before, after=problem.cost(best), least=least)


def _problem(traffic: Traffic, used: list[int], mesh: tuple[int, int]) -> MeshProblem:
    number = {core: i for i, core in enumerate(used)}
    weight = np.zeros((len(used), len(used)), np.int64)
    for (a, b), n in traffic.items():
        weight[number[a], number[b]] += n
    weight += weight.T.copy()
    np.fill_diagonal(weight, 0)
    return MeshProblem(weight=weight, columns=mesh[0], rows=mesh[1])


def _result(
    hw: HardwareSpec, used: list[int], at: NDArray[np.intp], *, before: int, after: int, least: int
) -> PlacementResult:
    return PlacementResult(
        logical_to_physical={c: hw.position(int(p)) for c, p in zip(used, at, strict=True)},
        total_hop_distance=after,
        improvement=100.0 * (before - after) / before if before else 0.0,
        lower_bound=least,
    )


def _holds(graph: Graph, used: list[int], at: NDArray[np.intp], hw: HardwareSpec) -> bool:
    """Tell whether the cores have routes and tokens enough for the sets of places they send to."""
    entries = entries_in(graph, dict(zip(used, at.tolist(), strict=True)), hw)
    return entries is None or not excess(entries, hw)
