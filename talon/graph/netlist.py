"""Pieces with all that joins them: edge descriptors, and what is sent along each."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass, replace

from talon.compiler.wiring import HOST
from talon.graph.packing import Links
from talon.graph.slicing import Piece, slice_stage
from talon.graph.spec import HardwareSpec
from talon.graph.stages import Layer, Stage, stages_of
from talon.graph.wires import Wire, heard_stages, wires_of
from talon.ir import Graph

INDEX_RANGE = 1 << 16
"""Values of a source that one edge descriptor tells apart: an event has an index of 16 bits."""

Span = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Feed:
    """One edge descriptor of a piece: rows of a map, or inputs, that it takes from a wire."""

    piece: int
    wire: int
    span: Span


@dataclass(frozen=True, kw_only=True)
class Way:
    """Values of a piece (or the host) that go along a feed; those in ``span`` do."""

    sender: int
    feed: int
    span: Span


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """All pieces of a graph; ``heard`` are stages whose values go to the host.

    ``partials`` are pairs of a piece of partial sums and the piece that it sums for; ``links``
    counts what goes from one piece to another.
    """

    pieces: list[Piece]
    stages: list[Stage]
    home: dict[str, int | None]
    wires: list[Wire]
    feeds: list[Feed]
    ways: list[Way]
    partials: list[tuple[int, int]]
    heard: set[int]
    links: Links


def netlist_of(graph: Graph, hw: HardwareSpec) -> Netlist:
    """Return the pieces of a graph and what joins them.

    Raises
    ------
    MappingError
        A layer is too large for any core; the message names it and the ways out.
    """
    stages, home = stages_of(graph)
    return joined(graph, stages, home, [slice_stage(k, s, hw) for k, s in enumerate(stages)])


def joined(
    graph: Graph, stages: list[Stage], home: dict[str, int | None], of: list[list[Piece]]
) -> Netlist:
    """Return what joins the pieces that stages were cut into."""
    wires = wires_of(graph, stages, home)
    starts = list(itertools.accumulate((len(found) for found in of), initial=0))
    pieces = [piece for found in of for piece in found]
    numbers = [range(a, b) for a, b in itertools.pairwise(starts)]
    feeds: list[Feed] = []
    ways: list[Way] = []
    for w, wire in enumerate(wires):
        senders = [] if wire.sender is None else numbers[wire.sender]
        for j in numbers[wire.receiver]:
            for span in _spans(wire, stages[wire.receiver], pieces[j]):
                feeds.append(Feed(piece=j, wire=w, span=span))
                ways += _ways(wire, stages, pieces, senders, len(feeds) - 1, feeds[-1])
    taken = Counter(feed.piece for feed in feeds)
    pieces = [replace(piece, edges=taken[j]) for j, piece in enumerate(pieces)]
    partials = _partials(pieces)
    return Netlist(
        pieces=pieces,
        stages=stages,
        home=home,
        wires=wires,
        feeds=feeds,
        ways=ways,
        partials=partials,
        heard=heard_stages(graph, stages, home),
        links=_links(feeds, ways, partials),
    )


def _partials(pieces: list[Piece]) -> list[tuple[int, int]]:
    homes = {(p.stage, p.outputs, p.rows): j for j, p in enumerate(pieces) if not p.partial}
    return [(j, homes[p.stage, p.outputs, p.rows]) for j, p in enumerate(pieces) if p.partial]


def _links(feeds: list[Feed], ways: list[Way], partials: list[tuple[int, int]]) -> Links:
    once = {(way.sender, feeds[way.feed].piece, feeds[way.feed].wire) for way in ways}
    counts = Counter((i, j) for i, j, _ in sorted(once) if i != HOST)
    counts.update(partials)
    return dict(counts)


def _spans(wire: Wire, stage: Stage, piece: Piece) -> list[Span]:
    """Return what a piece takes of a wire, by edge descriptors; nothing if others take it."""
    layer = stage.layers.get(wire.node)
    if layer is None:  # added as it is: by the piece that is not partial
        if piece.partial:
            return []
        is_map = piece.rows is not None and len(wire.shape) == len(stage.shape)
        first, last = _scaled(piece.rows, stage, wire.shape) if is_map else (0, _n(wire.shape) - 1)
    else:
        taken = piece.channels if piece.rows else piece.inputs
        low, high = _within(layer, taken)
        if low > high:
            return []
        is_map = piece.rows is not None
        first, last = layer.rows_for(piece.rows) if piece.rows else (low, high)
    each = 1
    if is_map:
        low, high = _channels(wire, stage, piece) or (0, wire.shape[0] - 1)
        each = (high - low + 1) * _n(wire.shape[2:])
    height = max(1, INDEX_RANGE // each)
    bands = [(a, min(last, a + height - 1)) for a in range(first, last + 1, height)]
    return [band for band in bands for _ in range(-(-each // INDEX_RANGE))]


def _within(layer: Layer, taken: Span | None) -> Span:
    """Return the inputs of a layer that are among those of its stage, counted from the layer's."""
    if taken is None:
        return 0, layer.n - 1
    return max(0, taken[0] - layer.first), min(layer.n - 1, taken[1] - layer.first)


