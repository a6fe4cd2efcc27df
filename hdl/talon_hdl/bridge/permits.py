"""What lets the host start a timestep: CREDIT tokens, counted by slot."""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from talon.arch.params import ArrayParams, bits_for


class Permits(wiring.Component):
    """Count the CREDITs of each slot, and say when a timestep of the host holds all it needs.

    Members
    -------
    reset : :py:`In(1)`
        Set every count to its ``init``.
    init : :py:`In(8).array(n_slots)`
        CREDITs granted at start.
    n_dests : :py:`In(8)`
        CREDITs that permit one timestep.
    credit, credit_slot : :py:`In`
        A CREDIT arrives, for this slot.
    slot : :py:`In`
        Slot of the host's timestep.
    granted : :py:`Out(1)`
        The CREDITs of ``slot`` are there.
    take : :py:`In(1)`
        Take them.
    """

    reset: Signal
    init: list[Signal]
    n_dests: Signal
    credit: Signal
    credit_slot: Signal
    slot: Signal
    granted: Signal
    take: Signal

    def __init__(self, params: ArrayParams) -> None:
        self._n_slots = params.n_slots
        self._width = params.count_width
        slot = bits_for(params.n_slots)
        super().__init__(
            {
                "reset": In(1),
                "init": In(self._width).array(params.n_slots),
                "n_dests": In(self._width),
                "credit": In(1),
                "credit_slot": In(slot),
                "slot": In(slot),
                "granted": Out(1),
                "take": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        counts = Array(self._count(m, i) for i in range(self._n_slots))
        m.d.comb += self.granted.eq(counts[self.slot] >= self.n_dests)
        return m

    def _count(self, m: Module, slot: int):
        count = m.submodules[f"slot_{slot}"] = PermitCount(self._width)
        m.d.comb += [
            count.reset.eq(self.reset),
            count.init.eq(self.init[slot]),
            count.credit.eq(self.credit & (self.credit_slot == slot)),
            count.take.eq(self.take & (self.slot == slot)),
        ]
        return count.count


class PermitCount(wiring.Component):
    """The CREDITs of one slot.

    Taking them leaves zero, but for one that arrives in the same cycle.
    """

    reset: Signal
    init: Signal
    credit: Signal
    take: Signal
    count: Signal

    def __init__(self, width: int) -> None:
        super().__init__(
            {
                "reset": In(1),
                "init": In(width),
                "credit": In(1),
                "take": In(1),
                "count": Out(width),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        with m.If(self.reset):
            m.d.sync += self.count.eq(self.init)
        with m.Elif(self.take):
            m.d.sync += self.count.eq(self.credit)
        with m.Elif(self.credit):
            m.d.sync += self.count.eq(self.count + 1)
        return m
