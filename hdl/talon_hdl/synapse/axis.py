"""The AXIS memory of feature maps, looked up for the coordinates of an index."""

from amaranth.hdl import Cat, Module, Mux, Signal
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
    base : :py:`In(range(n_axis))`
        Entry of coordinate zero, of the axis of this cycle.
    entry : :py:`Out(axis width)`
        What was looked up in the cycle before.
    """

    config: ConfigPort
    load: Signal
    y_shift: Signal
    x_shift: Signal
    index: Signal
    base: Signal
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
                "base": In(bits_for(params.n_axis)),
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
        below = Cat(self.index[k] & (limit > k) for k in range(len(self.index)))
        coordinate = Signal.like(self.base)
        m.d.comb += coordinate.eq(below >> shift)

        m.submodules.memory = axis = memory.Memory(
            shape=len(self.entry), depth=self._n_axis, init=[], attrs={"ram_style": "block"}
        )
        read, write = axis.read_port(), axis.write_port()
        m.d.comb += [
            read.addr.eq(
                Mux(self.config.en, self.config.addr, (self.base + coordinate)[: len(self.base)])
            ),
            write.addr.eq(self.config.addr),
            write.data.eq(self.config.w_data),
            write.en.eq(self.config.w_en),
            self.entry.eq(read.data),
            self.config.r_data.eq(read.data),
        ]
        return m
