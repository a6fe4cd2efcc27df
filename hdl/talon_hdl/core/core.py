"""Neuron core: one tile of the array without its router."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.packet import Kind, PacketLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.core.config import ConfigUnit
from talon_hdl.core.counters import CounterBank
from talon_hdl.neuron.engine import NeuronEngine
from talon_hdl.stream import Queue
from talon_hdl.synapse.engine import SynapseEngine


class NeuronCore(wiring.Component):
    """Take packets, sum their synapses, update neurons, send their packets.

    The synapse engine never waits for the output, so the core takes packets whatever becomes of
    those it sends. Theory of operation: ``docs/hardware/core.md``.

    Parameters
    ----------
    params
        Parameters of the array.
    synthesis
        Use primitives of the FPGA where inference does not do; a simulator does not know them.
    block_records
        Keep the neuron records in block RAM: for devices with more of it than of distributed RAM.
        The core behaves the same, cycle by cycle.

    Members
    -------
    i, o : :py:`stream.Signature(packet width)`
        Packets from and to the router.
    x, y : :py:`In`
        Position in the mesh; must hold still.
    state_reset : :py:`In(1)`
        Strobe: potentials, accumulators and tokens to their state at start. ``idle`` falls in the
        next cycle, and rises when it is done.
    idle : :py:`Out(1)`
        No packet is inside and no group can start. A packet taken in this cycle counts from the
        next one on.
    error : :py:`Out(1)`
        The status has an error.
    """

    i: stream.Interface
    o: stream.Interface
    x: Signal
    y: Signal
    state_reset: Signal
    idle: Signal
    error: Signal

    def __init__(
        self, params: ArrayParams, *, synthesis: bool = False, block_records: bool = False
    ) -> None:
        self._params = params
        self._synthesis = synthesis
        self._block_records = block_records
        width = PacketLayouts(params).width
        super().__init__(
            {
                "i": In(stream.Signature(width)),
                "o": Out(stream.Signature(width)),
                "x": In(bits_for(params.columns)),
                "y": In(bits_for(params.rows)),
                "state_reset": In(1),
                "idle": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        params = self._params
        m.submodules.inputs = inputs = Queue(PacketLayouts(params).width, depth=params.fifo_depth)
        m.submodules.config = config = ConfigUnit(params)
        m.submodules.synapses = synapses = SynapseEngine(params, synthesis=self._synthesis)
        m.submodules.neurons = neurons = NeuronEngine(
            params, synthesis=self._synthesis, block_records=self._block_records
        )
        wiring.connect(m, wiring.flipped(self.i), inputs.i)
        wiring.connect(m, synapses.token, neurons.token)
        wiring.connect(m, neurons.fetch, synapses.fetch)
        self._connect_memories(m, config, synapses, neurons)

        core = Signal(bits_for(params.n_cores))
        m.d.sync += core.eq(self.y * params.columns + self.x)
        m.d.comb += [
            config.core.eq(core),
            neurons.core.eq(core),
            neurons.enable.eq(config.armed),
            neurons.probe.eq(config.probe),
            neurons.sweep_rows.eq(config.sweep_rows),
            # ARM resets: a core that is not armed has no state, and need not spend the sweep.
            neurons.reset.eq((self.state_reset & config.armed) | config.arm),
            neurons.fetched.eq(synapses.fetched),
            neurons.fetched_stb.eq(synapses.fetched_stb),
            self.error.eq(config.error),
        ]
        self._dispatch(m, inputs.o, config, synapses, neurons.closed)
        self._merge(m, config, neurons)
        self._count(m, config, synapses, neurons)
        m.d.comb += self.idle.eq(~inputs.o.valid & synapses.drained & neurons.idle & ~config.busy)
        return m

    def _connect_memories(
        self, m: Module, config: ConfigUnit, synapses: SynapseEngine, neurons: NeuronEngine
    ) -> None:
        if self._params.has_maps:
            wiring.connect(m, config.axis, synapses.axis)
        if self._params.table_activation:
            wiring.connect(m, config.table, neurons.tables)
        for port, memory in (
            (config.weight, synapses.weights),
            (config.edge, synapses.edges),
            (config.record, neurons.records),
            (config.group, neurons.groups),
            (config.route, neurons.routes),
            (config.token, neurons.tokens),
            (config.init, neurons.grants),
        ):
            wiring.connect(m, port, memory)

    def _dispatch(
        self,
        m: Module,
        packets: stream.Interface,
        config: ConfigUnit,
        synapses: SynapseEngine,
        closed: Signal,
    ) -> None:
        """CONFIG packets to the configuration unit, in order with all others; the rest as events.

        Without an armed core events are discarded, and reported.
        """
        kind = packets.payload[:3]
        is_config = kind == Kind.CONFIG
        is_event = (kind == Kind.SPIKE) | (kind == Kind.PSUM) | (kind == Kind.TOKEN)
        may_take = ~closed & ~config.busy
        to_config, to_synapses = Signal(), Signal()
        m.d.comb += [
            to_config.eq(packets.valid & may_take & is_config & synapses.drained),
            config.i.valid.eq(to_config),
            config.i.payload.eq(packets.payload),
            to_synapses.eq(packets.valid & may_take & is_event & config.armed),
            synapses.i.valid.eq(to_synapses),
            synapses.i.payload.eq(packets.payload),
            config.unarmed.eq(packets.valid & may_take & is_event & ~config.armed),
            packets.ready.eq(
                may_take
                & Mux(
                    is_config,
                    config.i.ready & synapses.drained,
                    ~is_event | ~config.armed | synapses.i.ready,
                )
            ),
        ]

    def _merge(self, m: Module, config: ConfigUnit, neurons: NeuronEngine) -> None:
        """Packets of the neuron engine first, then words read back; what waits stays on offer."""
        is_word, waits = Signal(), Signal()
        m.d.comb += [
            is_word.eq(waits | ~neurons.o.valid),
            self.o.valid.eq(neurons.o.valid | config.o.valid),
            self.o.payload.eq(Mux(is_word, config.o.payload, neurons.o.payload)),
            neurons.o.ready.eq(self.o.ready & ~is_word),
            config.o.ready.eq(self.o.ready & is_word),
        ]
        m.d.sync += waits.eq(is_word & config.o.valid & ~self.o.ready)

    def _count(
        self, m: Module, config: ConfigUnit, synapses: SynapseEngine, neurons: NeuronEngine
    ) -> None:
        m.submodules.counters = counters = CounterBank(self._params)
        gains = counters.gains
        m.d.comb += [
            gains.events.eq(synapses.event),
            gains.rows.eq(synapses.row),
            gains.sops.eq(synapses.n_synapses),
            gains.busy.eq(synapses.busy),
            gains.spikes.eq(neurons.n_spikes),
            gains.updates.eq(neurons.n_updates),
            gains.saturations.eq(neurons.n_saturations),
            gains.blocked.eq(self.o.valid & ~self.o.ready),
            counters.clear.eq(config.clear_counters),
            counters.select.eq(config.counter),
            config.count.eq(counters.value),
        ]
