"""Random programs for one core, stimulus for them, and what the contract says must come out.

Written from ``docs/hardware/array.md`` and :mod:`talon.arch`, packet by packet and neuron by
neuron; it shares no code with the gateware, the interpreter or the golden model.
"""

from dataclasses import dataclass, field
from zlib import crc32

from talon.arch import numerics
from talon.arch.memories import (
    EdgeKind,
    Emit,
    Memory,
    MemoryLayouts,
    Reset,
    loaded,
    resets,
)
from talon.arch.packet import ConfigOp, Kind, PacketLayouts


@dataclass
class Program:
    """Memories of a core as entries (dictionaries of fields); weights as words."""

    weights: list
    records: list
    edges: list
    groups: list
    routes: list
    tokens: list
    init: list
    pointers: dict = field(default_factory=dict)  # edge: number of pointers
    axis: list = field(default_factory=list)  # with feature maps
    tables: list = field(default_factory=list)  # payloads of graded groups


def random_reset_rows(rng, program, params):
    """Return how many rows a reset is to go over: all (0), or at least those in use."""
    used = 0
    for number, group in enumerate(program.groups):
        if group.get("n_neurons"):
            end = group["row_start"] + (group["n_neurons"] - 1) // params.lanes + 1
            used = max(used, end, number + 1)
    return rng.choice([0, used, used, min(used + 1, params.n_rows)]) % params.n_rows


def sections(program, params):
    """Return the 32-bit words of each memory."""
    layouts = MemoryLayouts(params)
    words = {
        Memory.WEIGHT: [
            (word >> (32 * k)) & 0xFFFF_FFFF
            for word in program.weights
            for k in range(params.pointers_per_word)
        ]
    }
    payloads = [{"payload": payload} for payload in program.tables]
    for memory, entries in (
        (Memory.RECORD, program.records),
        (Memory.EDGE, program.edges),
        (Memory.GROUP, program.groups),
        (Memory.ROUTE, program.routes),
        (Memory.TOKEN, program.tokens),
        (Memory.INIT, program.init),
        *(((Memory.AXIS, program.axis),) if params.has_maps else ()),
        *(((Memory.TABLE, payloads),) if params.table_activation else ()),
    ):
        layout = layouts.of_memory[memory]
        words[memory] = [w for entry in entries for w in layout.to_words(entry)]
    return words


def crc(memory, words):
    """Return the CRC-32 of a section and of the SELECT before it."""
    return crc32(b"".join(word.to_bytes(4, "little") for word in (memory << 28, *words)))


def config(params, op, value, *, xmask, ymask):
    """Return one CONFIG packet."""
    return PacketLayouts(params).pack(
        Kind.CONFIG, xmask=xmask, ymask=ymask, op=int(op), data=value & 0xFFFF_FFFF
    )


def load_packets(params, words, masks):
    """Return the packets that load all sections and arm the core."""
    packets = [config(params, ConfigOp.DISARM, 0, **masks)]
    for memory in loaded(params):
        packets.append(config(params, ConfigOp.SELECT, memory << 28, **masks))
        packets += [config(params, ConfigOp.WRITE, word, **masks) for word in words[memory]]
        packets.append(config(params, ConfigOp.COMMIT, crc(memory, words[memory]), **masks))
    packets.append(config(params, ConfigOp.ARM, params.hardware_hash, **masks))
    return packets


def _edge_weight(rng, params):
    most = params.weight_max
    return rng.choice([0, 1, -most, most, rng.randint(-most, most)])


def _potential(rng):
    return rng.choice(
        [
            0,
            1,
            -1,
            numerics.V_MIN,
            numerics.V_MAX,
            rng.randint(-500, 500),
            rng.randint(-(1 << 20), 1 << 20),
        ]
    )


