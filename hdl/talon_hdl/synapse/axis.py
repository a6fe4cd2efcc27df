"""The AXIS memory of feature maps, looked up for the coordinates of an index."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import MemoryLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.core.table import ConfigPort, ConfigPortSignature

_SHIFT = 5
_ALL = (1 << _SHIFT) - 1  # as a limit: every bit of the index is below it


class AxisLookup(wiring.Component):
    """Read the entries of y, x and c of an index, one a cycle, from one port of a block RAM.

    A coordinate is the bits below a limit, shifted down. The limit of x is the shift of y, that of
    c the shift of x: so limits and shifts are a queue, and one mask and one shifter serve all.

    Members
    -------
    config : :class:`~talon_hdl.core.table.ConfigPortSignature`
        The memory.
    load : :py:`In(1)`
        Strobe: the index of the next cycle is another, with the shifts given now.
    y_shift, x_shift : :py:`In(5)`
        Where the coordinates of that index lie.
    index : :py:`In(index_width)`
        Index, held for three cycles: for its y, its x and its c.
    y_axis, x_axis, c_axis : :py:`In(range(n_axis))`
        Entries of coordinate zero.
    left : :py:`In(2)`
        Lookups after that of this cycle, a bit each.
    entry : :py:`Out(axis width)`
        What was looked up in the cycle before.
    """

    config: ConfigPort
    load: Signal
    y_shift: Signal
    x_shift: Signal
    index: Signal
    y_axis: Signal
    x_axis: Signal
    c_axis: Signal
    left: Signal
    entry: Signal

    def __init__(self, params: ArrayParams) -> None:
        self._n_axis = params.n_axis
        width = MemoryLayouts(params).axis.width
        super().__init__(
            {
                "config": In(ConfigPortSignature(width)),
                "load": In(1),
                "y_shift": In(_SHIFT),
                "x_shift": In(_SHIFT),
                "index": In(params.index_width),
                **{f"{name}_axis": In(bits_for(params.n_axis)) for name in "yxc"},
                "left": In(2),
                "entry": Out(width),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        limit, shift, following = (Signal(_SHIFT, name=n) for n in ("limit", "shift", "following"))
        with m.If(self.load):
            m.d.sync += [limit.eq(_ALL), shift.eq(self.y_shift), following.eq(self.x_shift)]
        with m.Else():
            m.d.sync += [limit.eq(shift), shift.eq(following), following.eq(0)]
        width = len(self.y_axis)
        below = [self.index[k] & (limit > k) for k in range(len(self.index))]
        fine = _shifted(below, shift[:2], 1)
        coarse = Cat(_shifted(fine, shift[2:4], 4)[:width])
        base, sum_ = Signal(width), Signal(width)
        # The address of the configuration unit is a base like others, with no coordinate.
        chosen = Mux(self.config.en, Const(2, 2), self.left)
        m.d.comb += [
            base.eq(
                Mux(
                    chosen[1],
                    Mux(chosen[0], self.y_axis, self.config.addr),
                    Mux(chosen[0], self.x_axis, self.c_axis),
                )
            ),
            sum_.eq(base + Mux(shift[4] | self.config.en, 0, coarse)),
        ]

        m.submodules.memory = axis = memory.Memory(
            shape=len(self.entry), depth=self._n_axis, init=[], attrs={"ram_style": "block"}
        )
        read, write = axis.read_port(), axis.write_port()
        m.d.comb += [
            read.addr.eq(sum_),
            write.addr.eq(self.config.addr),
            write.data.eq(self.config.w_data),
            write.en.eq(self.config.w_en),
            self.entry.eq(read.data),
            self.config.r_data.eq(read.data),
        ]
        return m


def _shifted(bits: list[Value], shift: Value, step: int) -> list[Value]:
    """Return the bits shifted down by ``shift``, two bits, times ``step``: a LUT each."""
    padded = [*bits, *(Const(0, 1) for _ in range(3 * step))]
    return [
        Mux(
            shift[1],
            Mux(shift[0], padded[k + 3 * step], padded[k + 2 * step]),
            Mux(shift[0], padded[k + step], padded[k]),
        )
        for k in range(len(bits))
    ]
