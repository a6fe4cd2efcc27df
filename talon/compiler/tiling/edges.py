"""Edges: the weight words, axis tables and steps of one feed of one tile."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from talon.compiler.kernel import Kernel
from talon.compiler.network import Projection
from talon.compiler.pieces import Feed
from talon.compiler.tiling.layout import Layout
from talon.compiler.tiling.stepping import Stepping
from talon.compiler.tiling.tile import Shape, Tile

COUNT_MAX = 63
"""Largest count of an axis entry."""

Entries = list[tuple[int, int, int]]
"""Axis entries: weight offset, row offset, count."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MapEdge:
    """A MAP edge before it has addresses; offsets and steps are modulo the widths of the array.

    ``words`` is int8 of shape (n, lanes).
    """

    words: NDArray[np.int8]
    y: Entries
    x: Entries
    c: Entries
    y_weight: int = 0
    x_weight: int = 0
    y_row: int = 0
    x_row: int = 0

    @property
    def n_axis(self) -> int:
        """Axis entries that it takes."""
        return len(self.y) + len(self.x) + len(self.c)


@dataclass(frozen=True, kw_only=True)
class Region:
    """Coordinates of a source that an edge has targets for: first and last, inclusive."""

    channels: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def n(self) -> int:
        """Number of coordinates."""
        sizes = (b - a + 1 for a, b in (self.channels, self.rows, self.columns))
        return int(np.prod([max(0, size) for size in sizes]))


def map_edge(layout: Layout, feed: Feed, tile: Tile) -> MapEdge:
    """Return the edge of a feed from a map."""
    projection = layout.projections[feed.projection]
    if isinstance(projection.weight, Kernel):
        kernel = layout.kernel(feed.projection, tile.packing)
        edge = _of_kernel(layout, feed, tile, kernel)
    else:
        edge = _of_matrix(layout, feed, tile, projection)
    return _joined(edge) if layout.code(projection.source).is_joined else edge


def _joined(edge: MapEdge) -> MapEdge:
    """Return an edge whose events name column and channel as one number; channels count alike."""
    n = max(count for _, _, count in edge.c)
    none = 0, 0, 0
    return replace(
        edge,
        x=[
            (x[0] + c[0], x[1] + c[1], x[2]) if c[2] and x[2] else none
            for x in edge.x
            for c in edge.c
        ],
        c=[(0, 0, n)],
    )


def region_of(layout: Layout, feed: Feed, tile: Tile) -> Region:
    """Return which coordinates of the source of a feed have targets in a tile."""
    projection = layout.projections[feed.projection]
    shape = layout.sent_shape(projection.source)
    channels = channels_of(feed, shape)
    if not isinstance(projection.weight, Kernel):
        return Region(channels=channels, rows=(0, shape[1] - 1), columns=(0, shape[2] - 1))
    rows, columns = clipped(layout, feed, tile)
    return Region(channels=channels, rows=rows.used, columns=columns.used)


def channels_of(feed: Feed, shape: Shape) -> tuple[int, int]:
    """Return the first and last channel of a feed, which holds whole channels."""
    pixels = shape[1] * shape[2]
    return feed.first // pixels, feed.last // pixels


def clipped(layout: Layout, feed: Feed, tile: Tile) -> tuple[Stepping, Stepping]:
    """Return the steppings of a kernel over the rows of a tile and the places of its lines."""
    rows, columns = layout.steppings(feed.projection, tile.packing)
    return rows.clipped(*tile.rows), columns.clipped(*tile.places)


def channel_blocks(
    kernel: Kernel, tile: Tile, channels: tuple[int, int]
) -> tuple[int, NDArray[np.int64], NDArray[np.bool_]]:
    """Return what the channels of a source reach of a tile's rows of channels.

    Parameters
    ----------
    kernel
        The kernel to the tile, as its pixels are packed.
    tile, channels
        What is reached, and the first and last channel of the source.

    Returns
    -------
    tuple
        ``(n, first, used)``: how many rows each channel takes (one number for all), the first
        of them, and whether it has a synapse at all.
    """
    low, high = channels
    part = kernel.taps[:, :, low : high + 1, slice(*tile.lane_channels)] != 0
    reached = part.any(axis=(0, 1))
    padded = np.zeros((len(reached), tile.blocks * tile.lanes), bool)
    padded[:, : reached.shape[1]] = reached
    lanes = padded.reshape(len(reached), tile.blocks, tile.lanes)
    blocks: NDArray[np.bool_] = np.any(lanes, axis=2)
    used: NDArray[np.bool_] = np.any(blocks, axis=1)
    first = blocks.argmax(axis=1)
    last = tile.blocks - 1 - blocks[:, ::-1].argmax(axis=1)
    n = int((last - first + 1)[used].max(initial=0))
    return n, np.minimum(first, tile.blocks - n), used


