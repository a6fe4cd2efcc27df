"""Pieces: what one group of one core holds, and what it costs there."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from talon.arch.params import ArrayParams
from talon.compiler.forms import pointer_words, sparse_counts
from talon.compiler.lower import ONE_POPULATION
from talon.compiler.network import IntNetwork, Projection
from talon.compiler.tiling.tile import Tile

DEFAULT_RATE = 0.1
"""Events of a neuron or input line in a timestep where no samples tell."""


@dataclass(frozen=True, kw_only=True)
class Feed:
    """The synapses of one projection from the sources ``first`` to ``last``, both inclusive."""

    projection: int
    first: int
    last: int

    @property
    def n(self) -> int:
        """Number of sources."""
        return self.last - self.first + 1


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Accumulator rows of a population, with some of its synapses.

    A piece whose ``partial`` is true sums synapses for the piece of the same rows that is not.
    """

    population: str
    row: int
    n_rows: int
    n_neurons: int
    feeds: tuple[Feed, ...]
    words: int
    partial: bool = False
    tile: Tile | None = None
    """On an array with feature maps, what it holds of the map; ``row`` means nothing then."""


@dataclass(kw_only=True)
class Bin:
    """Pieces that share a core."""

    pieces: list[Piece] = field(default_factory=list)

    @property
    def words(self) -> int:
        """Weight words in use."""
        return sum(piece.words for piece in self.pieces)

    @property
    def n_rows(self) -> int:
        """Accumulator rows in use."""
        return sum(piece.n_rows for piece in self.pieces)

    @property
    def n_edges(self) -> int:
        """Edge descriptors in use."""
        return sum(len(piece.feeds) for piece in self.pieces)

    def fits(self, piece: Piece, params: ArrayParams) -> bool:
        """Tell whether a further piece has room."""
        return Bin(pieces=[*self.pieces, piece]).within(params)

    def within(self, params: ArrayParams) -> bool:
        """Tell whether a core holds all this."""
        return (
            self.words <= params.weight_words
            and self.n_rows <= params.n_rows
            and len(self.pieces) <= params.n_groups
            and self.n_edges <= params.n_edges
        )


class Costs:
    """Sizes and loads of the pieces of one network on one array."""

    def __init__(
        self, network: IntNetwork, params: ArrayParams, rates: dict[str, float] | None = None
    ) -> None:
        self.network = network
        self.params = params
        self.rates = rates or {}
        self.populations = {p.name: p for p in network.populations}
        self._known: dict[tuple[Feed, int, int], int] = {}

    def n_rows(self, population: str) -> int:
        """Return the accumulator rows of a population."""
        return -(-self.populations[population].n // self.params.lanes)

    def feeds(self, population: str) -> tuple[Feed, ...]:
        """Return all synapses of a population."""
        return tuple(
            Feed(projection=i, first=0, last=p.matrix.shape[1] - 1)
            for i, p in enumerate(self.network.projections)
            if p.target == population
        )

    def piece(
        self,
        population: str,
        row: int,
        n_rows: int,
        feeds: tuple[Feed, ...],
        *,
        partial: bool = False,
    ) -> Piece:
        """Return the piece of some rows, without the feeds that have no synapse there."""
        here = tuple(
            kept for feed in feeds if (kept := self._narrowed(feed, row, n_rows)) is not None
        )
        lanes = self.params.lanes
        n = min(n_rows * lanes, self.populations[population].n - row * lanes)
        return Piece(
            population=population,
            row=row,
            n_rows=n_rows,
            n_neurons=n,
            feeds=here,
            words=sum(self.words(feed, row, n_rows) for feed in here),
            partial=partial,
        )

    def words(self, feed: Feed, row: int, n_rows: int) -> int:
        """Return the weight words that a feed takes for some rows."""
        form = self.network.projections[feed.projection].form
        if form == "identity":
            return 0
        if form == "dense":
            return feed.n * n_rows
        packed = self._packed(feed, row, n_rows)
        return pointer_words(feed.n, word_bytes=self.params.word_bytes) + packed

    def cycles(self, feed: Feed, n_rows: int, row: int) -> float:
        """Return the cycles that an event of a feed takes in the synapse engine, on average."""
        form = self.network.projections[feed.projection].form
        if form == "identity":
            return 1.0
        if form == "dense":
            return float(n_rows)
        return 1.0 + self._packed(feed, row, n_rows) / feed.n

    def rate(self, source: str) -> float:
        """Return the events of one line of a source in a timestep."""
        return self.rates.get(source, 1.0 if source == ONE_POPULATION else DEFAULT_RATE)

    def events(self, feed: Feed) -> float:
        """Return the events of a feed in a timestep."""
        return feed.n * self.rate(self.network.projections[feed.projection].source)

    def update_cycles(self, piece: Piece) -> float:
        """Return the cycles that the update of a piece takes."""
        return piece.n_rows * self.params.lanes / self.params.update_lanes

    def work(self, piece: Piece) -> float:
        """Return the cycles that the events of a timestep keep the synapse engine busy."""
        return sum(
            self.events(feed) * self.cycles(feed, piece.n_rows, piece.row) for feed in piece.feeds
        )

    def load(self, piece: Piece) -> float:
        """Return the cycles in a timestep for which a piece keeps its core busy."""
        return self.work(piece) + self.update_cycles(piece)

    def bin_load(self, contents: Bin) -> float:
        """Return the cycles in a timestep for which the contents of a core keep it busy."""
        return sum(self.load(piece) for piece in contents.pieces)

    def _narrowed(self, feed: Feed, row: int, n_rows: int) -> Feed | None:
        """Return the feed without what has no synapse in these rows.

        A dense feed stays whole: its rows are synaptic operations whatever their weights are.
        """
        projection = self.network.projections[feed.projection]
        if projection.form == "dense":
            return feed
        block = self._block(projection, row, n_rows)[:, feed.first : feed.last + 1]
        used = block.any(axis=0).nonzero()[0]
        if not used.size:
            return None
        if projection.form == "sparse":  # one multicast serves all pieces while ranges are equal
            return feed
        return Feed(
            projection=feed.projection,
            first=feed.first + int(used[0]),
            last=feed.first + int(used[-1]),
        )

    def _block(self, projection: Projection, row: int, n_rows: int) -> NDArray[np.int8]:
        lanes = self.params.lanes
        return projection.matrix[row * lanes : (row + n_rows) * lanes]

    def _packed(self, feed: Feed, row: int, n_rows: int) -> int:
        key = (feed, row, n_rows)
        if key not in self._known:
            block = self._block(self.network.projections[feed.projection], row, n_rows)
            counts = sparse_counts(
                block[:, feed.first : feed.last + 1], word_bytes=self.params.word_bytes
            )
            self._known[key] = int(counts.sum())
        return self._known[key]
