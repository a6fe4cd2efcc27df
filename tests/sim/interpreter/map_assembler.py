"""An assembler of feature maps for tests, written from ``docs/hardware/maps.md`` and nothing else.

Layers are cut into tiles at random; every tile is a group, at random places of the accumulator
memory, with strides and slots of its own. Nothing is shared with the compiler.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from talon.arch import numerics
from talon.arch.memories import EdgeKind, Emit, Memory, MemoryLayouts
from talon.arch.params import ArrayParams, bits_for
from talon.compiler.kernel import Kernel

HOST = "host"
EMITS = {"spike": Emit.SPIKE, "graded": Emit.GRADED, "readout": Emit.READOUT}


class TooSmallError(Exception):
    """The places that the dice chose for the groups do not suffice."""


@dataclass(eq=False)
class Source:
    """Synapses into a layer: a kernel from what another layer, or an input, sends."""

    name: str
    kernel: Kernel
    delay: int = 0
    form: str = "map"
    through_sums: bool = False


@dataclass(eq=False)
class Layer:
    """A population (C, H, W); its parameters are one for each channel."""

    name: str
    shape: tuple[int, int, int]
    kind: str
    records: list[dict[str, int]]
    sources: list[Source]
    frac: int = 0
    pool: tuple[str, int, int] | None = None
    once: bool = False
    hold: bool = False
    linear: bool = False

    @property
    def sent_shape(self):
        c, h, w = self.shape
        return self.shape if self.pool is None else (c, h // self.pool[1], w // self.pool[2])


@dataclass(eq=False)
class Input:
    """An input (C, H, W), or a linear one (C, 1, 1)."""

    name: str
    shape: tuple[int, int, int]
    payload_max: int
    signed: bool = False
    once: bool = False
    linear: bool = False

    @property
    def sent_shape(self):
        return self.shape


@dataclass(eq=False)
class Tile:
    """A group: a box of a layer, or partial sums for such a group (``sums_for``)."""

    layer: Layer
    box: tuple[tuple[int, int], ...]  # half open, of channels, rows, columns
    core: int
    group: int
    slots: int
    row_start: int
    strides: tuple[int, int]  # of rows and columns
    record_start: int
    sums_for: Tile | None = None
    sources: set = field(default_factory=set)
    dests: dict = field(default_factory=dict)
    routes: list = field(default_factory=list)

    @property
    def sizes(self):
        return tuple(b - a for a, b in self.box)

    def n_c(self, lanes):
        return -(-self.sizes[0] // lanes)

    @property
    def window(self):
        pooled = self.layer.pool is not None and self.sums_for is None
        return self.layer.pool[1:] if pooled else (1, 1)


class Assembler:
    """Memories and manifest of layers on an array with feature maps."""

    def __init__(self, params: ArrayParams, inputs, layers, outputs, rng, *, cut=0.5):
        self.params, self.rng, self.layouts = params, rng, MemoryLayouts(params)
        self.inputs = {port.name: port for port in inputs}
        self.layers = {layer.name: layer for layer in layers}
        self.outputs, self.cut = outputs, cut
        self.used = [np.zeros((params.n_slots, params.n_rows), bool) for _ in range(params.n_cores)]
        self.records = [[] for _ in range(params.n_cores)]
        self.words = [[] for _ in range(params.n_cores)]
        self.axis = [[] for _ in range(params.n_cores)]
        self.edges = [[] for _ in range(params.n_cores)]
        self.all: list[Tile] = []
        self.host_dests, self.host_sources = {}, set()
        self.input_routes = {name: [] for name in self.inputs}
        self.tiles = {layer.name: self._tiles(layer) for layer in layers}
        for name in outputs:
            for tile in self.tiles[name]:
                if tile.layer.kind != "readout":
                    tile.routes.append({"host": 1, "first": 0, "last": 0xFFFF})
        for layer in layers:
            for source in layer.sources:
                for tile in self.tiles[layer.name]:
                    self._project(source, tile)
        for tile in self.all:
            if all(delay > 0 for _, delay in tile.sources):
                self._link(HOST, tile, 0)

    # Places

    def _tiles(self, layer):
        cuts = []
        cut = 0.9 if layer.kind == "spike" else self.cut  # whose rows are few
        steps = (self.params.lanes, *(layer.pool[1:] if layer.pool else (1, 1)))
        for size, step in zip(layer.shape, steps, strict=True):
            points = [p for p in range(step, size, step) if self.rng.random() < cut / 2]
            edges = [0, *points[:1], size]
            cuts.append(list(pairwise(edges)))
        boxes = [(c, y, x) for c in cuts[0] for y in cuts[1] for x in cuts[2]]
        return [self._place(layer, box) for box in boxes]

    def _place(self, layer, box, sums_for=None):
        """Return a tile at a random place that is free."""
        lanes, n_slots = self.params.lanes, self.params.n_slots
        state = layer.kind in ("spike", "readout") and sums_for is None
        n_c, n_y, n_x = (b - a for a, b in box)
        rows_of_pixel = -(-n_c // lanes)
        d = max((source.delay for source in layer.sources), default=0)
        cores = [c for c in range(self.params.n_cores) if self._groups(c) < self.params.n_groups]
        for _ in range(400 if cores else 0):
            core = int(self.rng.choice(cores))
            group = self._groups(core)
            slots = int(self.rng.integers(bits_for(d + 1) if d else 0, bits_for(n_slots) + 1))
            if sums_for is not None:
                slots = sums_for.slots
            pad = int(self.rng.integers(0, 2)) if self.rng.random() < 0.3 else 0
            column = rows_of_pixel + pad
            strides = (column * n_x, column) if self.rng.random() < 0.7 else (column, column * n_y)
            y, x, b = np.meshgrid(*map(np.arange, (n_y, n_x, rows_of_pixel)), indexing="ij")
            rows = (y * strides[0] + x * strides[1] + b).reshape(-1)
            limit = self.params.n_rows if state else self.params.acc_rows >> slots
            limit = min(limit, self.params.acc_rows >> slots)
            if rows.max() >= limit:
                continue
            start = int(self.rng.integers(0, limit - rows.max()))
            pages, inner = self.memory(rows + start, slots)
            records = len(self.records[core])
            if self.used[core][pages, inner].any() or (
                records + rows_of_pixel * lanes > self.params.n_neurons
            ):
                continue
            self.used[core][pages, inner] = True
            self.records[core] += self._records_of(layer, box[0], rows_of_pixel, sums_for)
            place = (core, group, slots, start, strides, records // lanes)
            tile = Tile(layer, box, *place, sums_for)
            self.all.append(tile)
            return tile
        raise TooSmallError(f"no room for {rows_of_pixel * n_y * n_x} rows of layer {layer.name!r}")

    def _groups(self, core):
        return sum(tile.core == core for tile in self.all)

    def memory(self, rows, slots):
        """Return pages and rows in the memory of some rows in all slots of a group."""
        width = self.params.n_slots.bit_length() - 1
        mirrored = [int(f"{s:0{width}b}"[::-1], 2) for s in range(1 << slots)]
        pages = rows[:, None] // self.params.n_rows ^ np.array(mirrored)
        return pages, np.broadcast_to(rows[:, None] % self.params.n_rows, pages.shape)

    def _records_of(self, layer, channels, n_rows, sums_for):
        silent = {"threshold": numerics.V_MAX, "strict": 1}
        records = [silent] * (n_rows * self.params.lanes)
        for i, channel in enumerate(range(*channels)) if sums_for is None else ():
            record = layer.records[channel]
            records[i] = {**record, **silent} if layer.kind == "readout" else record
        return records

    # Synapses

    def shifts(self, sender):
        c, _, w = sender.sent_shape
        if sender.linear:
            return 16, 16
        x = bits_for(c)
        return x + bits_for(w), x

    def _link(self, source, target, delay):
        target.sources.add((source, delay))
        dests = self.host_dests if source is HOST else source.dests
        dests[target] = max(dests.get(target, 0), delay)
        if source is HOST:
            self.host_sources.add((target, delay))

    def _project(self, source, target):
        via, late = target, 0
        if source.through_sums:
            late = int(self.rng.integers(0, source.delay + 1))
            via = self._place(target.layer, target.box, target)
            # The position of a partial sum is the accumulator of its target, from its first on.
            to = self._mask(target.core)
            start = target.row_start * self.params.lanes
            via.routes.append({**to, "delay": late, "offset": start, "first": 0, "last": 0xFFFF})
            self._link(via, target, late)
        early = source.delay - late
        sender = self.inputs.get(source.name) or self.layers[source.name]
        shift = int(self.rng.integers(0, 9))
        edge = self._edge(source, sender, via, shift)
        to = {**self._mask(via.core), "edge": edge, "delay": early}
        ys, xs = self.shifts(sender)
        if source.name in self.inputs:
            self._link(HOST, via, early)
            route = dict(to, offset=shift, y_shift=ys, x_shift=xs)
            for axis, size in zip(("channels", "rows", "columns"), sender.shape, strict=True):
                route[axis] = [0, size - 1]
            if sender.linear and self.rng.random() < 0.5:
                route = dict(to, offset=shift, first=0, last=sender.shape[0] - 1)
            self.input_routes[source.name].append(route)
            return
        for tile in self.tiles[source.name]:
            self._link(tile, via, early)
            (c, _), (y, _), (x, _) = tile.box
            y, x = y // tile.window[0], x // tile.window[1]
            code = (y << ys) + (x << xs) + c
            tile.routes.append(dict(to, offset=code + shift & 0xFFFF, first=0, last=0xFFFF))

    def _mask(self, core):
        x, y = self.params.position(core)
        return {"xmask": 1 << x, "ymask": 1 << y}

    def _edge(self, source, sender, via, shift):
        core = via.core
        values = {"slots": via.slots, "offset": -shift & 0xFFFF}
        if source.form == "map":
            values.update(self._map(source.kernel, sender, via))
        else:
            block = source.kernel.taps[0, 0][:, slice(*via.box[0])].T  # (targets, sources)
            values.update(getattr(self, f"_{source.form}")(block, via, shift))
        self.edges[core].append(values)
        assert len(self.edges[core]) <= self.params.n_edges
        assert len(self.words[core]) <= self.params.weight_words
        return len(self.edges[core]) - 1

    def _dense(self, block, via, shift):
        lanes, rows = self.params.lanes, via.n_c(self.params.lanes)
        base = len(self.words[via.core])
        padded = np.zeros((block.shape[1], rows * lanes), np.int8)
        padded[:, : len(block)] = block.T
        self.words[via.core] += list(padded.reshape(-1, lanes))
        return {
            "kind": EdgeKind.DENSE,
            "base": (base - shift * rows) % (1 << bits_for(self.params.weight_words)),
            "rows": rows,
            "row_start": via.row_start,
            "last_lanes": len(block) - (rows - 1) * lanes,
        }

    def _identity(self, block, via, shift):
        constant = int(block[np.nonzero(block)][0])
        start = via.row_start * self.params.lanes
        return {"kind": EdgeKind.IDENTITY, "weight": constant, "offset": start - shift & 0xFFFF}

    def _sparse(self, block, via, shift):
        lanes, words = self.params.lanes, self.words[via.core]
        n_rows, base = self.params.n_rows, len(words)
        page, first = divmod(via.row_start, n_rows)
        pointers, packed = [], []
        start = base + -(-block.shape[1] // (lanes // 4))
        for column in block.T:
            targets = np.flatnonzero(column)
            pointers.append(start + len(packed) | len(targets) << 16)
            for target in targets.tolist():  # one synapse a word: simple, and allowed
                row, lane = first + target // lanes, target % lanes
                if row >= n_rows:
                    raise TooSmallError("a SPARSE edge reaches one page of rows")
                word = np.zeros(lanes // 2, "<u2")
                word[lane % (lanes // 2)] = self.layouts.synapse.pack(
                    {"weight": int(column[target]), "row": row, "part": lane // (lanes // 2)}
                )
                packed.append(word.view(np.int8))
        pointers += [0] * (-len(pointers) % (lanes // 4))
        words += list(np.array(pointers, "<u4").view(np.int8).reshape(-1, lanes))
        words += packed
        return {"kind": EdgeKind.SPARSE, "base": base, "row_start": page * n_rows}

    def _map(self, kernel, sender, via):
        (c0, c1), rows, columns = via.box
        core, lanes, n_c = via.core, self.params.lanes, via.n_c(self.params.lanes)
        n_in = kernel.taps.shape[2]
        taps = np.zeros((*kernel.taps.shape[:3], n_c * lanes), np.int8)
        taps[..., : c1 - c0] = kernel.taps[..., c0:c1]
        taps = taps.reshape(*taps.shape[:3], n_c, lanes)
        blocks, c_entries = {}, []
        size = 0
        for c in range(n_in):  # only rows with weights, and equal ones once
            live = np.flatnonzero(taps[:, :, c].any(axis=(0, 1, 3)))
            low, high = (int(live[0]), int(live[-1]) + 1) if len(live) else (0, 0)
            block = taps[:, :, c, low:high]
            key = block.tobytes()
            if key not in blocks:
                blocks[key] = (size, block)
                size += high - low
            c_entries.append({"weight": blocks[key][0], "row": low, "count": high - low})
        stored = np.zeros((*taps.shape[:2], size, lanes), np.int8)
        for at, block in blocks.values():
            stored[:, :, at : at + block.shape[2]] = block
        base = len(self.words[core])
        self.words[core] += list(stored.reshape(-1, lanes))
        width = 1 << bits_for(self.params.weight_words)
        wide = kernel.taps.shape[1] * size
        y, y_weight, y_row = self._along(kernel.rows, rows, wide, via.strides[0])
        x, x_weight, x_row = self._along(kernel.columns, columns, size, via.strides[1])
        ys, xs = self.shifts(sender)
        # What a table has too much, the edge has too little: all sums wrap.
        more, rows_more = (
            int(self.rng.integers(width)),
            int(self.rng.integers(self.params.acc_rows)),
        )
        for entry in y:
            entry["weight"] = (entry["weight"] + more) % width
            entry["row"] = (entry["row"] + rows_more) % self.params.acc_rows
        return {
            "kind": EdgeKind.MAP,
            "base": (base - more) % width,
            "row_start": (via.row_start - rows_more) % self.params.acc_rows,
            "y_shift": ys,
            "x_shift": xs,
            "y_axis": self._table(core, y),
            "x_axis": self._table(core, x),
            "c_axis": self._table(core, c_entries),
            "y_weight": y_weight % width,
            "x_weight": x_weight % width,
            "y_row": y_row % self.params.acc_rows,
            "x_row": x_row % self.params.acc_rows,
        }

    def _along(self, relation, target, weight, stride):
        """Return entries of one axis, and the steps of weight and row from tap to tap."""
        entries, steps = [], set()
        for source in range(relation.shape[1]):
            hits = [p for p in range(*target) if relation[p, source] >= 0]
            taps = [int(relation[p, source]) for p in hits]
            both = pairwise(zip(hits, taps, strict=True))
            steps |= {(q - p, after - before) for (p, before), (q, after) in both}
            first = (hits[0] - target[0], taps[0]) if hits else (0, 0)
            entries.append(
                {"weight": first[1] * weight, "row": first[0] * stride, "count": len(hits)}
            )
        assert len(steps) <= 1, "the kernel of the test must step evenly"
        ((p, k),) = steps or {(0, 0)}
        return entries, k * weight, p * stride

    def _table(self, core, entries):
        table = self.axis[core]
        for start in range(len(table) - len(entries) + 1):  # equal tables stand once
            if table[start : start + len(entries)] == entries:
                return start
        table += entries
        assert len(table) <= self.params.n_axis
        return len(table) - len(entries)

    # Tables

    def memories(self):
        """Return the words of all cores that hold a group."""
        return {core: self._core(core) for core in sorted({tile.core for tile in self.all})}

    def _core(self, core):
        params = self.params
        tables = {memory: [] for memory in self.layouts.of_memory}
        tables[Memory.GROUP] = [{} for _ in range(params.n_groups)]
        tables[Memory.INIT] = [{} for _ in range(params.n_groups * params.n_slots)]
        tables[Memory.RECORD], tables[Memory.EDGE] = self.records[core], self.edges[core]
        tables[Memory.AXIS] = self.axis[core]
        for tile in self.all:
            if tile.core == core:
                self._fill(tile, tables)
        words = {
            memory: np.array(
                [w for e in table or [{}] for w in self.layouts.of_memory[memory].to_words(e)],
                np.uint32,
            )
            for memory, table in tables.items()
        }
        weights = np.array(self.words[core] or [np.zeros(params.lanes, np.int8)], np.int8)
        words[Memory.WEIGHT] = np.ascontiguousarray(weights).view("<u4").reshape(-1)
        return words

    def _fill(self, tile, tables):
        n_slots, tokens = self.params.n_slots, self._tokens(tile)
        tables[Memory.GROUP][tile.group] = {
            **self.scan(tile),
            "frac": 0 if tile.sums_for else tile.layer.frac,
            "slots": tile.slots,
            "once": tile.layer.once,
            "hold": tile.layer.hold and not tile.sums_for,
            "pool_sum": bool(tile.window != (1, 1) and tile.layer.pool[0] == "sum"),
            "record_start": tile.record_start,
            "emit": Emit.PSUM if tile.sums_for else EMITS[tile.layer.kind],
            "route_start": len(tables[Memory.ROUTE]),
            "n_routes": len(tile.routes),
            "token_start": len(tables[Memory.TOKEN]),
            "n_tokens": len(tokens),
            "n_sources": len(tile.sources),
            "n_dests": len(tile.dests),
        }
        tables[Memory.ROUTE] += tile.routes
        tables[Memory.TOKEN] += tokens
        for slot in range(n_slots):
            tables[Memory.INIT][tile.group * n_slots + slot] = {
                "sources": sum(delay > slot for _, delay in tile.sources),
                "dests": sum(slot < (1 << to.slots) - d for to, d in tile.dests.items()),
            }

    def scan(self, tile):
        """Return the fields of the five loops, from the rows that they must visit."""
        lanes, n_c = self.params.lanes, tile.n_c(self.params.lanes)
        (c, h, w), (py, px) = tile.sizes, tile.window
        sizes = (h // py, w // px, n_c, py, px)
        y, x, b, j, i = np.indices(sizes)
        rows = (y * py + j) * tile.strides[0] + (x * px + i) * tile.strides[1] + b
        if tile.sums_for is not None:
            target = tile.sums_for.strides
            position = ((y * target[0] + x * target[1] + b) * lanes)[..., 0, 0]
        else:
            ys, xs = self.shifts(tile.layer)
            position = ((y << ys) + (x << xs) + b * lanes)[..., 0, 0]
        ends = [tuple(n - 1 for n in sizes[k + 1 :]) for k in range(5)]
        steps, gains = [], []
        for k, size in enumerate(sizes):  # from the end of the inner loops to their beginning
            before, after = (0,) * (k + 1) + ends[k], (0,) * k + (1,) + (0,) * (4 - k)
            steps.append(int(rows[after] - rows[before]) if size > 1 else 0)
            if k < 3:
                gain = int(position[after[:3]] - position[before[:3]]) if size > 1 else 0
                gains.append(gain)
        assert sizes[2] == 1 or gains[2] == lanes
        names = ("y_step", "x_step", "c_step", "pool_y_step", "pool_x_step")
        return {
            "row_start": tile.row_start,
            **dict(zip(("n_y", "n_x", "n_c", "pool_y", "pool_x"), sizes, strict=True)),
            "last_lanes": c - (n_c - 1) * lanes,
            **{n: step % self.params.acc_rows for n, step in zip(names, steps, strict=True)},
            "y_index": gains[0] & 0xFFFF,
            "x_index": gains[1] & 0xFFFF,
        }

    def _sends_end(self, tile):
        to_host = tile.layer.name in self.outputs and tile.sums_for is None
        return to_host or not any((tile, 0) in other.sources for other in self.all)

    def _tokens(self, tile):
        n_slots = self.params.n_slots
        tokens = [
            dict(self._mask(to.core), group=to.group, delta=delay)
            for to in self.all
            for source, delay in sorted(to.sources, key=lambda pair: pair[1])
            if source is tile
        ]
        tokens += [{"host": 1}] if self._sends_end(tile) else []
        for source in dict.fromkeys(source for source, _ in tile.sources):
            dests = self.host_dests if source is HOST else source.dests
            delta = ((1 << tile.slots) - dests[tile]) % n_slots
            to = (
                {"host": 1} if source is HOST else self._mask(source.core) | {"group": source.group}
            )
            tokens.append(dict(to, delta=delta, credit=1))
        return tokens

    def manifest(self):
        """Return the host's part."""
        order = sorted(self.host_sources, key=lambda p: (p[0].core, p[0].group, p[1]))
        return {
            "params": self.params.facts(),
            "inputs": [
                {
                    "name": port.name,
                    "shape": [port.shape[0]] if port.linear else list(port.shape),
                    "scale": 1.0,
                    "payload_max": port.payload_max,
                    "signed": port.signed,
                    "routes": self.input_routes[port.name],
                    **({"once": True} if port.once else {}),
                }
                for port in self.inputs.values()
            ],
            "host_tokens": [dict(self._mask(t.core), group=t.group, delta=d) for t, d in order],
            "n_dests": len(self.host_dests),
            "permit_init": [
                sum(slot < (1 << to.slots) - d for to, d in self.host_dests.items())
                for slot in range(self.params.n_slots)
            ],
            "outputs": [
                {
                    "name": f"{name} out",
                    "population": name,
                    "kind": self.layers[name].kind,
                    "shape": list(self.layers[name].sent_shape),
                }
                for name in self.outputs
            ],
            "groups": [self._group(tile) for tile in self.all],
            "end_of_step": [
                {"core": t.core, "group": t.group} for t in self.all if self._sends_end(t)
            ],
            "populations": [
                {
                    "name": layer.name,
                    "n": int(np.prod(layer.shape)),
                    "shape": [layer.shape[0]] if layer.linear else list(layer.shape),
                    "kind": layer.kind,
                    "pool": None if layer.pool is None else list(layer.pool),
                    "once": layer.once,
                }
                for layer in self.layers.values()
            ],
        }

    def _group(self, tile):
        ranges = [[a, b - 1] for a, b in tile.box]
        return {
            "core": tile.core,
            "group": tile.group,
            "population": None if tile.sums_for else tile.layer.name,
            "emit": "psum" if tile.sums_for else tile.layer.kind,
            "tile": {
                **dict(zip(("channels", "rows", "columns"), ranges, strict=True)),
                "row_start": tile.row_start,
                "row_stride": tile.strides[0],
                "column_stride": tile.strides[1],
            },
        }
