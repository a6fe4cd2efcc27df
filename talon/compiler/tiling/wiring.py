"""Groups, edge numbers and links on arrays with feature maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from talon.arch.memories import Emit
from talon.compiler.kernel import Kernel
from talon.compiler.pieces import Bin, Feed, Piece
from talon.compiler.tiling.costs import MapCosts
from talon.compiler.tiling.edges import Region, clipped, region_of
from talon.compiler.tiling.layout import Layout
from talon.compiler.tiling.tile import Code, Tile
from talon.compiler.wiring import HOST, Edge, Group, Link, Wiring, number_alike
from talon.errors import MappingError

Span = tuple[int, int]


def wire_maps(costs: MapCosts, bins: list[Bin]) -> Wiring:
    """Return numbered groups and edges, and link every sender with the groups that it feeds."""
    groups = _groups(costs, bins)
    edges = _edges(costs, groups, bins)
    links = [link for edge in edges for link in _links_of(costs.layout, groups, edge)]
    return Wiring(
        groups=tuple(groups),
        edges=tuple(edges),
        links=(*links, *_partial_links(groups, costs.params.lanes)),
    )


def sent_tile(layout: Layout, population: str, tile: Tile) -> Tile:
    """Return the part of what a population sends that a tile of it gives: its pool windows."""
    pool = layout.populations[population].pool
    if pool is None:
        return tile
    return replace(
        tile,
        rows=(tile.rows[0] // pool.size[0], tile.rows[1] // pool.size[0]),
        columns=(tile.columns[0] // pool.size[1], tile.columns[1] // pool.size[1]),
    )


def _groups(costs: MapCosts, bins: list[Bin]) -> list[Group]:
    order = {name: i for i, name in enumerate(costs.layout.populations)}
    placed = [(at, piece) for at, b in enumerate(bins) for piece in b.pieces]
    placed.sort(key=lambda item: (order[item[1].population], _corner(item[1]), item[1].partial))
    params = costs.params
    numbers = number_alike(
        [(at, (piece.population, piece.partial)) for at, piece in placed],
        limit=params.n_groups,
        fail=lambda at: _too_many("groups", bins[at], params.n_groups),
    )
    kinds = {
        "spike": Emit.SPIKE,
        "readout": Emit.READOUT,
        "graded": Emit.GRADED,
        "count": Emit.COUNT,
    }
    slots = _slots(costs, bins)
    rows, records = _starts(costs, placed)
    return [
        Group(
            id=i,
            bin=at,
            number=number,
            row_start=rows[i],
            piece=piece,
            emit=(
                Emit.PSUM
                if piece.partial
                else kinds[costs.layout.populations[piece.population].kind]
            ),
            slots=slots[at],
            record_start=records[i],
        )
        for i, ((at, piece), number) in enumerate(zip(placed, numbers, strict=True))
    ]


def _corner(piece: Piece) -> tuple[int, int, int]:
    assert piece.tile is not None
    return piece.tile.rows[0], piece.tile.columns[0], piece.tile.channels[0]


def _slots(costs: MapCosts, bins: list[Bin]) -> list[int]:
    """Return how many slots the groups of each core keep: as many as there is room for.

    Partial sums carry the slot of their sender, so its core keeps as many as that of the home.
    """
    most = []
    for contents in bins:
        slots = costs.params.n_slots
        while slots > 1 and contents.n_rows > costs.params.acc_rows // slots:
            slots //= 2
        most.append(slots)
    summed = [at for at, b in enumerate(bins) if any(piece.partial for piece in b.pieces)]
    homes = {(p.population, p.tile) for at in summed for p in bins[at].pieces if p.partial}
    joined = [
        at
        for at, b in enumerate(bins)
        if any((piece.population, piece.tile) in homes for piece in b.pieces)
    ]
    if joined:
        least = min(most[at] for at in joined)
        for at in joined:
            most[at] = least
            if least < costs.slots(bins[at]):
                names = ", ".join(repr(piece.population) for piece in bins[at].pieces)
                raise MappingError(
                    f"Populations {names} see delays that take {costs.slots(bins[at])} slots, but "
                    f"the partial sums on their core leave room for {least}; shorten the delays or "
                    "use an array with more accumulators"
                )
    return most


def _starts(costs: MapCosts, placed: list[tuple[int, Piece]]) -> tuple[list[int], list[int]]:
    """Return the first accumulator row and record row of each piece.

    Neurons with a potential come first: only the first rows of a core have one.
    """

    def first(i: int) -> tuple[bool, int]:
        piece = placed[i][1]
        return piece.partial or not costs.is_stateful(piece.population), i

    rows, records = [0] * len(placed), [0] * len(placed)
    next_row: dict[int, int] = {}
    next_record: dict[int, int] = {}
    for i in sorted(range(len(placed)), key=first):
        at, piece = placed[i]
        rows[i], records[i] = next_row.get(at, 0), next_record.get(at, 0)
        next_row[at] = rows[i] + piece.n_rows
        next_record[at] = records[i] + costs.n_records(piece)
    return rows, records


def _edges(costs: MapCosts, groups: list[Group], bins: list[Bin]) -> list[Edge]:
    slots = [(g, k) for g in groups for k in range(len(g.piece.feeds))]
    slots.sort(key=lambda slot: (slot[0].piece.feeds[slot[1]].projection, slot[0].id, slot[1]))
    # One packet can serve all projections of a source and delay whose edges have one number.
    origins = [(p.source, p.delay) for p in costs.layout.projections]
    numbers = number_alike(
        [(g.bin, origins[g.piece.feeds[k].projection]) for g, k in slots],
        limit=costs.params.n_edges,
        fail=lambda at: _too_many("edges", bins[at], costs.params.n_edges),
    )
    return [
        Edge(group=g.id, feed=k, number=number)
        for (g, k), number in zip(slots, numbers, strict=True)
    ]


def _links_of(layout: Layout, groups: list[Group], edge: Edge) -> list[Link]:
    """Return the links of all senders to one edge."""
    receiver = groups[edge.group]
    assert receiver.piece.tile is not None
    feed = receiver.piece.feeds[edge.feed]
    projection = layout.projections[feed.projection]
    region = _needed(layout, feed, receiver.piece.tile)
    if projection.source in layout.ports:
        is_map = layout.is_map(projection.source)
        return [
            Link(
                sender=HOST,
                source=projection.source,
                receiver=receiver.id,
                edge=edge.number,
                first=0 if is_map else feed.first,
                last=0 if is_map else feed.last,
                delay=projection.delay,
                n=region.n if is_map else None,
                region=region if is_map else None,
            )
        ]
    senders = [g for g in groups if g.piece.population == projection.source and not g.piece.partial]
    links = [_link(layout, sender, receiver, edge, feed, region) for sender in senders]
    return [link for link in links if link is not None]


def _needed(layout: Layout, feed: Feed, tile: Tile) -> Region:
    """Return the coordinates of the source that a receiver must get."""
    if layout.is_map(layout.projections[feed.projection].source):
        return region_of(layout, feed, tile)
    return Region(channels=(feed.first, feed.last), rows=(0, 0), columns=(0, 0))


def _link(
    layout: Layout, sender: Group, receiver: Group, edge: Edge, feed: Feed, region: Region
) -> Link | None:
    """Return the link of a sender to an edge, or None if nothing of it is needed.

    Positions are a sender's codes from its corner on.
    """
    source = layout.projections[feed.projection].source
    code = layout.code(source)
    assert sender.piece.tile is not None
    tile = sent_tile(layout, source, sender.piece.tile)
    found = (
        _span_of_map(layout, receiver, feed, region, tile, code)
        if layout.is_map(source)
        else _span_of_vector(layout, receiver, feed, tile, code)
    )
    if found is None:
        return None
    first, last, n = found
    return Link(
        sender=sender.id,
        source=source,
        receiver=receiver.id,
        edge=edge.number,
        first=first,
        last=last,
        delay=layout.projections[feed.projection].delay,
        shift=code(tile.channels[0], tile.rows[0], tile.columns[0]),
        n=n,
    )


def _span_of_map(
    layout: Layout, receiver: Group, feed: Feed, region: Region, tile: Tile, code: Code
) -> tuple[int, int, int] | None:
    """Return the first and last position of whole rows of a map that are needed, and their number.

    What they bring beyond the region finds no target in the axis tables.
    """
    channels = _common(tile.channels, region.channels)
    rows = _common(tile.rows, region.rows)
    columns = _common(tile.columns, region.columns)
    if channels[0] > channels[1] or rows[0] > rows[1] or columns[0] > columns[1]:
        return None
    weight = layout.projections[feed.projection].weight
    target = receiver.piece.tile
    assert target is not None
    if isinstance(weight, Kernel):
        along_y, along_x = clipped(layout, feed, target)
        if not (
            along_y.count[rows[0] : rows[1] + 1].any()
            and along_x.count[columns[0] : columns[1] + 1].any()
            and weight.taps[:, :, channels[0] : channels[1] + 1, slice(*target.channels)].any()
        ):
            return None
    corner = code(tile.channels[0], tile.rows[0], tile.columns[0])
    first = code(tile.channels[0], rows[0], tile.columns[0]) - corner
    last = code(tile.channels[1] - 1, rows[1], tile.columns[1] - 1) - corner
    return first, last, tile.size[0] * (rows[1] - rows[0] + 1) * tile.size[2]


def _span_of_vector(
    layout: Layout, receiver: Group, feed: Feed, tile: Tile, code: Code
) -> tuple[int, int, int] | None:
    """Return the first and last position of what a feed takes of a vector, and their number."""
    projection = layout.projections[feed.projection]
    c, y, x = (np.arange(*span) for span in (tile.channels, tile.rows, tile.columns))
    codes = y[:, None, None] * code.y_stride + x[:, None] * code.x_stride + c
    needed = codes[(feed.first <= codes) & (codes <= feed.last)]
    target = receiver.piece.tile
    assert target is not None and isinstance(projection.weight, np.ndarray)
    if not needed.size:
        return None
    if projection.form != "rows":  # rows of words are read whatever their weights are
        order = target.order(layout.shape(projection.target))
        if not projection.weight[order[order >= 0]][:, needed].any():
            return None
    corner = int(codes.min())
    return int(needed.min()) - corner, int(needed.max()) - corner, needed.size


def _common(part: Span, needed: Span) -> Span:
    """Return the first and last coordinate of a part (its end excluded) that is needed."""
    return max(part[0], needed[0]), min(part[1] - 1, needed[1])


def _partial_links(groups: list[Group], lanes: int) -> list[Link]:
    """Return links from groups that sum for others, accumulator by accumulator."""
    homes = {(g.piece.population, g.piece.tile): g for g in groups if not g.piece.partial}
    links: list[Link] = []
    for partial in (g for g in groups if g.piece.partial):
        home = homes[partial.piece.population, partial.piece.tile]
        n = partial.piece.n_rows * lanes
        links.append(
            Link(
                sender=partial.id,
                source=partial.piece.population,
                receiver=home.id,
                edge=None,
                first=0,
                last=n - 1,
                delay=0,
                shift=home.row_start * lanes,
                n=partial.piece.n_neurons,
            )
        )
    return links


def _too_many(what: str, full: Bin, limit: int) -> str:
    names = ", ".join(repr(piece.population) for piece in full.pieces)
    return (
        f"Populations {names} need more than the {limit} {what} of a core that they share; "
        f"use an array with more cores or more {what}"
    )
