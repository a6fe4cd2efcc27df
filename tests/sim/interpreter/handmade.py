"""A mapping made by hand, independent of the compiler: slices on cores chosen by dice.

Every slice of a population is a group; a projection into a slice is one edge, or goes through a
group of partial sums on another core. Nothing is optimized; the rules for tables and tokens are
those of ``docs/hardware/array.md``, written down once more.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field

import numpy as np

from talon.arch import numerics
from talon.arch.memories import EdgeKind, Emit, Memory, MemoryLayouts, Reset
from talon.arch.params import ArrayParams, bits_for
from talon.compiler.network import IntNetwork, Population, Projection

HOST = "host"
RESETS = {
    "none": Reset.NONE,
    "zero": Reset.ZERO,
    "subtract": Reset.SUBTRACT,
    "hold": Reset.HOLD,
}


@dataclass(eq=False)
class Node:
    """A group: neurons first to first + count of a population, or partial sums for such a group."""

    population: Population
    first: int
    count: int
    core: int
    group: int
    start: int  # first neuron in the core
    emit: Emit
    sources: set = field(default_factory=set)  # (node or HOST, delay)
    dests: dict = field(default_factory=dict)  # node -> largest delay
    routes: list = field(default_factory=list)
    to_host: bool = False


class Mapping:
    """The memories and the manifest of a network mapped by dice."""

    def __init__(self, network: IntNetwork, params: ArrayParams, rng: np.random.Generator):
        self.network, self.params, self.rng = network, params, rng
        self.layouts = MemoryLayouts(params)
        self.address_width = bits_for(params.weight_words)
        self.rows_used = [0] * params.n_cores
        self.words = [[] for _ in range(params.n_cores)]  # weight words, bytes of lanes
        self.edges = [[] for _ in range(params.n_cores)]
        self.nodes: list[Node] = []
        self.host_dests: dict[Node, int] = {}
        self.host_sources: set = set()
        self.input_routes = defaultdict(list)
        self.slices = {p.name: self._slice(p) for p in network.populations}
        for output in network.outputs:
            for node in self.slices[output.population]:
                node.to_host = True
                if node.emit is Emit.SPIKE:
                    node.routes.append(
                        {"host": 1, "first": node.start, "last": node.start + node.count - 1}
                    )
        for projection in network.projections:
            for target in self.slices[projection.target]:
                self._project(projection, target)
        for node in self.nodes:
            if all(delay > 0 for _, delay in node.sources):
                self._link(HOST, node, 0)

    def _slice(self, population: Population) -> list[Node]:
        emit = Emit.READOUT if population.kind == "readout" else Emit.SPIKE
        lanes = self.params.lanes
        cut = population.n
        if population.n > lanes and self.rng.random() < 0.5:
            cut = lanes * int(self.rng.integers(1, -(-population.n // lanes)))
        bounds = [(0, cut), (cut, population.n)]
        return [self._node(population, a, b - a, emit) for a, b in bounds if b > a]

    def _node(self, population: Population, first: int, count: int, emit: Emit) -> Node:
        rows = -(-count // self.params.lanes)
        groups = [sum(n.core == c for n in self.nodes) for c in range(self.params.n_cores)]
        fits = [
            c
            for c in range(self.params.n_cores)
            if self.rows_used[c] + rows <= self.params.n_rows and groups[c] < self.params.n_groups
        ]
        core = int(self.rng.choice(fits))
        start = self.rows_used[core] * self.params.lanes
        self.rows_used[core] += rows
        node = Node(population, first, count, core, groups[core], start, emit)
        self.nodes.append(node)
        return node

    def _link(self, source, target: Node, delay: int) -> None:
        target.sources.add((source, delay))
        dests = self.host_dests if source is HOST else source.dests
        dests[target] = max(dests.get(target, 0), delay)
        if source is HOST:
            self.host_sources.add((target, delay))

    def _project(self, projection: Projection, target: Node) -> None:
        via, late = target, 0
        n_sums = sum(n.emit is Emit.PSUM for n in self.nodes)
        if n_sums < 3 and self.rng.random() < 0.3:
            # a delay may lie before or behind the partial sums
            late = int(self.rng.integers(0, projection.delay + 1))
            via = self._node(target.population, target.first, target.count, Emit.PSUM)
            cut = int(self.rng.integers(0, via.count))
            for first, last in ((0, cut), (cut + 1, via.count - 1)):
                if first > last:
                    continue
                via.routes.append(
                    {
                        **self._mask(target.core),
                        "offset": (target.start - via.start) % 65536,
                        "delay": late,
                        "first": via.start + first,
                        "last": via.start + last,
                    }
                )
            self._link(via, target, late)
        early = projection.delay - late
        shift = int(self.rng.integers(0, 4))  # of the index, taken back by the edge
        weight = projection.weight[target.first : target.first + target.count]
        edge, used = self._edge(projection, weight, via, shift)
        lines = np.flatnonzero(used)
        if projection.source in self.slices:
            for source in self.slices[projection.source]:
                self._route(source, via, edge, early, lines, shift)
        else:
            self._link(HOST, via, early)
            self.input_routes[projection.source].append(
                dict(
                    **self._mask(via.core),
                    edge=edge,
                    delay=early,
                    offset=shift,
                    first=int(lines[0]) if len(lines) else 1,
                    last=int(lines[-1]) if len(lines) else 0,
                )
            )

    def _route(self, source: Node, via: Node, edge: int, delay: int, lines, shift: int) -> None:
        self._link(source, via, delay)
        mine = lines[(lines >= source.first) & (lines < source.first + source.count)]
        if len(mine):
            source.routes.append(
                dict(
                    **self._mask(via.core),
                    edge=edge,
                    delay=delay,
                    offset=(source.first - source.start + shift) % 65536,
                    first=source.start + int(mine[0]) - source.first,
                    last=source.start + int(mine[-1]) - source.first,
                )
            )

    def _mask(self, core: int) -> dict[str, int]:
        x, y = self.params.position(core)
        return {"xmask": 1 << x, "ymask": 1 << y}

    def _edge(self, projection: Projection, weight: np.ndarray, via: Node, shift: int):
        """Add an edge to the core of ``via``; return its number and the sources that it may get."""
        lanes, words = self.params.lanes, self.words[via.core]
        n_source = weight.shape[1]
        rows = -(-len(weight) // lanes)
        values = {"base": len(words), "row_start": via.start // lanes}
        used = np.ones(n_source, bool)
        if projection.form == "dense":
            padded = np.zeros((n_source, rows * lanes), np.int8)
            padded[:, : len(weight)] = weight.T
            words.extend(padded.reshape(-1, lanes))
            last = len(weight) - (rows - 1) * lanes
            values.update(kind=EdgeKind.DENSE, rows=rows, last_lanes=last)
            values["base"] = (values["base"] - shift * rows) % (1 << self.address_width)
        elif projection.form == "sparse":
            values.update(kind=EdgeKind.SPARSE, offset=-shift % 65536)
            values["base"] = self._pack_sparse(words, weight, via.start)
        else:
            target, source = np.nonzero(weight)
            used[:] = False
            used[source] = True
            constant = int(weight[target[0], source[0]]) if len(target) else 0
            to_target = via.start + int(target[0] - source[0]) if len(target) else 0
            offset = (to_target - shift) % 65536
            values.update(kind=EdgeKind.IDENTITY, weight=constant, offset=offset, base=0)
        self.edges[via.core].append(values)
        return len(self.edges[via.core]) - 1, used

    def _pack_sparse(self, words: list, weight: np.ndarray, start: int) -> int:
        lanes = self.params.lanes
        n, per_word = self.params.synapses_per_word, self.params.pointers_per_word
        packed = []
        pointers = []
        n_pointer_words = -(-weight.shape[1] // per_word)
        base = len(words)
        for column in weight.T:
            queues = defaultdict(list)
            for j in np.flatnonzero(column):
                row, lane = divmod(start + int(j), lanes)
                queues[lane % n].append(
                    self.layouts.synapse.pack(
                        {"weight": int(column[j]), "row": row, "part": lane // n}
                    )
                )
            count = max(map(len, queues.values()), default=0)
            address = base + n_pointer_words + len(packed)
            pointers.append(self.layouts.pointer.pack({"address": address, "count": count}))
            for i in range(count):
                word = [q[i] if i < len(q := queues[k]) else 0 for k in range(n)]
                packed.append(np.array(word, "<u2").view(np.int8))
        pointers += [0] * (n_pointer_words * per_word - len(pointers))
        words.extend(np.array(pointers, "<u4").view(np.int8).reshape(-1, lanes))
        words.extend(packed)
        return base

    def memories(self) -> dict[int, dict[Memory, np.ndarray]]:
        """Return the words of all cores that hold a group."""
        cores = sorted({node.core for node in self.nodes})
        return {core: self._core(core) for core in cores}

    def _core(self, core: int) -> dict[Memory, np.ndarray]:
        params = self.params
        entries = {m: [] for m in self.layouts.of_memory}
        entries[Memory.GROUP] = [{} for _ in range(params.n_groups)]
        entries[Memory.INIT] = [{} for _ in range(params.n_groups * params.n_slots)]
        entries[Memory.RECORD] = [{} for _ in range(self.rows_used[core] * params.lanes)]
        entries[Memory.EDGE] = self.edges[core] or [{}]
        for node in self.nodes:
            if node.core == core:
                self._fill(node, entries)
        words = {
            memory: np.array(
                [w for e in (table or [{}]) for w in self.layouts.of_memory[memory].to_words(e)],
                np.uint32,
            )
            for memory, table in entries.items()
        }
        weights = np.array(self.words[core] or [np.zeros(params.lanes, np.int8)], np.int8)
        words[Memory.WEIGHT] = np.ascontiguousarray(weights).view("<u4").reshape(-1)
        return words

    def _fill(self, node: Node, entries: dict[Memory, list]) -> None:
        n_slots = self.params.n_slots
        tokens = self._tokens(node)
        entries[Memory.GROUP][node.group] = {
            "row_start": node.start // self.params.lanes,
            "n_neurons": node.count,
            "frac": 0 if node.emit is Emit.PSUM else node.population.frac,
            "emit": node.emit,
            "route_start": len(entries[Memory.ROUTE]),
            "n_routes": len(node.routes),
            "token_start": len(entries[Memory.TOKEN]),
            "n_tokens": len(tokens),
            "n_sources": len(node.sources),
            "n_dests": len(node.dests),
        }
        entries[Memory.ROUTE] += node.routes
        entries[Memory.TOKEN] += tokens
        for slot in range(n_slots):
            entries[Memory.INIT][node.group * n_slots + slot] = {
                "sources": sum(delay > slot for _, delay in node.sources),
                "dests": sum(slot < n_slots - delay for delay in node.dests.values()),
            }
        for i in range(node.count):
            entries[Memory.RECORD][node.start + i] = self._record(node, node.first + i)

    def _record(self, node: Node, neuron: int) -> dict[str, int]:
        population = node.population
        if node.emit is not Emit.SPIKE:
            silent = {"threshold": numerics.V_MAX, "strict": 1}
            if node.emit is Emit.PSUM:
                return silent
        decay = int(population.decay[neuron])
        record = {
            "threshold": int(population.threshold[neuron]),
            "bias": int(population.bias[neuron]),
            "v_reset": int(population.v_reset[neuron]),
            "decay": decay % 65536,
            "no_leak": decay // 65536,
            "reset": RESETS[population.reset],
            "reset_next": population.reset_next,
            "strict": population.strict,
        }
        return record if node.emit is Emit.SPIKE else {**record, **silent}

    def _sends_end(self, node: Node) -> bool:
        """Return whether the group tells the host that a timestep has ended."""
        return node.to_host or not any((node, 0) in other.sources for other in self.nodes)

    def _tokens(self, node: Node) -> list[dict[str, int]]:
        n_slots = self.params.n_slots
        tokens = [
            dict(**self._mask(target.core), group=target.group, delta=delay)
            for target in self.nodes
            for source, delay in sorted(target.sources, key=lambda pair: pair[1])
            if source is node
        ]
        tokens += [{"host": 1}] if self._sends_end(node) else []
        for source in dict.fromkeys(source for source, _ in node.sources):
            if source is HOST:
                delta = -self.host_dests[node] % n_slots
                tokens.append({"host": 1, "delta": delta, "credit": 1})
            else:
                delta = -source.dests[node] % n_slots
                tokens.append(
                    dict(**self._mask(source.core), group=source.group, delta=delta, credit=1)
                )
        return tokens

    def manifest(self) -> dict:
        """Return the host's part."""
        n_slots = self.params.n_slots
        return {
            "params": asdict(self.params),
            "inputs": [
                {
                    "name": port.name,
                    "shape": list(port.shape),
                    "scale": port.scale,
                    "payload_max": port.payload_max,
                    "signed": port.signed,
                    "routes": self.input_routes[port.name],
                }
                for port in self.network.inputs
            ],
            "host_tokens": [
                dict(**self._mask(node.core), group=node.group, delta=delay)
                for node, delay in sorted(
                    self.host_sources, key=lambda pair: (pair[0].core, pair[0].group, pair[1])
                )
            ],
            "n_dests": len(self.host_dests),
            "permit_init": [
                sum(slot < n_slots - delay for delay in self.host_dests.values())
                for slot in range(n_slots)
            ],
            "outputs": [
                {"name": o.name, "population": o.population, "kind": o.kind, "shape": list(o.shape)}
                for o in self.network.outputs
            ],
            "groups": [
                {
                    "core": n.core,
                    "group": n.group,
                    "population": None if n.emit is Emit.PSUM else n.population.name,
                    "neuron_start": n.start,
                    "first": n.first,
                    "count": n.count,
                    "emit": n.emit.name.lower(),
                }
                for n in self.nodes
            ],
            "end_of_step": [
                {"core": n.core, "group": n.group} for n in self.nodes if self._sends_end(n)
            ],
            "populations": [
                {"name": p.name, "n": p.n, "kind": p.kind} for p in self.network.populations
            ],
        }
