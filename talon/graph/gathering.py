"""Pieces that talk in the same cores: connectivity, as hypergraph partitioners count it."""

from __future__ import annotations

from collections.abc import Sequence

from talon.compiler.placing.connectivity import (
    Fits,
    Hyperedge,
    best_partition,
    connectivity,
    gather,
    least_connectivity,
)
from talon.errors import MappingError
from talon.graph.fitting import entries_of
from talon.graph.netlist import Netlist
from talon.graph.packing import Load, least_cores, numbered
from talon.graph.spec import HardwareSpec
from talon.graph.tables import excess


def hyperedges_of(net: Netlist) -> list[Hyperedge]:
    """Return what each piece, and the host, sends along each wire, and partial sums."""
    receivers: dict[tuple[int, int], set[int]] = {}
    for way in net.ways:
        feed = net.feeds[way.feed]
        receivers.setdefault((way.sender, feed.wire), set()).add(feed.piece)
    edges = [
        Hyperedge(sender=sender, receivers=tuple(sorted(to)))
        for (sender, _), to in receivers.items()
    ]
    return edges + [Hyperedge(sender=part, receivers=(home,)) for part, home in net.partials]


def fits_in(net: Netlist, hw: HardwareSpec) -> Fits:
    """Return what tells whether a core holds some pieces, its tables of packets aside."""

    def fits(parts: Sequence[int]) -> bool:
        load = Load()
        for k in parts:
            if load.exceeded(net.pieces[k], hw) is not None:
                return False
            load.add(k, net.pieces[k], hw)
        return True

    return fits


def brought_together(net: Netlist, cores: list[int], hw: HardwareSpec) -> list[int]:
    """Return cores with less connectivity, not more of them, as far as their tables hold it."""
    found = numbered(gather(cores, hyperedges_of(net), fits_in(net, hw)))
    return cores if found != cores and not _holds(net, found, hw) else found


def best_of_all(net: Netlist, hw: HardwareSpec) -> list[int] | None:
    """Return fewest cores and least connectivity; None if there are too many pieces to try."""
    found = best_partition(len(net.pieces), hyperedges_of(net), fits_in(net, hw), hw.n_places)
    return found if found is not None and _holds(net, found, hw) else None


def merit(net: Netlist, cores: list[int]) -> tuple[int, int]:
    """Return the connectivity and the number of cores: the less, the better."""
    return connectivity(cores, hyperedges_of(net)), len(set(cores))


def figures(net: Netlist, cores: list[int], hw: HardwareSpec) -> dict[str, float]:
    """Return connectivity and cores with what they are at least."""
    edges, fewest = hyperedges_of(net), least_cores(net.pieces, hw)
    return {
        "connectivity": connectivity(cores, edges),
        "connectivity_lower_bound": least_connectivity(fewest, edges, fits_in(net, hw)),
        "cores_lower_bound": fewest,
    }


def _holds(net: Netlist, cores: list[int], hw: HardwareSpec) -> bool:
    try:
        return not excess(entries_of(net, cores, hw), hw)
    except MappingError:  # the groups of its cores cannot be numbered
        return False
