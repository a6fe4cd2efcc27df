"""From a mapped network to the words of every memory, and the manifest for the host."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.memories import EdgeKind, Emit, Memory, MemoryLayouts, Reset
from talon.arch.numerics import DECAY_ONE, V_MAX
from talon.arch.params import ArrayParams, bits_for
from talon.compiler.forms import diagonal_of
from talon.compiler.network import IntNetwork, Population
from talon.compiler.pieces import Feed, Piece
from talon.compiler.schedule import Plan, Token
from talon.compiler.wiring import HOST, Group, Wiring
from talon.errors import MappingError
from talon.image.container import Section

_WRAP = 1 << 16  # indices and offsets
_RESETS = {
    "none": Reset.NONE,
    "zero": Reset.ZERO,
    "subtract": Reset.SUBTRACT,
    "hold": Reset.HOLD,
}

Entry = dict[str, int]


def emit_sections(
    network: IntNetwork,
    params: ArrayParams,
    wiring: Wiring,
    cores: list[int],
    plans: dict[int, Plan],
) -> tuple[Section, ...]:
    """Return the memories of all cores that hold anything."""
    sections: list[Section] = []
    for b, core in sorted(enumerate(cores), key=lambda item: item[1]):
        groups = sorted((g for g in wiring.groups if g.bin == b), key=lambda g: g.number)
        words = _Core(network, params, wiring, groups, plans).words()
        sections += [
            Section(memory=memory, core=core, words=array) for memory, array in words.items()
        ]
    return tuple(sections)


class _Core:
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

    def words(self) -> dict[Memory, NDArray[np.uint32]]:
        """Return the words of every memory."""
        edges = self.edges()
        routes, tokens, groups, init = self.tables()
        weights = self.weights or [np.zeros((1, self.params.lanes), np.uint8)]
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
                    {"threshold": V_MAX, "strict": 1}
                    if group.piece.partial
                    else _record(population, neuron)
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
        block = projection.weight[start : end + 1, feed.first : feed.last + 1]
        if projection.form == "identity":
            found = diagonal_of(projection.weight)
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
        params, lanes = self.params, self.params.lanes
        routes: list[Entry] = []
        tokens: list[Entry] = []
        groups: list[Entry] = [{} for _ in range(params.n_groups)]
        init: list[Entry] = [{} for _ in range(params.n_groups * params.n_slots)]
        populations = {p.name: p for p in self.network.populations}
        for group in self.groups:
            plan = self.plans[group.id]
            partial = group.piece.partial
            groups[group.number] = {
                "row_start": group.row_start,
                "n_neurons": group.piece.n_neurons,
                "frac": 0 if partial else populations[group.piece.population].frac,
                "emit": group.emit,
                "route_start": len(routes) if plan.routes else 0,
                "n_routes": len(plan.routes),
                "token_start": len(tokens) if plan.tokens else 0,
                "n_tokens": len(plan.tokens),
                "n_sources": len(plan.sources),
                "n_dests": len(plan.dests),
            }
            for route in plan.routes:
                first, last = group.local(route.first, lanes), group.local(route.last, lanes)
                # A neuron of the core plus the offset is the population's neuron plus the shift.
                offset = 0 if route.host else route.first + route.shift - first
                routes.append(
                    {
                        "host": route.host,
                        "xmask": route.xmask,
                        "ymask": route.ymask,
                        "edge": route.edge,
                        "delay": route.delay,
                        "offset": offset % _WRAP,
                        "first": first,
                        "last": last,
                    }
                )
            tokens += [_token(token) for token in plan.tokens]
            for slot in range(params.n_slots):
                init[group.number * params.n_slots + slot] = {
                    "sources": plan.init_sources(slot),
                    "dests": plan.init_dests(slot, params.n_slots),
                }
        return routes, tokens, groups, init


def _record(population: Population, neuron: int) -> Entry:
    decay = int(population.decay[neuron])
    readout = population.kind == "readout"  # never fires
    return {
        "threshold": V_MAX if readout else int(population.threshold[neuron]),
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

    Lane *l* stands in byte *l* of a word.
    """
    n_source = block.shape[1]
    padded = np.zeros((n_source, piece.n_rows * params.lanes), np.int8)
    padded[:, : block.shape[0]] = block.T
    return padded.reshape(n_source * piece.n_rows, params.lanes).view(np.uint8)


