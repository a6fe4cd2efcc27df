"""Coordinates of feature maps: where the neurons of a tile stand, and in which window each is.

A shape (C, H, W) is a map; any other shape is that of a line of channels at one pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.numerics import PAYLOAD_MAX
from talon.arch.params import ArrayParams

Index = NDArray[np.int64]

AXES = ("channels", "rows", "columns")
"""Keys of the ranges [first, last] of a box in a map, in the order of the axes of its shape."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Home:
    """Neurons of a population in one group of one core.

    ``numbers`` are those of their accumulators on the core, ``neurons`` theirs in the population,
    both int64 of one length.
    """

    core: int
    group: int
    population: str
    numbers: Index
    neurons: Index


def spatial(shape: Sequence[int]) -> tuple[int, int, int]:
    """Return a shape as (C, H, W)."""
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (math.prod(shape), 1, 1)


def coordinates(shape: Sequence[int]) -> tuple[Index, Index, Index]:
    """Return channel, row and column of each element, in C order of the shape."""
    sizes = spatial(shape)
    c, y, x = np.unravel_index(np.arange(math.prod(sizes)), sizes)
    return c, y, x


def box_of(item: Mapping[str, Any]) -> tuple[Index, Index, Index]:
    """Return the channels, rows and columns of a box, broadcastable to a block (c, y, x)."""
    c, y, x = (np.arange(item[axis][0], item[axis][1] + 1) for axis in AXES)
    return c[:, None, None], y[:, None], x


def tile_numbers(tile: Mapping[str, Any], lanes: int) -> Index:
    """Return the accumulator numbers of the neurons of a tile, as a block (c, y, x)."""
    c, y, x = (axis - axis.min() for axis in box_of(tile))
    line = tile["row_start"] + y * tile["row_stride"]
    if "pixels" not in tile:
        row = line + x * tile["column_stride"] + c // lanes
        return row * lanes + c % lanes
    window, column = np.divmod(x, tile["window"])
    full = packed_lanes(tile["pixels"], len(c), lanes)
    place, lane = np.divmod(window * len(c) + c, full)
    row = line + (place * tile["window"] + column) * tile["column_stride"]
    return row * lanes + lane


def packed_lanes(pixels: int, channels: int, lanes: int) -> int:
    """Return the lanes in use of a full row: those of its pixels, or all if these need more."""
    return min(pixels * channels, lanes)


def tile_rows(tile: Mapping[str, Any], lanes: int) -> int:
    """Return the accumulator rows that a tile takes."""
    c, y, x = (tile[axis][1] - tile[axis][0] + 1 for axis in AXES)
    if "pixels" not in tile:
        return -(-c // lanes) * y * x
    full = packed_lanes(tile["pixels"], c, lanes)
    return -(-(-(-x // tile["window"]) * c) // full) * tile["window"] * y


def homes(manifest: Mapping[str, Any], params: ArrayParams) -> Iterator[Home]:
    """Yield the home of every group that holds neurons of a population."""
    shapes = {item["name"]: item.get("shape", ()) for item in manifest["populations"]}
    for item in manifest["groups"]:
        if item["population"] is None:
            continue
        if params.has_maps:
            numbers = tile_numbers(item["tile"], params.lanes).reshape(-1)
            _, height, width = spatial(shapes[item["population"]])
            c, y, x = box_of(item["tile"])
            neurons = ((c * height + y) * width + x).reshape(-1)
        else:
            numbers = np.arange(item["neuron_start"], item["neuron_start"] + item["count"])
            neurons = np.arange(item["first"], item["first"] + item["count"])
        yield Home(
            core=item["core"],
            group=item["group"],
            population=item["population"],
            numbers=numbers,
            neurons=neurons,
        )


@dataclass(frozen=True, kw_only=True)
class Sender:
    """What the host must know of a population: size, kind, windows, and when it updates."""

    name: str
    n: int
    kind: str
    shape: tuple[int, ...]
    pool: tuple[str, int, int] | None
    once: bool

    @property
    def n_sent(self) -> int:
        """Number of values that it sends a timestep: those of its windows."""
        return self.n if self.pool is None else self.n // (self.pool[1] * self.pool[2])

    def windows(self) -> Index:
        """Return the number of the window of each neuron, (n,)."""
        if self.pool is None:
            return np.arange(self.n)
        _, rows, columns = self.pool
        _, height, width = spatial(self.shape)
        c, y, x = coordinates(self.shape)
        return (c * (height // rows) + y // rows) * (width // columns) + x // columns

    def sent(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return what the windows of ``values`` (..., n) give, (..., n_sent): flags or payloads."""
        if self.pool is None:
            return values
        kind, rows, columns = self.pool
        c, height, width = spatial(self.shape)
        shape = (*values.shape[:-1], c, height // rows, rows, width // columns, columns)
        blocks = values.reshape(shape)
        if kind == "max" or values.dtype == np.bool_:
            pooled = blocks.max(axis=(-3, -1))
        else:
            pooled = np.minimum(blocks.sum(axis=(-3, -1)), PAYLOAD_MAX)
        return pooled.reshape(*values.shape[:-1], self.n_sent).astype(values.dtype)


def senders(manifest: Mapping[str, Any]) -> dict[str, Sender]:
    """Return all populations of a manifest by name, in its order."""
    return {item["name"]: _sender(item) for item in manifest["populations"]}


def _sender(item: Mapping[str, Any]) -> Sender:
    pool = item.get("pool") or None
    return Sender(
        name=item["name"],
        n=int(item["n"]),
        kind=item["kind"],
        shape=tuple(item["shape"]) if pool else (int(item["n"]),),
        pool=(pool[0], pool[1], pool[2]) if pool else None,
        once=bool(item.get("once")),
    )


def lines_of(route: Mapping[str, Any], shape: Sequence[int]) -> tuple[NDArray[np.bool_], Index]:
    """Return for each line of an input whether a route takes it, and the index of its event.

    Returns
    -------
    tuple
        Flags (n,) and indices (n,) before they are cut to 16 bits.
    """
    if "y_shift" not in route:
        line = np.arange(math.prod(shape))
        return (route["first"] <= line) & (line <= route["last"]), line + route["offset"]
    place = coordinates(shape)
    inside = np.ones(math.prod(shape), np.bool_)
    for axis, at in zip(AXES, place, strict=True):
        inside &= (route[axis][0] <= at) & (at <= route[axis][1])
    c, y, x = place
    return inside, (y << route["y_shift"]) + (x << route["x_shift"]) + c + route["offset"]
