"""The update of a group with feature maps: a scan of rows, graded neurons, pool windows."""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, wiring

from talon.arch.memories import Emit
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.neuron import lane, lookup
from talon_hdl.neuron.pool import WindowPool, shown, window_bits
from talon_hdl.neuron.scan import RowScan, cycles_per_row
from talon_hdl.neuron.update import BEATS, UpdateEngine, popcount
from talon_hdl.stream import Queue
from talon_hdl.synapse.page import page, row_in_page

FETCH_LATENCY = 6
"""Cycles from a fetch to its accumulators."""

_LATENCY = 24  # cycles from a fetch to the queue, and some


def row_numbers(params: ArrayParams) -> int:
    """Return how many rows may be under way: enough to hide the latency, a power of two."""
    return 1 << bits_for(_LATENCY // cycles_per_row(params) + 2)


def queued_layout(params: ArrayParams) -> data.StructLayout:
    """Return a beat in the queue, without the facts of its row, which has a number."""
    lanes = params.update_lanes
    return data.StructLayout(
        {
            "tag": tag_layout(params),
            "send": lanes,
            "emit": lanes,
            "spikes": lanes,
            "windows": data.ArrayLayout(window_bits(params), lanes),
            "v": data.ArrayLayout(signed(params.v_width), lanes),
        }
    )


def tag_layout(params: ArrayParams) -> data.StructLayout:
    """Return the number of a beat: which of its row, and the number of the row."""
    return data.StructLayout(
        {
            "index": (params.lanes // params.update_lanes - 1).bit_length(),
            "row": bits_for(row_numbers(params)),
        }
    )


class MapUpdateEngine(UpdateEngine):
    """The update engine of an array with feature maps; its members are those of the other.

    What a row needs when its accumulators come is delayed as long as these take: a row of the scan
    holds still until all its beats have begun. What the serializer needs to know of a row waits in
    a table with an entry for each row that may be under way.

    With tables of payloads everything behind the lanes comes as much later as a lookup takes;
    potentials are written when the lanes give them, in any array.
    """

    def elaborate(self, platform) -> Module:
        m = Module()
        params = self._params
        self._follow_sweep(m)
        emit = self.run.descriptor.emit
        self._graded = Signal()
        m.d.comb += self._graded.eq(emit == Emit.GRADED)
        # Whether neurons fire, perhaps several times.
        self._fires = emit == Emit.SPIKE
        if self._params.multi_spike:
            self._counting = Signal()
            m.d.comb += self._counting.eq(emit == Emit.COUNT)
            self._fires |= self._counting
        m.submodules.beats = queue = Queue(queued_layout(params), depth=BEATS)
        m.submodules.scan = scan = RowScan(params)
        returned = Signal(range(3))  # beats taken from the queue, or not put there
        self._number_free = Signal()
        self._scan(m, scan, returned)

        late = lane.latency(params)
        later = late + (lookup.LATENCY if params.table_activation else 0)
        stages = range(1, FETCH_LATENCY + later + 1)
        facts = [scan.o, *(Signal(scan.o.shape(), name=f"row_{stage}") for stage in stages)]
        m.d.sync += [after.eq(before) for before, after in pairwise(facts)]
        index, walking = self._walk(m)
        arrived = [walking]
        for stage in range(1, later + 1):
            arrived.append(Signal(name=f"walking_{stage}"))
            m.d.sync += arrived[stage].eq(arrived[stage - 1])
        tag = Signal(tag_layout(params))  # of the beat at the end of the lanes
        with m.If(arrived[late]):
            m.d.sync += tag.eq(tag.as_value() + 1)
        came, written = facts[FETCH_LATENCY], facts[FETCH_LATENCY + late]
        lanes, active = self._advance(
            m, index, tag, came=came, written=written, valid=arrived[late]
        )
        if params.table_activation:
            m.submodules.lookup = tables = lookup.TableLookup(params)
            wiring.connect(m, wiring.flipped(self.tables), tables.config)
            m.d.comb += tables.group.eq(self.run.group)
            tabled = self._graded & self.run.descriptor.table
            lanes = lookup.looked_up(m, tables, lanes, tabled)
            active = lookup.late(m, active, "active_late")
            tag = lookup.late(m, tag, "tag_late")
        self._send(
            m, queue, returned, lanes, active, tag, last=facts[-1].last, valid=arrived[later]
        )
        self._take(m, queue, scan, tag)
        return m

    def _scan(self, m: Module, scan: RowScan, returned: Signal) -> None:
        """Ask for the rows of the group, no faster than their beats can be updated."""
        run, per_row = self.run, self._beats_per_row
        descriptor = run.descriptor
        space = Signal(range(BEATS + 1), init=BEATS)
        m.d.sync += space.eq(space + returned - Mux(scan.go, per_row, 0))
        # Sums that stay are those of slot 0.
        slot = run.slot & (~descriptor.hold).replicate(len(run.slot))
        m.d.comb += [
            scan.descriptor.eq(descriptor),
            scan.start.eq(self.start & (run.first | ~descriptor.once)),
            scan.room.eq((space >= per_row) & self._number_free),
            self.fetch.valid.eq(scan.go),
            self.fetch.payload.slot.eq(page(self._params, scan.o.row, slot, descriptor.slots)),
            self.fetch.payload.row.eq(row_in_page(self._params, scan.o.row)),
            self.fetch.payload.keep.eq(descriptor.hold),
            self.finished.eq(~scan.busy & (space == BEATS)),
        ]

    def _walk(self, m: Module) -> tuple[Signal, Value]:
        """Walk through a row that has come: number of the beat in it, and whether there is one."""
        per_row = self._beats_per_row
        index = Signal(range(per_row))
        walking = (self.fetched_stb | (index != 0)) & ~self.sweep
        with m.If(walking):
            m.d.sync += index.eq(index + 1) if per_row > 1 else index.eq(0)
        return index, walking

    def _beat_of(self, row: Value, index: Value) -> Value:
        """Return a row and a beat in it as one number."""
        return Cat(index[: (self._beats_per_row - 1).bit_length()], row)

    def _advance(
        self, m: Module, index, tag, *, came, written, valid: Value
    ) -> tuple[list[lookup.Advanced], Signal]:
        """Run the lanes; ``came`` and ``written`` are the row at their start and at their end.

        Return what they give, and which of them stand for a neuron.
        """
        params, n, emit = self._params, self._lanes, self.run.descriptor.emit
        active = Signal(n)
        m.d.comb += active.eq(self._active(tag, written.last_channels) & valid.replicate(n))
        row, end = (row_in_page(params, facts.row) for facts in (came, written))
        has_state = self._fires | (emit == Emit.READOUT)
        w_addr, w_en = self._writing(self._beat_of(end, tag.index), active, has_state)
        ports = [
            {
                "addr": self._beat_of(row, index),
                "record_addr": self._beat_of(came.record, index),
                "w_addr": w_addr,
                "w_en": w_en[i],
                "graded": self._graded,
                **({"counting": self._counting} if params.multi_spike else {}),
            }
            for i in range(n)
        ]
        lanes = [
            lookup.Advanced(
                v=part.v,
                spike=part.spike,
                saturated=part.saturated,
                count=part.count if params.multi_spike else None,
            )
            for part in self._make_lanes(m, index, ports)
        ]
        return lanes, active

    def _send(self, m: Module, queue, returned, lanes, active, tag, *, last, valid) -> None:
        """Count neurons, put them into windows, and queue what there is to send."""
        params, n, emit = self._params, self._lanes, self.run.descriptor.emit
        nonzero = Cat(part.v != 0 for part in lanes)
        spikes = Mux(self._graded, nonzero, Cat(part.spike for part in lanes))
        counted = active & spikes & (self._fires | self._graded).replicate(n)
        saturated = active & Cat(part.saturated for part in lanes)
        # What there is to send whatever the window holds.
        always = active & Mux(
            emit == Emit.PSUM,
            nonzero,
            ((emit == Emit.READOUT) | self.probe).replicate(n),
        )
        # Windows take a cycle more.
        before, result = (Signal(queued_layout(params), name=name) for name in ("before", "result"))
        before_valid, result_valid, emits = Signal(), Signal(), Signal(n)
        sends = [Signal(n, name=f"sends_{i}") for i in range(2)]
        m.d.sync += [
            before_valid.eq(valid),
            before.tag.eq(tag),
            before.spikes.eq(spikes),
            *(before.v[i].eq(part.v) for i, part in enumerate(lanes)),
            emits.eq(active & (last & (emit != Emit.PSUM)).replicate(n)),
            sends[0].eq(always),
            result_valid.eq(before_valid),
            result.eq(before),
            result.emit.eq(emits),
            sends[1].eq(sends[0]),
            self.n_updates.eq(popcount(active)),
            self.n_spikes.eq(popcount(counted)),
            self.n_saturations.eq(popcount(saturated)),
        ]
        windows = self._pool(m, lanes, valid=valid, last=last, index=tag.index)
        add = self.run.descriptor.pool_sum
        wanted, emitting = Signal(n), Signal(n)
        taken = self.o.valid & self.o.ready
        m.d.comb += [
            emitting.eq(Cat(shown(window, add) != 0 for window in windows) & result.emit),
            wanted.eq(sends[1] | emitting),
            queue.i.payload.eq(result),
            queue.i.payload.send.eq(wanted),
            queue.i.payload.emit.eq(emitting),
            *(queue.i.payload.windows[i].eq(window) for i, window in enumerate(windows)),
            queue.i.valid.eq(result_valid & wanted.any()),
            returned.eq(taken + (result_valid & ~wanted.any())),
        ]

    def _pool(self, m: Module, lanes, *, valid, last, index) -> list[Signal]:
        """Put what was updated into windows; return these, as they are held, two cycles later."""
        first, first_next, step = Signal(), Signal(init=1), Signal()
        m.d.sync += [step.eq(valid), first.eq(first_next)]
        with m.If(valid & (index == self._beats_per_row - 1)):
            m.d.sync += first_next.eq(last)
        windows = []
        for i, part in enumerate(lanes):
            m.submodules[f"pool_{i}"] = pool = WindowPool(
                n_beats=self._beats_per_row, n_bits=window_bits(self._params)
            )
            windows.append(pool.held)
            m.d.sync += pool.payload.eq(part.v)
            with m.If(~self._graded):
                m.d.sync += pool.payload.eq(part.count if self._params.multi_spike else part.spike)
            m.d.comb += [
                pool.step.eq(step),
                pool.first.eq(first),
                pool.add.eq(self.run.descriptor.pool_sum),
            ]
        return windows

    def _active(self, tag, last_channels: Value) -> Value:
        """Return which neurons of a beat there are: in the last row of channels not all."""
        n, bits = self._lanes, (self._lanes - 1).bit_length()
        last_lanes = self.run.descriptor.last_lanes
        number = Cat(tag.index, Const(0, 1))
        full, rest = last_lanes[bits:], last_lanes[:bits]
        begun = [(number == full) & (rest > i) for i in range(n - 1)]  # rest is below n
        return Cat(~last_channels | (number < full) | part for part in (*begun, Const(0, 1)))

    def _take(self, m: Module, queue: Queue, scan: RowScan, tag) -> None:
        """Table of rows under way; join a beat that is taken with the facts of its row.

        A row is under way until no beat of it or of a row before it is in the queue.
        """
        shape = data.StructLayout({"row": len(scan.o.row), "position": len(scan.o.position)})
        m.submodules.rows = rows = memory.Memory(
            shape=shape,
            depth=row_numbers(self._params),
            init=[],
            attrs={"ram_style": "distributed"},
        )
        write, read = rows.write_port(), rows.read_port(domain="comb")
        issued = Signal.like(tag.row)
        with m.If(scan.go):
            m.d.sync += issued.eq(issued + 1)
        beat = queue.o.payload
        # A beat is seen in the queue two cycles after it was counted.
        ended = [tag.row, *(Signal.like(tag.row, name=f"ended_{i}") for i in (1, 2))]
        m.d.sync += [after.eq(before) for before, after in pairwise(ended)]
        oldest = Mux(queue.o.valid, beat.tag.row, ended[-1])
        m.d.comb += [
            self._number_free.eq((issued + 1)[: len(issued)] != oldest),
            write.addr.eq(issued),
            write.data.row.eq(scan.o.row),
            write.data.position.eq(scan.o.position),
            write.en.eq(scan.go),
            read.addr.eq(beat.tag.row),
            self.o.valid.eq(queue.o.valid),
            queue.o.ready.eq(self.o.ready),
            self.o.payload.beat.eq(self._beat_of(read.data.row, beat.tag.index)),
            self.o.payload.position.eq(read.data.position),
            self.o.payload.send.eq(beat.send),
            self.o.payload.spikes.eq(beat.spikes),
            self.o.payload.emit.eq(beat.emit),
            self.o.payload.windows.eq(beat.windows),
            self.o.payload.v.eq(beat.v),
        ]
