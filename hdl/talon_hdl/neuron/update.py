"""The update of a group: rows of accumulators in, beats of results out."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import Emit, MemoryLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.core.table import ConfigPort, ConfigPortSignature
from talon_hdl.neuron import lane
from talon_hdl.neuron.scheduler import run_layout
from talon_hdl.shapes import combined, resized
from talon_hdl.stream import Queue
from talon_hdl.synapse.job import fetch_layout

_BEATS = 32  # more than are under way from a fetch to the queue, so that the queue hides that time


def beat_layout(params: ArrayParams) -> data.StructLayout:
    """Return ``update_lanes`` neurons that were updated; ``send``: those with something to send."""
    lanes = params.update_lanes
    return data.StructLayout(
        {
            "beat": bits_for(params.n_neurons // lanes),
            "send": lanes,
            "spikes": lanes,
            "v": data.ArrayLayout(signed(params.v_width), lanes),
        }
    )


class UpdateEngine(wiring.Component):
    """Fetch the accumulators of a group row by row, advance its neurons, queue what must be sent.

    A row is fetched only if the queue has room for all its beats, so nothing behind a fetch stalls.

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
    records : :class:`~talon_hdl.core.table.ConfigPortSignature`
        The neuron records.
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
    sweep: Signal
    sweep_addr: Signal
    o: stream.Interface
    finished: Signal
    n_updates: Signal
    n_spikes: Signal
    n_saturations: Signal

    def __init__(self, params: ArrayParams, *, synthesis: bool = False) -> None:
        self._params = params
        self._synthesis = synthesis
        self._lanes = params.update_lanes
        self._beats_per_row = params.lanes // params.update_lanes
        self._beat_bits = bits_for(params.n_neurons // params.update_lanes)
        self._record = MemoryLayouts(params).record
        count = range(self._lanes + 1)
        super().__init__(
            {
                "run": In(run_layout(params)),
                "start": In(1),
                "fetch": Out(stream.Signature(fetch_layout(params), always_ready=True)),
                "fetched": In(data.ArrayLayout(signed(params.acc_width), params.lanes)),
                "fetched_stb": In(1),
                "probe": In(1),
                "records": In(ConfigPortSignature(self._record.width)),
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
        m.submodules.beats = queue = Queue(beat_layout(self._params), depth=_BEATS)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        returned = Signal(range(3))  # beats taken from the queue, or not put there
        rows_left, space = self._fetch(m, returned)
        m.d.comb += self.finished.eq((rows_left == 0) & (space == _BEATS))
        beat, active, index = self._beats(m)
        self._update(m, queue, returned, beat=beat, active=active, index=index)
        return m

    def _fetch(self, m: Module, returned: Signal) -> tuple[Signal, Signal]:
        """Ask for the rows of the group, no faster than their beats can be updated."""
        params, per_row = self._params, self._beats_per_row
        # Complement of what is left: counting up is smaller than counting down.
        width = bits_for(params.n_rows + 1)
        rows_done, rows_left = Signal(width, init=(1 << width) - 1), Signal(width)
        row = Signal(bits_for(params.n_rows))
        gap = Signal(range(per_row))
        space = Signal(range(_BEATS + 1), init=_BEATS)
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
        lanes = self._make_lanes(m, index, beats, actives, walking)

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
            self.n_updates.eq(_popcount(last_active)),
            self.n_spikes.eq(_popcount(fired)),
            self.n_saturations.eq(_popcount(saturated)),
        ]
        wanted = result.send.any()
        taken = self.o.valid & self.o.ready
        m.d.comb += [
            queue.i.payload.eq(result),
            queue.i.valid.eq(result_valid & wanted),
            returned.eq(taken + (result_valid & ~wanted)),
        ]

    def _make_lanes(self, m: Module, index, beats, actives, walking) -> list[lane.UpdateLane]:
        """Return the lanes; the other arguments are lists by stage."""
        lanes = []
        has_current = self._params.synaptic_current
        self._swept, self._swept_addr = Signal(), Signal.like(self.sweep_addr)
        m.d.sync += [self._swept.eq(self.sweep), self._swept_addr.eq(self.sweep_addr)]
        w_addr, w_en = self._writing(beats, actives, walking, stage=len(beats) - 1)
        bank_bits = (self._lanes - 1).bit_length()
        bank = self.records.addr[:bank_bits]
        for i in range(self._lanes):
            m.submodules[f"lane_{i}"] = part = lane.UpdateLane(
                self._params, synthesis=self._synthesis
            )
            lanes.append(part)
            accs = [self.fetched[b * self._lanes + i] for b in range(self._beats_per_row)]
            acc = (
                accs[0]
                if len(accs) == 1
                else data.ArrayLayout(signed(self._params.acc_width), len(accs))(Cat(accs))[index]
            )
            m.d.comb += [
                part.addr.eq(beats[lane.V_DELAY if has_current else 0]),
                part.acc.eq(acc),
                part.frac.eq(self.run.descriptor.frac),
                part.w_addr.eq(w_addr),
                part.w_en.eq(w_en[i]),
                part.clear.eq(self.sweep),
                part.records.en.eq(self.records.en),
                part.records.addr.eq(self.records.addr >> bank_bits),
                part.records.w_data.eq(self.records.w_data),
                part.records.w_en.eq(self.records.w_en & (resized(bank, 2) == i)),
            ]
            if has_current:
                i_w_addr, i_w_en = self._writing(beats, actives, walking, stage=lane.I_LATENCY)
                m.d.comb += [
                    part.i_addr.eq(beats[0]),
                    part.i_w_addr.eq(i_w_addr),
                    part.i_w_en.eq(i_w_en[i]),
                ]
        shown = []
        for i, part in enumerate(lanes):
            shown.append(Signal(self._record.width, name=f"shown_{i}"))
            m.d.sync += shown[i].eq(part.records.r_data)
            with m.If(resized(bank, 2) != i):
                m.d.sync += shown[i].eq(0)
        m.d.comb += self.records.r_data.eq(combined(shown))
        return lanes

    def _writing(self, beats, actives, walking, *, stage: int) -> tuple[Value, Value]:
        """Return where a state memory is written, and by which lanes, at a stage or in a sweep."""
        n = self._lanes
        active = actives[stage] & walking[stage].replicate(n)
        return Mux(self._swept, self._swept_addr, beats[stage]), active | self._swept.replicate(n)


def _popcount(bits: Value):
    return sum(bits[i] for i in range(len(bits)))
