"""The words of the memories of one core of an array with feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import TABLE_ENTRIES, EdgeKind, Emit, Memory
from talon.arch.numerics import DECAY_ONE
from talon.arch.params import ArrayParams, bits_for
from talon.arch.weight_words import pack_weights
from talon.compiler.core_words import SUMMING, CoreWords, Entry, pack_sparse, record_of
from talon.compiler.forms import diagonal_of
from talon.compiler.network import IntArray, IntNetwork, Pool, Population, Projection
from talon.compiler.pieces import Feed
from talon.compiler.schedule import Plan, Route
from talon.compiler.tiling.costs import MapCosts
from talon.compiler.tiling.edges import Entries, MapEdge, map_edge, matrix_words
from talon.compiler.tiling.tile import Code, Tile
from talon.compiler.wiring import Group, Wiring
from talon.errors import MappingError

_WRAP = 1 << 16  # indices, offsets and positions


class MapCoreWords(CoreWords):
    """The memories of one core while they are filled."""

    def __init__(
        self,
        network: IntNetwork,
        params: ArrayParams,
        wiring: Wiring,
        groups: list[Group],
        plans: dict[int, Plan],
    ) -> None:
        super().__init__(network, params, wiring, groups, plans)
        self.costs = MapCosts(network, params).with_packings(wiring.packings)
        self.layout = self.costs.layout
        self.axis: list[Entry] = []
        self.row_mask = params.acc_rows - 1
        self.address_mask = (1 << bits_for(params.weight_words)) - 1

    def words(self) -> dict[Memory, NDArray[np.uint32]]:
        """Return the words of every memory."""
        found = super().words()
        found[Memory.AXIS] = self.pack(Memory.AXIS, self.axis or [{}])
        if self.params.table_activation:
            found[Memory.TABLE] = self.pack(Memory.TABLE, self.payload_tables() or [{}])
        return found

    def payload_tables(self) -> list[Entry]:
        """Return the tables of the groups, up to that of the last group that has one."""
        found: list[Entry] = []
        for group in self.groups:
            table = self.table_of(group)
            if table is not None:
                found += [{}] * (group.number * TABLE_ENTRIES - len(found))
                found += [{"payload": payload} for payload in table.tolist()]
        return found

    def table_of(self, group: Group) -> IntArray | None:
        """Return the table of a group, if it has one."""
        population = self.layout.populations[group.piece.population]
        return None if group.piece.partial else population.table

    def records(self) -> list[Entry]:
        """Return the records, lane by lane: one row for each row of channels of a group."""
        lanes = self.params.lanes
        ends = (group.record_start + self.costs.n_records(group.piece) for group in self.groups)
        records: list[Entry] = [{} for _ in range(max(ends) * lanes)]
        for group in self.groups:
            start = group.record_start * lanes
            if group.piece.partial:
                records[start : start + lanes] = [SUMMING] * lanes
                continue
            tile = group.piece.tile
            assert tile is not None
            population = self.layout.populations[group.piece.population]
            order = tile.order(self.layout.shape(population.name)).reshape(-1, lanes)
            for i, neuron in enumerate(order[tile.record_rows].reshape(-1).tolist()):
                if neuron >= 0:
                    records[start + i] = _record(population, neuron)
        return records

    def edge(self, group: Group, feed: Feed) -> Entry:
        """Return one edge descriptor."""
        projection = self.layout.projections[feed.projection]
        form, tile = self.costs.form(feed), group.piece.tile
        assert tile is not None
        slots = {"slots": self.kept[group.id].bit_length() - 1}
        if self.costs.uses_tables(feed):
            code = self.layout.code(projection.source)
            return {**slots, **self.map_edge(group, map_edge(self.layout, feed, tile), code)}
        weight = projection.weight
        assert isinstance(weight, np.ndarray)
        if form == "identity":
            found = diagonal_of(weight)
            if found is None:
                raise MappingError(
                    f"Projection {projection.source!r} -> {projection.target!r} of form 'identity' "
                    "must have one synapse of one weight from each source neuron j, to neuron "
                    "j + shift; give it the form 'sparse' or 'dense'"
                )
            offset = group.row_start * tile.lanes + found[0] - tile.channels[0]
            return {
                **slots,
                "kind": EdgeKind.IDENTITY,
                "weight": int(found[1]),
                "offset": offset % _WRAP,
            }
        if form == "sparse":
            block = weight[tile.channels[0] : tile.channels[1], feed.first : feed.last + 1]
            base = self.store(pack_sparse(block, group.row_start, self.n_weights, self.params))
            return {
                **slots,
                "kind": EdgeKind.SPARSE,
                "base": base,
                "offset": -feed.first % _WRAP,
            }
        shape = self.layout.shape(projection.target)
        sources = np.arange(feed.first, feed.last + 1)
        words = matrix_words(weight, tile, shape, sources).reshape(-1, tile.lanes)
        base = self.store(pack_weights(words, self.params))
        return {
            **slots,
            "kind": EdgeKind.DENSE,
            "base": (base - feed.first * tile.n_rows) & self.address_mask,
            "rows": tile.n_rows,
            "row_start": group.row_start,
            "last_lanes": tile.last_lanes,
        }

    def map_edge(self, group: Group, edge: MapEdge, code: Code) -> Entry:
        """Return the descriptor of a MAP edge, and fill the axis tables."""
        return {
            "kind": EdgeKind.MAP,
            "base": self.store(pack_weights(edge.words, self.params)) & self.address_mask,
            "row_start": group.row_start,
            "y_shift": code.shifts[0],
            "x_shift": code.shifts[1],
            "y_axis": self.store_axis(edge.y),
            "x_axis": self.store_axis(edge.x),
            "c_axis": self.store_axis(edge.c),
            "y_weight": edge.y_weight & self.address_mask,
            "x_weight": edge.x_weight & self.address_mask,
            "y_row": edge.y_row & self.row_mask,
            "x_row": edge.x_row & self.row_mask,
        }

    def store_axis(self, entries: Entries) -> int:
        """Append an axis and return its first entry."""
        start = len(self.axis)
        self.axis += [
            {"weight": weight & self.address_mask, "row": row & self.row_mask, "count": count}
            for weight, row, count in entries
        ]
        return start

    def extent(self, group: Group) -> Entry:
        """Return the scan of a group."""
        tile, partial = group.piece.tile, group.piece.partial
        assert tile is not None
        population = self.layout.populations[group.piece.population]
        if partial:
            scan = _scan_of_sums(tile)
        else:
            scan = scan_of(tile, population.pool, self.layout.code(population.name))
        return {
            **{name: value & self.row_mask for name, value in scan.row_steps.items()},
            **{name: value % _WRAP for name, value in scan.index_steps.items()},
            **scan.counts,
            "last_lanes": tile.lanes if partial else tile.last_lanes,
            "frac": 0 if partial or group.emit is Emit.GRADED else population.frac,
            "slots": self.kept[group.id].bit_length() - 1,
            "once": population.once,
            "hold": not partial and _holds(self.layout.projections, population.name),
            "record_start": group.record_start,
            "pool_sum": not partial and _pools_by_sum(population),
            **({"table": 1} if self.table_of(group) is not None else {}),
        }

    def route(self, group: Group, route: Route) -> Entry:
        """Return the entry of a route."""
        return {
            **self.addressed(route),
            "offset": route.shift % _WRAP,
            "first": route.first,
            "last": route.last,
        }


@dataclass(frozen=True, kw_only=True)
class Scan:
    """The loops of a group's scan, by the names of the fields; steps may be negative."""

    counts: Entry
    row_steps: Entry
    index_steps: Entry


