"""Accumulators: one bank a lane, read, added to and written in every cycle without a stall."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.params import ArrayParams, bits_for
from talon_hdl.core.dsp import PRODUCT, Z_C, Z_P, dsp48e2, has_dsp48e2
from talon_hdl.synapse.expand import lanes_layout

WRITE = 3
"""Cycles after which a row writes its accumulators; it reads at once and adds after two."""


class AccumulatorLane(wiring.Component):
    """One bank of accumulators, and the pipeline read, multiply, add, write.

    A read sees what was written up to the cycle before. The three rows that may be under way to the
    same accumulator are forwarded: the one just ahead from the sum, the two before that while the
    word is read.

    Members
    -------
    row, slot, value, weight : :py:`In`
        Accumulator, and the two factors of what it gains.
    same_slot : :py:`In(3)`
        Bit ``i``: the row that came ``i + 1`` cycles ago is a row, and of this slot.
    w_en : :py:`In(1)`
        The row that came three cycles ago is a row.
    clear : :py:`In(1)`
        The row that came two cycles ago sets the accumulator to zero.
    fetched : :py:`Out(signed(acc_width))`
        The accumulator of the row that came one cycle ago, before it is added to; not yet with the
        gain of a row immediately ahead.
    """

    row: Signal
    slot: Signal
    same_slot: Signal
    value: Signal
    weight: Signal
    w_en: Signal
    clear: Signal
    fetched: Signal

    def __init__(self, params: ArrayParams, *, synthesis: bool = False) -> None:
        self._params = params
        self._has_dsp = has_dsp48e2(params, synthesis=synthesis)
        self._row_bits = bits_for(params.n_rows)
        super().__init__(
            {
                "row": In(self._row_bits),
                "slot": In(bits_for(params.n_slots)),
                "same_slot": In(3),
                "value": In(signed(params.acc_width)),
                "weight": In(signed(params.weight_width)),
                "w_en": In(1),
                "clear": In(1),
                "fetched": Out(signed(params.acc_width)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        acc = signed(self._params.acc_width)
        addr: list[Value] = [Cat(self.row, self.slot)]
        m.submodules.bank = bank = memory.Memory(
            shape=acc, depth=1 << len(addr[0]), init=[], attrs={"ram_style": "block"}
        )
        read, write = bank.read_port(), bank.write_port()
        for i in (1, 2, 3):
            addr.append(Signal(len(addr[0]), name=f"addr_{i}"))
            m.d.sync += addr[i].eq(addr[i - 1])
        same_now, same = Signal(3), Signal(3)
        apart = Signal()  # from the row just ahead; kept as the complement that the slice takes
        m.d.comb += same_now.eq(
            Cat(self.same_slot[i] & (addr[i + 1][: self._row_bits] == self.row) for i in range(3))
        )
        # Bit i: the row that came i + 1 cycles earlier has this accumulator.
        m.d.sync += [same.eq(same_now), apart.eq(~same_now[0])]
        word, total, before = Signal(acc), Signal(acc), Signal(acc)
        m.d.sync += before.eq(total)
        m.d.comb += [
            word.eq(Mux(same[1], total, Mux(same[2], before, read.data))),
            read.addr.eq(addr[0]),
            write.addr.eq(addr[WRITE]),
            write.data.eq(total),
            write.en.eq(self.w_en),
            self.fetched.eq(word),
        ]
        if self._has_dsp:
            m.submodules.dsp = dsp48e2(
                a=self.value,
                b=self.weight,
                c=word,
                opmode=Mux(apart, PRODUCT | Z_C, PRODUCT | Z_P),
                clear=self.clear,
                p=total,
            )
        else:
            self._add(m, word=word, total=total, same_as_previous=~apart)
        return m

    def _add(self, m: Module, *, word: Signal, total: Signal, same_as_previous) -> None:
        """Multiply and add in what synthesis finds; the same registers as in the slice."""
        value, weight = Signal.like(self.value), Signal.like(self.weight)
        gain, addend, feed_back = Signal.like(total), Signal.like(total), Signal()
        m.d.sync += [
            value.eq(self.value),
            weight.eq(self.weight),
            gain.eq(value * weight),
            addend.eq(word),
            feed_back.eq(same_as_previous),
            # gain is the first operand: the multiplexer then shares the LUTs of the adder
            total.eq(gain + Mux(feed_back, total, addend)),
        ]
        with m.If(self.clear):
            m.d.sync += total.eq(0)


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

    def __init__(self, params: ArrayParams, *, synthesis: bool = False) -> None:
        self._params = params
        self._synthesis = synthesis
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
        slots = [self.i.slot, *(Signal.like(self.i.slot, name=f"slot_{i}") for i in (1, 2, 3))]
        m.d.sync += [
            valid.eq(Cat(self.i.valid, valid)),
            clear.eq(Cat(self.i.clear, clear)),
            self.fetched_stb.eq(clear[0]),
            *(after.eq(before) for before, after in pairwise(slots)),
        ]
        same_slot = Signal(3)
        m.d.comb += [
            same_slot.eq(Cat(valid[i] & (slots[i + 1] == self.i.slot) for i in range(3))),
            self.busy.eq(
                self.i.valid | self.i.clear | valid.any() | clear.any() | self.fetched_stb
            ),
        ]
        for lane in range(self._params.lanes):
            part = AccumulatorLane(self._params, synthesis=self._synthesis)
            m.submodules[f"lane_{lane}"] = part
            m.d.comb += [
                part.row.eq(self.i.rows[lane]),
                part.slot.eq(self.i.slot),
                part.same_slot.eq(same_slot),
                part.value.eq(self.i.value),
                part.weight.eq(self.i.weights[lane]),
                part.w_en.eq(valid[WRITE - 1]),
                part.clear.eq(clear[1]),
            ]
            with m.If(clear[0]):
                m.d.sync += self.fetched[lane].eq(part.fetched)
        return m
