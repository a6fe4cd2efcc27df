"""What one packet costs the core that takes it: rows, synaptic operations, cycles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import EdgeKind
from talon.arch.params import bits_for
from talon.arch.weight_words import unpack_weights
from talon.compiler.decode import CoreTables, Entry
from talon.compiler.performance.tables import Axis, axis_of

Integers = NDArray[np.int64]

MAP_DECODE = 2
"""Cycles that the decoder spends on an event of a MAP edge: a table read for each coordinate."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PacketCosts:
    """Costs of packets that differ by index, each an int64 array of one length.

    ``rows`` and ``sops`` are what the counters count; ``stream`` the cycles in which the row
    streamer has a pointer or a row of the packet. ``decode`` is the cycles of the decoder and
    ``pointers`` how many of those of the streamer are for a pointer, the same for all.
    """

    rows: Integers
    sops: Integers
    stream: Integers
    decode: int = 1
    pointers: int = 0


def sum_costs(n: int) -> PacketCosts:
    """Return the costs of ``n`` packets with a partial sum each."""
    one = np.ones(n, np.int64)
    return PacketCosts(rows=one, sops=one, stream=one)


class EdgeCosts:
    """Costs of the events of one core."""

    def __init__(self, tables: CoreTables) -> None:
        self._tables = tables
        self._params = tables.params
        self._mask = (1 << bits_for(tables.params.weight_words)) - 1

    def of(self, edge: int, index: Integers) -> PacketCosts:
        """Return what events with these indices cost on an edge."""
        entry = self._tables.edges[edge]
        kind = EdgeKind(entry["kind"])
        if kind is EdgeKind.MAP:
            return self._map(entry, index)
        if kind is EdgeKind.SPARSE:
            return self._sparse(entry, index)
        if kind is EdgeKind.IDENTITY:
            return sum_costs(len(index))
        return self._dense(entry, index)

    @cached_property
    def _axis(self) -> Axis:
        return axis_of(self._tables)

    @cached_property
    def _nonzero(self) -> Integers:
        """Weights that are not zero in all words before each one."""
        counts = np.count_nonzero(unpack_weights(self._tables.weights, self._params), axis=1)
        return np.concatenate([[0], np.cumsum(counts)])

    @cached_property
    def _synapses(self) -> Integers:
        """Packed synapses that are there in all words before each one."""
        packed = self._tables.weights.view("<u2") & ((1 << self._params.weight_width) - 1)
        return np.concatenate([[0], np.cumsum(np.count_nonzero(packed, axis=1))])

    def _dense(self, entry: Entry, index: Integers) -> PacketCosts:
        n = entry["rows"]
        rows = np.full(len(index), n, np.int64)
        if self._params.has_maps:
            sops = self._words(entry["base"] + index * n, n)
        else:
            sops = np.full(len(index), (n - 1) * self._params.lanes + entry["last_lanes"], np.int64)
        return PacketCosts(rows=rows, sops=sops * (n > 0), stream=rows)

    def _sparse(self, entry: Entry, index: Integers) -> PacketCosts:
        place = (index + entry["offset"]) % (1 << self._params.index_width)
        address, count = self._tables.pointers_at(place, entry["base"])
        sops = self._synapses[address + count] - self._synapses[address]
        return PacketCosts(rows=count, sops=sops, stream=count + 1, pointers=1)

    def _map(self, entry: Entry, index: Integers) -> PacketCosts:
        axis, params = self._axis, self._params
        code = (index + entry["offset"]) % (1 << params.index_width)
        below = code & ((1 << entry["y_shift"]) - 1)
        coordinates = (
            code >> entry["y_shift"],
            below >> entry["x_shift"],
            below & ((1 << entry["x_shift"]) - 1),
        )
        wrap = 1 << bits_for(params.n_axis)
        y, x, c = (
            (entry[f"{name}_axis"] + value) % wrap
            for name, value in zip("yxc", coordinates, strict=True)
        )
        n_y, n_x, n_c = axis.count[y], axis.count[x], axis.count[c]
        first = entry["base"] + axis.weight[y] + axis.weight[x] + axis.weight[c]
        sops = np.zeros(len(index), np.int64)
        for j in range(int(n_y.max(initial=0))):
            for i in range(int(n_x.max(initial=0))):
                here = (n_y > j) & (n_x > i)
                address = first[here] + j * entry["y_weight"] + i * entry["x_weight"]
                sops[here] += self._words(address, n_c[here])
        rows = n_y * n_x * n_c
        return PacketCosts(rows=rows, sops=sops, stream=rows, decode=MAP_DECODE)

    def _words(self, address: Integers, count: Integers | int) -> Integers:
        """Return the weights that are not zero in runs of words."""
        first = address & self._mask
        return self._nonzero[first + count] - self._nonzero[first]
