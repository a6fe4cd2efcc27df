"""Accumulators: one bank a lane, read, added to and written in every cycle without a stall."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.params import ArrayParams, bits_for
from talon_hdl.synapse.expand import lanes_layout

READ, ADD, WRITE = 0, 2, 3
"""Cycles after a row has come in which it reads, adds, and writes its accumulators."""


class AccumulatorLane(wiring.Component):
    """One bank of accumulators, and the pipeline read, multiply, add, write.

    A read sees what was written up to the cycle before. The three rows that may be under way to the
    same accumulator are forwarded: the one just ahead from the sum, the two before that while the
    word is read.

    Members
    -------
    addr, value, weight : :py:`In`
        Accumulator, and the two factors of what it gains.
    valid : :py:`In(3)`
        Bit ``i``: the row that came ``i + 1`` cycles ago is a row.
    clear : :py:`In(1)`
        The row that came two cycles ago sets the accumulator to zero.
    fetched : :py:`Out(signed(acc_width))`
        The accumulator of the row that came two cycles ago, before it was added to; not yet with
        the gain of a row immediately ahead.
    """

    addr: Signal
    value: Signal
    weight: Signal
    valid: Signal
    clear: Signal
    fetched: Signal

    def __init__(self, params: ArrayParams) -> None:
        self._params = params
        width = bits_for(params.n_slots) + bits_for(params.n_rows)
        super().__init__(
            {
                "addr": In(width),
                "value": In(signed(params.acc_width)),
                "weight": In(signed(params.weight_width)),
                "valid": In(3),
                "clear": In(1),
                "fetched": Out(signed(params.acc_width)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        acc = signed(self._params.acc_width)
        m.submodules.bank = bank = memory.Memory(
            shape=acc, depth=1 << len(self.addr), init=[], attrs={"ram_style": "block"}
        )
        read, write = bank.read_port(), bank.write_port()

        addr = [self.addr, *(Signal.like(self.addr, name=f"addr_{i}") for i in (1, 2, 3))]
        m.d.sync += [after.eq(before) for before, after in pairwise(addr)]
        same = Signal(3)  # bit i: the row that came i + 1 cycles earlier has this accumulator
        m.d.sync += same.eq(Cat(self.valid[i] & (addr[i + 1] == self.addr) for i in range(3)))
        same_as_previous = Signal()
        m.d.sync += same_as_previous.eq(same[0])

        value, weight = Signal.like(self.value), Signal.like(self.weight)
        gain, word = Signal(acc), Signal(acc)
        total, before = Signal(acc), Signal(acc)
        m.d.sync += [
            value.eq(self.value),
            weight.eq(self.weight),
            gain.eq(value * weight),
            word.eq(Mux(same[1], total, Mux(same[2], before, read.data))),
            # gain is the first operand: the multiplexer then shares the LUTs of the adder
            total.eq(gain + Mux(same_as_previous, total, word)),
            before.eq(total),
        ]
        with m.If(self.clear):
            m.d.sync += total.eq(0)
        m.d.comb += [
            read.addr.eq(self.addr),
            write.addr.eq(addr[WRITE]),
            write.data.eq(total),
            write.en.eq(self.valid[2]),
            self.fetched.eq(word),
        ]
        return m


class Accumulators(wiring.Component):
    """All lanes.

    Members
    -------
    i : :py:`In(lanes_layout)`
        A row of work in every cycle.
    fetched : :py:`Out(ArrayLayout(signed(acc_width), lanes))`
        Accumulators as a clearing row found them; held until the next one.
    fetched_stb : :py:`Out(1)`
        They are new in this cycle.
    busy : :py:`Out(1)`
        A row is under way.
    """

    i: data.View
    fetched: data.View
    fetched_stb: Signal
    busy: Signal

    def __init__(self, params: ArrayParams) -> None:
        self._params = params
        super().__init__(
            {
                "i": In(lanes_layout(params)),
                "fetched": Out(data.ArrayLayout(signed(params.acc_width), params.lanes)),
                "fetched_stb": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        valid, clear = Signal(3), Signal(2)
        m.d.sync += [
            valid.eq(Cat(self.i.valid, valid)),
            clear.eq(Cat(self.i.clear, clear)),
            self.fetched_stb.eq(clear[1]),
        ]
        m.d.comb += self.busy.eq(self.i.valid | valid.any() | self.fetched_stb)
        for lane in range(self._params.lanes):
            m.submodules[f"lane_{lane}"] = part = AccumulatorLane(self._params)
            m.d.comb += [
                part.addr.eq(Cat(self.i.rows[lane], self.i.slot)),
                part.value.eq(self.i.value),
                part.weight.eq(self.i.weights[lane]),
                part.valid.eq(valid),
                part.clear.eq(clear[1]),
            ]
            with m.If(clear[1]):
                m.d.sync += self.fetched[lane].eq(part.fetched)
        return m
