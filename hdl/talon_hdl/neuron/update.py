"""The update of a group: rows of accumulators in, beats of results out."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import Emit, MemoryLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.core.table import ConfigPort, ConfigPortSignature
from talon_hdl.neuron import lane
from talon_hdl.neuron.pool import window_bits
from talon_hdl.neuron.scheduler import run_layout
from talon_hdl.shapes import combined, resized
from talon_hdl.stream import Queue
from talon_hdl.synapse.job import fetch_layout

BEATS = 32
"""Beats under way or in the queue; more than from a fetch to the queue, which hides that time."""


def beat_layout(params: ArrayParams) -> data.StructLayout:
    """Return ``update_lanes`` neurons that were updated; ``send``: those with something to send.

    ``beat`` numbers them. With feature maps, ``position`` is that of their row, ``emit`` those with
    a payload for routes, and ``windows`` these, as :mod:`talon_hdl.neuron.pool` holds them.
    """
    lanes = params.update_lanes
    maps = {
        "position": params.index_width,
        "emit": lanes,
        "windows": data.ArrayLayout(window_bits(params), lanes),
    }
    return data.StructLayout(
        {
            "beat": bits_for(params.n_accumulators // lanes),
            **(maps if params.has_maps else {}),
            "send": lanes,
            "spikes": lanes,
            "v": data.ArrayLayout(signed(params.v_width), lanes),
        }
    )


class UpdateEngine(wiring.Component):
    """Fetch the accumulators of a group row by row, advance its neurons, queue what must be sent.

    A row is fetched only if the queue has room for all its beats, so nothing behind a fetch stalls.

    Parameters
    ----------
    params, synthesis, block_records
        See :class:`~talon_hdl.neuron.lane.UpdateLane`.

    Members
    -------
    run, start : :py:`In`
        The group, held while it runs; strobe.
    fetch : :py:`Out(stream.Signature(fetch_layout, always_ready=True))`
        Accumulator row to fetch and clear.
    fetched, fetched_stb : :py:`In`
        Its accumulators; held until the next one.
    probe : :py:`In(1)`
        Every neuron sends its potential.
    records, tables : :class:`~talon_hdl.core.table.ConfigPortSignature`
        The neuron records, and the tables of graded groups where the array has some.
    sweep, sweep_addr : :py:`In`
        Clear the potentials at that address.
    o : :py:`Out(stream.Signature(beat_layout))`
        Beats with something to send, in neuron order.
    finished : :py:`Out(1)`
        All rows were fetched and all beats were taken or needed not be sent.
    n_updates, n_spikes, n_saturations : :py:`Out`
        Neurons of this cycle, for the counters.
    """

    run: data.View
    start: Signal
    fetch: stream.Interface
    fetched: data.View
    fetched_stb: Signal
    probe: Signal
    records: ConfigPort
    tables: ConfigPort
    sweep: Signal
    sweep_addr: Signal
    o: stream.Interface
    finished: Signal
    n_updates: Signal
    n_spikes: Signal
    n_saturations: Signal

    def __init__(
        self, params: ArrayParams, *, synthesis: bool = False, block_records: bool = False
    ) -> None:
        self._params = params
        self._build = {"synthesis": synthesis, "block_records": block_records}
        self._lanes = params.update_lanes
        self._beats_per_row = params.lanes // params.update_lanes
        self._beat_bits = bits_for(params.n_neurons // params.update_lanes)
        self._record = MemoryLayouts(params).record
        count = range(self._lanes + 1)
        tables = {"tables": In(ConfigPortSignature(params.payload_width))}
        super().__init__(
            {
                "run": In(run_layout(params)),
                "start": In(1),
                "fetch": Out(stream.Signature(fetch_layout(params), always_ready=True)),
                "fetched": In(data.ArrayLayout(signed(params.acc_width), params.lanes)),
                "fetched_stb": In(1),
                "probe": In(1),
                "records": In(ConfigPortSignature(self._record.width)),
                **(tables if params.table_activation else {}),
                "sweep": In(1),
                "sweep_addr": In(self._beat_bits),
                "o": Out(stream.Signature(beat_layout(params))),
                "finished": Out(1),
                "n_updates": Out(count),
                "n_spikes": Out(count),
                "n_saturations": Out(count),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        self._follow_sweep(m)
        m.submodules.beats = queue = Queue(beat_layout(self._params), depth=BEATS)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        returned = Signal(range(3))  # beats taken from the queue, or not put there
        rows_left, space = self._fetch(m, returned)
        m.d.comb += self.finished.eq((rows_left == 0) & (space == BEATS))
        beat, active, index = self._beats(m)
        self._update(m, queue, returned, beat=beat, active=active, index=index)
        return m

    def _follow_sweep(self, m: Module) -> None:
        """States are written a cycle after the sweep names them."""
        self._swept, self._swept_addr = Signal(), Signal.like(self.sweep_addr)
        m.d.sync += [self._swept.eq(self.sweep), self._swept_addr.eq(self.sweep_addr)]

    def _fetch(self, m: Module, returned: Signal) -> tuple[Signal, Signal]:
        """Ask for the rows of the group, no faster than their beats can be updated."""
        params, per_row = self._params, self._beats_per_row
        # Complement of what is left: counting up is smaller than counting down.
        width = bits_for(params.n_rows + 1)
        rows_done, rows_left = Signal(width, init=(1 << width) - 1), Signal(width)
        row = Signal(bits_for(params.n_rows))
        gap = Signal(range(per_row))
        space = Signal(range(BEATS + 1), init=BEATS)
        go = Signal()
        m.d.comb += [
            rows_left.eq(~rows_done),
            go.eq((rows_left != 0) & (gap == 0) & (space >= per_row)),
            self.fetch.valid.eq(go),
            self.fetch.payload.row.eq(row),
            self.fetch.payload.slot.eq(self.run.slot),
        ]
        m.d.sync += space.eq(space + returned - Mux(go, per_row, 0))
        descriptor = self.run.descriptor
        with m.If(self.start):
            m.d.sync += [
                rows_done.eq(
                    ~((descriptor.n_neurons + params.lanes - 1) >> bits_for(params.lanes))
                ),
                row.eq(descriptor.row_start),
            ]
        with m.Elif(go):
            m.d.sync += [rows_done.eq(rows_done + 1), row.eq(row + 1), gap.eq(per_row - 1)]
        with m.If(~go & (gap != 0)):
            m.d.sync += gap.eq(gap - 1)
        return rows_left, space

    def _beats(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """Walk through a row that has come: number of the beat, neurons to update, place in it."""
        per_row = self._beats_per_row
        beat = Signal(self._beat_bits)
        # Neurons from this beat on, and its complement; negative where a row is not full.
        done = Signal(signed(bits_for(self._params.n_neurons + 1) + 1))
        left = ~done
        index = Signal(range(per_row))
        walking = Signal()
        active = Signal(self._lanes)
        m.d.comb += [
            walking.eq(self.fetched_stb | (index != 0)),
            active.eq(Cat((left > i) & walking for i in range(self._lanes))),
        ]
        with m.If(self.start):
            m.d.sync += [
                beat.eq(self.run.descriptor.row_start * per_row),
                done.eq((~Cat(self.run.descriptor.n_neurons, Const(0, 1))).as_signed()),
            ]
        with m.Elif(walking & ~self.sweep):
            m.d.sync += [
                beat.eq(beat + 1),
                done.eq(done + self._lanes),
                index.eq(index + 1) if per_row > 1 else index.eq(0),
            ]
        self._walking = walking & ~self.sweep
        return beat, active, index

    def _update(self, m: Module, queue: Queue, returned: Signal, *, beat, active, index) -> None:
        latency = lane.latency(self._params)
        walking, beats, actives = [self._walking], [beat], [active]
        for stage in range(1, latency + 1):
            walking.append(Signal(name=f"walking_{stage}"))
            beats.append(Signal(self._beat_bits, name=f"beat_{stage}"))
            actives.append(Signal(self._lanes, name=f"active_{stage}"))
            m.d.sync += [
                walking[stage].eq(walking[stage - 1]),
                beats[stage].eq(beats[stage - 1]),
                actives[stage].eq(actives[stage - 1]),
            ]
        last_active = Signal(self._lanes)
        m.d.comb += last_active.eq(actives[latency] & walking[latency].replicate(self._lanes))
        lanes = self._make_lanes(m, index, self._addresses(beats, actives, walking))

        emit = self.run.descriptor.emit
        send = Signal(self._lanes)
        spikes = Cat(part.spike for part in lanes)
        nonzero = Cat(part.v != 0 for part in lanes)
        with m.Switch(emit):
            with m.Case(Emit.SPIKE):
                m.d.comb += send.eq(spikes | self.probe.replicate(self._lanes))
            with m.Case(Emit.PSUM):
                m.d.comb += send.eq(nonzero)
            with m.Default():
                m.d.comb += send.eq(~0)
        fired = last_active & spikes & (emit == Emit.SPIKE).replicate(self._lanes)
        saturated = last_active & Cat(part.saturated for part in lanes)
        result = Signal(beat_layout(self._params))
        result_valid = Signal()
        m.d.sync += [
            result_valid.eq(walking[latency]),
            result.beat.eq(beats[latency]),
            result.send.eq(send & last_active),
            result.spikes.eq(spikes),
            *(result.v[i].eq(part.v) for i, part in enumerate(lanes)),
            self.n_updates.eq(popcount(last_active)),
            self.n_spikes.eq(popcount(fired)),
            self.n_saturations.eq(popcount(saturated)),
        ]
        wanted = result.send.any()
        taken = self.o.valid & self.o.ready
        m.d.comb += [
            queue.i.payload.eq(result),
            queue.i.valid.eq(result_valid & wanted),
            returned.eq(taken + (result_valid & ~wanted)),
        ]

    def _addresses(self, beats, actives, walking) -> list[dict[str, Value]]:
        """Return what each lane reads and writes; the arguments are lists by stage."""
        has_current = self._params.synaptic_current
        w_addr, w_en = self._writing(beats[-1], actives[-1], walking[-1])
        ports = [
            {"addr": beats[lane.V_DELAY if has_current else 0], "w_addr": w_addr, "w_en": w_en[i]}
            for i in range(self._lanes)
        ]
        if has_current:
            n = lane.I_LATENCY
            i_w_addr, i_w_en = self._writing(beats[n], actives[n], walking[n])
            for i, port in enumerate(ports):
                port |= {"i_addr": beats[0], "i_w_addr": i_w_addr, "i_w_en": i_w_en[i]}
        return ports

    def _make_lanes(
        self, m: Module, index: Signal, ports: list[dict[str, Value]]
    ) -> list[lane.UpdateLane]:
        """Return the lanes, each with the inputs that ``ports`` has for it."""
        lanes = []
        bank_bits = (self._lanes - 1).bit_length()
        bank = self.records.addr[:bank_bits]
        for i in range(self._lanes):
            m.submodules[f"lane_{i}"] = part = lane.UpdateLane(self._params, **self._build)
            lanes.append(part)
            accs = [self.fetched[b * self._lanes + i] for b in range(self._beats_per_row)]
            acc = (
                accs[0]
                if len(accs) == 1
                else data.ArrayLayout(signed(self._params.acc_width), len(accs))(Cat(accs))[index]
            )
            m.d.comb += [
                *(getattr(part, name).eq(value) for name, value in ports[i].items()),
                part.acc.eq(acc),
                part.frac.eq(self.run.descriptor.frac),
                part.clear.eq(self.sweep),
                part.records.en.eq(self.records.en),
                part.records.addr.eq(self.records.addr >> bank_bits),
                part.records.w_data.eq(self.records.w_data),
                part.records.w_en.eq(self.records.w_en & (resized(bank, 2) == i)),
            ]
        shown = []
        for i, part in enumerate(lanes):
            shown.append(Signal(self._record.width, name=f"shown_{i}"))
            m.d.sync += shown[i].eq(part.records.r_data)
            with m.If(resized(bank, 2) != i):
                m.d.sync += shown[i].eq(0)
        m.d.comb += self.records.r_data.eq(combined(shown))
        return lanes

    def _writing(self, addr, active, walking) -> tuple[Value, Value]:
        """Return where a state memory is written, and by which lanes, in an update or a sweep."""
        n = self._lanes
        active = active & walking.replicate(n)
        return Mux(self._swept, self._swept_addr, addr), active | self._swept.replicate(n)


def popcount(bits: Value):
    """Return the number of bits that are set."""
    return sum(bits[i] for i in range(len(bits)))
