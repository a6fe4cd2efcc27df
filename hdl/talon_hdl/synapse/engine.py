"""Synapse engine: packets in, accumulators out."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import MemoryLayouts
from talon.arch.packet import PacketLayouts
from talon.arch.params import ArrayParams
from talon_hdl.core.table import ConfigPort, ConfigPortSignature
from talon_hdl.shapes import view
from talon_hdl.synapse.accumulator import Accumulators
from talon_hdl.synapse.decode import Decoder, axis_port
from talon_hdl.synapse.expand import LaneExpander
from talon_hdl.synapse.job import fetch_layout, row_layout, token_layout
from talon_hdl.synapse.memory import WeightMemory
from talon_hdl.synapse.streamer import RowStreamer


class SynapseEngine(wiring.Component):
    """Add the events of the input to accumulators, one weight word a cycle.

    Parameters
    ----------
    params
        Parameters of the array.
    synthesis
        See :class:`~talon_hdl.synapse.memory.WeightMemory`.

    Members
    -------
    i : :py:`In(stream.Signature(packet width))`
        SPIKE, PSUM and TOKEN packets.
    token : :py:`Out(stream.Signature(token_layout))`
        Tokens, behind the rows of all events before them.
    fetch : :py:`In(stream.Signature(fetch_layout, always_ready=True))`
        Accumulator row to fetch and clear, or to keep; it goes before events.
    fetched, fetched_stb : :py:`Out`
        Its accumulators, six cycles later; held until the next one.
    edges, weights : :class:`~talon_hdl.core.table.ConfigPortSignature`
        The two memories.
    axis : :class:`~talon_hdl.core.table.ConfigPortSignature`
        The axis tables, in arrays with feature maps.
    event : :py:`Out(1)`
        A SPIKE or PSUM packet was taken.
    row : :py:`Out(1)`
        A row other than a fetch is retired.
    n_synapses : :py:`Out(range(lanes + 1))`
        Its synaptic operations.
    busy : :py:`Out(1)`
        An event is being decoded, or has rows to issue.
    drained : :py:`Out(1)`
        Nothing is under way.
    """

    i: stream.Interface
    token: stream.Interface
    fetch: stream.Interface
    fetched: data.View
    fetched_stb: Signal
    edges: ConfigPort
    axis: ConfigPort
    weights: ConfigPort
    event: Signal
    row: Signal
    n_synapses: Signal
    busy: Signal
    drained: Signal

    def __init__(self, params: ArrayParams, *, synthesis: bool = False) -> None:
        self._params = params
        self._synthesis = synthesis
        super().__init__(
            {
                "i": In(stream.Signature(PacketLayouts(params).width)),
                "token": Out(stream.Signature(token_layout(params))),
                "fetch": In(stream.Signature(fetch_layout(params), always_ready=True)),
                "fetched": Out(data.ArrayLayout(signed(params.acc_width), params.lanes)),
                "fetched_stb": Out(1),
                "edges": In(ConfigPortSignature(MemoryLayouts(params).edge.width)),
                **axis_port(params),
                "weights": In(ConfigPortSignature(params.lanes * params.weight_width)),
                "event": Out(1),
                "row": Out(1),
                "n_synapses": Out(range(params.lanes + 1)),
                "busy": Out(1),
                "drained": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        params = self._params
        m.submodules.decoder = decoder = Decoder(params)
        m.submodules.streamer = streamer = RowStreamer(params)
        m.submodules.weights = weights = WeightMemory(params, synthesis=self._synthesis)
        m.submodules.expander = expander = LaneExpander(params)
        m.submodules.accumulators = accumulators = Accumulators(params, synthesis=self._synthesis)

        wiring.connect(m, wiring.flipped(self.i), decoder.i)
        wiring.connect(m, wiring.flipped(self.edges), decoder.edges)
        if params.has_maps:
            wiring.connect(m, wiring.flipped(self.axis), decoder.axis)
        wiring.connect(m, decoder.o, streamer.i)
        wiring.connect(m, wiring.flipped(self.fetch), streamer.fetch)
        wiring.connect(m, streamer.token, wiring.flipped(self.token))

        # The row waits two cycles for its weight word.
        reading, read = Signal(row_layout(params)), Signal(row_layout(params))
        m.d.sync += [reading.eq(streamer.o), read.eq(reading)]
        m.d.comb += [
            weights.addr.eq(Mux(self.weights.en, self.weights.addr, streamer.addr)),
            weights.w_en.eq(self.weights.w_en),
            weights.w_data.eq(self.weights.w_data),
            self.weights.r_data.eq(weights.r_data),
            expander.ahead.eq(reading),
            expander.i.eq(read),
            expander.word.eq(weights.r_data),
            accumulators.i.eq(expander.o),
            self.fetched.eq(accumulators.fetched),
            self.fetched_stb.eq(accumulators.fetched_stb),
        ]
        self._return_pointers(m, streamer, read, weights.r_data)

        in_flight = Cat(row.valid | row.pointer for row in (streamer.o, reading, read))
        m.d.comb += [
            self.event.eq(decoder.event),
            self.row.eq(expander.o.valid & ~expander.o.clear),
            self.n_synapses.eq(expander.n_synapses),
            self.busy.eq(decoder.busy | streamer.busy),
            self.drained.eq(
                ~(decoder.busy | streamer.waiting | in_flight.any() | accumulators.busy)
            ),
        ]
        return m

    def _return_pointers(self, m: Module, streamer: RowStreamer, read, word: Signal) -> None:
        layout = MemoryLayouts(self._params).pointer
        position_bits = self._params.pointers_per_word.bit_length() - 1
        pointer = view(layout, word.word_select(read.lane[:position_bits], layout.width))
        arrived = Signal()
        m.d.sync += [
            arrived.eq(read.pointer),
            streamer.lists.payload.token.eq(read.token),
            streamer.lists.payload.address.eq(pointer.address),
            streamer.lists.payload.count.eq(pointer.count),
            streamer.lists.payload.slot.eq(read.slot),
            streamer.lists.payload.payload.eq(read.value),
        ]
        m.d.comb += streamer.lists.valid.eq(arrived)