def _scaled(rows: Span | None, stage: Stage, shape: tuple[int, ...]) -> Span:
    """Return the rows of a map of another height that lie at the same place."""
    assert rows is not None
    here, there = stage.shape[1], shape[1]
    return rows[0] * there // here, min(there - 1, -(-(rows[1] + 1) * there // here) - 1)


def _ways(
    wire: Wire,
    stages: list[Stage],
    pieces: list[Piece],
    senders: range | list[int],
    k: int,
    feed: Feed,
) -> list[Way]:
    """Return what goes along a feed, of all pieces that make the values of its wire."""
    if wire.sender is None:
        return [Way(sender=HOST, feed=k, span=feed.span)]
    return [
        Way(sender=i, feed=k, span=span)
        for i in senders
        if not pieces[i].partial
        and (span := _reached(wire, stages, pieces[i], pieces[feed.piece], feed.span)) is not None
    ]


def _reached(
    wire: Wire, stages: list[Stage], sender: Piece, receiver: Piece, span: Span
) -> Span | None:
    """Return the span of what a piece sends along a feed, if anything; in doubt, it does."""
    assert wire.sender is not None
    made, stage = stages[wire.sender], stages[wire.receiver]
    whole = (0, -1)
    if not wire.in_order:
        return whole
    if sender.rows is None:
        known = receiver.rows is None and _n(wire.shape) == made.n
        return _overlap(sender.outputs, span) if known else whole
    channels = _channels(wire, stage, receiver)
    if receiver.rows is None and len(wire.shape) == 1 and not wire.shape[0] % made.shape[0]:
        each = wire.shape[0] // made.shape[0]
        channels = span[0] // each, span[1] // each
    if channels is not None and _overlap(sender.outputs, channels) is None:
        return None
    if receiver.rows is None or len(wire.shape) != len(made.shape):
        return whole
    return _overlap(_made_rows(made, sender.rows, wire.shape), span)


def _channels(wire: Wire, stage: Stage, receiver: Piece) -> Span | None:
    """Return the channels of the wire that a piece takes, or None for all."""
    layer = stage.layers.get(wire.node)
    if layer is None:
        return receiver.outputs if receiver.rows and wire.shape == stage.shape else None
    if receiver.rows is None:
        return None
    low, high = _within(layer, receiver.channels)
    if layer.groups == 1:
        return low, high
    a, b = (c * layer.groups // stage.shape[0] for c in receiver.outputs)
    return a * layer.n + low, b * layer.n + high


def _made_rows(stage: Stage, rows: Span, shape: tuple[int, ...]) -> Span:
    """Return the rows of a wire that rows of sums make, those of overlapping windows too."""
    first, last = _scaled(rows, stage, shape)
    if shape[1] * stage.window == stage.shape[1] or shape[1] == stage.shape[1]:
        return first, last
    return max(0, first - 1), last + 1


def _overlap(a: Span, b: Span) -> Span | None:
    first, last = max(a[0], b[0]), min(a[1], b[1])
    return (first, last) if first <= last else None


def _n(shape: tuple[int, ...]) -> int:
    return math.prod(shape)
