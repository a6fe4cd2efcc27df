"""Edges of a core: which accumulators an event adds to, and with which weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import EdgeKind, MemoryLayouts
from talon.arch.params import ArrayParams, bits_for
from talon.errors import ImageError
from talon_sim.interpreter.groups import check_slots
from talon_sim.interpreter.memories import CoreMemories, decode, entry
from talon_sim.interpreter.packets import Spike

Integers = NDArray[np.int64]
Edge = dict[str, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """What one event becomes: rows of weight words, or synapses one by one.

    Attributes
    ----------
    targets
        Rows (n,), or accumulators (n,) if ``words`` is None.
    words
        Addresses of the weight words (n,).
    weights
        Weights of the accumulators (n,), if ``words`` is None.
    distinct
        No target is there twice.
    slots
        log2 of the slots of the group that they are of.
    n_rows, sops
        What the counters count.
    """

    targets: Integers
    words: Integers | None = None
    weights: Integers | None = None
    distinct: bool
    slots: int
    n_rows: int
    sops: int


class AxisEntry(NamedTuple):
    """What one coordinate gives along its axis."""

    weight: int
    row: int
    n: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Block:
    words: Integers
    rows: Integers
    distinct: bool


class Synapses:
    """The edges of one core, and the rows of each event that has come."""

    def __init__(self, core: int, params: ArrayParams, memories: CoreMemories) -> None:
        self._core, self._params, self._memories = core, params, memories
        self._address_mask = (1 << bits_for(params.weight_words)) - 1
        self.words = memories.weights.astype(np.int64)
        # Without feature maps every group keeps all slots.
        slots = {} if params.has_maps else {"slots": params.n_slots.bit_length() - 1}
        n_edges = len(memories.edge["kind"])
        self._edges = [entry(memories.edge, i) | slots for i in range(n_edges)]
        self._known: dict[tuple[int, int], Rows] = {}
        self._blocks: dict[tuple[int, tuple[int, int, int]], _Block] = {}
        axis = memories.axis or {}
        columns = (axis[name].tolist() for name in ("weight", "row", "count") if name in axis)
        self._axis_entries = [AxisEntry(*values) for values in zip(*columns, strict=True)]

    def rows(self, spike: Spike) -> Rows:
        """Return what an event becomes.

        Raises
        ------
        ImageError
            Its edge, weights or axis entries are not loaded, or a row lies past the last.
        """
        key = (spike.edge, spike.source)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._find(spike)
        return found

    def _find(self, spike: Spike) -> Rows:
        if spike.edge >= len(self._edges):
            raise ImageError(f"Core {self._core} got an event on edge {spike.edge}, not loaded")
        edge = self._edges[spike.edge]
        check_slots(edge["slots"], self._params, f"Core {self._core} edge {spike.edge}")
        kinds = {
            EdgeKind.DENSE: self._dense,
            EdgeKind.SPARSE: self._sparse,
            EdgeKind.IDENTITY: self._identity,
            **({EdgeKind.MAP: self._map} if self._params.has_maps else {}),
        }
        if edge["kind"] not in kinds:
            raise ImageError(f"Core {self._core} edge {spike.edge} has no kind {edge['kind']}")
        return kinds[EdgeKind(edge["kind"])](spike, edge)

    def _dense(self, spike: Spike, edge: Edge) -> Rows:
        n, last, lanes = edge["rows"], edge["last_lanes"], self._params.lanes
        maps = self._params.has_maps
        if last > lanes:
            raise ImageError(
                f"Core {self._core} edge {spike.edge} last_lanes must be at most {lanes}, "
                f"not {last}"
            )
        targets = self._checked(edge["row_start"] + np.arange(n), spike, edge)
        words = self._addresses(edge["base"] + spike.source * n, n, spike) + np.arange(n)
        return Rows(
            targets=targets,
            words=words,
            distinct=n <= self._params.acc_rows,
            slots=edge["slots"],
            n_rows=n,
            sops=int(np.count_nonzero(self.words[words])) if maps else (n - 1) * lanes + last,
        )

    def _sparse(self, spike: Spike, edge: Edge) -> Rows:
        lanes, n_rows = self._params.lanes, self._params.n_rows
        pointer = spike.source + edge["offset"] & 0xFFFF
        word, position = divmod(pointer, self._params.pointers_per_word)
        found = self._memories.pointers[self._addresses(edge["base"] + word, 1, spike), position]
        count = int(found) >> 16
        first = self._addresses(int(found) & 0xFFFF, count, spike)
        packed = self._memories.packed[first : first + count]
        synapses = decode(MemoryLayouts(self._params).synapse, packed.reshape(-1).astype(np.uint32))
        row, part, weights = (synapses[k].reshape(packed.shape) for k in ("row", "part", "weight"))
        lane = np.arange(packed.shape[1]) + part * packed.shape[1]
        used = weights != 0
        if np.any(row[used] >= n_rows):
            raise self._past(spike, int(row[used].max()), n_rows)
        if self._params.has_maps:
            if edge["row_start"] % n_rows:
                raise ImageError(
                    f"Core {self._core} edge {spike.edge} row_start must be a multiple of "
                    f"{n_rows} for a SPARSE edge, not {edge['row_start']}"
                )
            row = row + edge["row_start"]
        targets = self._checked(row[used], spike, edge) * lanes + lane[used]
        return Rows(
            targets=targets,
            weights=weights[used],
            distinct=np.unique(targets).size == targets.size,
            slots=edge["slots"],
            n_rows=count,
            sops=targets.size,
        )

    def _identity(self, spike: Spike, edge: Edge) -> Rows:
        target = (spike.source + edge["offset"] & 0xFFFF) % self._params.n_accumulators
        row, lane = divmod(target, self._params.lanes)
        self._checked(np.array([row]), spike, edge)
        return Rows(
            targets=np.array([row * self._params.lanes + lane]),
            weights=np.array([edge["weight"]]),
            distinct=True,
            slots=edge["slots"],
            n_rows=1,
            sops=1,
        )

    def _map(self, spike: Spike, edge: Edge) -> Rows:
        index = spike.source + edge["offset"] & 0xFFFF
        below_y = index & (1 << edge["y_shift"]) - 1
        y = self._axis(edge["y_axis"], index >> edge["y_shift"], "y", spike)
        x = self._axis(edge["x_axis"], below_y >> edge["x_shift"], "x", spike)
        c = self._axis(edge["c_axis"], index & (1 << edge["x_shift"]) - 1, "c", spike)
        block = self._block(spike.edge, (y.n, x.n, c.n))
        words = edge["base"] + y.weight + x.weight + c.weight + block.words & self._address_mask
        if words.size and words.max() >= len(self.words):
            raise ImageError(
                f"Core {self._core} edge {spike.edge} index {spike.source} reads weight word "
                f"{words.max()}, but {len(self.words)} are loaded"
            )
        rows = edge["row_start"] + y.row + x.row + c.row + block.rows
        return Rows(
            targets=self._checked(rows, spike, edge),
            words=words,
            distinct=block.distinct,
            slots=edge["slots"],
            n_rows=rows.size,
            sops=int(np.count_nonzero(self.words[words])),
        )

    def _axis(self, start: int, coordinate: int, name: str, spike: Spike) -> AxisEntry:
        at = (start + coordinate) % (1 << bits_for(self._params.n_axis))
        if at >= len(self._axis_entries):
            raise ImageError(
                f"Core {self._core} edge {spike.edge} index {spike.source} reads axis entry {at} "
                f"for {name} = {coordinate}, but {len(self._axis_entries)} are loaded"
            )
        return self._axis_entries[at]

    def _block(self, number: int, shape: tuple[int, int, int]) -> _Block:
        """Return what the taps and rows of channels of an event add to its addresses and rows."""
        found = self._blocks.get((number, shape))
        if found is None:
            edge = self._edges[number]
            j, i, b = np.indices(shape).reshape(3, -1)
            rows = j * edge["y_row"] + i * edge["x_row"] + b
            found = self._blocks[number, shape] = _Block(
                words=j * edge["y_weight"] + i * edge["x_weight"] + b,
                rows=rows,
                distinct=np.unique(rows % self._params.acc_rows).size == rows.size,
            )
        return found

    def _checked(self, rows: Integers, spike: Spike, edge: Edge) -> Integers:
        """Return rows as the hardware computes them; refuse those that another slot has."""
        if self._params.has_maps:
            rows = rows % self._params.acc_rows
        limit = self._params.acc_rows
        if self._params.has_maps:
            limit >>= edge["slots"]
        if rows.size and rows.max() >= limit:
            raise self._past(spike, int(rows.max()), limit)
        return rows

    def _past(self, spike: Spike, row: int, limit: int) -> ImageError:
        return ImageError(
            f"Core {self._core} edge {spike.edge} index {spike.source} adds to rows past the "
            f"last: to row {row}, but the last of its group's slots is row {limit - 1}"
        )

    def _addresses(self, address: int, count: int, spike: Spike) -> int:
        """Return a weight address as the hardware computes it; refuse one that is not loaded."""
        address &= self._address_mask
        if count and address + count > len(self.words):
            raise ImageError(
                f"Core {self._core} edge {spike.edge} index {spike.source} reads weight words "
                f"{address} to {address + count - 1}, but {len(self.words)} are loaded"
            )
        return address
