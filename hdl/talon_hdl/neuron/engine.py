"""Neuron engine: tokens in, packets out."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import MemoryLayouts
from talon.arch.packet import PacketLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.core.table import ConfigPort, ConfigPortSignature
from talon_hdl.neuron.map_update import MapUpdateEngine
from talon_hdl.neuron.scheduler import GroupScheduler
from talon_hdl.neuron.serializer import Serializer
from talon_hdl.neuron.update import UpdateEngine
from talon_hdl.synapse.job import fetch_layout, token_layout


class NeuronEngine(wiring.Component):
    """Update the groups whose timestep is complete, and send what they have to send.

    Members
    -------
    token : :py:`In(stream.Signature(token_layout))`
        Tokens that arrive.
    fetch : :py:`Out(stream.Signature(fetch_layout, always_ready=True))`
        Accumulator row to fetch and clear.
    fetched, fetched_stb : :py:`In`
        Its accumulators; held until the next one.
    enable, reset : :py:`In(1)`
        The core is armed; strobe that resets potentials, accumulators and tokens.
    probe : :py:`In(1)`
        Every neuron sends its potential.
    sweep_rows : :py:`In`
        Accumulator rows that a reset has to clear; zero stands for all.
    core : :py:`In(range(n_cores))`
        Number of this core.
    records, groups, routes, tokens, grants : :class:`~talon_hdl.core.table.ConfigPortSignature`
        The memories RECORD, GROUP, ROUTE, TOKEN and INIT.
    tables : :class:`~talon_hdl.core.table.ConfigPortSignature`
        The memory TABLE, where the array has one.
    o : :py:`Out(stream.Signature(packet width))`
        Packets.
    closed : :py:`Out(1)`
        The state is being reset, or is about to be; no packet may come.
    idle : :py:`Out(1)`
        Nothing is under way and no group can start.
    n_updates, n_spikes, n_saturations : :py:`Out`
        Neurons of this cycle, for the counters.
    """

    token: stream.Interface
    fetch: stream.Interface
    fetched: data.View
    fetched_stb: Signal
    enable: Signal
    reset: Signal
    probe: Signal
    sweep_rows: Signal
    core: Signal
    records: ConfigPort
    groups: ConfigPort
    routes: ConfigPort
    tokens: ConfigPort
    grants: ConfigPort
    tables: ConfigPort
    o: stream.Interface
    closed: Signal
    idle: Signal
    n_updates: Signal
    n_spikes: Signal
    n_saturations: Signal

    def __init__(
        self, params: ArrayParams, *, synthesis: bool = False, block_records: bool = False
    ) -> None:
        self._params = params
        self._build = {"synthesis": synthesis, "block_records": block_records}
        layouts = MemoryLayouts(params)
        count = range(params.update_lanes + 1)
        super().__init__(
            {
                "token": In(stream.Signature(token_layout(params))),
                "fetch": Out(stream.Signature(fetch_layout(params), always_ready=True)),
                "fetched": In(data.ArrayLayout(signed(params.acc_width), params.lanes)),
                "fetched_stb": In(1),
                "enable": In(1),
                "reset": In(1),
                "probe": In(1),
                "sweep_rows": In(bits_for(max(params.n_rows, params.n_groups))),
                "core": In(bits_for(params.n_cores)),
                "records": In(ConfigPortSignature(layouts.record.width)),
                "groups": In(ConfigPortSignature(layouts.group.width)),
                "routes": In(ConfigPortSignature(layouts.route.width)),
                "tokens": In(ConfigPortSignature(layouts.token.width)),
                "grants": In(ConfigPortSignature(layouts.init.width)),
                **(
                    {"tables": In(ConfigPortSignature(layouts.table.width))}
                    if params.table_activation
                    else {}
                ),
                "o": Out(stream.Signature(PacketLayouts(params).width)),
                "closed": Out(1),
                "idle": Out(1),
                "n_updates": Out(count),
                "n_spikes": Out(count),
                "n_saturations": Out(count),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.scheduler = scheduler = GroupScheduler(self._params)
        engine = MapUpdateEngine if self._params.has_maps else UpdateEngine
        m.submodules.update = update = engine(self._params, **self._build)
        m.submodules.serializer = serializer = Serializer(self._params)

        wiring.connect(m, wiring.flipped(self.token), scheduler.token)
        wiring.connect(m, wiring.flipped(self.groups), scheduler.groups)
        wiring.connect(m, wiring.flipped(self.grants), scheduler.grants)
        wiring.connect(m, wiring.flipped(self.records), update.records)
        if self._params.table_activation:
            wiring.connect(m, wiring.flipped(self.tables), update.tables)
        wiring.connect(m, wiring.flipped(self.routes), serializer.routes)
        wiring.connect(m, wiring.flipped(self.tokens), serializer.tokens)
        wiring.connect(m, update.o, serializer.i)
        wiring.connect(m, serializer.o, wiring.flipped(self.o))
        for part in (update, serializer):
            m.d.comb += [
                part.run.eq(scheduler.run),
                part.start.eq(scheduler.start),
                part.probe.eq(self.probe),
            ]
        m.d.comb += [
            scheduler.enable.eq(self.enable),
            scheduler.reset.eq(self.reset),
            scheduler.sweep_rows.eq(self.sweep_rows),
            scheduler.done.eq(serializer.done),
            update.fetched.eq(self.fetched),
            update.fetched_stb.eq(self.fetched_stb),
            update.sweep.eq(scheduler.resetting),
            update.sweep_addr.eq(scheduler.sweep_addr),
            serializer.finished.eq(update.finished),
            serializer.core.eq(self.core),
            self.closed.eq(scheduler.closed),
            self.idle.eq(scheduler.quiet & ~serializer.busy),
            self.n_updates.eq(update.n_updates),
            self.n_spikes.eq(update.n_spikes),
            self.n_saturations.eq(update.n_saturations),
        ]
        with m.If(scheduler.resetting):
            m.d.comb += [
                self.fetch.valid.eq(scheduler.sweep.valid),
                self.fetch.payload.eq(scheduler.sweep.payload),
            ]
        with m.Else():
            m.d.comb += [
                self.fetch.valid.eq(update.fetch.valid),
                self.fetch.payload.eq(update.fetch.payload),
            ]
        return m
