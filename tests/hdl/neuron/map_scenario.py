"""Random groups with feature maps, and what the contract says becomes of them.

Written from ``docs/hardware/maps.md`` and :mod:`talon.arch`; it shares no code with the gateware,
the interpreter or the golden model.
"""

from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise, product
from math import prod

from talon.arch import numerics
from talon.arch.memories import TABLE_ENTRIES, Emit, MemoryLayouts, Reset, emits, resets
from talon.arch.packet import Kind, PacketLayouts

LOOPS = ("n_y", "n_x", "n_c", "pool_y", "pool_x")  # outermost first
TABLE_BINS = (
    *(f"{part} of a table" for part in ("first entry", "entry between", "last entry")),
    *(f"table gives {sign}" for sign in ("zero", "a negative payload", "a positive payload")),
    "window of negative payloads",
    "packet with a payload below zero",
    "value to the host below zero",
)
"""What a bench of an array with tables has to reach."""
STEPS = ("y_step", "x_step", "c_step", "pool_y_step", "pool_x_step")


@dataclass
class Program:
    """Memories of a core as entries (dictionaries of fields), as far as groups need them."""

    groups: list
    records: list
    init: list
    routes: list = field(default_factory=list)
    tokens: list = field(default_factory=list)
    tables: list = field(default_factory=list)  # payloads

    def used(self):
        """Return the numbers of groups that are in use."""
        return [number for number, group in enumerate(self.groups) if group.get("n_y")]


@dataclass(frozen=True)
class Row:
    """A row of a scan."""

    row: int
    position: int
    c: int
    first: bool  # of its window
    last: bool
    n_lanes: int


def scan(group, params):
    """Return the rows of a group, in order."""
    names = ("row_start", "last_lanes", "y_index", "x_index", *LOOPS, *STEPS)
    return _scan(params, **{name: group[name] for name in names})


@cache
def _scan(params, **group):
    rows, before = [], None
    row, position = group["row_start"], 0
    last = [group[name] - 1 for name in LOOPS]
    for place in product(*(range(group[name]) for name in LOOPS)):
        if before is not None:
            loop = next(i for i in range(5) if place[i] != before[i])
            row = (row + group[STEPS[loop]]) % params.acc_rows
            gain = (group["y_index"], group["x_index"], params.lanes, 0, 0)[loop]
            position = (position + gain) % (1 << 16)
        before = place
        c, in_window = place[2], list(place[3:])
        rows.append(
            Row(
                row,
                position,
                c,
                in_window == [0, 0],
                in_window == last[3:],
                group["last_lanes"] if c == last[2] else params.lanes,
            )
        )
    return rows


