import pytest
from amaranth.hdl import Assert, Assume, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from talon_hdl.testing import prove

pytestmark = pytest.mark.cosim


class Countdown(wiring.Component):
    """Count down from 9 to 0 and begin again; ``limit`` is what it is said never to exceed."""

    def __init__(self, limit, *, may_skip=False):
        self._limit, self._may_skip = limit, may_skip
        super().__init__({"skip": In(1)})

    def elaborate(self, platform):
        m = Module()
        count = Signal(4)
        m.d.sync += count.eq(count - 1)
        with m.If((count == 0) & ~self.skip):
            m.d.sync += count.eq(9)
        if not self._may_skip:
            m.d.comb += Assume(~self.skip)
        m.d.comb += [Assume(~ResetSignal()), Assert(count <= self._limit)]
        return m


def test_what_is_true_is_proved():
    prove(Countdown(9))


def test_what_is_false_is_refuted():
    with pytest.raises(AssertionError, match=r"^Countdown: an assertion fails in cycle 1$"):
        prove(Countdown(8))


def test_an_assumption_is_needed_where_it_is():
    with pytest.raises(AssertionError, match="an assertion fails"):
        prove(Countdown(9, may_skip=True))
