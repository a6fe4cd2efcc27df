"""Which group may update next: token counts, polling, and the reset of all state."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import MemoryLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.core.table import ConfigPort, ConfigPortSignature, Table
from talon_hdl.shapes import struct, view
from talon_hdl.synapse.job import fetch_layout, token_layout

_DRAIN = 16  # cycles for the last row of a sweep to be written


def run_layout(params: ArrayParams) -> data.StructLayout:
    """Return a group that is updated: its number, the slot of the timestep, its descriptor.

    With feature maps, ``first`` tells that it is the first timestep since the state was reset.
    """
    first: dict[str, int] = {"first": 1} if params.has_maps else {}
    return data.StructLayout(
        {
            "group": bits_for(params.n_groups),
            "slot": bits_for(params.n_slots),
            **first,
            "descriptor": struct(MemoryLayouts(params).group),
        }
    )


class GroupScheduler(wiring.Component):
    """Count tokens for each (group, slot), and start a group when it has all of a timestep.

    Groups are polled one a cycle, beginning with the one that a token came for. One group runs at a
    time. The counts are one memory with one address: tokens go first.

    Members
    -------
    token : :py:`In(stream.Signature(token_layout))`
        Tokens that arrive.
    groups, grants : :class:`~talon_hdl.core.table.ConfigPortSignature`
        The GROUP and INIT memories.
    enable : :py:`In(1)`
        Groups may start: the core is armed.
    reset : :py:`In(1)`
        Strobe: reset the state as soon as no group runs.
    sweep_rows : :py:`In`
        Rows that the reset goes over, at least the number of every row and group in use plus one;
        zero stands for all.
    run : :py:`Out(run_layout)`
        The group that runs.
    start : :py:`Out(1)`
        Strobe: ``run`` is new.
    done : :py:`In(1)`
        Strobe: ``run`` has sent its last packet.
    sweep : :py:`Out(stream.Signature(fetch_layout, always_ready=True))`
        Accumulator rows to clear while the state is reset.
    sweep_addr : :py:`Out`
        Count of the sweep: also the potentials to clear and the token counts to set.
    resetting : :py:`Out(1)`
        The state is being reset.
    closed : :py:`Out(1)`
        So it is, or will be from the next cycle on: nothing may arrive that the sweep would erase.
    quiet : :py:`Out(1)`
        No group runs, none can start, no reset is due.
    """

    token: stream.Interface
    groups: ConfigPort
    grants: ConfigPort
    enable: Signal
    reset: Signal
    sweep_rows: Signal
    run: data.View
    start: Signal
    done: Signal
    sweep: stream.Interface
    sweep_addr: Signal
    resetting: Signal
    closed: Signal
    quiet: Signal

    def __init__(self, params: ArrayParams) -> None:
        self._params = params
        self._layouts = layouts = MemoryLayouts(params)
        self._row_bits = bits_for(params.n_rows)
        self._slot_bits = bits_for(params.n_slots)
        self._group_bits = bits_for(params.n_groups)
        # A row takes as many counts as it has slots, or words of potentials if these are more.
        self._step_bits = max(self._slot_bits, bits_for(params.lanes // params.update_lanes))
        self._sweep_bits = self._step_bits + max(self._row_bits, self._group_bits)
        super().__init__(
            {
                "token": In(stream.Signature(token_layout(params))),
                "groups": In(ConfigPortSignature(layouts.group.width)),
                "grants": In(ConfigPortSignature(layouts.init.width)),
                "enable": In(1),
                "reset": In(1),
                "sweep_rows": In(max(self._row_bits, self._group_bits)),
                "run": Out(run_layout(params)),
                "start": Out(1),
                "done": In(1),
                "sweep": Out(stream.Signature(fetch_layout(params), always_ready=True)),
                "sweep_addr": Out(self._sweep_bits),
                "resetting": Out(1),
                "closed": Out(1),
                "quiet": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        running, reset_due = Signal(), Signal()
        poll = Signal(self._group_bits)  # group to look at next
        self._sweep(m, running, reset_due)

        # Stage 1 of a poll: what the group waits for.
        m.submodules.groups = groups = Table(
            width=self._layouts.group.width, depth=self._params.n_groups
        )
        wiring.connect(m, wiring.flipped(self.groups), groups.config)
        slot, later = self._slots(m, poll)
        looked = Signal(run_layout(self._params))
        looked_valid = Signal()
        may_poll = (
            self.enable & ~running & ~self.resetting & ~reset_due & ~self.groups.en & ~self.start
        )

        # Stage 2: compare with the counts; tokens use the memory first.
        counts, counted, ready = self._counts(m, looked)
        hit, miss = Signal(), Signal()
        can_judge = looked_valid & may_poll & ~self.token.valid
        m.d.comb += [
            self.token.ready.eq(~self.closed),
            ready.eq(
                (counted.sources == looked.descriptor.n_sources)
                & (counted.dests == looked.descriptor.n_dests)
                & (looked.descriptor["n_y" if self._params.has_maps else "n_neurons"] != 0)
            ),
            hit.eq(can_judge & ready),
            miss.eq(can_judge & ~ready),
        ]
        self._hit = hit
        self._write_counts(m, counts, counted, hit)

        with m.If(miss | (may_poll & ~looked_valid)):
            m.d.sync += [
                looked.group.eq(poll),
                looked.slot.eq(slot),
                looked.descriptor.eq(view(self._layouts.group, groups.data)),
                *((looked.first.eq(~later),) if self._params.has_maps else ()),
                looked_valid.eq(1),
                poll.eq(Mux(poll == self._params.n_groups - 1, 0, poll + 1)),
            ]
        with m.If(~may_poll | hit):
            m.d.sync += looked_valid.eq(0)
        self._begin(m, hit, looked, groups, poll)
        with m.If(hit):
            m.d.sync += running.eq(1)
        with m.Elif(self.done):
            m.d.sync += running.eq(0)
        with m.If(self.token.valid & self.token.ready):
            m.d.sync += [poll.eq(self.token.payload.group), looked_valid.eq(0)]
        self._quiet(m, miss, running, reset_due)
        return m

    def _begin(self, m: Module, hit: Signal, looked, groups: Table, poll: Signal) -> None:
        """Start the group that was hit.

        With feature maps its descriptor is long, and read once more instead of kept from the poll.
        """
        if not self._params.has_maps:
            m.d.comb += groups.addr.eq(poll)
            m.d.sync += self.start.eq(hit)
            with m.If(hit):
                m.d.sync += self.run.eq(looked)
            return
        loading, load = Signal(), Signal()
        m.d.comb += [
            load.eq(loading & ~self.groups.en),
            groups.addr.eq(Mux(loading, self.run.group, poll)),
        ]
        m.d.sync += [loading.eq(hit | (loading & ~load)), self.start.eq(load)]
        with m.If(hit):
            names = ("group", "slot", "first")
            m.d.sync += [self.run[name].eq(looked[name]) for name in names]
        with m.If(load):
            m.d.sync += self.run.descriptor.eq(view(self._layouts.group, groups.data))

    def _sweep(self, m: Module, running: Signal, reset_due: Signal) -> None:
        """Reset of all state: one count runs through all memories, then the pipeline drains."""
        count = Signal(self._sweep_bits + 1)
        drained = Signal(range(_DRAIN))
        row = count[self._step_bits : self._sweep_bits]
        over = count[self._sweep_bits] | ((row == self.sweep_rows) & self.sweep_rows.any())
        m.d.comb += [
            self.sweep_addr.eq(count),
            self.sweep.payload.row.eq(row),
            self.sweep.payload.slot.eq(count),
            self.sweep.valid.eq(self.resetting & ~over),
        ]
        due = reset_due & ~running & ~self.start
        m.d.comb += self.closed.eq(self.resetting | due)
        with m.If(self.resetting & ~over):
            m.d.sync += count.eq(count + 1)
        with m.Elif(self.resetting):
            m.d.sync += drained.eq(drained + 1)
            with m.If(drained == _DRAIN - 1):
                m.d.sync += [self.resetting.eq(0), count.eq(0)]
        with m.Elif(due):
            m.d.sync += [self.resetting.eq(1), reset_due.eq(0)]
        with m.If(self.reset):
            m.d.sync += reset_due.eq(1)

    def _slots(self, m: Module, poll: Signal) -> tuple[Value, Value]:
        """Slot of the next timestep of each group; advanced by a start, zero after a reset.

        With feature maps a bit above it tells whether the group has started since.
        """
        has_bit = self._params.has_maps
        m.submodules.slots = slots = memory.Memory(
            shape=self._slot_bits + has_bit, depth=self._params.n_groups, init=[]
        )
        read, write = slots.read_port(domain="comb"), slots.write_port()
        m.d.comb += [
            read.addr.eq(poll),
            write.addr.eq(Mux(self.resetting, self.sweep_addr, self.run.group)),
            write.data.eq(Mux(self.resetting, 0, self.run.slot + 1)),
            write.en.eq(self.start | self.resetting),
        ]
        if has_bit:
            m.d.comb += write.data[-1].eq(~self.resetting)
        return read.data[: self._slot_bits], read.data[self._slot_bits :]

    def _counts(self, m: Module, looked):
        """Memory of token counts, addressed by the token that arrives or the poll."""
        layout = self._layouts.init
        m.submodules.grants = grants = Table(
            width=layout.width, depth=self._params.n_groups * self._params.n_slots
        )
        wiring.connect(m, wiring.flipped(self.grants), grants.config)
        m.submodules.counts = counts = memory.Memory(
            shape=struct(layout), depth=1 << (self._group_bits + self._slot_bits), init=[]
        )
        write, read = counts.write_port(), counts.read_port(domain="comb")
        addr = Signal.like(read.addr)
        token = self.token.payload
        with m.If(self.resetting):
            m.d.comb += addr.eq(self.sweep_addr)
        with m.Elif(self.token.valid):
            m.d.comb += addr.eq(Cat(token.slot, token.group))
        with m.Else():
            m.d.comb += addr.eq(Cat(looked.slot, looked.group))
        m.d.comb += [
            grants.addr.eq(self.sweep_addr),
            write.addr.eq(addr),
            read.addr.eq(addr),
        ]
        self._granted = view(layout, grants.data)
        return write, read.data, Signal(name="ready")

    def _write_counts(self, m: Module, write, counted, hit: Signal) -> None:
        credit = self.token.payload.credit
        with m.If(self.resetting):
            m.d.comb += [write.data.eq(self._granted), write.en.eq(1)]
        with m.Elif(self.token.valid):
            m.d.comb += [
                write.data.sources.eq(counted.sources + ~credit),
                write.data.dests.eq(counted.dests + credit),
                write.en.eq(1),
            ]
        with m.Else():
            m.d.comb += [write.data.eq(Const(0, self._layouts.init.width)), write.en.eq(hit)]

    def _quiet(self, m: Module, miss: Signal, running: Signal, reset_due: Signal) -> None:
        """All groups were polled in vain since the last token and the last run."""
        misses = Signal(range(self._params.n_groups + 1))
        enough = misses == self._params.n_groups
        with m.If(self.token.valid | running | self.start | self.resetting | reset_due):
            m.d.sync += misses.eq(0)
        with m.Elif(miss & ~enough):
            m.d.sync += misses.eq(misses + 1)
        m.d.comb += self.quiet.eq(
            ~running & ~self.start & ~self.resetting & ~reset_due & (enough | ~self.enable)
        )
