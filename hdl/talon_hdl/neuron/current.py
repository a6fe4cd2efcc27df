"""The synaptic current of one lane: :func:`talon.arch.numerics.update_current`, pipelined."""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import MemoryLayouts
from talon.arch.numerics import FRAC_MAX
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

LATENCY = 8
"""Cycles from the inputs of :class:`CurrentDatapath` to ``sum`` and ``saturated``."""

FRAC_LATENCY = 6
"""Cycles from its inputs to ``sum_frac``."""


class CurrentDatapath(wiring.Component):
    """Advance one synaptic current by one timestep; a new one in every cycle.

    ``sum`` and ``sum_frac`` take the place of accumulator and fractional bits in the datapath of
    the potential. Those of a neuron without a current are what they were.

    Members
    -------
    i : :py:`In(signed(v_width))`
        Current before the timestep.
    acc : :py:`In(signed(acc_width))`
        Sum of the synaptic operations.
    record : :py:`In(current layout)`
        Parameters of the current.
    frac : :py:`In(frac_width)`
        Fractional bits of V; must hold still while neurons are under way.
    clear : :py:`In(1)`
        ``sum`` is zero from the next cycle on.
    sum : :py:`Out(signed(v_width))`
        Current after the timestep; the accumulator, if the neuron has none.
    saturated : :py:`Out(1)`
        The current was clamped.
    sum_frac : :py:`Out(frac_width)`
        Fractional bits of V that ``sum`` does not have yet.
    """

    i: Signal
    acc: Signal
    record: data.View
    frac: Signal
    clear: Signal
    sum: Signal
    saturated: Signal
    sum_frac: Signal

    def __init__(self, params: ArrayParams, *, synthesis: bool = False) -> None:
        self._record = struct(MemoryLayouts(params).current)
        self._i = signed(params.v_width)
        self._width = params.v_width
        self._has_dsp = has_dsp48e2(params, synthesis=synthesis)
        super().__init__(
            {
                "i": In(self._i),
                "acc": In(signed(params.acc_width)),
                "record": In(self._record),
                "frac": In(params.frac_width),
                "clear": In(1),
                "sum": Out(self._i),
                "saturated": Out(1),
                "sum_frac": Out(params.frac_width),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        record = self.record
        acc = [self.acc, *(Signal.like(self.acc, name=f"acc_{n}") for n in range(1, LATENCY))]
        bias = [record.i_bias, *(Signal(self._i, name=f"bias_{n}") for n in (1, 2, 3))]
        has = [record.has_current, *(Signal(name=f"has_{n}") for n in range(1, LATENCY))]
        # Stage 1. The factor 1 is 65536.
        current, decay, whole = Signal(self._i), Signal(SHIFT - 1), Signal()
        negative = [current[-1], Signal(name="negative_2"), Signal(name="negative_3")]
        power = [Signal(signed(FRAC_MAX + 2), name=f"power_{n}") for n in (1, 2)]  # 2 ** frac
        m.d.sync += [
            current.eq(self.i),
            decay.eq(Mux(record.i_no_leak, 0, record.i_decay)),
            whole.eq(record.i_no_leak),
            power[0].eq(Const(1, 1) << self.frac),
            *(
                after.eq(before)
                for row in (acc, bias, has, negative, power)
                for before, after in pairwise(row)
            ),
        ]
        # Stages 2 to 6: as in the datapath of the potential, without a reset.
        total = Signal(signed(self._width + FRAC_MAX + 1))
        combine = sum_in_slices if self._has_dsp else sum_inferred
        combine(
            m,
            total,
            a=(
                doubled(current),
                Cat(decay, whole),
                Cat(negative[2].replicate(SHIFT), bias[3]).as_signed(),
                Const(0, signed(self._width + 1)),
            ),
            b=(acc[2], power[1], Const(0, self._i), Const(0, 1)),
        )
        # Stages 7 and 8: the sum, or what was to be summed.
        kept, over = in_range(m, total, self._width)
        m.d.comb += self.sum_frac.eq(Mux(has[FRAC_LATENCY], 0, self.frac))
        m.d.sync += [
            self.sum.eq(Mux(has[7], Mux(over, limit(kept[-1]), kept), acc[7])),
            self.saturated.eq(has[7] & over),
        ]
        with m.If(self.clear):
            m.d.sync += self.sum.eq(0)
        return m
