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
    """Read the entries of y, x and c of an index in two cycles, from both ports of a block RAM.

    A coordinate is the bits below a limit, shifted down. The limit of x is the shift of y, that of
    c the shift of x. One port reads y and then c, the other x.

    Members
    -------
    config : :class:`~talon_hdl.core.table.ConfigPortSignature`
        The memory.
    load : :py:`In(1)`
        Strobe: the index of the next cycle is another, with the shifts given now.
    y_shift, x_shift : :py:`In(5)`
        Where the coordinates of that index lie.
    index : :py:`In(index_width)`
        Index, held for two cycles: for its y and x, and for its c.
    y_axis, x_axis, c_axis : :py:`In(range(n_axis))`
        Entries of coordinate zero.
    first : :py:`In(1)`
        This cycle is the first of the two.
    entry : :py:`Out(axis width)`
        What was looked up in the cycle before: y, then c.
    x_entry : :py:`Out(axis width)`
        The entry of x, together with that of y.
    """

    config: ConfigPort
    load: Signal
    y_shift: Signal
    x_shift: Signal
    index: Signal
    y_axis: Signal
    x_axis: Signal
    c_axis: Signal
    first: Signal
    entry: Signal
    x_entry: Signal

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
                "first": In(1),
                "entry": Out(width),
                "x_entry": Out(width),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        limit, shift = (Signal(_SHIFT, name=n) for n in ("limit", "shift"))
        x_limit, x_shift = (Signal(_SHIFT, name=n) for n in ("x_limit", "x_from"))
        with m.If(self.load):
            m.d.sync += [limit.eq(_ALL), shift.eq(self.y_shift)]
            m.d.sync += [x_limit.eq(self.y_shift), x_shift.eq(self.x_shift)]
        with m.Else():
            m.d.sync += [limit.eq(x_shift), shift.eq(0)]
        # The address of the configuration unit is a base like others, with no coordinate.
        config = self.config
        base = Mux(config.en, config.addr, Mux(self.first, self.y_axis, self.c_axis))
        at, x_at = (Signal.like(self.y_axis, name=n) for n in ("at", "x_at"))
        m.d.comb += [
            at.eq(base + Mux(config.en, 0, self._coordinate(limit, shift))),
            x_at.eq(self.x_axis + self._coordinate(x_limit, x_shift)),
        ]

        m.submodules.memory = axis = memory.Memory(
            shape=len(self.entry), depth=self._n_axis, init=[], attrs={"ram_style": "block"}
        )
        # Reading and writing at one address are one port of the RAM, so the other is left for x.
        read, write, x_read = axis.read_port(), axis.write_port(), axis.read_port()
        m.d.comb += [
            read.addr.eq(at),
            write.addr.eq(at),
            write.data.eq(config.w_data),
            write.en.eq(config.w_en),
            x_read.addr.eq(x_at),
            self.entry.eq(read.data),
            self.x_entry.eq(x_read.data),
            config.r_data.eq(read.data),
        ]
        return m

    def _coordinate(self, limit: Value, shift: Value) -> Value:
        """Return the bits of the index below ``limit``, from ``shift`` on."""
        below = [self.index[k] & (limit > k) for k in range(len(self.index))]
        fine = _shifted(below, shift[:2], 1)
        coarse = Cat(_shifted(fine, shift[2:4], 4)[: len(self.y_axis)])
        return Mux(shift[4], 0, coarse)


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
