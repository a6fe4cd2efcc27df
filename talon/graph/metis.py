"""A partition by METIS, where ``pymetis`` is installed."""

from __future__ import annotations

from talon.graph.netlist import Netlist
from talon.graph.packing import shares
from talon.graph.spec import HardwareSpec

_WHOLE = 10_000  # what a core holds, in the whole numbers that METIS takes


def metis_order(net: Netlist, n_parts: int, hw: HardwareSpec) -> list[int]:
    """Return pieces by the part that METIS puts them in, which cuts few links.

    METIS balances one share of a core, the largest that a piece takes, so parts need not fit cores
    exactly; packing in this order sees to that.

    Raises
    ------
    ImportError
        PyMetis is not installed.
    """
    try:
        import pymetis
    except ImportError as error:
        raise ImportError(
            "Algorithm 'metis' needs PyMetis; install talon-snn[metis] or use the algorithm "
            "'compiler', 'edgemap' or 'spectral'"
        ) from error
    n = len(net.pieces)
    if n_parts < 2 or n < 2:
        return list(range(n))
    near: list[dict[int, int]] = [{} for _ in range(n)]
    for (a, b), weight in net.links.items():
        if a != b:
            near[a][b] = near[a].get(b, 0) + weight
            near[b][a] = near[b].get(a, 0) + weight
    starts, partners, weights = [0], [], []
    for others in near:
        partners += sorted(others)
        weights += [others[k] for k in sorted(others)]
        starts.append(len(partners))
    if not partners:
        return list(range(n))
    found = pymetis.part_graph(
        n_parts,
        pymetis.CSRAdjacency(starts, partners),
        vweights=[1 + round(_WHOLE * max(shares(p, hw).values())) for p in net.pieces],
        eweights=weights,
        options=pymetis.Options(seed=0),
    )
    parts = [int(part) for part in found.vertex_part]
    first = {part: parts.index(part) for part in set(parts)}
    return sorted(range(n), key=lambda k: (first[parts[k]], k))
