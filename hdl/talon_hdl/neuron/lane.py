"""One update lane: every ``update_lanes``-th neuron, its potentials, records and datapath."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import MemoryLayouts
from talon.arch.params import ArrayParams
from talon_hdl.core.table import ConfigPortSignature, Table
from talon_hdl.neuron import datapath
from talon_hdl.shapes import view

LATENCY = 1 + datapath.LATENCY
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
    w_addr, w_en, clear : :py:`In`
        Neuron to write ``v`` to; or zero, if ``clear``.
    """

    addr: Signal
    acc: Signal
    frac: Signal
    records: wiring.PureInterface
    v: Signal
    spike: Signal
    saturated: Signal
    w_addr: Signal
    w_en: Signal
    clear: Signal

    def __init__(self, params: ArrayParams) -> None:
        self._params = params
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
        m.submodules.potentials = potentials = memory.Memory(
            shape=signed(self._params.v_width), depth=self._depth, init=[]
        )
        read, write = potentials.read_port(domain="comb"), potentials.write_port()
        m.submodules.records = records = Table(width=self._record.width, depth=self._depth)
        m.submodules.datapath = path = datapath.NeuronDatapath(self._params)
        wiring.connect(m, wiring.flipped(self.records), records.config)
        v, acc, record = Signal.like(self.v), Signal.like(self.acc), Signal(self._record.width)
        m.d.sync += [v.eq(read.data), acc.eq(self.acc), record.eq(records.data)]
        m.d.comb += [
            read.addr.eq(self.addr),
            records.addr.eq(self.addr),
            path.v.eq(v),
            path.acc.eq(acc),
            path.record.eq(view(self._record, record)),
            path.frac.eq(self.frac),
            self.v.eq(path.v_next),
            self.spike.eq(path.spike),
            self.saturated.eq(path.saturated),
            write.addr.eq(self.w_addr),
            write.data.eq(path.v_next & ~self.clear.replicate(self._params.v_width)),
            write.en.eq(self.w_en),
        ]
        return m
