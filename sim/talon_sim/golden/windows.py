"""Pools: what a population sends where it sends the values of windows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch import numerics
from talon.compiler.network import Population

Payloads = NDArray[Any]

_WORDS = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def own_type(population: Population) -> type[np.generic]:
    """Return the type of what neurons do: bool for spikes, uint8 for payloads and counts.

    Payloads of a table may be negative: they are int16.
    """
    if population.table is not None:
        return np.int16
    return np.uint8 if population.kind in ("graded", "count") else np.bool_


def payload_type(population: Population) -> type[np.generic]:
    """Return the type of what the population sends: that, or uint8 where windows are summed."""
    is_summed = population.pool is not None and population.pool.kind == "sum"
    return np.uint8 if is_summed else own_type(population)


def send_windows(population: Population, values: Payloads, out: Payloads) -> None:
    """Write the values of the windows of ``values`` (steps, samples, n) to ``out``."""
    pool = population.pool
    assert pool is not None
    maps = values.reshape(*values.shape[:2], *population.shape)
    rows, columns = pool.size
    if pool.kind == "max" and maps.dtype == np.bool_:
        maps = combined(np.logical_or, _any_of_columns(maps, columns), rows, 3)
    elif pool.kind == "max":
        maps = combined(np.maximum, combined(np.maximum, maps, rows, 3), columns, 4)
    else:
        maps = maps.astype(np.uint8 if _fits(population) else np.uint16)
        maps = combined(np.add, combined(np.add, maps, rows, 3), columns, 4)
        maps = np.minimum(maps, numerics.PAYLOAD_MAX)
    out.reshape(maps.shape)[:] = maps


def _fits(population: Population) -> bool:
    """Tell whether no sum of a window passes a byte."""
    pool = population.pool
    assert pool is not None
    return population.largest * pool.size[0] * pool.size[1] <= numerics.PAYLOAD_MAX


def _any_of_columns(maps: Payloads, size: int) -> Payloads:
    """Tell for every ``size`` columns whether one of them is true; 2, 4 and 8 are one word."""
    if size in _WORDS and maps.strides[-1] == 1:
        return maps.view(_WORDS[size]) != 0
    return combined(np.logical_or, maps, size, 4)


def combined(operation: np.ufunc, maps: Payloads, size: int, axis: int) -> Payloads:
    """Combine ``size`` neighbours along an axis."""
    parts = [maps[(slice(None),) * axis + (slice(k, None, size),)] for k in range(size)]
    if size == 1:
        return parts[0]
    total = operation(parts[0], parts[1])
    for part in parts[2:]:
        operation(total, part, out=total)
    return total
