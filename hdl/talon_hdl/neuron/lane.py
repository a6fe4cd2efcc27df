"""One update lane: every ``update_lanes``-th neuron, its potentials, records and datapath."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import MemoryLayouts
from talon.arch.params import ArrayParams
from talon_hdl.core.table import ConfigPort, ConfigPortSignature, Table
from talon_hdl.neuron import datapath
from talon_hdl.shapes import view

LATENCY = datapath.LATENCY
"""Cycles from ``addr`` and ``acc`` to the outputs."""


class UpdateLane(wiring.Component):
    """Read a neuron, advance it; its potential is written back by the caller's address.

    Members
    -------
    addr : :py:`In(range(n_neurons // update_lanes))`
        Neuron to update, in units of ``update_lanes``.
    acc : :py:`In(signed(acc_width))`
        Its accumulator.
    frac : :py:`In(frac_width)`
        Fractional bits of V of the group.
    records : :class:`~talon_hdl.core.table.ConfigPortSignature`
        This lane's share of the neuron records.
    v, spike, saturated : :py:`Out`
        See :class:`~talon_hdl.neuron.datapath.NeuronDatapath`; ``LATENCY`` cycles after ``addr``.
    w_addr, w_en : :py:`In`
        Neuron to write ``v`` to.
    clear : :py:`In(1)`
        From the next cycle on, what is written is the state at start.
    """

    addr: Signal
    acc: Signal
    frac: Signal
    records: ConfigPort
    v: Signal
    spike: Signal
    saturated: Signal
    w_addr: Signal
    w_en: Signal
    clear: Signal

    def __init__(self, params: ArrayParams, *, synthesis: bool = False) -> None:
        self._params = params
        self._synthesis = synthesis
        self._depth = params.n_neurons // params.update_lanes
        self._record = MemoryLayouts(params).record
        super().__init__(
            {
                "addr": In(range(self._depth)),
                "acc": In(signed(params.acc_width)),
                "frac": In(params.frac_width),
                "records": In(ConfigPortSignature(self._record.width)),
                "v": Out(signed(params.v_width)),
                "spike": Out(1),
                "saturated": Out(1),
                "w_addr": In(range(self._depth)),
                "w_en": In(1),
                "clear": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        # Beside V: whether it fires, and whether it is that of the start. Both spare a comparison.
        state = data.StructLayout({"v": signed(self._params.v_width), "fired": 1, "fresh": 1})
        m.submodules.states = states = memory.Memory(
            shape=state, depth=self._depth, init=[], attrs={"ram_style": "distributed"}
        )
        read, write = states.read_port(domain="comb"), states.write_port()
        m.submodules.records = records = Table(width=self._record.width, depth=self._depth)
        m.submodules.datapath = path = datapath.NeuronDatapath(
            self._params, synthesis=self._synthesis
        )
        wiring.connect(m, wiring.flipped(self.records), records.config)
        m.d.comb += [
            read.addr.eq(self.addr),
            records.addr.eq(self.addr),
            path.v.eq(read.data.v),
            path.fired.eq(read.data.fired),
            path.fresh.eq(read.data.fresh),
            path.acc.eq(self.acc),
            path.record.eq(view(self._record, records.data)),
            path.frac.eq(self.frac),
            path.clear.eq(self.clear),
            self.v.eq(path.v_next),
            self.spike.eq(path.spike),
            self.saturated.eq(path.saturated),
            write.addr.eq(self.w_addr),
            write.data.v.eq(path.v_next),
            write.data.fired.eq(path.spike),
            write.data.fresh.eq(path.fresh_next),
            write.en.eq(self.w_en),
        ]
        return m
