"""The words of the memories of one core."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import EdgeKind, Memory, MemoryLayouts, Reset
from talon.arch.numerics import DECAY_ONE, V_MAX
from talon.arch.params import ArrayParams, bits_for
from talon.arch.weight_words import pack_weights
from talon.compiler.forms import diagonal_of
from talon.compiler.network import RESETS, IntNetwork, Population
from talon.compiler.pieces import Feed, Piece
from talon.compiler.schedule import Plan, Route, Token, slots_of
from talon.compiler.wiring import Group, Wiring
from talon.errors import MappingError

_WRAP = 1 << 16  # indices and offsets
_RESETS: dict[str, Reset] = dict(zip(RESETS, Reset, strict=True))

Entry = dict[str, int]

SUMMING: Entry = {"threshold": V_MAX, "strict": 1}
"""The record of a neuron that sums for others: it keeps nothing and never fires."""


class CoreWords:
    """The memories of one core while they are filled."""

    def __init__(
        self,
        network: IntNetwork,
        params: ArrayParams,
        wiring: Wiring,
        groups: list[Group],
        plans: dict[int, Plan],
    ) -> None:
        self.network = network
        self.params = params
        self.wiring = wiring
        self.groups = groups
        self.plans = plans
        self.layouts = MemoryLayouts(params)
        self.weights: list[NDArray[np.uint8]] = []
        self.n_weights = 0
        self.kept = {g.id: slots_of(g, params) for g in wiring.groups}

    def words(self) -> dict[Memory, NDArray[np.uint32]]:
        """Return the words of every memory."""
        edges = self.edges()
        routes, tokens, groups, init = self.tables()
        weights = self.weights or [np.zeros((1, self.params.word_bytes), np.uint8)]
        packed = np.ascontiguousarray(np.concatenate(weights))
        return {
            Memory.WEIGHT: packed.view("<u4").reshape(-1).astype(np.uint32),
            Memory.RECORD: self.pack(Memory.RECORD, self.records()),
            Memory.EDGE: self.pack(Memory.EDGE, edges),
            Memory.GROUP: self.pack(Memory.GROUP, groups),
            Memory.ROUTE: self.pack(Memory.ROUTE, routes or [{}]),
            Memory.TOKEN: self.pack(Memory.TOKEN, tokens or [{}]),
            Memory.INIT: self.pack(Memory.INIT, init),
        }

    def pack(self, memory: Memory, entries: list[Entry]) -> NDArray[np.uint32]:
        """Return the words of a table."""
        layout = self.layouts.of_memory[memory]
        return np.array([w for entry in entries for w in layout.to_words(entry)], np.uint32)

    def records(self) -> list[Entry]:
        """Return a record for every neuron up to the last in use."""
        lanes = self.params.lanes
        used = max(g.row_start + g.piece.n_rows for g in self.groups) * lanes
        records: list[Entry] = [{} for _ in range(used)]
        populations = {p.name: p for p in self.network.populations}
        for group in self.groups:
            first, last = group.range_of(lanes)
            population = populations[group.piece.population]
            for neuron in range(first, last + 1):
                records[group.local(neuron, lanes)] = (
                    SUMMING if group.piece.partial else record_of(population, neuron)
                )
        return records

    def edges(self) -> list[Entry]:
        """Return the edge descriptors, and fill the weight memory."""
        here = {group.id: group for group in self.groups}
        edges = sorted(
            (edge for edge in self.wiring.edges if edge.group in here), key=lambda e: e.number
        )
        table: list[Entry] = [{} for _ in range(max((e.number for e in edges), default=0) + 1)]
        for edge in edges:
            group = here[edge.group]
            table[edge.number] = self.edge(group, group.piece.feeds[edge.feed])
        return table

    def edge(self, group: Group, feed: Feed) -> Entry:
        """Return one edge descriptor."""
        projection = self.network.projections[feed.projection]
        lanes = self.params.lanes
        start, end = group.range_of(lanes)
        block = projection.matrix[start : end + 1, feed.first : feed.last + 1]
        if projection.form == "identity":
            found = diagonal_of(projection.matrix)
            if found is None:
                raise MappingError(
                    f"Projection {projection.source!r} -> {projection.target!r} of form 'identity' "
                    "must have one synapse of one weight from each source neuron j, to neuron "
                    "j + shift; give it the form 'sparse' or 'dense'"
                )
            shift, value = found
            return {
                "kind": EdgeKind.IDENTITY,
                "weight": int(value),
                "offset": group.local(shift, lanes) % _WRAP,
            }
        if projection.form == "sparse":
            base = self.store(pack_sparse(block, group.row_start, self.n_weights, self.params))
            return {"kind": EdgeKind.SPARSE, "base": base, "offset": -feed.first % _WRAP}
        base = self.store(pack_dense(block, group.piece, self.params))
        n_rows = group.piece.n_rows
        return {
            "kind": EdgeKind.DENSE,
            "base": (base - feed.first * n_rows) % (1 << bits_for(self.params.weight_words)),
            "rows": n_rows,
            "row_start": group.row_start,
            "last_lanes": group.piece.n_neurons - (n_rows - 1) * lanes,
        }

    def store(self, words: NDArray[np.uint8]) -> int:
        """Append words to the weight memory and return the address of the first."""
        address = self.n_weights
        self.weights.append(words)
        self.n_weights += len(words)
        return address

    def tables(self) -> tuple[list[Entry], list[Entry], list[Entry], list[Entry]]:
        """Return the entries of ROUTE, TOKEN, GROUP and INIT."""
        params = self.params
        routes: list[Entry] = []
        tokens: list[Entry] = []
        groups: list[Entry] = [{} for _ in range(params.n_groups)]
        init: list[Entry] = [{} for _ in range(params.n_groups * params.n_slots)]
        for group in self.groups:
            plan = self.plans[group.id]
            groups[group.number] = {
                "row_start": group.row_start,
                **self.extent(group),
                "emit": group.emit,
                "route_start": len(routes) if plan.routes else 0,
                "n_routes": len(plan.routes),
                "token_start": len(tokens) if plan.tokens else 0,
                "n_tokens": len(plan.tokens),
                "n_sources": len(plan.sources),
                "n_dests": len(plan.dests),
            }
            routes += [self.route(group, route) for route in plan.routes]
            tokens += [_token(token) for token in plan.tokens]
            for slot in range(params.n_slots):
                init[group.number * params.n_slots + slot] = {
                    "sources": plan.init_sources(slot),
                    "dests": plan.init_dests(slot, self.kept),
                }
        return routes, tokens, groups, init

    def extent(self, group: Group) -> Entry:
        """Return the fields of a group that tell its neurons."""
        population = next(p for p in self.network.populations if p.name == group.piece.population)
        return {
            "n_neurons": group.piece.n_neurons,
            "frac": 0 if group.piece.partial else population.frac,
        }

    def route(self, group: Group, route: Route) -> Entry:
        """Return the entry of a route."""
        lanes = self.params.lanes
        first, last = group.local(route.first, lanes), group.local(route.last, lanes)
        # A neuron of the core plus the offset is the population's neuron plus the shift.
        offset = 0 if route.host else route.first + route.shift - first
        return {**self.addressed(route), "offset": offset % _WRAP, "first": first, "last": last}

    def addressed(self, route: Route) -> Entry:
        """Return the fields of a route that tell where packets go."""
        return {
            "host": route.host,
            "xmask": route.xmask,
            "ymask": route.ymask,
            "edge": route.edge,
            "delay": route.delay,
        }


def record_of(population: Population, neuron: int) -> Entry:
    """Return the record of a neuron that spikes or is read out."""
    decay = int(population.decay[neuron])
    readout = population.kind == "readout"  # never fires
    threshold = V_MAX if readout else int(population.threshold[neuron])
    if population.gain is not None:
        threshold += int(population.gain[neuron])
    return {
        "threshold": threshold,
        "bias": int(population.bias[neuron]),
        "v_reset": int(population.v_reset[neuron]),
        "decay": 0 if decay == DECAY_ONE else decay,
        "no_leak": decay == DECAY_ONE,
        "reset": _RESETS[population.reset],
        "reset_next": population.reset_next,
        "strict": readout or population.strict,
        **_current(population, neuron),
    }


def _current(population: Population, neuron: int) -> Entry:
    """Return the part of a record that tells the synaptic current, if there is one."""
    if population.current is None:
        return {}
    decays, bias = population.current
    decay = int(decays[neuron])
    return {
        "i_bias": int(bias[neuron]),
        "i_decay": 0 if decay == DECAY_ONE else decay,
        "i_no_leak": decay == DECAY_ONE,
        "has_current": 1,
    }


def _token(token: Token) -> Entry:
    return {
        "host": token.host,
        "xmask": token.xmask,
        "ymask": token.ymask,
        "group": token.group,
        "delta": token.delta,
        "credit": token.credit,
    }


def pack_dense(block: NDArray[np.int8], piece: Piece, params: ArrayParams) -> NDArray[np.uint8]:
    """Return the weight words of a dense block (n_target, n_source): source by source, row by row.

    A word is laid out as :mod:`talon.arch.weight_words` says.
    """
    n_source = block.shape[1]
    padded = np.zeros((n_source, piece.n_rows * params.lanes), np.int8)
    padded[:, : block.shape[0]] = block.T
    return pack_weights(padded.reshape(n_source * piece.n_rows, params.lanes), params)


def pack_sparse(
    block: NDArray[np.int8], row_start: int, address: int, params: ArrayParams
) -> NDArray[np.uint8]:
    """Return pointers and packed synapses of a sparse block, for words from ``address`` on."""
    per_word, n = params.pointers_per_word, params.synapses_per_word
    n_source = block.shape[1]
    n_pointer = -(-n_source // per_word)
    layouts = MemoryLayouts(params)
    pointers = np.zeros(n_pointer * per_word, np.uint32)
    packed: list[NDArray[np.uint16]] = []
    start = address + n_pointer
    for source in range(n_source):
        targets = np.flatnonzero(block[:, source])
        depth = np.zeros(n, np.int64)
        words = np.zeros((len(targets), n), np.uint16)
        for target in targets:
            k = int(target) % n
            words[depth[k], k] = layouts.synapse.pack(
                {
                    "weight": int(block[target, source]),
                    "row": row_start + int(target) // params.lanes,
                    "part": int(target) % params.lanes // n,
                }
            )
            depth[k] += 1
        count = int(depth.max(initial=0))
        pointers[source] = layouts.pointer.pack({"address": start if count else 0, "count": count})
        packed.append(words[:count])
        start += count
    table = pointers.astype("<u4").view(np.uint8).reshape(n_pointer, params.word_bytes)
    synapses = np.concatenate(packed).astype("<u2").view(np.uint8).reshape(-1, params.word_bytes)
    return np.concatenate([table, synapses])
