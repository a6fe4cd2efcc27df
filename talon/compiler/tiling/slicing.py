"""Slicing for arrays with feature maps: populations become tiles that fit cores.

Tiles are cut between pool windows and between rows of channels; where the synapses of one row of
channels exceed a core's weight memory, other cores sum those of some input channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from talon.compiler.kernel import Kernel
from talon.compiler.pieces import Bin, Feed, Piece
from talon.compiler.tiling.choosing import ways
from talon.compiler.tiling.costs import Limit, MapCosts
from talon.compiler.tiling.layout import check_shared
from talon.compiler.tiling.tile import Axis, Tile
from talon.compiler.tiling.tile import whole as whole_tile
from talon.errors import MappingError

Home = tuple[str, Tile]
"""A population and its tile on one core."""

_MOST_PARTS = 4  # of a piece that fills what is left on cores

_WORTH_IT = 0.5  # a core is split only if its load is this share of the heaviest load or more


def slice_network(costs: MapCosts, *, objective: str) -> list[Bin]:
    """Return the contents of the cores that the network needs.

    Parameters
    ----------
    costs, objective
        The network on its array, packed as its layout tells, and what it is to be good at.

    Raises
    ------
    MappingError
        The network does not fit; the message names what binds and the ways out.
    """
    pieces = [piece for name in costs.layout.populations for piece in _pieces_of(costs, name)]
    bins = _pack(costs, pieces, fill=objective != "latency")
    if objective == "latency":
        _spread(costs, bins)
    return bins


def _pieces_of(costs: MapCosts, population: str) -> Iterator[Piece]:
    """Yield the pieces of a population, each of which fits an empty core."""
    shape = costs.layout.shape(population)
    if shape[1:] != (1, 1):
        check_shared(costs.layout.populations[population], shape)
    feeds = costs.feeds(population)
    packing = costs.layout.packings.get(population)
    pending = [costs.piece(population, whole_tile(shape, costs.params.lanes, packing), feeds)]
    while pending:
        piece = pending.pop()
        limits = costs.exceeded(Bin(pieces=[piece]))
        if not limits:
            yield piece
            continue
        cuts = (_cut(costs, piece, _axes_for(costs, piece, limit)) for limit in limits)
        parts = next((parts for parts in cuts if parts is not None), None)
        if parts is not None:
            pending += reversed(parts)
        elif [limit.name for limit in limits] == ["weight words"]:
            yield from _with_partial_sums(costs, piece)
        else:
            other = next(limit for limit in limits if limit.name != "weight words")
            raise MappingError(_too_much(costs, piece, other))


def _axes_for(costs: MapCosts, piece: Piece, limit: Limit) -> tuple[Axis, ...]:
    """Return along which axes a cut makes a piece need less of something, best first."""
    if limit.name in ("accumulator rows", "membrane potentials (rows)"):
        return ("rows", "columns", "channels")
    if limit.name == "weight words" and _has_matrix(costs, piece):
        return ("channels", "rows", "columns")
    return ("channels",)


def _has_matrix(costs: MapCosts, piece: Piece) -> bool:
    """Tell whether some synapses are no kernel, so that pixels have weights of their own."""
    weights = [costs.layout.projections[feed.projection].weight for feed in piece.feeds]
    return any(not isinstance(weight, Kernel) for weight in weights)


def _cut(costs: MapCosts, piece: Piece, axes: tuple[Axis, ...]) -> tuple[Piece, Piece] | None:
    """Return the halves of a piece along the first axis that can be cut, or None."""
    assert piece.tile is not None
    tile = piece.tile
    pool = costs.layout.populations[piece.population].pool
    rows, columns = (1, 1) if pool is None else pool.size
    channels = tile.lanes
    if tile.packing is not None:
        channels, columns = tile.size[0], tile.packing.columns
    units = {"channels": channels, "rows": rows, "columns": columns}
    for axis in axes:
        low, high = getattr(tile, axis)
        n = -(-(high - low) // units[axis])
        if n > 1:
            parts = tile.cut(axis, low + (n + 1) // 2 * units[axis])
            return (
                costs.piece(piece.population, parts[0], piece.feeds, partial=piece.partial),
                costs.piece(piece.population, parts[1], piece.feeds, partial=piece.partial),
            )
    return None


def _with_partial_sums(costs: MapCosts, piece: Piece) -> Iterator[Piece]:
    """Yield pieces that sum some inputs for a tile, and the piece that keeps the others."""
    assert piece.tile is not None
    room = costs.params.weight_words
    tile, feeds = piece.tile, list(piece.feeds)
    while sum(costs.words(feed, tile) for feed in feeds) > room:
        at = max(range(len(feeds)), key=lambda i: costs.words(feeds[i], tile))
        head, rest = _head(costs, feeds[at], tile, room)
        if head is None:
            source = costs.layout.projections[feeds[at].projection].source
            raise MappingError(
                f"Population {piece.population!r} has synapses of one channel of {source!r} that "
                f"take more than the {room} weight words of a core; use an array with more weight "
                "memory or smaller kernels"
            )
        yield costs.piece(piece.population, tile, (head,), partial=True)
        feeds[at : at + 1] = [] if rest is None else [rest]
    yield costs.piece(piece.population, tile, tuple(feeds))


def _head(costs: MapCosts, feed: Feed, tile: Tile, room: int) -> tuple[Feed | None, Feed | None]:
    """Return as many whole channels of a feed as have room, and what is left."""
    shape = costs.layout.sent_shape(costs.layout.projections[feed.projection].source)
    pixels = shape[1] * shape[2]
    n_channels = feed.n // pixels
    low, high = 0, n_channels
    while low < high:
        middle = (low + high + 1) // 2
        if costs.words(replace(feed, last=feed.first + middle * pixels - 1), tile) <= room:
            low = middle
        else:
            high = middle - 1
    if low == 0:
        return None, feed
    head = replace(feed, last=feed.first + low * pixels - 1)
    return head, None if low == n_channels else replace(feed, first=head.last + 1)


def _pack(costs: MapCosts, pieces: list[Piece], *, fill: bool) -> list[Bin]:
    """Put pieces into as few cores as it takes, the largest first; cut those that find no room.

    ``fill`` cuts packed pieces as well to fill what is left on cores.
    """
    bins: list[Bin] = []
    whole = _summed(pieces)
    pending = sorted(pieces, key=lambda piece: _size(costs, piece))
    while pending:
        piece = pending.pop()
        room = [b for b in bins if not costs.exceeded(Bin(pieces=[*b.pieces, piece]))]
        if room:
            min(room, key=lambda b: costs.params.weight_words - b.words).pieces.append(piece)
        elif fill and _home_of(piece) not in whole and _fill(costs, bins, piece):
            continue
        elif len(bins) < costs.params.n_cores:
            bins.append(Bin(pieces=[piece]))
        else:
            may_cut = _home_of(piece) not in whole
            parts = _cut(costs, piece, _load_axes(costs, piece)) if may_cut else None
            if parts is None:
                raise MappingError(_no_core(costs, pieces, piece))
            pending += parts
            pending.sort(key=lambda piece: _size(costs, piece))
    return bins


def _fill(costs: MapCosts, bins: list[Bin], piece: Piece) -> bool:
    """Put a packed piece into cores that have room for its parts alone; tell whether they have.

    Lines of packed maps seldom fill the rows of a core, so much is left there.
    """
    assert piece.tile is not None
    if piece.tile.packing is None:
        return False
    filled = [Bin(pieces=[*b.pieces]) for b in bins]
    parts = [piece]
    for _ in range(2 * _MOST_PARTS - 1):
        if not parts:
            break
        part = parts.pop()
        room = [b for b in filled if not costs.exceeded(Bin(pieces=[*b.pieces, part]))]
        if room:
            min(room, key=lambda b: costs.params.acc_rows - b.n_rows).pieces.append(part)
            continue
        halves = _cut(costs, part, _load_axes(costs, part))
        if halves is None:
            return False
        parts += reversed(halves)
    if parts:
        return False
    for b, new in zip(bins, filled, strict=True):
        b.pieces = new.pieces
    return True


def _home_of(piece: Piece) -> Home:
    assert piece.tile is not None
    return piece.population, piece.tile


def _summed(pieces: Iterable[Piece]) -> set[Home]:
    """Return what takes partial sums."""
    return {_home_of(piece) for piece in pieces if piece.partial}


def _size(costs: MapCosts, piece: Piece) -> float:
    return max(limit.used / limit.there for limit in costs.limits(Bin(pieces=[piece])))


def _load_axes(costs: MapCosts, piece: Piece) -> tuple[Axis, ...]:
    """Return along which axes a cut spreads the work of a piece, best first."""
    if _has_matrix(costs, piece):
        return ("channels", "rows", "columns")
    return ("rows", "channels", "columns")


def _spread(costs: MapCosts, bins: list[Bin]) -> None:
    """Split what keeps a core busiest, as long as there are idle cores and it pays."""
    whole = _summed(piece for b in bins for piece in b.pieces)
    while len(bins) < costs.params.n_cores:
        loads = [costs.bin_load(b) for b in bins]
        order = sorted(range(len(bins)), key=lambda i: (-loads[i], i))
        for i in order:
            if loads[i] < _WORTH_IT * max(loads):
                return
            halves = _halves(costs, bins[i], whole)
            if halves is not None:
                bins[i], other = halves
                bins.append(other)
                break
        else:
            return


def _halves(costs: MapCosts, full: Bin, whole: set[Home]) -> tuple[Bin, Bin] | None:
    """Return the contents of two cores instead of one, or None if they cannot be split.

    What is in ``whole`` takes partial sums for all of its tile, and so stays as it is.
    """
    if len(full.pieces) > 1:
        left, right = Bin(), Bin()
        for piece in sorted(full.pieces, key=lambda piece: -costs.load(piece)):
            min(left, right, key=costs.bin_load).pieces.append(piece)
        return left, right
    (piece,) = full.pieces
    if _home_of(piece) in whole:
        return None
    parts = _cut(costs, piece, _load_axes(costs, piece))
    if parts is None:
        return None
    return Bin(pieces=[parts[0]]), Bin(pieces=[parts[1]])


def _too_much(costs: MapCosts, piece: Piece, limit: Limit) -> str:
    return (
        f"Population {piece.population!r} needs {limit.used} {limit.name} of one core of "
        f"{costs.params.name!r} for its smallest part, but a core has {limit.there}; {limit.way}"
    )


def _no_core(costs: MapCosts, pieces: list[Piece], piece: Piece) -> str:
    params = costs.params
    everything = Bin(pieces=pieces)
    needs = [limit for limit in costs.limits(everything) if limit.name != "rows of channels"]
    binding = max(needs, key=lambda limit: limit.used / limit.there)
    listed = ", ".join(f"{n.used} of {n.there * params.n_cores} {n.name}" for n in needs)
    return (
        f"Population {piece.population!r} does not fit on {params.name!r}: {piece.n_neurons} of "
        f"its neurons find no core. Binding are the {binding.name}: the network needs {listed} on "
        f"{params.n_cores} cores; use a larger array or {binding.way}"
    )


def least_cores(costs: MapCosts) -> tuple[int, list[Limit]]:
    """Return the fewest cores that the network can take, and what it needs of everything.

    Each population and each projection counts once; of all ways to pack a map the one that needs
    least of something counts there.
    """
    choices = [ways(costs, name) for name in costs.layout.populations]
    plain = costs.limits(Bin(pieces=[found[0] for found in choices]))
    packed = costs.limits(Bin(pieces=[min(found, key=lambda p: p.n_rows) for found in choices]))
    limits = [
        min(pair, key=lambda limit: limit.used)
        for pair in zip(plain, packed, strict=True)
        if pair[0].name != "rows of channels"
    ]
    return max(1, *(-(-limit.used // limit.there) for limit in limits)), limits
