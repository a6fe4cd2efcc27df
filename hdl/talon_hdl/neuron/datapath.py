"""One lane of the neuron update: :func:`talon.arch.numerics.update` in bits, pipelined."""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import MemoryLayouts, Reset
from talon.arch.numerics import COUNT_BITS, FRAC_MAX, PAYLOAD_MAX, V_MAX
from talon.arch.params import ArrayParams
from talon_hdl.core.dsp import has_dsp48e2
from talon_hdl.neuron.leaky_sum import (
    SHIFT,
    doubled,
    in_range,
    limit,
    sum_in_slices,
    sum_inferred,
)
from talon_hdl.shapes import struct

LATENCY = 13
"""Cycles from the inputs of :class:`NeuronDatapath` to its outputs."""

ACC_STAGE = 4
"""Stage at which a sum that comes late is taken."""

FRAC_STAGE = 2
"""Stage at which ``frac`` is taken."""


class NeuronDatapath(wiring.Component):
    """Advance one neuron by one timestep; a new neuron in every cycle.

    It agrees bit for bit with :func:`talon.arch.numerics.update`; with feature maps and ``graded``,
    with :func:`talon.arch.numerics.graded`; with several spikes and ``counting``, with
    :func:`talon.arch.numerics.update_counting`.

    Parameters
    ----------
    params
        Parameters of the array.
    synthesis
        Use primitives of the FPGA.
    late_sum
        ``acc`` comes ``ACC_STAGE`` cycles after the other inputs, and ``frac``, one for each
        neuron, ``FRAC_STAGE``.
    late_record
        ``record`` comes a cycle after the other inputs, from the register of a block RAM.

    Members
    -------
    v : :py:`In(signed(v_width))`
        Membrane potential before the timestep.
    fired : :py:`In(1)`
        That potential fires: ``spike`` of the timestep before.
    fresh : :py:`In(1)`
        There was no timestep before: ``v`` is zero, and ``fired`` says nothing.
    acc : :py:`In(signed(acc_width))`
        Sum of the synaptic operations.
    record : :py:`In(neuron layout)`
        Parameters of the neuron.
    frac : :py:`In(frac_width)`
        Fractional bits of ``v``; must hold still while neurons are under way.
    clear : :py:`In(1)`
        Outputs from the next cycle on are those of a neuron that is fresh.
    graded : :py:`In(1)`
        With feature maps: ``v_next`` is the payload of a graded neuron, whose record is as
        ``docs/hardware/maps.md`` says; ``spike`` means nothing. ``v``, ``fired``, ``fresh`` and
        ``frac`` are ignored. Must hold still while neurons are under way.
    counting : :py:`In(1)`
        With several spikes: the neuron counts. ``fired``, ``fresh`` and ``frac`` are ignored. Must
        hold still while neurons are under way.
    v_next : :py:`Out(signed(v_width))`
        Membrane potential after the timestep, ``LATENCY`` cycles later, as are the next two.
    spike, saturated : :py:`Out(1)`
        The neuron fires; its potential was clamped on the way.
    count : :py:`Out(PAYLOAD_MAX bits)`
        With several spikes: how often the neuron fires; not for graded ones.
    fired_next : :py:`Out(1)`
        With double thresholds: ``fired`` of the next timestep. Without, that is ``spike``.
    fresh_next : :py:`Out(1)`
        Set by ``clear``.
    """

    v: Signal
    fired: Signal
    fresh: Signal
    acc: Signal
    record: data.View
    frac: Signal
    clear: Signal
    graded: Signal
    counting: Signal
    v_next: Signal
    spike: Signal
    saturated: Signal
    count: Signal
    fired_next: Signal
    fresh_next: Signal

    def __init__(
        self,
        params: ArrayParams,
        *,
        synthesis: bool = False,
        late_sum: bool = False,
        late_record: bool = False,
    ) -> None:
        self._late = late_sum
        self._late_record = late_record
        self._has_graded = params.has_maps
        self._doubles, self._counts = params.double_threshold, params.multi_spike
        self._record = struct(MemoryLayouts(params).neuron)
        self._v = signed(params.v_width)
        self._width = params.v_width
        self._plain_bits = params.v_width + FRAC_MAX + 1  # of a sum that is not graded
        self._has_dsp = has_dsp48e2(params, synthesis=synthesis)
        counting = {"counting": In(1), "count": Out(_PAYLOAD_BITS)}
        super().__init__(
            {
                "v": In(self._v),
                "fired": In(1),
                "fresh": In(1),
                "acc": In(signed(params.acc_width)),
                "record": In(self._record),
                "frac": In(params.frac_width),
                "clear": In(1),
                **({"graded": In(1)} if params.has_maps else {}),
                **(counting if params.multi_spike else {}),
                "v_next": Out(self._v),
                "spike": Out(1),
                "saturated": Out(1),
                **({"fired_next": Out(1)} if params.double_threshold else {}),
                "fresh_next": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        # Without feature maps a constant, of which nothing is left.
        self._graded = self.graded if self._has_graded else Const(0, 1)
        records = [self.record]
        if self._late_record:  # that is stage 1; nothing looks at stage 0
            records.append(self.record)
        for stage in range(len(records), LATENCY):
            records.append(Signal(self._record, name=f"record_{stage}"))
            m.d.sync += records[stage].eq(records[stage - 1])
        self._records = records  # by stage
        total = self._sum(m)
        potential, clamped = Signal(self._v), Signal()
        self._saturate(m, total, potential, clamped)
        self._fire(m, potential, clamped)
        return m

    def _saturate(self, m: Module, total: Signal, potential: Signal, clamped: Signal) -> None:
        """Stages 9 and 10. Of a graded sum the fraction, which was rounded, is cut off."""
        if not self._has_graded:
            kept, over = in_range(m, total, self._width)
            m.d.sync += [potential.eq(Mux(over, limit(kept[-1]), kept)), clamped.eq(over)]
            return
        kept, over = Signal.like(total), Signal()
        whole = kept[_FRACTION : _FRACTION + self._width]
        # A sum with a gain may be longer than one with a power of two.
        top = total[self._width - 1 : None if self._counts else self._plain_bits]
        m.d.sync += [
            kept.eq(total),
            over.eq(Mux(self._graded, total[-1] ^ total[-2], ~(top.all() | ~top.any()))),
            potential.eq(Mux(over, limit(kept[-1]), Mux(self._graded, whole, kept[: self._width]))),
            clamped.eq(over & ~self._graded),
        ]

    def _sum(self, m: Module) -> Signal:
        """Stages 1 to 8: leak + (acc << frac) + bias, with a late reset."""
        v = [self.v, *(Signal(self._v, name=f"v_{stage}") for stage in (1, 2))]
        stages = () if self._late else range(1, ACC_STAGE + 1)
        acc = [self.acc, *(Signal.like(self.acc, name=f"acc_{stage}") for stage in stages)]
        fired, fresh = Signal(), Signal()
        m.d.sync += [
            fired.eq(self.fired),
            fresh.eq(self.fresh),
            *(after.eq(before) for row in (v, acc) for before, after in pairwise(row)),
        ]
        # Stage 1. A potential of zero fires if the threshold is below, or equal and not strict.
        record = self._records[1]
        zero_fires = (record.threshold < 0) | ((record.threshold == 0) & ~record.strict)
        was_above = Mux(fresh, zero_fires, fired)
        late = record.reset_next & was_above
        if self._doubles:
            twofold = [was_above & self._is_double(record)]
            twofold += [Signal(name=f"twofold_{stage}") for stage in range(2, 12)]
            m.d.sync += [after.eq(before) for before, after in pairwise(twofold)]
            self._twofold = twofold[-1]
        # Stage 2. Choices are registered before they choose: else synthesis doubles their logic.
        restart = Signal()  # v_reset in place of the leaked potential
        hold = [Signal(name=f"hold_{stage}") for stage in (2, 3, 4)]  # and of the drive
        subtract = [Signal(name=f"subtract_{stage}") for stage in (2, 3, 4, 5, 6)]
        m.d.sync += [
            restart.eq(
                (late & ((record.reset == Reset.ZERO) | (record.reset == Reset.HOLD)))
                | self._graded
            ),
            hold[0].eq(late & (record.reset == Reset.HOLD)),
            *(after.eq(before) for before, after in pairwise(hold)),
            subtract[0].eq(late & (record.reset == Reset.SUBTRACT)),
            *(after.eq(before) for before, after in pairwise(subtract)),
        ]
        # Stage 3. The factor 1 is 65536: no second path for neurons without leak. One of the two
        # potentials is held at zero by the reset of its register: their sum is a choice.
        record = self._records[2]
        kept, restarted = Signal(self._v), Signal(self._v)
        decay, whole = Signal(SHIFT - 1), Signal()
        one_hot, ones = Signal(FRAC_MAX + 2), Signal(FRAC_MAX + 2)  # 2 ** frac and its negative
        m.d.sync += [
            kept.eq(v[2]),
            restarted.eq(record.v_reset),
            decay.eq(record.decay),
            whole.eq((record.no_leak | restart) & ~self._graded),
            one_hot.eq(Const(1, 1) << self.frac),
            ones.eq(Const(-1, FRAC_MAX + 2) << self.frac),
        ]
        with m.If(record.no_leak | restart):
            m.d.sync += decay.eq(0)
        with m.If(restart):
            m.d.sync += kept.eq(0)
        with m.Else():
            m.d.sync += restarted.eq(0)
        has_factor = self._graded | self.counting if self._counts else self._graded
        with m.If(hold[0] | has_factor):
            m.d.sync += one_hot.eq(0)
        with m.If(hold[2]):
            m.d.sync += self._records[5].bias.eq(0)
        if self._has_graded:  # the bias is zero: what is left is a half, to round with
            m.d.sync += (
                self._records[5]
                .bias[_FRACTION - 1]
                .eq((self._records[4].bias[_FRACTION - 1] & ~hold[2]) | self._graded)
            )
        # Stages 4 to 8.
        negative = [Signal(name=f"negative_{stage}") for stage in (4, 5)]
        m.d.sync += [
            negative[0].eq(kept[-1] | restarted[-1]),
            negative[1].eq(negative[0]),
        ]
        # Added before a negative product is floored, it truncates it toward zero; the bias rides
        # above the bits that are shifted out.
        addend = Cat(negative[1].replicate(SHIFT), self._records[5].bias).as_signed()
        # To subtract the threshold costs nothing if the slice subtracts its product as well, so
        # that one is made negative.
        shift = one_hot | (ones & subtract[1].replicate(len(ones)))
        if self._has_graded:
            total = Signal(signed(_FRACTION + self._width + 1))
            factor, offset = self._graded_factor(m, shift, restarted)
        else:
            total = Signal(signed(self._plain_bits))
            factor, offset = Signal(signed(len(shift))), None
            m.d.sync += factor.eq(shift)
        combine = sum_in_slices if self._has_dsp else sum_inferred
        combine(
            m,
            total,
            a=(doubled(kept), Cat(decay, whole), addend, doubled(restarted)),
            b=(acc[-1], factor, self._records[6].threshold, subtract[4]),
            offset=offset,
        )
        return total

    def _graded_factor(self, m: Module, shift: Value, restarted: Signal) -> tuple[Value, Signal]:
        """Stages 3 and 4 of slice 2, which does all there is to do for a graded neuron.

        The multiplier takes the place of the power of two, and v_reset is added to the sum, while
        slice 1 multiplies by zero. What does not count is held at zero by its register.
        """
        record = self._records[2]
        multiplier, is_one = Signal(SHIFT - 1), Signal()
        factor = Cat(multiplier, is_one)
        if self._counts:
            factor |= self._gain(m)
        n = len(shift)
        low, sign, offset = Signal(n), Signal(), Signal(self._v)
        high = Signal(SHIFT - n, reset_less=True)  # what sets it is then the set of its registers
        m.d.sync += [
            multiplier.eq(record.decay),
            is_one.eq(record.no_leak & self._graded),
            low.eq(shift | factor[:n]),
            high.eq(factor[n:]),
            sign.eq(shift[-1]),
            offset.eq(restarted),
        ]
        with m.If(shift[-1]):  # a negative power of two
            m.d.sync += high.eq(-1)
        with m.If(record.no_leak | ~self._graded):
            m.d.sync += multiplier.eq(0)
        with m.If(~self._graded):
            m.d.sync += offset.eq(0)
        return Cat(low, high, sign).as_signed(), offset

    def _gain(self, m: Module) -> Value:
        """Stage 3: the gain of a neuron that counts, which takes the place of the multiplier."""
        gain = Signal(COUNT_BITS)
        m.d.sync += gain.eq(self._records[2].threshold[:COUNT_BITS])
        with m.If(~self.counting):
            m.d.sync += gain.eq(0)
        return gain

    def _count(self, m: Module, potential: Signal, kept: list[Signal], fires: Value) -> Value:
        """Stages 11 to 13: how often the neuron fires, a field of the potential.

        Return for stage 12 whether it does at all. It fires as often as it may if it reaches what
        the record has for a threshold, which then is what there is to subtract; or else what is
        left are the bits below the field.
        """
        with m.If(self.counting):  # the gain is there
            m.d.sync += self._records[10].threshold[:COUNT_BITS].eq(0)
        record = self._records[11]
        exact = Signal()  # at a multiple of the threshold that has to be passed
        m.d.sync += exact.eq(self._records[10].strict & ~potential[:COUNT_BITS].any())
        whole = kept[1][COUNT_BITS:-1]
        some = ~kept[1][-1] & (whole[1:].any() | (whole[0] & ~exact))
        number, most = Signal(_PAYLOAD_BITS), Signal()
        m.d.sync += [number.eq(whole - exact), most.eq(self.counting & fires)]
        with m.If(~(self.counting & some)):
            m.d.sync += number.eq(0)
        with m.If(~self.counting & ~self._graded):
            m.d.sync += number[0].eq(fires)
        with m.If(self.counting & some & ~fires & (record.reset == Reset.SUBTRACT)):
            m.d.sync += kept[2][COUNT_BITS:].eq(exact)
        self._count_next(m, number, most)
        return Mux(self.counting, some, fires)

    def _count_next(self, m: Module, number: Signal, most: Signal) -> None:
        largest = self._records[12].threshold[COUNT_BITS:-1]
        m.d.sync += self.count.eq(Mux(most, largest, number))
        with m.If(self.clear):
            m.d.sync += self.count.eq(0)

    def _is_double(self, record) -> Value:
        return ~record.reset_next & (record.reset == Reset.DOUBLE)

    def _fire_twice(self, m: Module, potential: Signal, fires: Value) -> tuple[Value, Value]:
        """Compare with twice the threshold in stage 11 as well.

        Return for stage 12 whether the neuron fires, and whether a difference is to be stored. The
        potential that is stored is above the threshold if it was so before a threshold was
        subtracted, or without that.
        """
        twice, spike = Signal(), Signal()
        record = self._records[10]
        # A bit below the others tells the two comparisons apart.
        m.d.sync += twice.eq(
            Cat(~record.strict, potential).as_signed()
            >= Cat(Const(1, 2), record.threshold).as_signed()
        )
        m.d.comb += spike.eq(Mux(self._twofold, twice, fires))
        double = self._is_double(self._records[11])
        above = Signal()
        m.d.sync += [
            above.eq(Mux(double & spike, twice, fires)),
            self.fired_next.eq(above),
        ]
        with m.If(self.clear):
            m.d.sync += self.fired_next.eq(0)
        return spike, double

    def _fire(self, m: Module, potential: Signal, clamped: Signal) -> None:
        """Stage 11: subtract. Stage 12: compare with the threshold. Stage 13: reset."""
        kept = [potential, *(Signal(self._v, name=f"kept_{stage}") for stage in (11, 12))]
        clamps = [clamped, Signal(name="clamped_11"), Signal(name="clamped_12")]
        above = Signal(signed(self._width + 1))  # the threshold
        m.d.sync += [
            above.eq(potential - self._records[10].threshold),
            *(after.eq(before) for row in (kept, clamps) for before, after in pairwise(row)),
        ]
        record = self._records[11]
        fires = Signal()
        over = above[-1] ^ above[-2]
        shown, by_threshold = fires, record.reset == Reset.SUBTRACT
        if self._doubles:
            shown, double = self._fire_twice(m, potential, fires)
            by_threshold |= double
        subtracts = shown & ~record.reset_next & by_threshold
        if self._counts:
            shown = self._count(m, potential, kept, shown)
        at_once = shown & ~record.reset_next
        spike, saturated, difference = Signal(), Signal(), Signal(self._v)
        choice = Signal(2)
        m.d.comb += fires.eq((above >= 0) & ~(record.strict & (above == 0)))
        m.d.sync += [
            spike.eq(shown),
            saturated.eq(subtracts & over),
            difference.eq(above),
            choice.eq(
                Mux(
                    at_once & (record.reset == Reset.ZERO),
                    _V_RESET,
                    Mux(subtracts, Mux(over, _LIMIT, _DIFFERENCE), _KEPT),
                )
                | (self._graded & fires).replicate(2)
            ),
        ]
        # An overflow of a difference that fires is positive: the potential was not below.
        reset = Mux(choice[0], self._limit(m, record), difference)
        others = Mux(choice[0], self._records[12].v_reset, kept[2])
        m.d.sync += [
            self.v_next.eq(Mux(choice[1], reset, others)),
            self.spike.eq(spike),
            self.saturated.eq(clamps[2] | saturated),
            self.fresh_next.eq(0),
        ]
        with m.If(self.clear):
            m.d.sync += [self.spike.eq(0), self.fresh_next.eq(1)]
        with m.If(self.clear | (self._graded & kept[2][-1])):
            m.d.sync += self.v_next.eq(0)

    def _limit(self, m: Module, record) -> Value:
        """Return the largest potential; of a graded neuron it is its threshold, 2 ** k - 1."""
        if not self._has_graded:
            return Const(V_MAX, self._v)
        low = Signal(_PAYLOAD_BITS, reset_less=True)  # for the set of its registers
        m.d.sync += low.eq(record.threshold)
        with m.If(~self._graded):
            m.d.sync += low.eq(-1)
        high = (~self._graded).replicate(self._width - 1 - _PAYLOAD_BITS)
        return Cat(low, high, Const(0, 1)).as_signed()


_FRACTION = SHIFT - 1  # bits of a multiplier
_PAYLOAD_BITS = PAYLOAD_MAX.bit_length()
_KEPT, _V_RESET, _DIFFERENCE, _LIMIT = range(4)  # the low bit tells which of two
