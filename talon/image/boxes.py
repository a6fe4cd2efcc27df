"""Checks of ranges in feature maps: boxes that routes take, tiles that groups hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from talon.arch.params import ArrayParams
from talon.errors import ImageError
from talon.image.maps import AXES, spatial, tile_numbers, tile_rows


def check_box(where: str, box: Mapping[str, Any], shape: Sequence[int]) -> None:
    """Raise an ImageError unless the ranges of a box lie within a map of this shape."""
    for axis, size in zip(AXES, spatial(shape), strict=True):
        if box[axis][1] >= size:
            raise ImageError(
                f"{where} {axis} must lie within the {size} of the shape {list(shape)}, "
                f"not be {box[axis]}"
            )


def check_tile(
    where: str, tile: Mapping[str, Any], population: Mapping[str, Any] | None, params: ArrayParams
) -> None:
    """Raise an ImageError unless a tile is one of its population and fits a core.

    ``population`` is an item of the manifest, or None for a group that holds no neurons of one.
    """
    n_rows = tile_rows(tile, params.lanes)
    if n_rows > params.acc_rows:  # before any array of them is made
        raise ImageError(
            f"{where} tile must have at most the {params.acc_rows} accumulator rows of a core, "
            f"not {n_rows}"
        )
    pool = None
    if population is not None:
        pool = population.get("pool")
        check_box(f"{where} tile", tile, population["shape"])
        _check_windows(where, tile, pool)
    if "pixels" in tile:
        _check_packing(where, tile, 1 if pool is None else pool[2], params.lanes)
    numbers = tile_numbers(tile, params.lanes)
    if numbers.max() >= params.n_accumulators:
        raise ImageError(
            f"{where} tile must end by accumulator row {params.acc_rows - 1}, "
            f"not {numbers.max() // params.lanes}"
        )
    if np.unique(numbers).size != math.prod(numbers.shape):
        raise ImageError(
            f"{where} tile must give each neuron an accumulator of its own, but the strides "
            f"{tile['row_stride']} and {tile['column_stride']} make some meet"
        )


def _check_windows(where: str, tile: Mapping[str, Any], pool: Sequence[Any] | None) -> None:
    if pool is None:
        return
    for axis, size in zip(AXES[1:], pool[1:], strict=True):
        first, last = tile[axis]
        if first % size or (last + 1) % size:
            raise ImageError(
                f"{where} tile {axis} must be whole windows of {size}, not {first} to {last}"
            )


def _check_packing(where: str, tile: Mapping[str, Any], window: int, lanes: int) -> None:
    n_channels = tile["channels"][1] - tile["channels"][0] + 1
    used = tile["pixels"] * n_channels
    if used > lanes and used % lanes:
        raise ImageError(
            f"{where} tile must have its {tile['pixels']} pixels of {n_channels} channels within "
            f"the {lanes} lanes of a row, or in full rows"
        )
    if tile["window"] != window:
        raise ImageError(
            f"{where} tile must have the window of {window} columns of its population's pool, "
            f"not {tile['window']}"
        )
