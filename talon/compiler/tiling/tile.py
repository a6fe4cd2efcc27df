"""Tiles: the part of a map, or of a vector, that one group of one core holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int, int]
IntArray = NDArray[np.int64]
Axis = Literal["channels", "rows", "columns"]


@dataclass(frozen=True, kw_only=True)
class Packing:
    """Pixels of a line that stand in rows of lanes, all channels of one behind another.

    They are ``pixels`` neighbours in ``rows`` rows, or where a pool has windows of ``window``
    columns, pixels at the same place of neighbouring windows: a lane sees its window row by row.
    Several rows have no idle lanes, and a pixel may begin in one and end in the next.
    """

    pixels: int
    rows: int = 1
    window: int = 1

    @property
    def columns(self) -> int:
        """Columns of the map that stand in ``rows * window`` rows of lanes."""
        return self.pixels * self.window

    def lanes_of(self, channels: int) -> int:
        """Return the lanes in use of a row, but for the last of a line."""
        return self.pixels * channels // self.rows

    def place(
        self, column: IntArray, channel: IntArray, channels: int
    ) -> tuple[IntArray, IntArray]:
        """Return the row of lanes in its line, and the lane, of a channel of a column."""
        window, within = np.divmod(column, self.window)
        row, lane = np.divmod(window * channels + channel, self.lanes_of(channels))
        return row * self.window + within, lane

    def n_places(self, columns: int, channels: int) -> int:
        """Return the rows of lanes of so many columns, all from the first of a row on."""
        return -(-(columns // self.window * channels) // self.lanes_of(channels)) * self.window


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Channels, rows and columns of a map (C, H, W), each from the first to before the last.

    Its accumulators stand in the order (row, column, channel), channels in rows of ``lanes``. A
    vector of n neurons is the map (n, 1, 1). With a ``packing`` a row of lanes holds several
    columns of all channels; the first column of the tile is the first of such a row then.
    """

    channels: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]
    lanes: int
    packing: Packing | None = None

    @property
    def size(self) -> Shape:
        """Number of channels, rows and columns."""
        return (
            self.channels[1] - self.channels[0],
            self.rows[1] - self.rows[0],
            self.columns[1] - self.columns[0],
        )

    @property
    def places(self) -> tuple[int, int]:
        """First place of a line, and that behind the last: columns, or the rows that are packed.

        They are counted from the beginning of the line of the whole map.
        """
        if self.packing is None:
            return self.columns
        low, high = (self.packing.n_places(x, self.size[0]) for x in self.columns)
        return low, high

    @property
    def width(self) -> int:
        """Number of places in a line."""
        return self.places[1] - self.places[0]

    @property
    def lane_channels(self) -> tuple[int, int]:
        """First channel of a place, and that behind the last; those of packed pixels are lanes."""
        return self.channels if self.packing is None else (0, self.packing.lanes_of(self.size[0]))

    @property
    def blocks(self) -> int:
        """Accumulator rows of one place."""
        low, high = self.lane_channels
        return -(-(high - low) // self.lanes)

    @property
    def n_rows(self) -> int:
        """Accumulator rows."""
        return self.blocks * self.size[1] * self.width

    @property
    def n_neurons(self) -> int:
        """Neurons, without the idle lanes."""
        channels, height, width = self.size
        return channels * height * width

    @property
    def is_ragged(self) -> bool:
        """Whether the last places of a line hold fewer pixels than the others."""
        return self.packing is not None and self.size[2] % self.packing.columns > 0

    @property
    def last_lanes(self) -> int:
        """Neurons in the last row of channels: of a place, or of a line that is ragged."""
        if self.packing is None:
            return self.size[0] - (self.blocks - 1) * self.lanes
        values = self.size[2] // self.packing.window * self.size[0]
        return (values - 1) % self.packing.lanes_of(self.size[0]) + 1

    @property
    def n_blocks(self) -> int:
        """Rows of lanes between which the records differ; a line that is ragged is one pixel."""
        if self.packing is None:
            return self.blocks
        return self.width // self.packing.window if self.is_ragged else self.packing.rows

    @property
    def record_rows(self) -> slice:
        """The rows among the accumulators that have records, which the others share."""
        window = 1 if self.packing is None else self.packing.window
        return slice(0, self.n_blocks * window, window)

    def order(self, shape: Shape) -> NDArray[np.int64]:
        """Return the neuron, in C order of the map, of each accumulator; -1 for an idle lane."""
        channels, height, _ = self.size
        found = np.full((height, self.width, self.blocks * self.lanes), -1, np.int64)
        c = np.arange(*self.channels)
        y = np.arange(*self.rows)[:, None, None]
        x = np.arange(*self.columns)
        neurons = (c * shape[1] + y) * shape[2] + x[:, None]
        if self.packing is None:
            found[:, :, :channels] = neurons
        else:
            place, lane = self.packing.place(x[:, None], c, channels)
            found[:, place - self.places[0], lane] = neurons
        return found.reshape(-1)

    def cut(self, axis: Axis, at: int) -> tuple[Tile, Tile]:
        """Return the parts before and from the coordinate ``at`` of an axis on."""
        low, high = getattr(self, axis)
        return replace(self, **{axis: (low, at)}), replace(self, **{axis: (at, high)})


def whole(shape: Shape, lanes: int, packing: Packing | None = None) -> Tile:
    """Return the tile that is all of a map."""
    return Tile(
        channels=(0, shape[0]),
        rows=(0, shape[1]),
        columns=(0, shape[2]),
        lanes=lanes,
        packing=packing,
    )


@dataclass(frozen=True, kw_only=True)
class Code:
    """How an event of a map names its coordinates: ``y_stride * y + x_stride * x + c``."""

    y_stride: int
    x_stride: int

    def __call__(self, c: int, y: int, x: int) -> int:
        """Return the code of a coordinate."""
        return y * self.y_stride + x * self.x_stride + c

    @property
    def is_joined(self) -> bool:
        """Whether x and c are one number of a line, since the stride of x is no power of two."""
        return self.x_stride.bit_count() > 1

    @property
    def shifts(self) -> tuple[int, int]:
        """Lowest bits of y and x, where the stride of y is a power of two; 0 if x is joined."""
        return self.y_stride.bit_length() - 1, (
            0 if self.is_joined else self.x_stride.bit_length() - 1
        )


LINEAR = Code(y_stride=1 << 16, x_stride=1 << 16)
"""The code of a vector: the number of the neuron."""


def code_bits(shape: Shape) -> int:
    """Return how many bits the coordinates of a map take."""
    return sum((n - 1).bit_length() for n in shape)


def fields_of(shape: Shape) -> Code:
    """Return the code of a map (C, H, W) whose coordinates are bit fields, for kernels."""
    x_shift = (shape[0] - 1).bit_length()
    y_shift = x_shift + (shape[2] - 1).bit_length()
    return Code(y_stride=1 << y_shift, x_stride=1 << x_shift)


def joined_of(shape: Shape) -> Code:
    """Return the code of a map (C, H, W) whose lines are bit fields, counted without a gap."""
    return Code(y_stride=1 << (shape[0] * shape[2] - 1).bit_length(), x_stride=shape[0])


def flat_of(shape: Shape) -> Code:
    """Return the code of a map (C, H, W) that counts it without a gap, channels first."""
    return Code(y_stride=shape[2] * shape[0], x_stride=shape[0])
