"""Pool windows: the largest or the sum of payloads, lane by lane."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from talon.arch.numerics import PAYLOAD_MAX
from talon.arch.params import ArrayParams

PAYLOAD_BITS = PAYLOAD_MAX.bit_length()
"""Bits of a payload that is not negative."""


def window_bits(params: ArrayParams) -> int:
    """Return the bits of what a neuron sends: with tables it has a sign, above the others."""
    return PAYLOAD_BITS + params.table_activation


class WindowPool(wiring.Component):
    """Hold the windows of the neurons of one update lane; a new neuron in every cycle.

    The rows of a window follow each other, so the window of a neuron comes round after ``n_beats``
    neurons. A largest value is held as its complement: one adder gives the sum, and the carry of
    the same one tells which is larger. With a sign, what is compared has it inverted, so that the
    complement has the sign itself; what is summed has none.

    Parameters
    ----------
    n_beats
        Neurons of a row in this lane.
    n_bits
        Bits of a payload: ``PAYLOAD_BITS``, or one more, its sign.

    Members
    -------
    payload : :py:`In(n_bits)`
        Of a neuron; with a sign in two's complement.
    step : :py:`In(1)`
        It is there.
    first : :py:`In(1)`
        It is in the first row of its window.
    add : :py:`In(1)`
        A window gives the sum, at most ``PAYLOAD_MAX``, instead of the largest; must hold still.
        No payload is negative then.
    held : :py:`Out(n_bits)`
        Of the neuron of the cycle before: its window so far, itself included; see :func:`shown`.
    """

    payload: Signal
    step: Signal
    first: Signal
    add: Signal
    held: Signal

    def __init__(self, *, n_beats: int, n_bits: int = PAYLOAD_BITS) -> None:
        self._n_beats = n_beats
        self._n_bits = n_bits
        super().__init__(
            {
                "payload": In(n_bits),
                "step": In(1),
                "first": In(1),
                "add": In(1),
                "held": Out(n_bits),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        ring = [
            self.held,
            *(Signal(self._n_bits, name=f"window_{i}") for i in range(1, self._n_beats)),
        ]
        before = ring[-1]
        total = Signal(self._n_bits + 1)
        own = shown(self.payload, self.add)
        if self._n_bits == PAYLOAD_BITS:
            m.d.comb += total.eq(before + self.payload)
            carry = total[-1]
            added = total[:-1] | carry.replicate(PAYLOAD_BITS)
        else:
            sign = self.payload[-1] ^ ~self.add
            m.d.comb += total.eq(before + Cat(self.payload[:PAYLOAD_BITS], sign))
            carry = total[-1]
            added = total[:PAYLOAD_BITS] | total[PAYLOAD_BITS].replicate(PAYLOAD_BITS)
        with m.If(self.step):
            m.d.sync += [
                self.held.eq(Mux(self.first, own, Mux(self.add, added, Mux(carry, own, before)))),
                *(ring[i].eq(ring[i - 1]) for i in range(1, self._n_beats)),
            ]
        return m


def shown(held: Value, add: Value) -> Value:
    """Return the value of a window as it is held, or the other way round."""
    return Cat(held[:PAYLOAD_BITS] ^ (~add).replicate(PAYLOAD_BITS), held[PAYLOAD_BITS:])