def pack_sparse(
    block: NDArray[np.int8], row_start: int, address: int, params: ArrayParams
) -> NDArray[np.uint8]:
    """Return pointers and packed synapses of a sparse block, for words from ``address`` on."""
    half = params.lanes // 2
    per_word = params.lanes // 4
    n_source = block.shape[1]
    n_pointer = -(-n_source // per_word)
    layouts = MemoryLayouts(params)
    pointers = np.zeros(n_pointer * per_word, np.uint32)
    packed: list[NDArray[np.uint16]] = []
    start = address + n_pointer
    for source in range(n_source):
        targets = np.flatnonzero(block[:, source])
        depth = np.zeros(half, np.int64)
        words = np.zeros((len(targets), half), np.uint16)
        for target in targets:
            k = int(target) % half
            words[depth[k], k] = layouts.synapse.pack(
                {
                    "weight": int(block[target, source]),
                    "row": row_start + int(target) // params.lanes,
                    "half": int(target) % params.lanes // half,
                }
            )
            depth[k] += 1
        count = int(depth.max(initial=0))
        pointers[source] = layouts.pointer.pack({"address": start if count else 0, "count": count})
        packed.append(words[:count])
        start += count
    table = pointers.astype("<u4").view(np.uint8).reshape(n_pointer, params.lanes)
    synapses = np.concatenate(packed).astype("<u2").view(np.uint8).reshape(-1, params.lanes)
    return np.concatenate([table, synapses])


def manifest_of(
    network: IntNetwork,
    params: ArrayParams,
    wiring: Wiring,
    cores: list[int],
    plans: dict[int, Plan],
) -> dict[str, Any]:
    """Return what the host must know, as ``docs/reference/image.md`` documents it."""
    host = plans[HOST]
    lanes = params.lanes
    groups: list[dict[str, Any]] = []
    for group in wiring.groups:
        first, _ = group.range_of(lanes)
        groups.append(
            {
                "core": cores[group.bin],
                "group": group.number,
                "population": None if group.emit is Emit.PSUM else group.piece.population,
                "neuron_start": group.row_start * lanes,
                "first": first,
                "count": group.piece.n_neurons,
                "emit": group.emit.name.lower(),
            }
        )
    groups.sort(key=lambda item: (item["core"], item["group"]))
    return {
        "params": params.facts(),
        "inputs": [
            {
                "name": port.name,
                "shape": list(port.shape),
                "scale": port.scale,
                "payload_max": port.payload_max,
                "signed": port.signed,
                "routes": [
                    {
                        "first": route.first,
                        "last": route.last,
                        "xmask": route.xmask,
                        "ymask": route.ymask,
                        "edge": route.edge,
                        "offset": 0,
                        "delay": route.delay,
                    }
                    for route in host.input_routes.get(port.name, [])
                ],
            }
            for port in network.inputs
        ],
        "host_tokens": [
            {
                "xmask": token.xmask,
                "ymask": token.ymask,
                "group": token.group,
                "delta": token.delta,
            }
            for token in host.tokens
        ],
        "n_dests": len(host.dests),
        "permit_init": [host.init_dests(slot, params.n_slots) for slot in range(params.n_slots)],
        "outputs": [
            {
                "name": port.name,
                "population": port.population,
                "kind": port.kind,
                "shape": list(port.shape),
            }
            for port in network.outputs
        ],
        "groups": groups,
        "end_of_step": sorted(
            (
                {"core": cores[group.bin], "group": group.number}
                for group in wiring.groups
                if any(t.host and not t.credit for t in plans[group.id].tokens)
            ),
            key=lambda item: (item["core"], item["group"]),
        ),
        "populations": [
            {"name": p.name, "n": p.n, "shape": list(p.shape), "kind": p.kind}
            for p in network.populations
        ],
    }
