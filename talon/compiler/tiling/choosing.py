"""Which maps of a network are packed, and how: by what that saves, and the weights it costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from talon.compiler.pieces import Bin, Piece
from talon.compiler.tiling.costs import MapCosts
from talon.compiler.tiling.packing import packings
from talon.compiler.tiling.tile import Packing, whole

_WORDS = "weight words"


def ways(costs: MapCosts, population: str) -> list[Piece]:
    """Return a whole population as it is, and packed in each way that does not need more cores.

    Packing must not make a layer sum its inputs on several cores, nor take more rows of records
    than there are.
    """
    layout, params = costs.layout, costs.params
    shape, feeds = layout.shape(population), costs.feeds(population)
    plain = costs.piece(population, whole(shape, params.lanes), feeds)
    if not (layout.has_pixels(population) and costs.may_join(population)):
        return [plain]
    found = [plain]
    for packing in packings(layout.populations[population], shape, params.lanes):
        piece = costs.piece(population, whole(shape, params.lanes, packing), feeds)
        is_small = piece.words <= max(plain.words, params.weight_words)
        if is_small and costs.n_records(piece) <= params.n_rows:
            found.append(piece)
    return found


def packing_choices(costs: MapCosts, *, n_cores: int) -> list[dict[str, Packing]]:
    """Return choices of maps to pack, by population: the most first, and none at last.

    Maps take the way that is busy for the shortest time; for few cores also that with the fewest
    rows. Pools make packed weights many, so one choice leaves out maps whose windows lie across a
    line.
    """
    most = _chosen(costs, n_cores, lambda piece: (costs.load(piece), piece.words))
    without_pools = {name: packing for name, packing in most.items() if packing.window == 1}
    choices: list[dict[str, Packing]] = [most, without_pools, {}]
    if n_cores == 1:
        choices.insert(0, _chosen(costs, n_cores, lambda p: (p.n_rows, costs.load(p))))
    return [c for i, c in enumerate(choices) if c not in choices[:i]]


def _chosen(
    costs: MapCosts, n_cores: int, price: Callable[[Piece], tuple[float, float]]
) -> dict[str, Packing]:
    """Return how to pack the maps that gain by it.

    Each map takes the way with the least price. Where all of that has more weights than ``n_cores``
    hold, and weights bind, maps give up what saves the most of them.
    """
    choices = {name: ways(costs, name) for name in costs.layout.populations}
    chosen = {name: min(found, key=price) for name, found in choices.items()}
    while (need := _need(costs, chosen))[0] > n_cores and need[1]:
        others = [
            {**chosen, name: piece}
            for name, found in choices.items()
            for piece in found
            if piece.words < chosen[name].words
        ]
        least = min(others, key=lambda other: _need(costs, other)[0], default=chosen)
        if _need(costs, least)[0] >= need[0]:
            break
        chosen = least
    return {
        name: piece.tile.packing
        for name, piece in chosen.items()
        if piece.tile is not None and piece.tile.packing is not None
    }


def _need(costs: MapCosts, chosen: Mapping[str, Piece]) -> tuple[float, bool]:
    """Return how many cores the pieces fill at least, and whether weights are why."""
    limits = costs.limits(Bin(pieces=list(chosen.values())))
    shares = {x.name: x.used / x.there for x in limits if x.name != "rows of channels"}
    most = max(shares.values())
    return most, shares[_WORDS] == most
