"""Groups and the links between them, before anything has a place on the mesh."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from talon.arch.memories import Emit
from talon.arch.params import ArrayParams
from talon.compiler.network import IntNetwork, Projection
from talon.compiler.pieces import Bin, Piece
from talon.compiler.tiling.edges import Region
from talon.compiler.tiling.tile import Packing
from talon.errors import MappingError

HOST = -1
"""The host, as a sender or receiver."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """A piece with its number on its core and the accumulator row on which it starts."""

    id: int
    bin: int
    number: int
    row_start: int
    piece: Piece
    emit: Emit
    slots: int | None = None
    """Slots that it keeps, if these are not all that the array has."""
    record_start: int = 0
    """On an array with feature maps: the row of its first neuron records."""

    def local(self, neuron: int, lanes: int) -> int:
        """Return the number on the core of a neuron of the population."""
        return neuron + (self.row_start - self.piece.row) * lanes

    def range_of(self, lanes: int) -> tuple[int, int]:
        """Return the first and last neuron of the population that the group holds."""
        first = self.piece.row * lanes
        return first, first + self.piece.n_neurons - 1


@dataclass(frozen=True, kw_only=True)
class Edge:
    """An edge descriptor: a feed of a group, with its number on the core."""

    group: int
    feed: int
    number: int


@dataclass(frozen=True, kw_only=True)
class Link:
    """Packets from a sender's neurons ``first`` to ``last`` to a receiving group.

    ``edge`` is the number of the edge at the receiver; None for partial sums. What is sent names
    the neuron plus ``shift``. On an array with feature maps neurons are counted by their positions
    in the scan of the sender; ``n`` is how many there are, and ``region`` names them for an input
    that is a map.
    """

    sender: int
    source: str
    receiver: int
    edge: int | None
    first: int
    last: int
    delay: int
    shift: int = 0
    n: int | None = None
    region: Region | None = None

    @property
    def n_sent(self) -> int:
        """Number of neurons whose packets these are."""
        return self.last - self.first + 1 if self.n is None else self.n


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """All groups, edge descriptors and links of a program."""

    groups: tuple[Group, ...]
    edges: tuple[Edge, ...]
    links: tuple[Link, ...]

    @property
    def packings(self) -> dict[str, Packing]:
        """How the populations that have pixels side by side in rows of lanes are packed."""
        tiles = ((group.piece.population, group.piece.tile) for group in self.groups)
        return {
            name: tile.packing
            for name, tile in tiles
            if tile is not None and tile.packing is not None
        }

    def successors(self, sender: int) -> dict[int, set[int]]:
        """Return the delays of the links of a sender, by receiver."""
        found: dict[int, set[int]] = {}
        for link in self.links:
            if link.sender == sender:
                found.setdefault(link.receiver, set()).add(link.delay)
        return found


def wire(network: IntNetwork, params: ArrayParams, bins: list[Bin]) -> Wiring:
    """Return numbered groups and edges, and link every sender with the groups that it feeds."""
    placed = [(at, piece) for at, b in enumerate(bins) for piece in b.pieces]
    order = {p.name: i for i, p in enumerate(network.populations)}
    placed.sort(key=lambda item: (order[item[1].population], item[1].row, item[1].partial, item[0]))
    numbers = number_alike(
        [(at, (piece.population, piece.partial)) for at, piece in placed],
        limit=params.n_groups,
        fail=lambda at: _too_many("groups", bins[at], params.n_groups),
    )
    kinds = {p.name: p.kind for p in network.populations}
    rows = [0] * len(bins)
    groups: list[Group] = []
    for (at, piece), number in zip(placed, numbers, strict=True):
        emit = Emit.SPIKE if kinds[piece.population] == "spike" else Emit.READOUT
        groups.append(
            Group(
                id=len(groups),
                bin=at,
                number=number,
                row_start=rows[at],
                piece=piece,
                emit=Emit.PSUM if piece.partial else emit,
            )
        )
        rows[at] += piece.n_rows
    edges = _edges(network, params, groups, bins)
    links = _spike_links(network, params, groups, edges) + _partial_links(params, groups)
    return Wiring(groups=tuple(groups), edges=tuple(edges), links=tuple(links))


def number_alike(
    items: Iterable[tuple[int, Hashable]], *, limit: int, fail: Callable[[int], str]
) -> list[int]:
    """Return a number on its core for each item, the same for the same thing if possible.

    Parameters
    ----------
    items
        Pairs of core and thing, in order. The k-th time that a thing stands on a core it is a
        thing of its own.
    limit
        How many numbers a core has.
    fail
        Makes the message for a core that has too few.
    """
    items = list(items)
    seen: dict[tuple[int, Hashable], int] = {}
    things: dict[tuple[Hashable, int], list[int]] = {}
    for i, (at, thing) in enumerate(items):
        k = seen[at, thing] = seen.get((at, thing), -1) + 1
        things.setdefault((thing, k), []).append(i)
    used: dict[int, set[int]] = {}
    numbers = [0] * len(items)
    for positions in things.values():
        cores = [items[i][0] for i in positions]
        taken = set().union(*(used.setdefault(at, set()) for at in cores))
        common = next((n for n in range(limit) if n not in taken), None)
        for i, at in zip(positions, cores, strict=True):
            number = common
            if number is None:
                number = next((n for n in range(limit) if n not in used[at]), None)
            if number is None:
                raise MappingError(fail(at))
            numbers[i] = number
            used[at].add(number)
    return numbers


def _edges(
    network: IntNetwork, params: ArrayParams, groups: list[Group], bins: list[Bin]
) -> list[Edge]:
    slots = [(g, k) for g in groups for k in range(len(g.piece.feeds))]
    slots.sort(key=lambda slot: (slot[0].piece.feeds[slot[1]].projection, slot[0].id, slot[1]))
    # One packet can serve all projections of a source and delay whose edges have one number.
    origins = [(p.source, p.delay) for p in network.projections]
    numbers = number_alike(
        [(g.bin, origins[g.piece.feeds[k].projection]) for g, k in slots],
        limit=params.n_edges,
        fail=lambda at: _too_many("edges", bins[at], params.n_edges),
    )
    return [
        Edge(group=g.id, feed=k, number=number)
        for (g, k), number in zip(slots, numbers, strict=True)
    ]


def _spike_links(
    network: IntNetwork, params: ArrayParams, groups: list[Group], edges: list[Edge]
) -> list[Link]:
    homes: dict[str, list[Group]] = {}
    for group in groups:
        if not group.piece.partial:
            homes.setdefault(group.piece.population, []).append(group)
    links: list[Link] = []
    for edge in edges:
        feed = groups[edge.group].piece.feeds[edge.feed]
        projection = network.projections[feed.projection]
        senders = [
            (group.id, *group.range_of(params.lanes)) for group in homes.get(projection.source, ())
        ] or [(HOST, feed.first, feed.last)]
        for sender, first, last in senders:
            low, high = max(first, feed.first), min(last, feed.last)
            if low <= high and _carries(projection, groups[edge.group], low, high, params.lanes):
                links.append(
                    Link(
                        sender=sender,
                        source=projection.source,
                        receiver=edge.group,
                        edge=edge.number,
                        first=low,
                        last=high,
                        delay=projection.delay,
                    )
                )
    return links


def _carries(projection: Projection, receiver: Group, low: int, high: int, lanes: int) -> bool:
    """Tell whether packets would do anything; dense rows do, whatever their weights are."""
    if projection.form == "dense":
        return True
    first, last = receiver.range_of(lanes)
    return bool(projection.matrix[first : last + 1, low : high + 1].any())


def _partial_links(params: ArrayParams, groups: list[Group]) -> list[Link]:
    links: list[Link] = []
    for partial in groups:
        if not partial.piece.partial:
            continue
        first, last = partial.range_of(params.lanes)
        for home in groups:
            if home.piece.partial or home.piece.population != partial.piece.population:
                continue
            low, high = home.range_of(params.lanes)
            low, high = max(low, first), min(high, last)
            if low <= high:
                links.append(
                    Link(
                        sender=partial.id,
                        source=partial.piece.population,
                        receiver=home.id,
                        edge=None,
                        first=low,
                        last=high,
                        delay=0,
                        shift=home.local(0, params.lanes),
                    )
                )
    return links


def _too_many(what: str, full: Bin, limit: int) -> str:
    names = ", ".join(repr(piece.population) for piece in full.pieces)
    return (
        f"Populations {names} need more than the {limit} {what} of a core that they share; "
        f"use an array with more cores or more {what}"
    )
