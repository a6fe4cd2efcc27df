"""Tables along one axis of a kernel: which tap joins a target and a source coordinate.

A table is int16 of shape (targets, sources) and holds taps, or -1 where there is none. Every tap
of a table that is made here is used by some pair.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.int16]
Counts = NDArray[np.float64]


def identity(n: int) -> Table:
    """Return the table that joins equal coordinates by tap 0."""
    return np.where(np.eye(n, dtype=bool), 0, -1).astype(np.int16)


def strided(
    n_in: int, n_out: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Table:
    """Return the table of a convolution: tap *k* of target *p* is source *p s - padding + k d*."""
    table = np.full((n_out, n_in), -1, np.int16)
    for tap in range(kernel):
        source = np.arange(n_out) * stride - padding + tap * dilation
        inside = (source >= 0) & (source < n_in)
        table[inside, source[inside]] = tap
    return table


def windows(
    n_in: int, n_out: int, kernel: int, *, stride: int, padding: int, dilation: int = 1
) -> Table:
    """Return the table of a sum over windows, all of it by tap 0."""
    table = strided(n_in, n_out, kernel, stride=stride, padding=padding, dilation=dilation)
    return np.minimum(table, 0)


def picked(n_in: int, sources: NDArray[np.integer]) -> Table:
    """Return the table in which each target takes one source, by tap 0."""
    table = np.full((len(sources), n_in), -1, np.int16)
    table[np.arange(len(sources)), sources] = 0
    return table


def composed(second: Table, first: Table) -> tuple[Table, Counts]:
    """Return the table of one relation after another, and what its taps stand for.

    Parameters
    ----------
    second, first
        Tables (P, M) and (M, H).

    Returns
    -------
    tuple
        The table (P, H), and counts (taps, taps of second, taps of first): how often a pair of
        taps leads from the source to the target.
    """
    met: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for p, m in np.argwhere(second >= 0).tolist():
        for h in np.flatnonzero(first[m] >= 0).tolist():
            met[p, h].append((int(second[p, m]), int(first[m, h])))
    table = np.full((len(second), first.shape[1]), -1, np.int16)
    known: dict[tuple[tuple[int, int], ...], int] = {}
    for (p, h), pairs in sorted(met.items()):
        table[p, h] = known.setdefault(tuple(sorted(pairs)), len(known))
    counts = np.zeros((len(known), n_taps(second), n_taps(first)))
    for pairs, tap in known.items():
        for pair in pairs:
            counts[(tap, *pair)] += 1
    return table, counts


def united(one: Table, other: Table) -> tuple[Table, list[tuple[int, int]]]:
    """Return the table of both relations at once, and the taps of each that a tap stands for."""
    joined = (one >= 0) | (other >= 0)
    codes = (one.astype(np.int64) + 1) * (n_taps(other) + 1) + other + 1
    found = np.unique(codes[joined])
    table = np.full(one.shape, -1, np.int16)
    table[joined] = np.searchsorted(found, codes[joined])
    pairs = [divmod(int(code), n_taps(other) + 1) for code in found]
    return table, [(a - 1, b - 1) for a, b in pairs]


def compacted(table: Table) -> tuple[Table, NDArray[np.integer]]:
    """Return the table without the taps that no pair uses, and those that are left."""
    used = np.unique(table[table >= 0])
    places = np.full(max(n_taps(table), 1), -1, np.int16)
    places[used] = np.arange(len(used))
    return np.where(table >= 0, places[table], -1).astype(np.int16), used


def n_taps(table: Table) -> int:
    """Return the number of taps, used or not up to the largest."""
    return int(table.max(initial=-1)) + 1
