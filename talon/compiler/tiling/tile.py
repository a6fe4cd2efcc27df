"""Tiles: the part of a map, or of a vector, that one group of one core holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int, int]
Axis = Literal["channels", "rows", "columns"]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Channels, rows and columns of a map (C, H, W), each from the first to before the last.

    Its accumulators stand in the order (row, column, channel), channels in rows of ``lanes``. A
    vector of n neurons is the map (n, 1, 1).
    """

    channels: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]
    lanes: int

    @property
    def size(self) -> Shape:
        """Number of channels, rows and columns."""
        return (
            self.channels[1] - self.channels[0],
            self.rows[1] - self.rows[0],
            self.columns[1] - self.columns[0],
        )

    @property
    def blocks(self) -> int:
        """Accumulator rows of one pixel."""
        return -(-self.size[0] // self.lanes)

    @property
    def n_rows(self) -> int:
        """Accumulator rows."""
        return self.blocks * self.size[1] * self.size[2]

    @property
    def n_neurons(self) -> int:
        """Neurons, without the idle lanes."""
        channels, height, width = self.size
        return channels * height * width

    @property
    def last_lanes(self) -> int:
        """Neurons in the last row of channels of a pixel."""
        return self.size[0] - (self.blocks - 1) * self.lanes

    def order(self, shape: Shape) -> NDArray[np.int64]:
        """Return the neuron, in C order of the map, of each accumulator; -1 for an idle lane."""
        channels, height, width = self.size
        found = np.full((height, width, self.blocks * self.lanes), -1, np.int64)
        c = np.arange(*self.channels)
        y = np.arange(*self.rows)[:, None, None]
        x = np.arange(*self.columns)[:, None]
        found[:, :, :channels] = (c * shape[1] + y) * shape[2] + x
        return found.reshape(-1)

    def cut(self, axis: Axis, at: int) -> tuple[Tile, Tile]:
        """Return the parts before and from the coordinate ``at`` of an axis on."""
        low, high = getattr(self, axis)
        return replace(self, **{axis: (low, at)}), replace(self, **{axis: (at, high)})


def whole(shape: Shape, lanes: int) -> Tile:
    """Return the tile that is all of a map."""
    return Tile(channels=(0, shape[0]), rows=(0, shape[1]), columns=(0, shape[2]), lanes=lanes)


@dataclass(frozen=True, kw_only=True)
class Code:
    """How an event of a map names its coordinates: ``y_stride * y + x_stride * x + c``."""

    y_stride: int
    x_stride: int

    def __call__(self, c: int, y: int, x: int) -> int:
        """Return the code of a coordinate."""
        return y * self.y_stride + x * self.x_stride + c

    @property
    def shifts(self) -> tuple[int, int]:
        """Lowest bits of y and x, where the strides are powers of two."""
        return self.y_stride.bit_length() - 1, self.x_stride.bit_length() - 1


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


def flat_of(shape: Shape) -> Code:
    """Return the code of a map (C, H, W) that counts it without a gap, channels first."""
    return Code(y_stride=shape[2] * shape[0], x_stride=shape[0])
