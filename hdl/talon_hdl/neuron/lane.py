"""One update lane: every ``update_lanes``-th neuron, its states, records and datapaths."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import MemoryLayouts
from talon.arch.numerics import PAYLOAD_MAX
from talon.arch.params import ArrayParams
from talon_hdl.core.table import ConfigPort, ConfigPortSignature, Table
from talon_hdl.neuron import current, datapath
from talon_hdl.shapes import view

I_LATENCY = current.LATENCY
"""Cycles from ``i_addr`` to the current that is written."""

V_DELAY = current.LATENCY - datapath.ACC_STAGE
"""Cycles from ``i_addr`` to ``addr``, in an array with synaptic currents."""


def latency(params: ArrayParams) -> int:
    """Return the cycles from ``acc`` to the outputs."""
    return datapath.LATENCY + (V_DELAY if params.synaptic_current else 0)


class UpdateLane(wiring.Component):
    """Read a neuron, advance it; its state is written back by the caller's addresses.

    In an array with synaptic currents the current is first, and what it adds to the potential
    comes to the potential's datapath where a sum of synaptic operations would be by then.

    Parameters
    ----------
    params
        Parameters of the array.
    synthesis
        Use primitives of the FPGA.
    block_records
        Keep the records in block RAM; those of currents stay in distributed RAM.

    Members
    -------
    addr : :py:`In(range(n_neurons // update_lanes))`
        Neuron to update, in units of ``update_lanes``.
    acc : :py:`In(signed(acc_width))`
        Its accumulator; with currents, that of the neuron at ``i_addr``.
    frac : :py:`In(frac_width)`
        Fractional bits of V of the group.
    records : :class:`~talon_hdl.core.table.ConfigPortSignature`
        This lane's share of the neuron records.
    v, spike, saturated : :py:`Out`
        See :class:`~talon_hdl.neuron.datapath.NeuronDatapath`; ``latency`` cycles after ``acc``.
    w_addr, w_en : :py:`In`
        Neuron to write ``v`` to.
    record_addr : :py:`In(range(n_neurons // update_lanes))`
        With feature maps: record of the neuron at ``addr``; without, that is ``addr`` as well.
    graded : :py:`In(1)`
        With feature maps: ``v`` is the payload of a graded neuron; must hold still.
    counting, count : :py:`In(1)`, :py:`Out(PAYLOAD_MAX bits)`
        With several spikes: see :class:`~talon_hdl.neuron.datapath.NeuronDatapath`.
    clear : :py:`In(1)`
        From the next cycle on, what is written is the state at start.
    i_addr : :py:`In`
        With currents: neuron whose current to update, ``V_DELAY`` cycles before ``addr``.
    i_w_addr, i_w_en : :py:`In`
        With currents: neuron to write its current to, ``I_LATENCY`` cycles later.
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
    record_addr: Signal
    graded: Signal
    counting: Signal
    count: Signal
    clear: Signal
    i_addr: Signal
    i_w_addr: Signal
    i_w_en: Signal

    def __init__(
        self, params: ArrayParams, *, synthesis: bool = False, block_records: bool = False
    ) -> None:
        self._params = params
        self._synthesis = synthesis
        self._block_records = block_records
        self._depth = params.n_neurons // params.update_lanes
        self._layouts = MemoryLayouts(params)
        address = In(range(self._depth))
        currents = {"i_addr": address, "i_w_addr": address, "i_w_en": In(1)}
        maps = {"record_addr": address, "graded": In(1)}
        counting = {"counting": In(1), "count": Out(PAYLOAD_MAX.bit_length())}
        super().__init__(
            {
                "addr": address,
                "acc": In(signed(params.acc_width)),
                "frac": In(params.frac_width),
                "records": In(ConfigPortSignature(self._layouts.record.width)),
                "v": Out(signed(params.v_width)),
                "spike": Out(1),
                "saturated": Out(1),
                "w_addr": address,
                "w_en": In(1),
                "clear": In(1),
                **(currents if params.synaptic_current else {}),
                **(maps if params.has_maps else {}),
                **(counting if params.multi_spike else {}),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        # Beside V: whether it fires, and whether it is that of the start. Both spare a comparison.
        state = data.StructLayout({"v": signed(self._params.v_width), "fired": 1, "fresh": 1})
        read, write = self._states(m, "states", state)
        neuron = self._layouts.neuron
        m.submodules.records = records = Table(
            width=neuron.width, depth=self._depth, block=self._block_records
        )
        m.submodules.datapath = path = datapath.NeuronDatapath(
            self._params,
            synthesis=self._synthesis,
            late_sum=self._params.synaptic_current,
            late_record=self._block_records,
        )
        self._configure(m, records, start=0)
        m.d.comb += [
            read.addr.eq(self.addr),
            records.addr.eq(self.record_addr if self._params.has_maps else self.addr),
            path.v.eq(read.data.v),
            path.fired.eq(read.data.fired),
            path.fresh.eq(read.data.fresh),
            path.record.eq(view(neuron, records.data)),
            path.clear.eq(self.clear),
            self.v.eq(path.v_next),
            self.spike.eq(path.spike),
            write.addr.eq(self.w_addr),
            write.data.v.eq(path.v_next),
            write.data.fired.eq(path.fired_next if self._params.double_threshold else path.spike),
            write.data.fresh.eq(path.fresh_next),
            write.en.eq(self.w_en),
        ]
        if self._params.has_maps:
            m.d.comb += path.graded.eq(self.graded)
        if self._params.multi_spike:
            m.d.comb += [path.counting.eq(self.counting), self.count.eq(path.count)]
        if self._params.synaptic_current:
            currents = self._currents(m, path)
            m.d.comb += self.records.r_data.eq(Cat(records.config.r_data, currents.config.r_data))
        else:
            m.d.comb += [
                path.acc.eq(self.acc),
                path.frac.eq(self.frac),
                self.saturated.eq(path.saturated),
                self.records.r_data.eq(records.config.r_data),
            ]
        return m

    def _states(self, m: Module, name: str, shape):
        """Return the ports of a state memory."""
        m.submodules[name] = states = memory.Memory(
            shape=shape, depth=self._depth, init=[], attrs={"ram_style": "distributed"}
        )
        return states.read_port(domain="comb"), states.write_port()

    def _configure(self, m: Module, table: Table, *, start: int) -> None:
        """Connect a table to the bits of the configuration port from ``start`` on."""
        config, width = table.config, len(table.data)
        m.d.comb += [
            config.en.eq(self.records.en),
            config.addr.eq(self.records.addr),
            config.w_en.eq(self.records.w_en),
            config.w_data.eq(self.records.w_data[start : start + width]),
        ]

    def _currents(self, m: Module, path: datapath.NeuronDatapath) -> Table:
        """Synaptic currents; return the table of their parameters."""
        read, write = self._states(m, "currents", signed(self._params.v_width))
        layout = self._layouts.current
        m.submodules.current_records = records = Table(width=layout.width, depth=self._depth)
        m.submodules.current = part = current.CurrentDatapath(
            self._params, synthesis=self._synthesis
        )
        self._configure(m, records, start=self._layouts.neuron.width)
        n_late = latency(self._params) - I_LATENCY
        saturated = [Signal(name=f"current_saturated_{stage}") for stage in range(n_late)]
        m.d.sync += Cat(saturated).eq(Cat(part.saturated, *saturated))
        m.d.comb += [
            read.addr.eq(self.i_addr),
            records.addr.eq(self.i_addr),
            part.i.eq(read.data),
            part.acc.eq(self.acc),
            part.record.eq(view(layout, records.data)),
            part.frac.eq(self.frac),
            part.clear.eq(self.clear),
            path.acc.eq(part.sum),
            path.frac.eq(part.sum_frac),
            self.saturated.eq(path.saturated | saturated[-1]),
            write.addr.eq(self.i_w_addr),
            write.data.eq(part.sum),
            write.en.eq(self.i_w_en),
        ]
        return records
