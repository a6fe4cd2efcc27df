"""Where on the mesh the cores of a partition are best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talon.errors import MappingError
from talon.graph.spec import HardwareSpec
from talon.graph.traffic import cores_of, traffic_of
from talon.ir import Graph

_SHUFFLES = 6  # starts beside the two orders of the mesh


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
    """

    logical_to_physical: dict[int, tuple[int, int]]
    total_hop_distance: int
    improvement: float


def place(graph: Graph, hw_spec: HardwareSpec) -> PlacementResult:
    """Return places that keep short what cores send each other, never worse than their order.

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
    number = {core: i for i, core in enumerate(used)}
    weight = np.zeros((len(used), len(used)), np.int64)
    for (a, b), n in traffic.items():
        weight[number[a], number[b]] += n
    weight += weight.T.copy()
    np.fill_diagonal(weight, 0)
    distance = _distances(hw_spec)
    identity = np.array(used, np.intp)
    best, before = identity, _cost(identity, weight, distance)
    is_placed = (graph.partition_metadata or {}).get("planned") is False
    if not is_placed and before and hw_spec.core_mesh_topology is not None:
        for start in _starts(identity, hw_spec):
            found = _improved(start, weight, distance)
            if _cost(found, weight, distance) < _cost(best, weight, distance):
                best = found
    after = _cost(best, weight, distance)
    return PlacementResult(
        logical_to_physical={c: hw_spec.position(int(p)) for c, p in zip(used, best, strict=True)},
        total_hop_distance=after,
        improvement=100.0 * (before - after) / before if before else 0.0,
    )


def _distances(hw: HardwareSpec) -> NDArray[np.int64]:
    if hw.core_mesh_topology is None:
        return 1 - np.eye(hw.n_places, dtype=np.int64)
    x, y = np.array([hw.position(core) for core in range(hw.n_places)], np.int64).T
    return abs(x[:, None] - x) + abs(y[:, None] - y)


def _cost(at: NDArray[np.intp], weight: NDArray[np.int64], distance: NDArray[np.int64]) -> int:
    return int((weight * distance[np.ix_(at, at)]).sum()) // 2


def _starts(identity: NDArray[np.intp], hw: HardwareSpec) -> list[NDArray[np.intp]]:
    """Return the order of numbers, snakes along rows and columns, and fixed shuffles."""
    columns, rows = hw.core_mesh_topology or (hw.n_places, 1)
    grid = np.arange(hw.n_places).reshape(rows, columns)
    along, across = grid.copy(), grid.T.copy()
    along[1::2] = along[1::2, ::-1]
    across[1::2] = across[1::2, ::-1]
    n = len(identity)
    rng = np.random.default_rng(0)
    shuffles = [rng.permutation(hw.n_places)[:n] for _ in range(_SHUFFLES)]
    return [identity, along.ravel()[:n], across.ravel()[:n], *shuffles]


def _improved(
    start: NDArray[np.intp], weight: NDArray[np.int64], distance: NDArray[np.int64]
) -> NDArray[np.intp]:
    """Swap cores with others or with idle places until no swap saves a hop.

    ``cost[k, p]`` is what core ``k`` would cost at place ``p``; a swap changes it by two products.
    """
    at = start.copy()
    owner = np.full(len(distance), -1)
    owner[at] = np.arange(len(at))
    cost = (weight.astype(float) @ distance[at].astype(float)).astype(np.int64)
    everyone = np.arange(len(at))
    moved = True
    while moved:
        moved = False
        for k in range(len(at)):
            here = int(at[k])
            gain = cost[k] - cost[k, here]
            gain[at] += cost[:, here] - cost[everyone, at] + 2 * weight[k] * distance[at, here]
            gain[here] = 0
            there = int(gain.argmin())
            if gain[there] < 0:
                other = int(owner[there])
                step = distance[there] - distance[here]
                cost += weight[k][:, None] * step
                at[k], owner[there], owner[here] = there, k, other
                if other >= 0:
                    cost -= weight[other][:, None] * step
                    at[other] = here
                moved = True
    return at
