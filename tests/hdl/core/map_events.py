"""Edges of a core with feature maps, and what their events add, written from the contract.

``docs/hardware/maps.md``, row by row; it shares no code with the gateware or the compiler.
"""

from itertools import product

from core_scenario import Program, _edge_weight, _random_lists

from talon.arch.memories import EdgeKind, MemoryLayouts
from talon.arch.packet import Kind, PacketLayouts

INDICES = 1 << 16


def place(params, row, slot, slots):
    """Return page, and row in it, of a row of a slot; the row is modulo ``acc_rows``."""
    n_bits = (params.n_slots - 1).bit_length()
    mirrored = int(f"{slot % 2**slots:0{n_bits}b}"[::-1], 2)
    row %= params.acc_rows
    return row // params.n_rows ^ mirrored, row % params.n_rows


class MapEvents:
    """Accumulators of a core by page and row, and the events that add to them."""

    def __init__(self, program, params):
        self.program, self.params = program, params
        self.layouts, self.packets = MemoryLayouts(params), PacketLayouts(params)
        self.counters = dict.fromkeys(("EVENTS", "ROWS", "SOPS"), 0)
        self.seen = set()
        self.reset_sums()

    def reset_sums(self):
        """Clear all accumulators."""
        self.acc = {
            (page, row): [0] * self.params.lanes
            for page in range(self.params.n_slots)
            for row in range(self.params.n_rows)
        }

    def take(self, packet):
        """Add what a SPIKE or PSUM packet adds."""
        kind, f = self.packets.unpack(packet)
        self.counters["EVENTS"] += 1
        if kind is Kind.PSUM:
            slots = (self.params.n_slots - 1).bit_length()  # its slot is taken as it is
            self._one(f["neuron"], f["slot"], slots, f["value"])
            self.seen.add("edge none: partial sum")
            return
        edge = self.layouts.edge.unpack(self.layouts.edge.pack(self.program.edges[f["edge"]]))
        kind = EdgeKind(edge["kind"])
        self.seen |= {f"edge {kind.name}", f"slots {edge['slots']}"}
        {
            EdgeKind.DENSE: self._dense,
            EdgeKind.SPARSE: self._sparse,
            EdgeKind.IDENTITY: self._identity,
            EdgeKind.MAP: self._map,
        }[kind](f, edge)

    def _words(self):
        return 1 << (self.params.weight_words - 1).bit_length()

    def _weights(self, address):
        self.seen.add("address wraps" if address >= self._words() else "address in range")
        word = self.program.weights[address % self._words()]
        size = 1 << self.params.weight_width
        raw = [word >> self.params.weight_width * k & size - 1 for k in range(self.params.lanes)]
        return [number - size if number > self.params.weight_max else number for number in raw]

    def _row(self, row, slot, slots, gains, sops):
        """Add ``gains`` to the lanes of a row."""
        sums = self.acc[place(self.params, row, slot, slots)]
        for lane, gain in enumerate(gains):
            sums[lane] += gain
        self.counters["ROWS"] += 1
        self.counters["SOPS"] += sops
        self.seen.add("row wraps" if row >= self.params.acc_rows else "row in range")

    def _one(self, accumulator, slot, slots, gain):
        lanes = self.params.lanes
        row, lane = divmod(accumulator % self.params.n_accumulators, lanes)
        self._row(row, slot, slots, [gain * (k == lane) for k in range(lanes)], 1)
        self.seen.add("one lane above page 0" if row >= self.params.n_rows else "one lane")

    def _identity(self, f, edge):
        accumulator = (f["index"] + edge["offset"]) % INDICES
        self._one(accumulator, f["slot"], edge["slots"], f["payload"] * edge["weight"])

    def _dense(self, f, edge):
        pages = set()
        for j in range(edge["rows"]):
            weights = self._weights(edge["base"] + f["index"] * edge["rows"] + j)
            gains = [f["payload"] * weight for weight in weights]
            row = edge["row_start"] + j
            sops = sum(weight != 0 for weight in weights)
            self._row(row, f["slot"], edge["slots"], gains, sops)
            pages.add(row // self.params.n_rows)
        if len(pages) > 1:
            self.seen.add("dense rows on two pages")

    def _sparse(self, f, edge):
        per_word = self.params.pointers_per_word
        p = (f["index"] + edge["offset"]) % INDICES
        word = self.program.weights[(edge["base"] + p // per_word) % self._words()]
        pointer = self.layouts.pointer.unpack(word >> 32 * (p % per_word))
        for address in range(pointer["address"], pointer["address"] + pointer["count"]):
            entries = [
                self.layouts.synapse.unpack(self.program.weights[address] >> 16 * k)
                for k in range(self.params.synapses_per_word)
            ]
            for k, synapse in enumerate(entries):
                row = synapse["row"] + edge["row_start"]
                lane = k + synapse["part"] * self.params.synapses_per_word
                at = place(self.params, row, f["slot"], edge["slots"])
                self.acc[at][lane] += f["payload"] * synapse["weight"]
            self.counters["ROWS"] += 1
            self.counters["SOPS"] += sum(synapse["weight"] != 0 for synapse in entries)
            if edge["row_start"]:
                self.seen.add("packed row above page 0")

    def _map(self, f, edge):
        i = (f["index"] + edge["offset"]) % INDICES
        coordinates = {
            "y": i >> edge["y_shift"],
            "x": i % 2 ** edge["y_shift"] >> edge["x_shift"],
            "c": i % 2 ** edge["x_shift"],
        }
        size = 1 << (self.params.n_axis - 1).bit_length()
        y, x, c = (
            self._axis((edge[f"{name}_axis"] + at) % size) for name, at in coordinates.items()
        )
        self._seen_map(edge, coordinates, y, x, c)
        pages = set()
        for j, k, b in product(range(y["count"]), range(x["count"]), range(c["count"])):
            weights = self._weights(
                edge["base"]
                + y["weight"]
                + x["weight"]
                + c["weight"]
                + j * edge["y_weight"]
                + k * edge["x_weight"]
                + b
            )
            row = (
                edge["row_start"]
                + y["row"]
                + x["row"]
                + c["row"]
                + j * edge["y_row"]
                + k * edge["x_row"]
                + b
            )
            gains = [f["payload"] * weight for weight in weights]
            self._row(row, f["slot"], edge["slots"], gains, sum(w != 0 for w in weights))
            pages.add(row % self.params.acc_rows // self.params.n_rows)
        if len(pages) > 1:
            self.seen.add("taps on two pages")

    def _axis(self, address):
        return self.layouts.axis.unpack(self.layouts.axis.pack(self.program.axis[address]))

    def _seen_map(self, edge, coordinates, y, x, c):
        counts = {"y": y["count"], "x": x["count"], "c": c["count"]}
        zero = {name for name, count in counts.items() if count == 0}
        if len(zero) == 1:
            self.seen.add(f"only {min(zero)} without targets")
        if zero:
            return
        many = [name for name, count in counts.items() if count > 1]
        self.seen.add(f"taps along {' '.join(many) or 'none'}")
        self.seen |= {f"long {name}" for name, count in counts.items() if count > 20}
        for name, at in coordinates.items():
            self.seen.add(f"{name} of more than 6 bits" if at > 63 else f"{name} of few bits")
        if edge["x_shift"] > edge["y_shift"]:
            self.seen.add("no x")
        if edge["y_shift"] >= 16:
            self.seen.add("no y")


def random_axis(rng, params):
    """Return the entries of the AXIS memory: short ones, and a long one (20 to 63) at entry 0."""
    layout = MemoryLayouts(params).axis
    largest = {field.name: field.maximum for field in layout.fields}
    entries = [
        {
            "weight": rng.randint(0, largest["weight"]),
            "row": rng.randint(0, largest["row"]),
            "count": rng.choice([0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5]),
        }
        for _ in range(params.n_axis)
    ]
    entries[0]["count"] = rng.randint(20, 63)
    entries[1]["count"] = rng.randint(1, 2)
    return entries


def random_map_edge(rng, params):
    """Return a MAP edge; the indices of events that may be sent on it are any, or one."""
    largest = {field.name: field.maximum for field in MemoryLayouts(params).edge.fields}

    def any_of(name):
        return rng.randint(0, largest[name])

    x_shift, y_shift = sorted(rng.randint(0, 16) for _ in "xy")
    if rng.random() < 0.2:
        x_shift, y_shift = y_shift, x_shift
    names = ("base", "row_start", "y_axis", "x_axis", "c_axis", "offset")
    steps = {
        # Steps that are small, negative, or anything: taps on the same rows, and far apart.
        name: rng.choice([0, 1, 2, largest[name], any_of(name), any_of(name)])
        for name in ("y_weight", "x_weight", "y_row", "x_row")
    }
    edge = {
        "kind": int(EdgeKind.MAP),
        **{name: any_of(name) for name in names},
        **steps,
        "slots": rng.randint(0, (params.n_slots - 1).bit_length()),
        "y_shift": y_shift,
        "x_shift": x_shift,
    }
    if rng.random() < 0.3:  # one entry of 20 to 63, for index 0
        long = rng.choice("yxc")
        edge |= {f"{name}_axis": 0 if name == long else 1 for name in "yxc"}
    return edge


def is_long(edge):
    """Tell whether an edge names the long entry, so that only index 0 is wise."""
    return sorted(edge[f"{name}_axis"] for name in "yxc") == [0, 1, 1]


def random_edges(rng, params):
    """Return a program of edges of all kinds, every weight word filled, and nothing else."""
    program = Program([], [], [], [], [], [], [])
    program.axis = random_axis(rng, params)
    top = (params.n_slots - 1).bit_length()
    for number in range(params.n_edges):
        kind = rng.choice([EdgeKind.MAP, EdgeKind.MAP, *EdgeKind])
        kind = list(EdgeKind)[number] if number < len(EdgeKind) else kind
        edge = {"kind": int(kind), "slots": rng.randint(0, top)}
        if kind is EdgeKind.MAP:
            edge = random_map_edge(rng, params)
        elif kind is EdgeKind.DENSE:
            edge |= {
                "base": rng.randrange(params.weight_words),
                "rows": rng.choice([0, 1, 1, 2, 3, params.n_rows, params.n_rows + 3]),
                "row_start": rng.randrange(params.acc_rows),
                "last_lanes": rng.randint(1, params.lanes),
            }
        elif kind is EdgeKind.SPARSE:
            _random_lists(rng, params, program, number, edge)
            edge["row_start"] = params.n_rows * rng.randrange(params.n_slots)
        else:
            edge |= {"weight": _edge_weight(rng, params), "offset": rng.getrandbits(16)}
        program.edges.append(edge)
    while len(program.weights) < params.weight_words:
        density = rng.choice([0, 0.5, 1])
        width = params.weight_width
        raw = [rng.getrandbits(width) * (rng.random() < density) for _ in range(params.lanes)]
        program.weights.append(sum(number << width * lane for lane, number in enumerate(raw)))
    return program


def random_event(rng, program, params, slot, masks, number=None):
    """Return a packet for any edge (or edge ``number``), or a partial sum."""
    packets = PacketLayouts(params)
    if number is None and rng.random() < 0.1:
        return packets.pack(
            Kind.PSUM,
            **masks,
            slot=slot,
            neuron=rng.randrange(params.n_accumulators),
            value=rng.randint(-(1 << 23), (1 << 23) - 1),
        )
    number = rng.randrange(params.n_edges) if number is None else number
    edge = program.edges[number]
    index = rng.getrandbits(16)
    if edge["kind"] == EdgeKind.SPARSE:
        n_lists, first = program.pointers[number]
        index = first + rng.randrange(n_lists)
    elif edge["kind"] == EdgeKind.MAP and is_long(edge):
        index = -edge["offset"] % INDICES
    return packets.pack(
        Kind.SPIKE,
        **masks,
        slot=slot,
        edge=number,
        index=index,
        payload=rng.choice([1, 1, 1, -255, 255, rng.randint(-255, 255)]),
    )
