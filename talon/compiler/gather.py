"""Pieces that talk on the same cores: bins for the objective ``traffic``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from talon.compiler.nets import Rates
from talon.compiler.pieces import Bin, Piece
from talon.compiler.placing.connectivity import (
    Hyperedge,
    best_partition,
    connectivity,
    gather,
)
from talon.compiler.wiring import Wiring

_UNIT = 64  # weights are whole numbers of this part of a packet


def gathered(
    bins: list[Bin], wire: Callable[[list[Bin]], Wiring], costs: Rates, fits: Callable[[Bin], bool]
) -> list[Bin]:
    """Return bins, not more of them, among which fewer packets must be sent.

    Parameters
    ----------
    bins
        What cores hold; the pieces stay as they are cut.
    wire
        Makes the wiring of bins.
    costs
        How often sources send.
    fits
        Whether a core holds a bin.
    """
    pieces = [piece for b in bins for piece in b.pieces]
    cores = [i for i, b in enumerate(bins) for _ in b.pieces]
    edges = hyperedges_of(wire([Bin(pieces=[piece]) for piece in pieces]), costs)

    def holds(parts: Sequence[int]) -> bool:
        return fits(Bin(pieces=[pieces[k] for k in parts]))

    found = best_partition(len(pieces), edges, holds, len(bins))
    return _bins_of(pieces, gather(cores, edges, holds) if found is None else found)


def hyperedges_of(wiring: Wiring, costs: Rates) -> list[Hyperedge]:
    """Return the multicasts of spikes and sums between bins, weighted by their packets."""
    receivers: dict[object, set[int]] = {}
    weights: dict[object, tuple[int, int]] = {}
    for link in wiring.links:
        key = replace(link, receiver=0, edge=None if link.edge is None else 0)
        receivers.setdefault(key, set()).add(wiring.groups[link.receiver].bin)
        rate = 1.0 if link.edge is None else costs.rate(link.source)
        sender = link.sender if link.sender < 0 else wiring.groups[link.sender].bin
        weights[key] = sender, max(1, round(_UNIT * link.n_sent * rate))
    return [
        Hyperedge(sender=sender, receivers=tuple(sorted(receivers[key])), weight=weight)
        for key, (sender, weight) in weights.items()
    ]


def connectivity_of(wiring: Wiring, costs: Rates, n_bins: int) -> float:
    """Return lambda - 1 of the packets of a timestep, weighted by how often they are sent."""
    return connectivity(range(n_bins), hyperedges_of(wiring, costs)) / _UNIT


def _bins_of(pieces: list[Piece], cores: list[int]) -> list[Bin]:
    """Return the bins, in the order of their first pieces."""
    bins: dict[int, Bin] = {}
    for piece, core in zip(pieces, cores, strict=True):
        bins.setdefault(core, Bin()).pieces.append(piece)
    return list(bins.values())
