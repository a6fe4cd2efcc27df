"""From packets to jobs: edge descriptors and weight addresses."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Member, Out

from talon.arch.memories import EdgeKind, MemoryLayouts
from talon.arch.packet import Kind, PacketLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.core.table import ConfigPort, ConfigPortSignature, Table
from talon_hdl.shapes import resized, view
from talon_hdl.stream import Queue
from talon_hdl.synapse.axis import AxisLookup
from talon_hdl.synapse.job import JobKind, job_layout
from talon_hdl.synapse.page import mirrored

_STAGES = 3
_JOBS = 16  # a distributed RAM is that deep anyhow


class Decoder(wiring.Component):
    """Turn SPIKE, PSUM and TOKEN packets into jobs, one a cycle, three cycles later.

    A packet is taken only if the queue has room for all that are under way. An event of a MAP edge
    holds the first two stages for one cycle more, in which its axes are looked up; nothing else
    stalls. A DENSE or MAP event without rows ends here.

    Members
    -------
    i : :py:`In(stream.Signature(packet width))`
        Packets of those three kinds.
    o : :py:`Out(stream.Signature(job_layout))`
        Jobs, in the order of the packets.
    edges : :class:`~talon_hdl.core.table.ConfigPortSignature`
        Memory of edge descriptors.
    axis : :class:`~talon_hdl.core.table.ConfigPortSignature`
        The axis tables, in arrays with feature maps.
    event : :py:`Out(1)`
        A SPIKE or PSUM packet is taken.
    busy : :py:`Out(1)`
        A job is under way or waits.
    """

    i: stream.Interface
    o: stream.Interface
    edges: ConfigPort
    axis: ConfigPort
    event: Signal
    busy: Signal

    def __init__(self, params: ArrayParams) -> None:
        self._params = params
        self._packets = PacketLayouts(params)
        self._edge = MemoryLayouts(params).edge
        super().__init__(
            {
                "i": In(stream.Signature(self._packets.width)),
                "o": Out(stream.Signature(job_layout(params))),
                "edges": In(ConfigPortSignature(self._edge.width)),
                **axis_port(params),
                "event": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        params = self._params
        m.submodules.jobs = jobs = Queue(job_layout(params), depth=_JOBS)
        wiring.connect(m, jobs.o, wiring.flipped(self.o))

        valid = Signal(_STAGES)  # bit i: stage i holds a job
        hold = Signal()  # the first two stages keep theirs
        m.d.comb += [
            self.i.ready.eq((jobs.level < _JOBS - _STAGES) & ~hold),
            self.event.eq(self.i.valid & self.i.ready & (self.i.payload[:3] != Kind.TOKEN)),
            self.busy.eq(valid.any() | jobs.o.valid),
        ]
        packet, edge = self._look_up(m, hold)
        with m.If(~hold):
            m.d.sync += valid[:2].eq(Cat(self.i.valid & self.i.ready, valid[0]))
        m.d.sync += valid[2].eq(valid[1] & ~hold)
        job = self._address(m, packet, edge, hold)
        m.d.comb += jobs.i.payload.eq(job)
        no_taps = self._map(m, job, jobs.i.payload, valid[0], hold) if params.has_maps else Const(0)
        no_rows = (job.kind == JobKind.DENSE) & ((jobs.i.payload.rows == 0) | no_taps)
        m.d.comb += jobs.i.valid.eq(valid[2] & ~no_rows)
        return m

    def _look_up(self, m: Module, hold: Signal) -> tuple[Signal, Signal]:
        """First stage: the packet and its edge descriptor."""
        m.submodules.edges = table = Table(width=self._edge.width, depth=self._params.n_edges)
        wiring.connect(m, wiring.flipped(self.edges), table.config)
        packet = Signal(self._packets.width)
        edge = Signal(self._edge.width)
        m.d.comb += table.addr.eq(view(self._packets.spike, self.i.payload).edge)
        with m.If(~hold):
            m.d.sync += [packet.eq(self.i.payload), edge.eq(table.data)]
        return packet, edge

    def _address(self, m: Module, packet: Signal, edge: Signal, hold: Signal):
        """Second stage: the product and the sum of the index. Third: the job."""
        params = self._params
        address_width = bits_for(params.weight_words)
        lane_width = bits_for(params.lanes)
        spike, descriptor = view(self._packets.spike, packet), view(self._edge, edge)

        product = Signal(address_width)
        shifted = Signal(params.index_width)  # index + offset
        packet_2, edge_2 = Signal.like(packet), Signal.like(edge)
        with m.If(~hold):
            m.d.sync += [
                product.eq(spike.index * descriptor.rows),
                shifted.eq(spike.index + descriptor.offset),
                packet_2.eq(packet),
                edge_2.eq(edge),
            ]

        self._stages = ((packet, edge), (packet_2, edge_2, shifted))
        spike, descriptor = view(self._packets.spike, packet_2), view(self._edge, edge_2)
        psum = view(self._packets.psum, packet_2)
        token = view(self._packets.token, packet_2)
        is_spike = packet_2[:3] == Kind.SPIKE
        dense = descriptor.kind == EdgeKind.DENSE
        position_bits = params.pointers_per_word.bit_length() - 1
        neuron = self._neuron(is_spike, shifted, psum.neuron)
        job = Signal(job_layout(params))
        sparse = descriptor.kind == EdgeKind.SPARSE
        offset = Mux(dense, product, shifted >> position_bits)
        of_words, has_row_start = dense, dense
        slot = spike.slot  # at one place in all three kinds
        if params.has_maps:
            is_map = descriptor.kind == EdgeKind.MAP
            offset = Mux(is_map, 0, offset)
            of_words, has_row_start = dense | is_map, descriptor.kind != EdgeKind.IDENTITY
            slots = Mux(is_spike, descriptor.slots, params.n_slots.bit_length() - 1)
            slot = mirrored(params, slot, slots)
        m.d.sync += [
            job.slot.eq(slot),
            job.address.eq(descriptor.base + offset),
            job.rows.eq(descriptor.rows),
            job.row.eq(Mux(is_spike & has_row_start, descriptor.row_start, neuron >> lane_width)),
            job.lane.eq(
                Mux(is_spike & sparse, resized(shifted[:position_bits], lane_width), neuron)
            ),
            job.last_lanes.eq(descriptor.last_lanes),
            job.weight.eq(Mux(is_spike, descriptor.weight, 1)),
            job.value.eq(Mux(is_spike, spike.payload, psum.value)),
            job.kind.eq(JobKind.SINGLE),
        ]
        with m.If(packet_2[:3] == Kind.TOKEN):
            m.d.sync += [
                job.kind.eq(JobKind.TOKEN),
                job.value.eq(Cat(token.group, token.slot, token.credit)),  # a token_layout
            ]
        with m.Elif(is_spike & of_words):
            m.d.sync += job.kind.eq(JobKind.DENSE)
        with m.Elif(is_spike & sparse):
            m.d.sync += job.kind.eq(JobKind.POINTER)
        return job

    def _map(self, m: Module, job, queued, valid: Value, hold: Signal) -> Value:
        """Look up y, x and c of a MAP event; return whether an axis has no target.

        When the second stage has held the event for a cycle, its job in the third adds what y and
        x give. The sum with c goes into the queue itself: the next event is behind it already.
        """
        (packet, edge), (packet_2, edge_2, shifted) = self._stages
        m.submodules.axis = axis = AxisLookup(self._params)
        wiring.connect(m, wiring.flipped(self.axis), axis.config)
        first, second = view(self._edge, edge), view(self._edge, edge_2)
        again = Signal()  # y and x of the job at hand are looked up
        n_y, n_x = Signal(len(queued.n_y)), Signal(len(queued.n_x))
        layout = MemoryLayouts(self._params).axis
        entry, x_entry = view(layout, axis.entry), view(layout, axis.x_entry)
        m.d.comb += [
            axis.load.eq(~hold),
            axis.y_shift.eq(first.y_shift),
            axis.x_shift.eq(first.x_shift),
            axis.index.eq(shifted),
            axis.y_axis.eq(second.y_axis),
            axis.x_axis.eq(second.x_axis),
            axis.c_axis.eq(second.c_axis),
            axis.first.eq(hold),
            queued.address.eq(job.address + Mux(job.map, entry.weight, 0)),
            queued.row.eq(job.row + Mux(job.map, entry.row, 0)),
            queued.rows.eq(Mux(job.map, entry.count, job.rows)),
            queued.n_x.eq(n_x),
            queued.n_y.eq(n_y),
        ]
        m.d.sync += [
            again.eq(hold),
            hold.eq(~hold & valid & _is_map(packet, first)),
            n_y.eq(entry.count),
            n_x.eq(x_entry.count),
            job.map.eq(_is_map(packet_2, second)),
            *(job[name].eq(second[name]) for name in ("y_weight", "x_weight", "y_row", "x_row")),
        ]
        with m.If(again):
            m.d.sync += [
                job.address.eq(queued.address + x_entry.weight),
                job.row.eq(queued.row + x_entry.row),
            ]
        return job.map & ((n_y == 0) | (n_x == 0))

    def _neuron(self, is_spike, shifted: Value, psum_neuron):
        """Accumulator of an IDENTITY or PSUM row; an index wraps at their number."""
        n_accumulators = self._params.n_accumulators
        width = bits_for(n_accumulators)
        if n_accumulators != 1 << width:
            shifted = shifted % Const(n_accumulators)
        return Mux(is_spike, shifted[:width], psum_neuron)


def _is_map(packet: Value, descriptor) -> Value:
    return (packet[:3] == Kind.SPIKE) & (descriptor.kind == EdgeKind.MAP)


def axis_port(params: ArrayParams) -> dict[str, Member]:
    """Return the port of the axis tables, if the array has them."""
    width = MemoryLayouts(params).axis.width
    return {"axis": In(ConfigPortSignature(width))} if params.has_maps else {}
