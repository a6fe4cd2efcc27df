"""Where on the mesh the cores of a partition are best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talon.errors import MappingError
from talon.graph.spec import HardwareSpec
from talon.graph.tables import excess
from talon.graph.traffic import cores_of, entries_in, traffic_of
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
        columns, _ = hw_spec.core_mesh_topology
        for found in _Search(_starts(identity, hw_spec), weight, distance, columns).run():
            is_better = _cost(found, weight, distance) < _cost(best, weight, distance)
            if is_better and _holds(graph, used, found, hw_spec):
                best = found
    after = _cost(best, weight, distance)
    return PlacementResult(
        logical_to_physical={c: hw_spec.position(int(p)) for c, p in zip(used, best, strict=True)},
        total_hop_distance=after,
        improvement=100.0 * (before - after) / before if before else 0.0,
    )


def _holds(graph: Graph, used: list[int], at: NDArray[np.intp], hw: HardwareSpec) -> bool:
    """Tell whether the cores have routes and tokens enough for the sets of places they send to."""
    entries = entries_in(graph, dict(zip(used, at.tolist(), strict=True)), hw)
    return entries is None or not excess(entries, hw)


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


class _Search:
    """Placements that are bettered side by side, each on its own, by swaps that save hops.

    ``at[s, k]`` is the place of core ``k`` in placement ``s`` and ``owner`` the reverse. What core
    ``k`` would cost at a place is the cost of its column, ``across[s, k]``, and of its row,
    ``along[s, k]``: distances in the two directions add up, and a swap changes each by a product.
    """

    def __init__(
        self,
        starts: list[NDArray[np.intp]],
        weight: NDArray[np.int64],
        distance: NDArray[np.int64],
        columns: int,
    ) -> None:
        places = np.arange(len(distance))
        self.distance = distance
        self.x, self.y = places % columns, places // columns
        self.from_column = abs(self.x[:, None] - self.x[:columns])
        self.from_row = abs(self.y[:, None] - self.y[::columns])
        self.at = np.stack(starts)
        self.number = np.arange(len(starts))
        self.owner = np.full((len(starts), len(distance)), -1)
        np.put_along_axis(self.owner, self.at, np.arange(len(weight)), axis=1)
        self.across = weight @ self.from_column[self.at]
        self.along = weight @ self.from_row[self.at]
        self.near = [np.flatnonzero(row) for row in weight]
        self.shares = [row[near] for row, near in zip(weight, self.near, strict=True)]

    def run(self) -> list[NDArray[np.intp]]:
        """Return placements of which no swap, with another core or an idle place, saves a hop."""
        found: dict[int, NDArray[np.intp]] = {}
        while len(self.at):
            moved = np.zeros(len(self.at), bool)
            for k in range(self.at.shape[1]):
                moved |= self.step(k)
            found.update(zip(self.number[~moved].tolist(), self.at[~moved], strict=True))
            self.number, self.at, self.owner = self.number[moved], self.at[moved], self.owner[moved]
            self.across, self.along = self.across[moved], self.along[moved]
        return [found[number] for number in sorted(found)]

    def step(self, k: int) -> NDArray[np.bool_]:
        """Move core ``k`` to its best place in every placement; return in which it moved."""
        at, near = self.at, self.near[k]
        each, everyone = np.arange(len(at))[:, None], np.arange(at.shape[1])
        here = at[:, k, None]
        gain = (self.along[:, k, :, None] + self.across[:, k, None, :]).reshape(len(at), -1)
        gain -= gain[each, here]
        swap = self.across[each, everyone, self.x[here]]
        swap += self.along[each, everyone, self.y[here]]
        swap -= self.across[each, everyone, self.x[at]]
        swap -= self.along[each, everyone, self.y[at]]
        swap[:, near] += 2 * self.shares[k] * self.distance[here, at[:, near]]
        gain[each, at] += swap
        gain[each, here] = 0
        there = gain.argmin(axis=1)
        moved = gain[each[:, 0], there] < 0
        for s in np.flatnonzero(moved).tolist():
            self.swap(s, k, int(there[s]))
        return moved

    def swap(self, s: int, k: int, there: int) -> None:
        """Exchange what stands at the place of core ``k`` and at another one."""
        at, owner = self.at[s], self.owner[s]
        here, other = int(at[k]), int(owner[there])
        self.shift(s, k, here, there)
        at[k], owner[there], owner[here] = there, k, other
        if other >= 0:
            self.shift(s, other, there, here)
            at[other] = here

    def shift(self, s: int, k: int, here: int, there: int) -> None:
        """Change the costs of the partners of a core that goes from one place to another."""
        near, shares = self.near[k], self.shares[k][:, None]
        if self.x[here] != self.x[there]:
            self.across[s, near] += shares * (self.from_column[there] - self.from_column[here])
        if self.y[here] != self.y[there]:
            self.along[s, near] += shares * (self.from_row[there] - self.from_row[here])