def scan_of(tile: Tile, pool: Pool | None, code: Code) -> Scan:
    """Return the scan of a tile: place by place, or window by window.

    Of a line that is ragged all places are channels of one pixel: only the last has idle lanes.
    """
    rows, columns = (1, 1) if pool is None else pool.size
    n_pixels = 1 if tile.packing is None else tile.packing.pixels
    line = tile.width * tile.blocks
    counts = {
        "n_y": tile.size[1] // rows,
        "n_x": line // columns // tile.n_blocks,
        "n_c": tile.n_blocks,
        "pool_y": rows,
        "pool_x": columns,
    }
    c_stride = 1 if tile.packing is None else columns
    strides = (rows * line, columns * tile.n_blocks, c_stride, line, tile.blocks)
    names = ("y_step", "x_step", "c_step", "pool_y_step", "pool_x_step")
    position = (code.y_stride, code.x_stride * n_pixels, tile.lanes)
    index = _steps(position, list(counts.values())[:3])
    return Scan(
        counts=counts,
        row_steps=dict(zip(names, _steps(strides, list(counts.values())), strict=True)),
        index_steps={"y_index": index[0], "x_index": index[1]},
    )


def _scan_of_sums(tile: Tile) -> Scan:
    """Return the scan of partial sums: accumulator by accumulator, all with one record."""
    return Scan(
        counts={"n_y": 1, "n_x": tile.n_rows, "n_c": 1, "pool_y": 1, "pool_x": 1},
        row_steps={"x_step": 1},
        index_steps={"x_index": tile.lanes},
    )


def _steps(strides: Sequence[int], counts: Sequence[int]) -> list[int]:
    """Return what each loop adds when it advances, the loops inside it being at their ends."""
    steps = []
    for i, stride in enumerate(strides):
        inside = zip(strides[i + 1 :], counts[i + 1 :], strict=True)
        steps.append(stride - sum(s * (n - 1) for s, n in inside))
    return steps


def _holds(projections: Sequence[Projection], population: str) -> bool:
    return any(p.hold for p in projections if p.target == population)


def _pools_by_sum(population: Population) -> bool:
    return population.pool is not None and population.pool.kind == "sum"


def _record(population: Population, neuron: int) -> Entry:
    if population.kind != "graded":
        return record_of(population, neuron)
    multiplier = int(population.decay[neuron])
    return {
        "threshold": int(population.threshold[neuron]),
        "v_reset": int(population.v_reset[neuron]),
        "decay": 0 if multiplier == DECAY_ONE else multiplier,
        "no_leak": multiplier == DECAY_ONE,
    }
