"""From packets to jobs: edge descriptors and weight addresses."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import EdgeKind, MemoryLayouts
from talon.arch.packet import Kind, PacketLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.core.table import ConfigPort, ConfigPortSignature, Table
from talon_hdl.shapes import resized, view
from talon_hdl.stream import Queue
from talon_hdl.synapse.job import JobKind, job_layout

_STAGES = 3
_JOBS = 16  # a distributed RAM is that deep anyhow


class Decoder(wiring.Component):
    """Turn SPIKE, PSUM and TOKEN packets into jobs, one a cycle, three cycles later.

    The stages never stall: a packet is taken only if the queue has room for all that are under way.
    A DENSE event without rows ends here.

    Members
    -------
    i : :py:`In(stream.Signature(packet width))`
        Packets of those three kinds.
    o : :py:`Out(stream.Signature(job_layout))`
        Jobs, in the order of the packets.
    edges : :class:`~talon_hdl.core.table.ConfigPortSignature`
        Memory of edge descriptors.
    event : :py:`Out(1)`
        A SPIKE or PSUM packet is taken.
    busy : :py:`Out(1)`
        A job is under way or waits.
    """

    i: stream.Interface
    o: stream.Interface
    edges: ConfigPort
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
        m.d.comb += [
            self.i.ready.eq(jobs.level < _JOBS - _STAGES),
            self.event.eq(self.i.valid & self.i.ready & (self.i.payload[:3] != Kind.TOKEN)),
            self.busy.eq(valid.any() | jobs.o.valid),
        ]
        packet, edge = self._look_up(m)
        m.d.sync += valid.eq(Cat(self.i.valid & self.i.ready, valid))
        job = self._address(m, packet, edge)
        no_rows = (job.kind == JobKind.DENSE) & (job.rows == 0)
        m.d.comb += [
            jobs.i.payload.eq(job),
            jobs.i.valid.eq(valid[2] & ~no_rows),
        ]
        return m

    def _look_up(self, m: Module) -> tuple[Signal, Signal]:
        """First stage: the packet and its edge descriptor."""
        m.submodules.edges = table = Table(width=self._edge.width, depth=self._params.n_edges)
        wiring.connect(m, wiring.flipped(self.edges), table.config)
        packet = Signal(self._packets.width)
        edge = Signal(self._edge.width)
        m.d.comb += table.addr.eq(view(self._packets.spike, self.i.payload).edge)
        m.d.sync += [packet.eq(self.i.payload), edge.eq(table.data)]
        return packet, edge

    def _address(self, m: Module, packet: Signal, edge: Signal):
        """Second stage: the product and the sum of the index. Third: the job."""
        params = self._params
        address_width = bits_for(params.weight_words)
        lane_width = bits_for(params.lanes)
        spike, descriptor = view(self._packets.spike, packet), view(self._edge, edge)

        product = Signal(address_width)
        shifted = Signal(params.index_width)  # index + offset
        packet_2, edge_2 = Signal.like(packet), Signal.like(edge)
        m.d.sync += [
            product.eq(spike.index * descriptor.rows),
            shifted.eq(spike.index + descriptor.offset),
            packet_2.eq(packet),
            edge_2.eq(edge),
        ]

        spike, descriptor = view(self._packets.spike, packet_2), view(self._edge, edge_2)
        psum = view(self._packets.psum, packet_2)
        token = view(self._packets.token, packet_2)
        is_spike = packet_2[:3] == Kind.SPIKE
        dense = descriptor.kind == EdgeKind.DENSE
        position_bits = (params.lanes // 4).bit_length() - 1
        neuron = self._neuron(is_spike, shifted, psum.neuron)
        job = Signal(job_layout(params))
        sparse = descriptor.kind == EdgeKind.SPARSE
        m.d.sync += [
            job.slot.eq(spike.slot),  # at one place in all three kinds
            job.address.eq(descriptor.base + Mux(dense, product, shifted >> position_bits)),
            job.rows.eq(descriptor.rows),
            job.row.eq(Mux(is_spike & dense, descriptor.row_start, neuron >> lane_width)),
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
                job.value.eq(Cat(token.credit, token.group)),
            ]
        with m.Elif(is_spike & dense):
            m.d.sync += job.kind.eq(JobKind.DENSE)
        with m.Elif(is_spike & sparse):
            m.d.sync += job.kind.eq(JobKind.POINTER)
        return job

    def _neuron(self, is_spike, shifted: Value, psum_neuron):
        """Accumulator of an IDENTITY or PSUM row; an index wraps at the number of neurons."""
        width = bits_for(self._params.n_neurons)
        if self._params.n_neurons != 1 << width:
            shifted = shifted % Const(self._params.n_neurons)
        return Mux(is_spike, shifted[:width], psum_neuron)
