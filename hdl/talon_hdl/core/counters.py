"""Event counters of a core: 32 bits each, in a fraction of the registers."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import Counter
from talon.arch.params import ArrayParams, bits_for

_WIDTH = 32
_LOW = 8


class CounterBank(wiring.Component):
    """Counters that each gain something in every cycle.

    The low bits of each are registers; a carry out of them is kept until the round over the high
    bits, which lie in distributed RAM, comes by. A round takes as many cycles as there are
    counters, so a counter must gain less than ``2**8 / 8`` a cycle; the largest gains 16.

    Members
    -------
    gains : :py:`In(StructLayout)`
        What each counter gains in this cycle, by the lower-case name of
        :class:`talon.arch.memories.Counter`.
    clear : :py:`In(1)`
        Strobe: all to zero.
    select : :py:`In(range(len(Counter)))`
        Counter to read.
    value : :py:`Out(32)`
        Its count, complete once no counter has gained for a round.
    """

    gains: data.View
    clear: Signal
    select: Signal
    value: Signal

    def __init__(self, params: ArrayParams) -> None:
        super().__init__(
            {
                "gains": In(gains_layout(params)),
                "clear": In(1),
                "select": In(range(len(Counter))),
                "value": Out(_WIDTH),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        n = len(Counter)
        m.submodules.high = high = memory.Memory(shape=_WIDTH - _LOW, depth=n, init=[])
        write = high.write_port()
        updated, shown = high.read_port(domain="comb"), high.read_port(domain="comb")
        visit = Signal(range(n))  # counter whose high bits are updated
        left = Signal(range(n + 1))  # high bits still to be cleared
        low, carry = Signal(data.ArrayLayout(_LOW, n)), Signal(n)
        m.d.sync += visit.eq(Mux(visit == n - 1, 0, visit + 1))
        with m.If(self.clear):
            m.d.sync += left.eq(n)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        for counter in Counter:
            total = low[counter] + self.gains[counter.name.lower()]
            with m.If(self.clear):
                m.d.sync += [low[counter].eq(0), carry[counter].eq(0)]
            with m.Else():
                m.d.sync += low[counter].eq(total)
                with m.If(total[_LOW]):
                    m.d.sync += carry[counter].eq(1)
                with m.Elif(visit == counter):
                    m.d.sync += carry[counter].eq(0)
        visited = carry.bit_select(visit, 1)
        m.d.comb += [
            updated.addr.eq(visit),
            write.addr.eq(visit),
            write.data.eq(Mux(left != 0, 0, updated.data) + visited),
            write.en.eq((left != 0) | visited),
            shown.addr.eq(self.select),
            self.value.eq(Cat(low[self.select], shown.data)),
        ]
        return m


def gains_layout(params: ArrayParams) -> data.StructLayout:
    """Return what each counter gains in a cycle."""
    widths = {
        Counter.SOPS: bits_for(params.lanes + 1),
        Counter.SPIKES: bits_for(params.update_lanes + 1),
        Counter.UPDATES: bits_for(params.update_lanes + 1),
        Counter.SATURATIONS: bits_for(params.update_lanes + 1),
    }
    return data.StructLayout({c.name.lower(): widths.get(c, 1) for c in Counter})
