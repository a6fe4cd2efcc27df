"""The scan of a group with feature maps: which row comes next, and what is to be known of it."""

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import MemoryLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.shapes import combined, struct

_LOOPS = ("pool_x", "pool_y", "n_c", "n_x", "n_y")  # innermost first
_STEPS = ("pool_x_step", "pool_y_step", "c_step", "x_step", "y_step")
_C, _X, _Y = 2, 3, 4


def scan_layout(params: ArrayParams) -> data.StructLayout:
    """Return what is known of a row: where it stands, where its records do, its place in loops."""
    return data.StructLayout(
        {
            "row": bits_for(params.acc_rows),
            "position": params.index_width,
            "record": bits_for(params.n_rows),
            "last_channels": 1,  # the last row of channels of its pixel
            "last": 1,  # the last row of its window
        }
    )


def cycles_per_row(params: ArrayParams) -> int:
    """Return the cycles from a row to the next: those of its beats, at least two."""
    return max(2, params.lanes // params.update_lanes)


class RowScan(wiring.Component):
    """Go through the five loops of a group, a row at a time.

    Members
    -------
    descriptor : :py:`In(group layout)`
        The group, held until ``busy`` falls.
    start : :py:`In(1)`
        Strobe: begin.
    room : :py:`In(1)`
        A row may go.
    go : :py:`Out(1)`
        Strobe: a row goes in this cycle.
    o : :py:`Out(scan_layout)`
        That row; it holds still for ``cycles_per_row`` from ``go`` on.
    busy : :py:`Out(1)`
        There are rows left, or the last one still stands at ``o``.
    """

    descriptor: data.View
    start: Signal
    room: Signal
    go: Signal
    o: data.View
    busy: Signal

    def __init__(self, params: ArrayParams) -> None:
        self._params = params
        super().__init__(
            {
                "descriptor": In(struct(MemoryLayouts(params).group)),
                "start": In(1),
                "room": In(1),
                "go": Out(1),
                "o": Out(scan_layout(params)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        cycles = cycles_per_row(self._params)
        scanning, loading, advance = Signal(), Signal(), Signal()
        gap = Signal(range(cycles))
        m.d.comb += [
            self.go.eq(scanning & (gap == 0) & self.room),
            advance.eq(gap == 1),
            self.busy.eq(scanning | loading),
        ]
        with m.If(self.go):
            m.d.sync += gap.eq(cycles - 1)
        with m.Elif(gap != 0):
            m.d.sync += gap.eq(gap - 1)

        advances, ends = self._loops(m, advance)
        m.d.sync += loading.eq(self.start)
        with m.If(loading):
            m.d.sync += scanning.eq(1)
        with m.Elif(advance & ~combined(advances)):
            m.d.sync += scanning.eq(0)
        self._step_row(m, advances, advance | loading)
        self._step_position(m, advances, advance)
        self._step_record(m, advances, advance)
        m.d.comb += [self.o.last_channels.eq(ends[_C]), self.o.last.eq(ends[0] & ends[1])]
        return m

    def _loops(self, m: Module, advance: Signal) -> tuple[list[Value], list[Value]]:
        """Count; return which loop is the next to advance (at most one), and which are at an end.

        Counts are complements of what is left: counting up is smaller than counting down.
        """
        advances: list[Value] = []
        ends: list[Value] = []
        inside: Value = Const(1, 1)  # all loops inside are at their end
        for name in _LOOPS:
            extent = self.descriptor[name]
            count = Signal(len(extent), name=f"{name}_done")
            end = Signal(name=f"{name}_end")
            again = self.start | (advance & inside & end)
            m.d.comb += end.eq(count == (1 << len(count)) - 2)  # one is left
            with m.If(again | (advance & inside)):
                m.d.sync += count.eq(Mux(again, ~extent, count + 1))
            advances.append(inside & ~end)
            ends.append(end)
            inside = inside & end
        return advances, ends

    def _step_row(self, m: Module, advances: list[Value], step: Value) -> None:
        """Add the step of the loop that advances; at first, to zero, the row of the start.

        There is a cycle between two rows in which to choose: a step that does not count is held
        at zero by the reset of its register.
        """
        row, descriptor = self.o.row, self.descriptor
        steps = [Signal.like(row, name=name) for name in (*_STEPS, "first_row")]
        for register, name, chosen in zip(
            steps,
            (*_STEPS, "row_start"),
            (*(each & ~self.start for each in advances), self.start),
            strict=True,
        ):
            m.d.sync += register.eq(descriptor[name])
            with m.If(~chosen):
                m.d.sync += register.eq(0)
        with m.If(self.start):
            m.d.sync += row.eq(0)
        with m.Elif(step):
            m.d.sync += row.eq(row + combined(steps))

    def _step_position(self, m: Module, advances: list[Value], advance: Signal) -> None:
        descriptor = self.descriptor
        at = Signal.like(self.o.position)
        move = Signal.like(self.o.position)
        m.d.comb += self.o.position.eq(at)
        of_x, of_y, moves = Signal(), Signal(), Signal()
        m.d.sync += [
            of_x.eq(advances[_X]),
            of_y.eq(advances[_Y]),
            moves.eq(advances[_C] | advances[_X] | advances[_Y]),
        ]
        m.d.comb += move.eq(
            Mux(of_y, descriptor.y_index, Mux(of_x, descriptor.x_index, self._params.lanes))
        )
        with m.If(self.start):
            m.d.sync += at.eq(0)
        with m.Elif(advance & moves):
            m.d.sync += at.eq(at + move)

    def _step_record(self, m: Module, advances: list[Value], advance: Signal) -> None:
        record, again = self.o.record, Signal()
        m.d.comb += again.eq(self.start | advances[_X] | advances[_Y])
        with m.If(self.start | (advance & (advances[_C] | again))):
            m.d.sync += record.eq(Mux(again, self.descriptor.record_start, record + 1))
