"""Pool windows: the largest or the sum of payloads, lane by lane."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from talon.arch.numerics import PAYLOAD_MAX

PAYLOAD_BITS = PAYLOAD_MAX.bit_length()
"""Bits of what a neuron sends: a payload is not negative here."""


class WindowPool(wiring.Component):
    """Hold the windows of the neurons of one update lane; a new neuron in every cycle.

    The rows of a window follow each other, so a neuron's window comes round after ``n_beats``
    neurons. What is behind the last row of a window is zero: the next one needs no start.

    Parameters
    ----------
    n_beats
        Neurons of a row in this lane.

    Members
    -------
    payload : :py:`In(PAYLOAD_BITS)`
        Of a neuron.
    step : :py:`In(1)`
        It is there.
    last : :py:`In(1)`
        It is in the last row of its window.
    add : :py:`In(1)`
        A window gives the sum, at most ``PAYLOAD_MAX``, instead of the largest; must hold still.
    window : :py:`Out(PAYLOAD_BITS)`
        Of the neuron's window so far, itself included; in the same cycle.
    """

    payload: Signal
    step: Signal
    last: Signal
    add: Signal
    window: Signal

    def __init__(self, *, n_beats: int) -> None:
        self._n_beats = n_beats
        super().__init__(
            {
                "payload": In(PAYLOAD_BITS),
                "step": In(1),
                "last": In(1),
                "add": In(1),
                "window": Out(PAYLOAD_BITS),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        ring = [Signal(PAYLOAD_BITS, name=f"window_{i}") for i in range(self._n_beats)]
        before, subtract = ring[-1], ~self.add
        # One adder: the sum, or the difference, whose carry tells which one is larger.
        operand, total = Signal(PAYLOAD_BITS), Signal(PAYLOAD_BITS + 1)
        m.d.comb += [
            operand.eq(self.payload ^ subtract.replicate(PAYLOAD_BITS)),
            total.eq(before + operand + subtract),
        ]
        carry = total[-1]
        m.d.comb += self.window.eq(
            Mux(
                self.add,
                total[:-1] | carry.replicate(PAYLOAD_BITS),
                Mux(carry, before, self.payload),
            )
        )
        with m.If(self.step):
            m.d.sync += [
                ring[0].eq(self.window),
                *(ring[i].eq(ring[i - 1]) for i in range(1, self._n_beats)),
            ]
            with m.If(self.last):
                m.d.sync += ring[0].eq(0)
        return m
