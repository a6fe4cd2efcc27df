"""From the words of an image back to tables, by the layouts of :mod:`talon.arch` alone.

The checkers read a program through this, so that they judge the bytes and not the compiler's own
structures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import EdgeKind, Memory, MemoryLayouts
from talon.arch.params import ArrayParams, bits_for
from talon.arch.weight_words import unpack_weights
from talon.errors import ImageError
from talon.image.container import Image, memories

Entry = dict[str, int]

_WRAP = 1 << 16


@dataclass(frozen=True, kw_only=True, eq=False)
class CoreTables:
    """The tables of one core; ``weights`` is uint8 of shape (words, word_bytes)."""

    core: int
    params: ArrayParams
    weights: NDArray[np.uint8]
    records: list[Entry]
    edges: list[Entry]
    groups: list[Entry]
    routes: list[Entry]
    tokens: list[Entry]
    init: list[Entry]
    axis: list[Entry]
    table: list[Entry]

    def weights_at(self, address: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Return the weights of words, one a lane: (*address.shape, lanes)."""
        return unpack_weights(self.weights[address], self.params).astype(np.int64)

    def pointers_at(self, place: NDArray[np.int64], base: int) -> NDArray[np.int64]:
        """Return the pointers of SPARSE events at places of a table, ``address`` and ``count``.

        Shape (2, n).
        """
        word, position = np.divmod(place, self.params.pointers_per_word)
        word = (base + word) % (1 << bits_for(self.params.weight_words))
        stored = self.weights[word].view("<u4")[np.arange(len(place)), position].astype(np.int64)
        return np.stack([stored & 0xFFFF, stored >> 16])

    def synapses_at(self, address: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Return row, lane and weight of the packed synapses of words, (n, synapses_per_word)."""
        n = self.params.synapses_per_word
        stored = self.weights[address].view("<u2").astype(np.int64)
        fields = {}
        for field, offset in MemoryLayouts(self.params).synapse.offsets():
            fields[field.name] = stored >> offset & ((1 << field.width) - 1)
        sign = 1 << (self.params.weight_width - 1)
        lane = np.arange(n) + fields["part"] * n
        return fields["row"], lane, (fields["weight"] ^ sign) - sign

    def group_routes(self, group: int) -> list[Entry]:
        """Return the routes of a group."""
        entry = self.groups[group]
        return self.routes[entry["route_start"] : entry["route_start"] + entry["n_routes"]]

    def group_tokens(self, group: int) -> list[Entry]:
        """Return the tokens of a group."""
        entry = self.groups[group]
        return self.tokens[entry["token_start"] : entry["token_start"] + entry["n_tokens"]]

    def used_groups(self) -> list[int]:
        """Return the numbers of the groups that have neurons."""
        used = "n_y" if self.params.has_maps else "n_neurons"
        return [i for i, entry in enumerate(self.groups) if entry[used]]

    def slots(self, group: int) -> int:
        """Return how many slots a group keeps."""
        if not self.params.has_maps:
            return self.params.n_slots
        return 1 << self.groups[group]["slots"]


def decode(image: Image) -> dict[int, CoreTables]:
    """Return the tables of every core that the image loads."""
    params = image.params
    layouts = MemoryLayouts(params).of_memory
    found: dict[int, CoreTables] = {}
    for core, words in memories(image.sections).items():
        tables: dict[Memory, list[Entry]] = {}
        for memory, layout in layouts.items():
            array = words[memory].reshape(-1, layout.n_words).tolist()
            tables[memory] = [layout.from_words(entry) for entry in array]
        weights = words[Memory.WEIGHT].astype("<u4").view(np.uint8).reshape(-1, params.word_bytes)
        found[core] = CoreTables(
            core=core,
            params=params,
            weights=weights,
            records=tables[Memory.RECORD],
            edges=tables[Memory.EDGE],
            groups=tables[Memory.GROUP],
            routes=tables[Memory.ROUTE],
            tokens=tables[Memory.TOKEN],
            init=tables[Memory.INIT],
            axis=tables.get(Memory.AXIS, []),
            table=tables.get(Memory.TABLE, []),
        )
    return found


def synapses_of(
    tables: CoreTables, edge: int, first: int, last: int
) -> tuple[int, NDArray[np.int64]]:
    """Return what the events ``first`` to ``last`` of an edge do to a core's accumulators.

    Returns
    -------
    tuple
        ``(start, block)``: ``block[i, j]`` is what accumulator ``start + i`` gains for a payload
        of 1 on index ``first + j``.

    Raises
    ------
    ImageError
        An event would read beyond the weights or write beyond the accumulators.
    """
    if edge >= len(tables.edges):
        raise ImageError(
            f"Edge {edge} of core {tables.core} is not in its table of {len(tables.edges)}"
        )
    entry = tables.edges[edge]
    kind = entry["kind"]
    if kind == EdgeKind.DENSE:
        return _dense(tables, edge, entry, first, last)
    if kind == EdgeKind.SPARSE:
        start = entry["row_start"] * tables.params.lanes if tables.params.has_maps else 0
        return start, _sparse(tables, edge, entry, first, last)
    if kind == EdgeKind.IDENTITY:
        return _identity(tables, edge, entry, first, last)
    raise ImageError(f"Edge {edge} of core {tables.core} has the unknown kind {kind}")


def _dense(
    tables: CoreTables, edge: int, entry: Entry, first: int, last: int
) -> tuple[int, NDArray[np.int64]]:
    params, n_rows = tables.params, entry["rows"]
    size = 1 << bits_for(params.weight_words)
    index = np.arange(first, last + 1)
    address = (entry["base"] + index[:, None] * n_rows + np.arange(n_rows)) % size
    _check_addresses(tables, edge, address)
    if entry["row_start"] + n_rows > params.acc_rows:
        raise ImageError(
            f"Edge {edge} of core {tables.core} must end within {params.acc_rows} rows, "
            f"not at {entry['row_start'] + n_rows}"
        )
    block = tables.weights_at(address).reshape(len(index), n_rows * params.lanes)
    return entry["row_start"] * params.lanes, block.T


def _identity(
    tables: CoreTables, edge: int, entry: Entry, first: int, last: int
) -> tuple[int, NDArray[np.int64]]:
    start = (first + entry["offset"]) % _WRAP
    n = last - first + 1
    if start + n > tables.params.n_accumulators:
        raise ImageError(
            f"Edge {edge} of core {tables.core} must stay within {tables.params.n_accumulators} "
            f"accumulators, not reach {start + n - 1}"
        )
    return start, np.eye(n, dtype=np.int64) * entry["weight"]


def _sparse(
    tables: CoreTables, edge: int, entry: Entry, first: int, last: int
) -> NDArray[np.int64]:
    params = tables.params
    p = (np.arange(first, last + 1) + entry["offset"]) % _WRAP
    words = entry["base"] + p // params.pointers_per_word
    _check_addresses(tables, edge, words % (1 << bits_for(params.weight_words)))
    pointers = tables.pointers_at(p, entry["base"])
    block = np.zeros((params.n_neurons, len(p)), np.int64)
    for j, (address, count) in enumerate(pointers.T.tolist()):
        if not count:
            continue
        span = np.arange(address, address + count)
        _check_addresses(tables, edge, span)
        row, lane, weight = tables.synapses_at(span)
        neuron = row * params.lanes + lane
        if (neuron[weight != 0] >= params.n_neurons).any():
            raise ImageError(
                f"Edge {edge} of core {tables.core} must stay within {params.n_neurons} "
                f"accumulators for index {first + j}"
            )
        np.add.at(block[:, j], neuron[weight != 0], weight[weight != 0])
    return block


def _check_addresses(tables: CoreTables, edge: int, address: NDArray[np.integer[Any]]) -> None:
    if address.size and int(address.max()) >= len(tables.weights):
        raise ImageError(
            f"Edge {edge} of core {tables.core} must read its {len(tables.weights)} weight words, "
            f"not word {int(address.max())}"
        )
