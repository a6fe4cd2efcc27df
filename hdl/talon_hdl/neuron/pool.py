"""Pool windows: the largest or the sum of payloads, lane by lane."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from talon.arch.numerics import PAYLOAD_MAX

PAYLOAD_BITS = PAYLOAD_MAX.bit_length()
"""Bits of what a neuron sends: a payload is not negative here."""


class WindowPool(wiring.Component):
    """Hold the windows of the neurons of one update lane; a new neuron in every cycle.

    The rows of a window follow each other, so the window of a neuron comes round after ``n_beats``
    neurons. A largest value is held as its complement: one adder gives the sum, and the carry of
    the same one tells which is larger.

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
    first : :py:`In(1)`
        It is in the first row of its window.
    add : :py:`In(1)`
        A window gives the sum, at most ``PAYLOAD_MAX``, instead of the largest; must hold still.
    held : :py:`Out(PAYLOAD_BITS)`
        Of the neuron of the cycle before: its window so far, itself included; see :func:`shown`.
    """

    payload: Signal
    step: Signal
    first: Signal
    add: Signal
    held: Signal

    def __init__(self, *, n_beats: int) -> None:
        self._n_beats = n_beats
        super().__init__(
            {
                "payload": In(PAYLOAD_BITS),
                "step": In(1),
                "first": In(1),
                "add": In(1),
                "held": Out(PAYLOAD_BITS),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        ring = [
            self.held,
            *(Signal(PAYLOAD_BITS, name=f"window_{i}") for i in range(1, self._n_beats)),
        ]
        before = ring[-1]
        total = Signal(PAYLOAD_BITS + 1)
        m.d.comb += total.eq(before + self.payload)
        carry = total[-1]
        own = shown(self.payload, self.add)
        added = total[:-1] | carry.replicate(PAYLOAD_BITS)
        with m.If(self.step):
            m.d.sync += [
                self.held.eq(Mux(self.first, own, Mux(self.add, added, Mux(carry, own, before)))),
                *(ring[i].eq(ring[i - 1]) for i in range(1, self._n_beats)),
            ]
        return m


def shown(held: Value, add: Value) -> Value:
    """Return the value of a window as it is held, or the other way round."""
    return held ^ (~add).replicate(PAYLOAD_BITS)