def _of_kernel(layout: Layout, feed: Feed, tile: Tile, kernel: Kernel) -> MapEdge:
    projection = layout.projections[feed.projection]
    shape = layout.sent_shape(projection.source)
    low, high = channels_of(feed, shape)
    n, first, used = channel_blocks(kernel, tile, (low, high))
    rows, columns = clipped(layout, feed, tile)
    n_x_taps = len(columns.order)
    ordered = kernel.taps[rows.order][:, columns.order]
    known: dict[bytes, int] = {}
    words: list[NDArray[np.int8]] = []
    c_entries: Entries = [(0, 0, 0)] * shape[0]
    for c in range(low, high + 1):
        if not used[c - low]:
            continue
        start = int(first[c - low])
        lanes = np.zeros((*ordered.shape[:2], tile.blocks * tile.lanes), np.int8)
        there = ordered[:, :, c, slice(*tile.lane_channels)]
        lanes[:, :, : there.shape[2]] = there
        block = lanes[:, :, start * tile.lanes : (start + n) * tile.lanes].reshape(-1, tile.lanes)
        key = block.tobytes()
        if key not in known:
            known[key] = sum(map(len, words))
            words.append(block)
        c_entries[c] = (known[key], start, n)
    pixel, line = tile.blocks, tile.blocks * tile.width
    return MapEdge(
        words=np.concatenate(words) if words else np.zeros((0, tile.lanes), np.int8),
        y=_axis(rows, tile.rows[0], weight=n_x_taps * n, row=line),
        x=_axis(columns, tile.places[0], weight=n, row=pixel),
        c=c_entries,
        y_weight=rows.tap_step * n_x_taps * n,
        x_weight=columns.tap_step * n,
        y_row=rows.step * line,
        x_row=columns.step * pixel,
    )


def _axis(stepping: Stepping, origin: int, *, weight: int, row: int) -> Entries:
    return [
        (int(tap) * weight, (int(first) - origin) * row, int(count)) if count else (0, 0, 0)
        for tap, first, count in zip(stepping.tap, stepping.first, stepping.count, strict=True)
    ]


def _of_matrix(layout: Layout, feed: Feed, tile: Tile, projection: Projection) -> MapEdge:
    """Return the edge of a matrix: a run of words for each coordinate, pixel by pixel."""
    shape = layout.sent_shape(projection.source)
    low, high = channels_of(feed, shape)
    n_channels, n_rows = high - low + 1, tile.n_rows
    weight = projection.table
    assert not isinstance(weight, Kernel)
    columns = np.arange(feed.first, feed.last + 1).reshape(n_channels, shape[1], shape[2])
    block = matrix_words(weight, tile, layout.shape(projection.target), columns.transpose(1, 2, 0))
    return MapEdge(
        words=block.reshape(-1, tile.lanes),
        y=[(y * shape[2] * n_channels * n_rows, 0, 1) for y in range(shape[1])],
        x=[(x * n_channels * n_rows, 0, 1) for x in range(shape[2])],
        c=[
            ((c - low) * n_rows, 0, n_rows) if low <= c <= high else (0, 0, 0)
            for c in range(shape[0])
        ],
    )


def matrix_words(
    weight: NDArray[np.int8], tile: Tile, shape: Shape, sources: NDArray[np.int64]
) -> NDArray[np.int8]:
    """Return the weights of sources for a tile's accumulators, (*sources.shape, n_rows, lanes)."""
    order = tile.order(shape)
    block = weight[np.maximum(order, 0)][:, sources.reshape(-1)].T
    block = np.where(order >= 0, block, 0).astype(np.int8)
    return block.reshape(*sources.shape, tile.n_rows, tile.lanes)