def place_of(row, slot, slots, params):
    """Return page and row in the memory of a row of a slot."""
    n_bits = (params.n_slots - 1).bit_length()
    kept = slot % (1 << slots)
    mirrored = int(f"{kept:0{n_bits}b}"[::-1], 2)
    return (row // params.n_rows) ^ mirrored, row % params.n_rows


def places_of(group, slot, params):
    """Return where the rows of a group stand at a timestep of that slot."""
    slot = 0 if group["hold"] else slot
    return [place_of(row.row, slot, group["slots"], params) for row in scan(group, params)]


def rows_in_use(program, params):
    """Return how many rows a reset must go over at least."""
    used = 0
    for number in program.used():
        places = places_of(program.groups[number], 0, params)
        used = max(used, number + 1, 1 + max(row for _, row in places))
    return used


def random_program(rng, params):
    """Return groups of every kind whose accumulators, potentials and records stand apart."""
    program = Program(
        groups=[{} for _ in range(params.n_groups)],
        records=[{} for _ in range(params.n_neurons)],
        init=[{} for _ in range(params.n_groups * params.n_slots)],
        tables=[
            rng.randint(-255, 255)
            for _ in range(params.n_groups * TABLE_ENTRIES * params.table_activation)
        ],
    )
    layouts = MemoryLayouts(params)
    taken, n_records = set(), 0
    numbers = list(range(params.n_groups))
    rng.shuffle(numbers)
    chosen = [rng.choice(emits(params)) for _ in numbers]
    # The first group has a free choice of rows: all loops, or spikes in windows.
    large = rng.random() < 0.3
    chosen[0] = Emit.GRADED if large else rng.choice([Emit.SPIKE, chosen[0]])
    for number, emit in zip(numbers, chosen, strict=True):
        if n_records == params.n_rows:
            break
        for _ in range(40):
            group = _random_scan(rng, params, emit, n_records, large=large and not taken)
            places = {
                place
                for slot in range(1 << group["slots"])
                for place in places_of(group, slot, params)
            }
            rows = [row.row for row in scan(group, params)]
            stateful = emit in (Emit.SPIKE, Emit.READOUT, Emit.COUNT)
            apart = len(rows) == len(set(rows)) and max(rows) < params.n_rows
            if not places & taken and (apart or not stateful):
                break
        else:
            continue
        taken |= places
        if params.table_activation:
            _choose_table(rng, program, number, group, emit)
        _fill_records(rng, params, program, group, emit)
        n_records += group["n_c"]
        _random_output(rng, params, program, number, group, emit)
        program.groups[number] = group
        assert layouts.group.pack(group)
    if not program.used():
        return random_program(rng, params)
    return program


def _random_scan(rng, params, emit, n_records, *, large):
    """Return the fields of a group that say which rows it has: a raster of pixels, or any steps."""
    pools = rng.random() < {Emit.SPIKE: 0.7, Emit.GRADED: 0.6, Emit.COUNT: 0.7}.get(emit, 0)
    n_c = min(rng.choice([1, 1, 2, 3]), params.n_rows - n_records)
    pool = [rng.choice([1, 2, 2, 3, 4]) if pools else 1 for _ in range(2)]
    extent = {
        "n_y": rng.choice([1, 2, 3]),
        "n_x": rng.choice([1, 2, 3, 5]),
        "n_c": n_c,
        "pool_y": pool[0],
        "pool_x": pool[1],
    }
    if pools and emit in (Emit.SPIKE, Emit.COUNT):  # there are not many potentials
        n_c, pool = 1, [min(size, 3) for size in pool]
        extent = {"n_y": 1, "n_x": rng.choice([1, 2]), "n_c": 1, "pool_y": pool[0]}
        extent["pool_x"] = pool[1]
    if large:
        extent = {name: rng.choice([2, 2, 3]) for name in LOOPS}
        n_c, pool = extent["n_c"], [extent["pool_y"], extent["pool_x"]]
    group = {
        "row_start": rng.randrange(params.acc_rows if rng.random() < 0.6 else params.n_rows),
        "frac": 0 if emit is Emit.PSUM else rng.randrange(8),
        "slots": rng.randint(0, (params.n_slots - 1).bit_length()),
        "once": int(rng.random() < 0.2),
        "hold": int(rng.random() < 0.2),
        **extent,
        "pool_sum": rng.getrandbits(1),
        "last_lanes": rng.choice([params.lanes, rng.randint(1, params.lanes)]),
        "y_index": rng.getrandbits(16),
        "x_index": rng.getrandbits(16),
        "record_start": n_records,
        "emit": int(emit),
        "n_sources": rng.randint(1, 3),
        "n_dests": rng.randint(0, 2),
    }
    if rng.random() < 0.25:
        group |= {name: rng.randrange(params.acc_rows) for name in STEPS}
        return group
    if rng.random() < 0.5:  # channel after channel, pixel after pixel
        group["x_index"] = group["y_index"] = group["last_lanes"]
    stride_y, stride_x = (rng.choice([1, size]) for size in pool)
    if emit in (Emit.SPIKE, Emit.COUNT):  # a row for each neuron, where there are potentials
        stride_y, stride_x = pool
        size = prod(extent.values())
        group["row_start"] = rng.randrange(max(1, params.n_rows - size + 1))
    width = extent["n_x"] * stride_x + pool[1] - stride_x
    pixel, line = n_c, n_c * width
    window = (pool[0] - 1) * line + (pool[1] - 1) * pixel
    steps = {
        "pool_x_step": pixel,
        "pool_y_step": line - (pool[1] - 1) * pixel,
        "c_step": 1 - window,
        "x_step": stride_x * pixel - window - (n_c - 1),
        "y_step": stride_y * line - (extent["n_x"] - 1) * stride_x * pixel - window - (n_c - 1),
    }
    return group | {name: step % params.acc_rows for name, step in steps.items()}


def _choose_table(rng, program, number, group, emit):
    """Give a graded group a table or none; the bit says nothing for other groups."""
    group["table"] = int(rng.random() < 0.7) if emit is Emit.GRADED else rng.getrandbits(1)
    if emit is not Emit.GRADED or not group["table"]:
        return
    group["pool_sum"] = 0
    low, high = rng.choice([(-255, 255), (-255, 255), (0, 255), (-20, -1), (-1, 1)])
    start = number * TABLE_ENTRIES
    program.tables[start : start + TABLE_ENTRIES] = [
        0 if rng.random() < 0.1 else rng.randint(low, high) for _ in range(TABLE_ENTRIES)
    ]


def _potential(rng):
    return rng.choice(
        [0, 1, -1, numerics.V_MIN, numerics.V_MAX, rng.randint(-500, 500), rng.randint(-9000, 9000)]
    )


def _fill_records(rng, params, program, group, emit):
    for c in range(group["n_c"]):
        for lane in range(params.lanes):
            neuron = (group["record_start"] + c) * params.lanes + lane
            program.records[neuron] = _random_record(rng, params, emit)
            if emit is Emit.GRADED and group.get("table"):
                program.records[neuron]["threshold"] = numerics.PAYLOAD_MAX


def _random_record(rng, params, emit):
    silent = {"threshold": numerics.V_MAX, "strict": 1}
    leak = {"decay": rng.choice([0, 0xFFFF, rng.getrandbits(16)]), "no_leak": rng.getrandbits(1)}
    if emit is Emit.PSUM:
        return silent
    if emit is Emit.GRADED:
        multiplier = rng.choice([0xFFFF, rng.getrandbits(16), rng.getrandbits(12)])
        return {
            "threshold": (1 << rng.choice([1, 2, 4, 7, 8, 8])) - 1,
            "v_reset": rng.choice([0, 0, _potential(rng)]),
            "decay": multiplier,
            "no_leak": int(rng.random() < 0.2),
        }
    if emit is Emit.COUNT:
        most = rng.choice([1, 3, 60, numerics.PAYLOAD_MAX])
        gain = rng.choice([rng.randint(1, 400), rng.getrandbits(numerics.COUNT_BITS)])
        return {
            **leak,
            "threshold": most << numerics.COUNT_BITS | gain,
            "bias": _potential(rng) * rng.choice([0, 0, 1]),
            "v_reset": _potential(rng),
            "reset": int(rng.choice([Reset.NONE, Reset.ZERO, Reset.SUBTRACT])),
            "strict": rng.getrandbits(1),
        }
    return {
        **leak,
        "threshold": _potential(rng),
        "bias": _potential(rng) // 4,
        "v_reset": _potential(rng),
        "reset": int(rng.choice(resets(params))),
        "reset_next": rng.getrandbits(1),
        "strict": rng.getrandbits(1),
        **(silent if emit is Emit.READOUT else {}),
    }


def _random_output(rng, params, program, number, group, emit):
    """Choose routes and tokens; the last token, to the host, ends the block of the group."""
    positions = [row.position for row in scan(group, params)]
    routes = []
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        low, high = sorted(
            (rng.choice(positions) + rng.randrange(params.lanes)) % (1 << 16) for _ in range(2)
        )
        low, high = rng.choice([(0, 0xFFFF), (low, high), (low, high)])
        host = emit in (Emit.SPIKE, Emit.GRADED, Emit.COUNT) and rng.random() < 0.4
        routes.append(
            {
                "host": int(host),
                "xmask": rng.getrandbits(params.columns),
                "ymask": rng.getrandbits(params.rows),
                "edge": rng.randrange(params.n_edges),
                "delay": rng.randrange(params.n_slots),
                "offset": rng.getrandbits(16),
                "first": low,
                "last": high,
            }
        )
    if len(program.routes) + len(routes) > params.n_routes:
        routes = []
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
    tokens.append({"host": 1, "group": number})
    group |= {
        "route_start": len(program.routes) if routes else 0,
        "n_routes": len(routes),
        "token_start": len(program.tokens),
        "n_tokens": len(tokens),
    }
    program.routes += routes
    program.tokens += tokens
    for slot in range(params.n_slots):
        program.init[number * params.n_slots + slot] = {
            "sources": rng.randint(0, group["n_sources"] - 1),
            "dests": rng.randint(0, group["n_dests"]),
        }


class Reference:
    """What the neurons of one core must do, by the contract."""

    def __init__(self, program, params, coverage):
        self.program, self.params, self.coverage = program, params, coverage
        self.layouts, self.packets = MemoryLayouts(params), PacketLayouts(params)
        self.counters = dict.fromkeys(("UPDATES", "SPIKES", "SATURATIONS"), 0)
        layout = self.layouts.group
        self.groups = {n: layout.unpack(layout.pack(program.groups[n])) for n in program.used()}
        self.v = {}  # by accumulator
        self.acc = {}  # lists of lanes, by page and row
        self.step = dict.fromkeys(program.used(), 0)

    def run(self, number, probing):
        """Update a group; return its packets in order."""
        group = self.groups[number]
        step, slot = self.step[number], self.step[number] % self.params.n_slots
        self.step[number] += 1
        sent = []
        hit = self.coverage.hit
        hit("once, the first timestep", group["once"] and not step)
        hit("once, a later timestep", group["once"] and step)
        if not (group["once"] and step):
            sent += self._update_group(number, group, slot, probing)
        first = group["token_start"]
        for token in self.program.tokens[first : first + group["n_tokens"]]:
            sent.append(self._token(token, number, slot))
        return sent

    def _update_group(self, number, group, slot, probing):
        params, hit = self.params, self.coverage.hit
        rows, window, sent = scan(group, params), {}, []
        self._cover_scan(group, rows)
        for row in rows:
            place = place_of(row.row, 0 if group["hold"] else slot, group["slots"], params)
            sums = self.acc.setdefault(place, [0] * params.lanes)
            if not group["hold"]:
                self.acc[place] = [0] * params.lanes
            for lane in range(row.n_lanes):
                value, own, spike = self._neuron(number, row, lane, sums[lane])
                before = own * (not group["pool_sum"]) if row.first else window[lane]
                both = before + own if group["pool_sum"] else max(before, own)
                hit("window beyond 255", both > numerics.PAYLOAD_MAX)
                window[lane] = min(both, numerics.PAYLOAD_MAX)
                hit("window keeps an earlier value", row.last and window[lane] > own)
                self._cover_sign("window of negative payloads", not row.first and both < 0)
                sent += self._output(
                    group, row, lane, slot, probing, value, spike, window[lane] * row.last
                )
        return sent

    def _neuron(self, group_number, row, lane, acc):
        """Return what a probe or a read-out shows, the payload and whether the neuron fired."""
        group = self.groups[group_number]
        number = (group["record_start"] + row.c) * self.params.lanes + lane
        record = self.layouts.record.unpack(self.layouts.record.pack(self.program.records[number]))
        emit = Emit(group["emit"])
        factor = numerics.DECAY_ONE if record["no_leak"] else record["decay"]
        self.counters["UPDATES"] += 1
        if emit is Emit.GRADED:
            facts = numerics.GradedParams(
                multiplier=factor, offset=record["v_reset"], payload_max=record["threshold"]
            )
            payload = numerics.graded(acc, facts)
            if group.get("table"):
                self.coverage.hit(f"{_part(payload)} of a table")
                start = group_number * TABLE_ENTRIES
                table = self.program.tables[start : start + TABLE_ENTRIES]
                payload = numerics.looked_up(acc, facts, table)
                self.coverage.hit(f"table gives {_sign(payload)}")
            else:
                self.coverage.hit("graded payload at its top", payload == record["threshold"])
            self.counters["SPIKES"] += payload != 0
            return payload, payload, payload != 0
        neuron = row.row * self.params.lanes + lane
        if emit is Emit.COUNT:
            return self._counting(neuron, acc, record, factor)
        facts = numerics.NeuronParams(
            threshold=record["threshold"],
            bias=record["bias"],
            v_reset=record["v_reset"],
            decay=factor,
            reset=Reset(record["reset"]),
            reset_next=bool(record["reset_next"]),
            strict=bool(record["strict"]),
        )
        before = 0 if emit is Emit.PSUM else self.v.get(neuron, 0)
        after, spike, saturated = numerics.update(before, acc, facts, frac=group["frac"])
        if emit is not Emit.PSUM:
            self.v[neuron] = after
        self.counters["SATURATIONS"] += saturated
        self.counters["SPIKES"] += spike and emit is Emit.SPIKE
        return after, int(spike), spike

    def _counting(self, neuron, acc, record, factor):
        facts = numerics.CountingParams(
            gain=record["threshold"] % numerics.COUNT_ONE,
            max_spikes=record["threshold"] >> numerics.COUNT_BITS,
            bias=record["bias"],
            v_reset=record["v_reset"],
            decay=factor,
            reset=Reset(record["reset"]),
            strict=bool(record["strict"]),
        )
        after, count, saturated = numerics.update_counting(self.v.get(neuron, 0), acc, facts)
        self.v[neuron] = after
        self.counters["SATURATIONS"] += saturated
        self.counters["SPIKES"] += count > 0
        self.coverage.hit("count between one and its most", 1 < count < facts.max_spikes)
        return after, count, count > 0

    def _output(self, group, row, lane, slot, probing, value, spike, payload):
        emit, packets = Emit(group["emit"]), self.packets
        number = row.row * self.params.lanes + lane
        position = (row.position + lane) % (1 << 16)
        sender = {"core": 0, "slot": slot, "neuron": number}
        shown = {**sender, "value": value, "spike": int(spike)}
        sent = []
        if probing and emit is not Emit.PSUM:
            sent.append(packets.pack(Kind.HOST_VALUE, **shown, probe=1))
        if emit is Emit.READOUT:
            sent.append(packets.pack(Kind.HOST_VALUE, **shown))
        elif value if emit is Emit.PSUM else payload:
            first = group["route_start"]
            for route in self.program.routes[first : first + group["n_routes"]]:
                matches = route["first"] <= position <= route["last"]
                self.coverage.hit("position outside of a route", not matches)
                if matches:
                    sent.append(
                        self._route(group, emit, route, position, sender, value, payload, spike)
                    )
        return sent

    def _route(self, group, emit, route, position, sender, value, payload, spike):
        params, hit = self.params, self.coverage.hit
        slot = (sender["slot"] + route["delay"]) % params.n_slots
        there = {"xmask": route["xmask"], "ymask": route["ymask"]}
        index = position + route["offset"]
        if emit is Emit.PSUM:
            kept = slot % (1 << group["slots"])
            hit("slot of a partial sum is cut", kept != slot)
            return self.packets.pack(
                Kind.PSUM, **there, slot=kept, neuron=index % params.n_accumulators, value=value
            )
        if not route["host"]:
            hit(f"{emit.name} packet with a payload above one", payload > 1)
            self._cover_sign("packet with a payload below zero", payload < 0)
            return self.packets.pack(
                Kind.SPIKE,
                **there,
                slot=slot,
                edge=route["edge"],
                index=index % (1 << 16),
                payload=payload,
            )
        if emit in (Emit.GRADED, Emit.COUNT):
            hit("value to the host for a window whose last row has none", not spike)
            self._cover_sign("value to the host below zero", payload < 0)
            return self.packets.pack(Kind.HOST_VALUE, **sender, value=payload, spike=1)
        return self.packets.pack(Kind.HOST_SPIKE, **sender)

    def _token(self, token, number, slot):
        t = self.layouts.token.unpack(self.layouts.token.pack(token))
        when = (slot + t["delta"]) % self.params.n_slots
        if t["host"]:
            return self.packets.pack(Kind.HOST_TOKEN, slot=when, group=number, credit=t["credit"])
        return self.packets.pack(
            Kind.TOKEN,
            xmask=t["xmask"],
            ymask=t["ymask"],
            slot=when,
            group=t["group"],
            credit=t["credit"],
        )

    def _cover_sign(self, name, is_hit):
        if self.params.table_activation:
            self.coverage.hit(name, is_hit)

    def _cover_scan(self, group, rows):
        params, hit = self.params, self.coverage.hit
        emit = Emit(group["emit"]).name
        size = group["pool_y"] * group["pool_x"]
        if size == 1:
            hit(f"{emit} without a pool")
        else:
            hit(f"{emit} pools the {'sum' if group['pool_sum'] else 'largest'}")
        for name in LOOPS:
            hit(f"loop {name}", group[name] > 1)
        hit("every loop", all(group[name] > 1 for name in LOOPS))
        hit("hold", group["hold"])
        hit(f"slots {1 << group['slots']}")
        hit("a row behind those of potentials", any(row.row >= params.n_rows for row in rows))
        hit("rows wrap", any(b.row < a.row for a, b in pairwise(rows)))
        hit("a row twice", len({row.row for row in rows}) < len(rows))
        hit("last channels are fewer", group["last_lanes"] < params.lanes)
        hit(
            "more rows than the queue has room for",
            len(rows) * params.lanes > 32 * params.update_lanes,
        )


def _part(index):
    """Name where in a table an index is."""
    return {0: "first entry", TABLE_ENTRIES - 1: "last entry"}.get(index, "entry between")


def _sign(payload):
    return "zero" if payload == 0 else "a negative payload" if payload < 0 else "a positive payload"
