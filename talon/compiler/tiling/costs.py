"""What tiles cost: weight words, rows, axis entries, records and cycles."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from talon.arch.params import ArrayParams
from talon.compiler.forms import pointer_words, sparse_counts
from talon.compiler.kernel import Kernel
from talon.compiler.lower import ONE_POPULATION
from talon.compiler.network import IntNetwork
from talon.compiler.pieces import DEFAULT_RATE, Bin, Feed, Piece
from talon.compiler.tiling.edges import (
    COUNT_MAX,
    channel_blocks,
    channels_of,
    clipped,
    map_edge,
    region_of,
)
from talon.compiler.tiling.layout import Layout
from talon.compiler.tiling.tile import Packing, Tile


@dataclass(frozen=True, kw_only=True)
class Limit:
    """Something of which a core has so much, and what makes a network need less of it."""

    name: str
    used: int
    there: int
    way: str


class MapCosts:
    """Sizes and loads of the pieces of one network on one array with feature maps."""

    def __init__(
        self, network: IntNetwork, params: ArrayParams, rates: dict[str, float] | None = None
    ) -> None:
        self.network = network
        self.params = params
        self.rates = rates or {}
        self.layout = Layout(network)
        self._words: dict[object, int] = {}

    def with_packings(self, packings: Mapping[str, Packing]) -> MapCosts:
        """Return the costs where some populations are packed."""
        other = copy.copy(self)
        other.layout = self.layout.with_packings(packings)
        return other

    def is_stateful(self, population: str) -> bool:
        """Tell whether neurons of a population have a membrane potential."""
        return self.layout.populations[population].kind != "graded"

    def feeds(self, population: str) -> tuple[Feed, ...]:
        """Return all synapses of a population."""
        return tuple(
            Feed(projection=i, first=0, last=int(np.prod(self.layout.sent_shape(p.source))) - 1)
            for i, p in enumerate(self.layout.projections)
            if p.target == population
        )

    def piece(
        self, population: str, tile: Tile, feeds: tuple[Feed, ...], *, partial: bool = False
    ) -> Piece:
        """Return the piece of a tile, without the feeds that have no synapse there."""
        here = tuple(kept for feed in feeds if (kept := self._narrowed(feed, tile)) is not None)
        return Piece(
            population=population,
            row=0,
            n_rows=tile.n_rows,
            n_neurons=tile.n_neurons,
            feeds=here,
            words=sum(self.words(feed, tile) for feed in here),
            partial=partial,
            tile=tile,
        )

    def form(self, feed: Feed) -> str:
        """Return the form of a feed's projection."""
        return self.layout.projections[feed.projection].form

    def uses_tables(self, feed: Feed) -> bool:
        """Tell whether the edge of a feed is a MAP edge."""
        return self.layout.is_map(self.layout.projections[feed.projection].source)

    def words(self, feed: Feed, tile: Tile) -> int:
        """Return the weight words that a feed takes for a tile."""
        form = self.form(feed)
        if form == "identity":
            return 0
        if form == "sparse":
            pointers = pointer_words(feed.n, word_bytes=self.params.word_bytes)
            return pointers + self._packed(feed, tile)
        if form != "map":
            return feed.n * tile.n_rows
        key = (feed, tile.channels, tile.packing)
        if key not in self._words:
            self._words[key] = len(map_edge(self.layout, feed, tile).words)
        return self._words[key]

    def n_axis(self, piece: Piece) -> int:
        """Return the axis entries of a piece."""
        return sum(
            sum(self.layout.axis_sizes(self.layout.projections[feed.projection].source))
            for feed in piece.feeds
            if self.uses_tables(feed)
        )

    def may_join(self, population: str) -> bool:
        """Tell whether those that take a map have room for its axis entries if it is packed.

        Whatever else they take may be packed as well.
        """
        projections = self.layout.projections
        takers = {p.target for p in projections if p.source == population}
        return all(
            sum(
                sum(self.layout.axis_sizes(p.source, packed=p.source in self.layout.populations))
                for p in projections
                if p.target == taker and self.layout.is_map(p.source)
            )
            <= self.params.n_axis
            for taker in takers
        )

    def n_records(self, piece: Piece) -> int:
        """Return the rows of neuron records of a piece: pixels share those of their channels."""
        assert piece.tile is not None
        if piece.partial:
            return 1
        rows = piece.tile.record_rows
        return len(range(rows.stop)[rows])

    def slots(self, contents: Bin) -> int:
        """Return the fewest slots that the pieces of a core must keep."""
        delays = [
            self.layout.projections[feed.projection].delay
            for piece in contents.pieces
            for feed in piece.feeds
        ]
        return 1 << max(delays, default=0).bit_length()

    def limits(self, contents: Bin) -> list[Limit]:
        """Return what the contents of a core use of everything that it has."""
        params, pieces = self.params, contents.pieces
        stateful = sum(
            piece.n_rows
            for piece in pieces
            if self.is_stateful(piece.population) and not piece.partial
        )
        blocks = max((p.tile.blocks for p in pieces if p.tile is not None), default=0)
        return [
            Limit(
                name="weight words",
                used=contents.words,
                there=params.weight_words,
                way="make layers smaller, or prune weights so that they are stored as sparse",
            ),
            Limit(
                name="accumulator rows",
                used=contents.n_rows,
                there=params.acc_rows // self.slots(contents),
                way="make layers smaller, or delays shorter",
            ),
            Limit(
                name="membrane potentials (rows)",
                used=stateful,
                there=params.n_rows,
                way="use fewer spiking neurons, or ReLU before pools instead of them",
            ),
            Limit(
                name="neuron records (rows)",
                used=sum(self.n_records(piece) for piece in pieces),
                there=params.n_rows,
                way="use fewer channels",
            ),
            Limit(
                name="axis entries",
                used=sum(self.n_axis(piece) for piece in pieces),
                there=params.n_axis,
                way="use smaller maps, or an array with a larger n_axis",
            ),
            Limit(
                name="rows of channels",
                used=blocks,
                there=COUNT_MAX,
                way="use fewer channels",
            ),
            Limit(
                name="groups",
                used=len(pieces),
                there=params.n_groups,
                way="join layers of neurons that take the same inputs",
            ),
            Limit(
                name="edges",
                used=contents.n_edges,
                there=params.n_edges,
                way="sum or concatenate paths before they reach neurons",
            ),
        ]

    def exceeded(self, contents: Bin) -> list[Limit]:
        """Return what the contents of a core need too much of, most first; nothing if they fit."""
        over = [limit for limit in self.limits(contents) if limit.used > limit.there]
        return sorted(over, key=lambda limit: -limit.used / limit.there)

    def rate(self, source: str) -> float:
        """Return the events of one line of a source in a timestep."""
        return self.rates.get(source, 1.0 if source == ONE_POPULATION else DEFAULT_RATE)

    def events(self, feed: Feed, tile: Tile) -> float:
        """Return the events of a feed in a timestep that a tile takes."""
        rate = self.rate(self.layout.projections[feed.projection].source)
        n = region_of(self.layout, feed, tile).n if self.uses_tables(feed) else feed.n
        return n * rate

    def cycles(self, feed: Feed, tile: Tile) -> float:
        """Return the cycles that an event of a feed takes in the synapse engine, on average."""
        form = self.form(feed)
        if form == "identity":
            return 1.0
        if form == "sparse":
            return 1.0 + self._packed(feed, tile) / feed.n
        projection = self.layout.projections[feed.projection]
        if not isinstance(projection.weight, Kernel):
            return float(tile.n_rows)
        channels = channels_of(feed, self.layout.sent_shape(projection.source))
        kernel = self.layout.kernel(feed.projection, tile.packing)
        n, _, used = channel_blocks(kernel, tile, channels)
        taps = 1.0
        for stepping in clipped(self.layout, feed, tile):
            low, high = stepping.used
            taps *= float(stepping.count[low : high + 1].mean()) if high >= low else 0.0
        return max(1.0, taps * n * float(used.mean()))

    def work(self, piece: Piece) -> float:
        """Return the cycles that the events of a timestep keep the synapse engine busy."""
        assert piece.tile is not None
        tile = piece.tile
        return sum(self.events(feed, tile) * self.cycles(feed, tile) for feed in piece.feeds)

    def load(self, piece: Piece) -> float:
        """Return the cycles in a timestep for which a piece keeps its core busy."""
        return self.work(piece) + piece.n_rows * self.params.lanes / self.params.update_lanes

    def bin_load(self, contents: Bin) -> float:
        """Return the cycles in a timestep for which the contents of a core keep it busy."""
        return sum(self.load(piece) for piece in contents.pieces)

    def _narrowed(self, feed: Feed, tile: Tile) -> Feed | None:
        """Return the part of a feed that has synapses in a tile; rows of words are whole."""
        projection = self.layout.projections[feed.projection]
        if isinstance(projection.weight, Kernel):
            region = region_of(self.layout, feed, tile)
            kernel = self.layout.kernel(feed.projection, tile.packing)
            _, _, used = channel_blocks(kernel, tile, region.channels)
            return feed if region.n > 0 and used.any() else None
        if projection.form == "rows":
            return feed
        order = tile.order(self.layout.shape(projection.target))
        block = projection.matrix[order[order >= 0], feed.first : feed.last + 1]
        used = np.flatnonzero(block.any(axis=0))
        if not used.size:
            return None
        if projection.form == "sparse":  # one multicast serves all tiles while ranges are equal
            return feed
        return replace(feed, first=feed.first + int(used[0]), last=feed.first + int(used[-1]))

    def _packed(self, feed: Feed, tile: Tile) -> int:
        key = (feed, tile)
        if key not in self._words:
            weight = self.layout.projections[feed.projection].weight
            assert isinstance(weight, np.ndarray)
            block = weight[tile.channels[0] : tile.channels[1], feed.first : feed.last + 1]
            self._words[key] = int(sparse_counts(block, word_bytes=self.params.word_bytes).sum())
        return self._words[key]