def random_program(rng, params, n_words=256):
    """Return a program that uses every edge kind, emission and reset mode there is.

    DENSE edges lie in the first ``n_words`` words of the weight memory, SPARSE ones behind them.
    """
    layouts = MemoryLayouts(params)
    program = Program([], [], [], [], [], [], [])
    _random_groups(rng, params, program)
    program.weights = [rng.getrandbits(8 * params.word_bytes) for _ in range(n_words)]
    for i in rng.sample(range(n_words), n_words // 8):
        program.weights[i] = 0
    for number in range(params.n_edges):
        kind = EdgeKind(number % 3)
        edge = {"kind": int(kind)}
        if kind is EdgeKind.DENSE:
            # Many edges of one or two rows: these come back to an accumulator soonest.
            rows = min(rng.choice([0, 1, 1, 1, 2, 2, 3, params.n_rows]), params.n_rows)
            edge |= {
                "base": rng.randrange(n_words - 100),
                "rows": rows,
                "row_start": rng.randint(0, params.n_rows - rows) % params.n_rows,
                "last_lanes": rng.randint(1, params.lanes),
            }
        elif kind is EdgeKind.SPARSE:
            _random_lists(rng, params, program, number, edge)
        else:
            edge |= {"weight": _edge_weight(rng, params), "offset": rng.getrandbits(16)}
        program.edges.append(edge)
        assert layouts.edge.pack(edge) >= 0
    return program


def _random_lists(rng, params, program, number, edge):
    """Append pointers and packed words; some lists are empty, some pointers are unaligned."""
    layouts, per_word = MemoryLayouts(params), params.pointers_per_word
    n_lists = rng.randint(1, 3 * per_word)
    shift = rng.randrange(2 * per_word)  # offset of the edge, modulo 2^16
    base = len(program.weights)
    n_pointer_words = -(-(n_lists + shift) // per_word)
    pointers = [0] * (n_pointer_words * per_word)
    lists = []
    address = base + n_pointer_words
    for i in range(n_lists):
        count = rng.choice([0, 1, 1, 2, 5])
        pointers[shift + i] = layouts.pointer.pack({"address": address, "count": count})
        for _ in range(count):
            word = 0
            for k in range(params.synapses_per_word):
                entry = {
                    "weight": rng.choice([0, rng.randint(-params.weight_max, params.weight_max)]),
                    "row": rng.randrange(params.n_rows),
                    "part": rng.randrange(params.lanes // params.synapses_per_word),
                }
                word |= layouts.synapse.pack(entry) << (16 * k)
            lists.append(word)
        address += count
    for w in range(n_pointer_words):
        program.weights.append(sum(pointers[w * per_word + k] << (32 * k) for k in range(per_word)))
    program.weights += lists
    negative = rng.random() < 0.5  # the sum of index and offset wraps
    edge |= {"base": base, "offset": shift}
    program.pointers[number] = (n_lists, 0)
    if negative:
        edge["offset"] = (shift - 7) & 0xFFFF
        program.pointers[number] = (n_lists, 7)


def _random_record(rng, params, emit):
    if emit is Emit.PSUM:
        return {"threshold": 0, "reset": int(Reset.NONE)}
    return {
        **(_random_current(rng) if params.synaptic_current else {}),
        "threshold": _potential(rng),
        "bias": _potential(rng) // 4,
        "v_reset": _potential(rng),
        "decay": rng.choice([0, 0xFFFF, rng.getrandbits(16)]),
        "no_leak": rng.getrandbits(1),
        "reset": int(rng.choice(resets(params))),
        "reset_next": rng.getrandbits(1),
        "strict": rng.getrandbits(1),
        **(_doubling(rng) if params.double_threshold and rng.random() < 0.4 else {}),
    }


def _doubling(rng):
    """Return what makes it likely that a threshold is passed twice over, or a second time."""
    return {
        "threshold": rng.randint(1, 800),
        "bias": rng.randint(-300, 900),
        "no_leak": 1,
        "reset": int(Reset.DOUBLE),
        "reset_next": 0,
    }


def _random_current(rng):
    return {
        "i_bias": rng.choice([0, _potential(rng) // 4]),
        "i_decay": rng.choice([0, 0xFFFF, rng.getrandbits(16)]),
        "i_no_leak": int(rng.random() < 0.2),
        "has_current": rng.getrandbits(1),
    }


def _random_groups(rng, params, program):
    layouts = MemoryLayouts(params)
    # Some leave rows unused.
    end = rng.choice([params.n_rows, *(rng.randint(2, params.n_rows) for _ in range(3))])
    numbers = list(range(min(params.n_groups, end) if end < params.n_rows else params.n_groups))
    rng.shuffle(numbers)
    used = numbers[: rng.randint(2, len(numbers))]
    cuts = sorted(rng.sample(range(1, end), min(len(used), end) - 1))
    bounds = list(zip([0, *cuts], [*cuts, end], strict=True))
    program.groups = [{} for _ in range(params.n_groups)]
    program.records = [{} for _ in range(params.n_neurons)]
    program.init = [{} for _ in range(params.n_groups * params.n_slots)]
    emits = list(Emit)
    for i, (number, (start, stop)) in enumerate(zip(used, bounds, strict=False)):
        emit = emits[i % 3] if i else Emit.SPIKE
        size = (stop - start) * params.lanes
        n_neurons = rng.choice([size, size - rng.randrange(params.lanes)])
        routes = _random_routes(rng, params, emit, start * params.lanes, n_neurons)
        tokens = _random_tokens(rng, params, number)
        if len(program.routes) + len(routes) > params.n_routes:
            routes = []
        program.groups[number] = {
            "row_start": start,
            "n_neurons": n_neurons,
            "frac": 0 if emit is Emit.PSUM else rng.randrange(8),
            "emit": int(emit),
            "route_start": len(program.routes) if routes else 0,
            "n_routes": len(routes),
            "token_start": len(program.tokens),
            "n_tokens": len(tokens),
            "n_sources": rng.randint(1, 3),
            "n_dests": rng.randint(0, 2),
        }
        program.routes += routes
        program.tokens += tokens
        for slot in range(params.n_slots):
            program.init[number * params.n_slots + slot] = {
                "sources": rng.randint(0, program.groups[number]["n_sources"] - 1),
                "dests": rng.randint(0, program.groups[number]["n_dests"]),
            }
        for neuron in range(start * params.lanes, stop * params.lanes):
            program.records[neuron] = _random_record(rng, params, emit)
        assert layouts.group.pack(program.groups[number])


def _random_routes(rng, params, emit, first, n_neurons):
    routes = []
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        low = rng.randint(first, first + n_neurons - 1)
        high = rng.randint(low, first + n_neurons - 1)
        everything = rng.random() < 0.5
        host = emit is Emit.SPIKE and rng.random() < 0.3
        routes.append(
            {
                "host": int(host),
                "xmask": rng.getrandbits(params.columns),
                "ymask": rng.getrandbits(params.rows),
                "edge": rng.randrange(params.n_edges),
                "delay": rng.randrange(params.n_slots),
                "offset": rng.getrandbits(16),
                "first": first if everything else low,
                "last": first + n_neurons - 1 if everything else high,
            }
        )
    return routes


def _random_tokens(rng, params, number):
    """Return tokens; the last, END_OF_STEP to the host, ends the block of a group in the output."""
    tokens = [
        {
            "host": rng.getrandbits(1),
            "xmask": rng.getrandbits(params.columns),
            "ymask": rng.getrandbits(params.rows),
            "group": rng.randrange(params.n_groups),
            "delta": rng.randrange(params.n_slots),
            "credit": 1,
        }
        for _ in range(rng.randint(0, 2))
    ]
    return [*tokens, {"host": 1, "group": number}]


class Reference:
    """What one core must do, by the contract."""

    def __init__(self, program, params, core):
        self.program, self.params, self.core = program, params, core
        self.layouts, self.packets = MemoryLayouts(params), PacketLayouts(params)
        self.counters = dict.fromkeys(
            ("EVENTS", "ROWS", "SOPS", "SPIKES", "UPDATES", "SATURATIONS"), 0
        )
        self.seen = set()  # of what records and updates may have
        self.reset()

    def reset(self):
        """Reset potentials, currents, accumulators and timesteps."""
        self.v = [0] * self.params.n_neurons
        self.i = [0] * self.params.n_neurons
        self.acc = [[0] * self.params.n_neurons for _ in range(self.params.n_slots)]
        self.step = dict.fromkeys(self.used_groups(), 0)

    def used_groups(self):
        """Return the numbers of groups with neurons."""
        return [i for i, g in enumerate(self.program.groups) if g.get("n_neurons")]

    def take(self, packet):
        """Add the synapses of a SPIKE or PSUM packet."""
        kind, f = self.packets.unpack(packet)
        self.counters["EVENTS"] += 1
        if kind is Kind.PSUM:
            self._gain(f["slot"], f["neuron"], f["value"])
            self._count(1, 1)
            return
        edge = self.layouts.edge.unpack(self.layouts.edge.pack(self.program.edges[f["edge"]]))
        handler = {
            EdgeKind.DENSE: self._dense,
            EdgeKind.SPARSE: self._sparse,
            EdgeKind.IDENTITY: self._identity,
        }
        handler[EdgeKind(edge["kind"])](f, edge)

    def _gain(self, slot, neuron, value):
        self.acc[slot][neuron] += value

    def _count(self, rows, sops):
        self.counters["ROWS"] += rows
        self.counters["SOPS"] += sops

    def _weight(self, word, lane):
        width = self.params.weight_width
        raw = (self.program.weights[word] >> (width * lane)) % (1 << width)
        return raw - (1 << width) if raw > self.params.weight_max else raw

    def _dense(self, f, edge):
        lanes = self.params.lanes
        for j in range(edge["rows"]):
            word = edge["base"] + f["index"] * edge["rows"] + j
            for lane in range(lanes):
                neuron = (edge["row_start"] + j) * lanes + lane
                self._gain(f["slot"], neuron, f["payload"] * self._weight(word, lane))
            self._count(1, edge["last_lanes"] if j == edge["rows"] - 1 else lanes)

    def _sparse(self, f, edge):
        lanes, per_word = self.params.lanes, self.params.pointers_per_word
        p = (f["index"] + edge["offset"]) % (1 << 16)
        word = self.program.weights[edge["base"] + p // per_word]
        pointer = self.layouts.pointer.unpack(word >> (32 * (p % per_word)))
        for address in range(pointer["address"], pointer["address"] + pointer["count"]):
            found = 0
            for k in range(self.params.synapses_per_word):
                synapse = self.layouts.synapse.unpack(self.program.weights[address] >> (16 * k))
                lane = k + synapse["part"] * self.params.synapses_per_word
                if synapse["weight"]:
                    found += 1
                    neuron = synapse["row"] * lanes + lane
                    self._gain(f["slot"], neuron, f["payload"] * synapse["weight"])
            self._count(1, found)

    def _identity(self, f, edge):
        neuron = (f["index"] + edge["offset"]) % (1 << 16) % self.params.n_neurons
        self._gain(f["slot"], neuron, f["payload"] * edge["weight"])
        self._count(1, 1)

    def run(self, number, probing):
        """Update a group; return its packets in order."""
        group = self.layouts.group.unpack(self.layouts.group.pack(self.program.groups[number]))
        slot = self.step[number] % self.params.n_slots
        self.step[number] += 1
        sent = []
        start = group["row_start"] * self.params.lanes
        for neuron in range(start, start + group["n_neurons"]):
            sent += self._update(neuron, group, slot, probing)
        for i in range(group["n_tokens"]):
            sent.append(self._token(self.program.tokens[group["token_start"] + i], number, slot))
        rows = -(-group["n_neurons"] // self.params.lanes)
        for neuron in range(start, start + rows * self.params.lanes):
            self.acc[slot][neuron] = 0
        return sent

    def _update(self, neuron, group, slot, probing):
        r = self.layouts.record.unpack(self.layouts.record.pack(self.program.records[neuron]))
        facts = numerics.NeuronParams(
            threshold=r["threshold"],
            bias=r["bias"],
            v_reset=r["v_reset"],
            decay=numerics.DECAY_ONE if r["no_leak"] else r["decay"],
            reset=Reset(r["reset"]),
            reset_next=bool(r["reset_next"]),
            strict=bool(r["strict"]),
        )
        acc = (self.acc[slot][neuron] + (1 << 23)) % (1 << 24) - (1 << 23)
        emit = Emit(group["emit"])
        drive, frac, clamped = acc, group["frac"], False
        if r.get("has_current"):
            current = numerics.CurrentParams(
                bias=r["i_bias"], decay=numerics.DECAY_ONE if r["i_no_leak"] else r["i_decay"]
            )
            drive, clamped = numerics.update_current(self.i[neuron], acc, current, frac=frac)
            self.i[neuron], frac = drive, 0
            self.seen |= {"current", "current saturates"} if clamped else {"current"}
        elif emit is not Emit.PSUM:
            self.seen.add("no current")
        v, spike, saturated = numerics.update(self.v[neuron], drive, facts, frac=frac)
        self.v[neuron] = v
        self.counters["UPDATES"] += 1
        self.counters["SPIKES"] += spike and emit is Emit.SPIKE
        self.counters["SATURATIONS"] += saturated or clamped
        value = {"core": self.core, "slot": slot, "neuron": neuron, "value": v, "spike": int(spike)}
        sent = []
        if probing and emit is not Emit.PSUM:
            sent.append(self.packets.pack(Kind.HOST_VALUE, **value, probe=1))
        if emit is Emit.READOUT:
            sent.append(self.packets.pack(Kind.HOST_VALUE, **value))
        elif spike if emit is Emit.SPIKE else v:
            first = group["route_start"]
            sent += [
                self._route(route, emit, neuron, slot, v)
                for route in self.program.routes[first : first + group["n_routes"]]
                if route["first"] <= neuron <= route["last"]
            ]
        return sent

    def _route(self, route, emit, neuron, slot, v):
        there = {
            "xmask": route["xmask"],
            "ymask": route["ymask"],
            "slot": (slot + route["delay"]) % self.params.n_slots,
        }
        index = (neuron + route["offset"]) % (1 << 16)
        if emit is Emit.PSUM:
            target = index % self.params.n_neurons
            return self.packets.pack(Kind.PSUM, **there, neuron=target, value=v)
        if route["host"]:
            return self.packets.pack(Kind.HOST_SPIKE, core=self.core, slot=slot, neuron=neuron)
        return self.packets.pack(Kind.SPIKE, **there, edge=route["edge"], index=index, payload=1)

    def _token(self, token, number, slot):
        t = self.layouts.token.unpack(self.layouts.token.pack(token))
        when = (slot + t["delta"]) % self.params.n_slots
        if t["host"]:
            return self.packets.pack(
                Kind.HOST_TOKEN, core=self.core, slot=when, group=number, credit=t["credit"]
            )
        return self.packets.pack(
            Kind.TOKEN,
            xmask=t["xmask"],
            ymask=t["ymask"],
            slot=when,
            group=t["group"],
            credit=t["credit"],
        )


class Stimulus:
    """Events of a timestep, and the tokens that end it."""

    def __init__(self, rng, program, params, masks):
        self.rng, self.program, self.params, self.masks = rng, program, params, masks
        self.packets = PacketLayouts(params)
        self.running = [i for i, g in enumerate(program.groups) if g.get("n_neurons")]

    def event(self, t):
        """Return one event for timestep ``t``."""
        rng, slot = self.rng, t % self.params.n_slots
        if rng.random() < 0.1:
            return self.packets.pack(
                Kind.PSUM,
                **self.masks,
                slot=slot,
                neuron=rng.randrange(self.params.n_neurons),
                value=rng.randint(-(1 << 23), (1 << 23) - 1),
            )
        number = rng.randrange(self.params.n_edges)
        edge = self.program.edges[number]
        index = rng.getrandbits(16)
        if edge["kind"] == EdgeKind.DENSE:
            index = rng.randrange(max(1, 64 // max(1, edge["rows"])))
        elif edge["kind"] == EdgeKind.SPARSE:
            n_lists, first = self.program.pointers[number]
            index = first + rng.randrange(n_lists)
        payload = rng.choice([1, 1, 1, -255, 255, rng.randint(-255, 255)])
        return self.packets.pack(
            Kind.SPIKE, **self.masks, slot=slot, edge=number, index=index, payload=payload
        )

    def tokens(self, t):
        """Return the tokens that each group still needs for timestep ``t``, mixed."""
        tokens = []
        slot = t % self.params.n_slots
        for number in self.running:
            group = self.program.groups[number]
            granted = self.program.init[number * self.params.n_slots + slot]
            granted = granted if t < self.params.n_slots else {"sources": 0, "dests": 0}
            for credit, name in ((0, "sources"), (1, "dests")):
                tokens += [
                    self.packets.pack(
                        Kind.TOKEN, **self.masks, slot=slot, group=number, credit=credit
                    )
                ] * (group[f"n_{name}"] - granted[name])
        self.rng.shuffle(tokens)
        return tokens
