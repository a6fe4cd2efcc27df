"""One lane of the neuron update: :func:`talon.arch.numerics.update` in bits, pipelined."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import MemoryLayouts, Reset
from talon.arch.numerics import FRAC_MAX, V_MAX, V_MIN
from talon.arch.params import ArrayParams
from talon_hdl.shapes import struct

LATENCY = 7
"""Cycles from the inputs of :class:`NeuronDatapath` to its outputs."""


class NeuronDatapath(wiring.Component):
    """Advance one neuron by one timestep; a new neuron in every cycle.

    It agrees bit for bit with :func:`talon.arch.numerics.update`.

    Members
    -------
    v : :py:`In(signed(v_width))`
        Membrane potential before the timestep.
    acc : :py:`In(signed(acc_width))`
        Sum of the synaptic operations.
    record : :py:`In(record layout)`
        Parameters of the neuron.
    frac : :py:`In(frac_width)`
        Fractional bits of ``v``; must hold still while neurons are under way.
    v_next : :py:`Out(signed(v_width))`
        Membrane potential after the timestep, ``LATENCY`` cycles later, as are the next two.
    spike, saturated : :py:`Out(1)`
        The neuron fires; its potential was clamped on the way.
    """

    v: Signal
    acc: Signal
    record: data.View
    frac: Signal
    v_next: Signal
    spike: Signal
    saturated: Signal

    def __init__(self, params: ArrayParams) -> None:
        self._params = params
        self._record = struct(MemoryLayouts(params).record)
        self._v = signed(params.v_width)
        super().__init__(
            {
                "v": In(self._v),
                "acc": In(signed(params.acc_width)),
                "record": In(self._record),
                "frac": In(params.frac_width),
                "v_next": Out(self._v),
                "spike": Out(1),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        records = [self.record]
        for stage in range(1, 6):
            records.append(Signal(self._record, name=f"record_{stage}"))
            m.d.sync += records[stage].eq(records[stage - 1])
        self._registered = records
        total = self._gather(m)
        potential, clamped = self._clamp(m, total)
        self._fire(m, potential, clamped)
        return m

    def _gather(self, m: Module) -> Signal:
        """Stages 1 to 4: leak + (acc << frac) + bias, with a late reset."""
        record_0, record_1, record_2 = self._registered[:3]
        width = self._params.v_width
        # Stage 1: products. The factor 1 is 65536: no second path for neurons without leak.
        factor = Cat(record_0.decay & ~record_0.no_leak.replicate(16), record_0.no_leak)
        product, product_2 = Signal(signed(width + 17)), Signal(signed(width + 17))
        shifted, shifted_2 = Signal(signed(width + FRAC_MAX)), Signal(signed(width + FRAC_MAX))
        one_hot = Signal(FRAC_MAX + 1)
        m.d.comb += one_hot.eq(Const(1, 1) << self.frac)
        late = Signal()  # the neuron fired in the timestep before, and is reset in this one
        m.d.sync += [
            product.eq(self.v * factor),
            shifted.eq(self.acc * one_hot),
            late.eq(record_0.reset_next & self._fires(self.v, record_0)),
        ]
        # Stage 2: what is added besides the products.
        late_subtract = late & (record_1.reset == Reset.SUBTRACT)
        offset = Signal(signed(width + 1))
        restart = Signal()  # from v_reset in place of the leaked potential
        m.d.sync += [
            product_2.eq(product),
            shifted_2.eq(shifted),
            offset.eq(record_1.bias - Mux(late_subtract, record_1.threshold, 0)),
            restart.eq(late & (record_1.reset == Reset.ZERO)),
        ]
        # Stage 3. A negative product was floored: one more truncates it toward zero.
        leaked = Signal(signed(width))
        round_up = Signal()
        driven = Signal(signed(width + FRAC_MAX + 1))
        total = Signal(signed(width + FRAC_MAX + 1))
        m.d.sync += [
            leaked.eq(Mux(restart, record_2.v_reset, product_2 >> 16)),
            round_up.eq(~restart & product_2[-1] & product_2[:16].any()),
            driven.eq(shifted_2 + offset),
        ]
        # Stage 4.
        m.d.sync += total.eq(driven + leaked + round_up)
        return total

    def _clamp(self, m: Module, total: Signal) -> tuple[Signal, Signal]:
        """Stage 5: the potential that is compared with the threshold."""
        potential, clamped = Signal(self._v), Signal()
        limited, over = _saturated(total, self._params.v_width)
        m.d.sync += [potential.eq(limited), clamped.eq(over)]
        return potential, clamped

    def _fire(self, m: Module, potential: Signal, clamped: Signal) -> None:
        """Stage 6: compare and subtract. Stage 7: reset."""
        record = self._registered[5]
        kept, difference = Signal(self._v), Signal(signed(self._params.v_width + 1))
        spike, to_zero, to_subtract, clamped_6 = Signal(), Signal(), Signal(), Signal()
        v_reset = Signal(self._v)
        fires = self._fires(potential, record)
        at_once = fires & ~record.reset_next
        m.d.sync += [
            kept.eq(potential),
            difference.eq(potential - record.threshold),
            spike.eq(fires),
            to_zero.eq(at_once & (record.reset == Reset.ZERO)),
            to_subtract.eq(at_once & (record.reset == Reset.SUBTRACT)),
            v_reset.eq(record.v_reset),
            clamped_6.eq(clamped),
        ]
        limited, over = _saturated(difference, self._params.v_width)
        m.d.sync += [
            self.v_next.eq(Mux(to_zero, v_reset, Mux(to_subtract, limited, kept))),
            self.spike.eq(spike),
            self.saturated.eq(clamped_6 | (to_subtract & over)),
        ]

    def _fires(self, v, record):
        """``v > threshold`` if strict, else ``v >= threshold``: one subtraction with a carry."""
        return v - record.threshold - record.strict >= 0


def _saturated(value: Signal, width: int):
    """Return ``value`` clamped to signed ``width`` bits, and whether it was clamped."""
    top = value[width - 1 :]
    over = ~(top.all() | ~top.any())
    limit = Mux(value[-1], Const(V_MIN, signed(width)), Const(V_MAX, signed(width)))
    return Mux(over, limit, value[:width].as_signed()), over
