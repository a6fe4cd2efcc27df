"""Bytes on a wire: one start bit, eight data bits from the lowest up, one stop bit."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import cdc, stream, wiring  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.lib.wiring import In, Out

PHASE_BITS = 16
N_DATA = 8
MIN_CLOCKS_PER_BIT = 6
"""Fewer clocks a bit leave no room for a transmitter whose rate is not quite ours."""


def phase_step(clock_hz: float, baud: float) -> int:
    """Return what a phase of 16 bits gains a clock cycle, to overflow once a bit.

    Raises
    ------
    ValueError
        A bit is too short for this clock.
    """
    if clock_hz < MIN_CLOCKS_PER_BIT * baud:
        raise ValueError(
            f"Serial link needs a clock of at least {MIN_CLOCKS_PER_BIT} x {baud:g} baud, "
            f"not {clock_hz:g} Hz"
        )
    return round((1 << PHASE_BITS) * baud / clock_hz)


class UartReceiver(wiring.Component):
    """Find bytes on the line, which is looked at in every clock cycle.

    The level is that of two of the last three looks. A fall of the line starts a phase at half a
    bit; whenever it overflows, a bit is at its middle and is taken.

    Members
    -------
    line : :py:`In(1)`
        The wire, of any clock.
    data, valid : :py:`Out(8), Out(1)`
        A byte has come in this cycle; nobody may hold it up.
    error : :py:`Out(1)`
        A stop bit was low: strobe. Nothing more is taken before the line has been high.
    """

    line: Signal
    data: Signal
    valid: Signal
    error: Signal

    def __init__(self, *, clock_hz: float, baud: float) -> None:
        self._step = phase_step(clock_hz, baud)
        super().__init__({"line": In(1), "data": Out(8), "valid": Out(1), "error": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        looks = Signal(3, init=-1)
        m.submodules.synchronizer = cdc.FFSynchronizer(self.line, looks[0], init=1)
        m.d.sync += looks[1:].eq(looks)
        level = Signal(init=1)
        ones = (looks[0] & looks[1]) | (looks[0] & looks[2]) | (looks[1] & looks[2])
        m.d.sync += level.eq(ones)

        phase = Signal(PHASE_BITS)
        following = phase + self._step
        middle = following[PHASE_BITS]
        count = Signal(range(N_DATA))
        m.d.sync += [phase.eq(following), self.valid.eq(0), self.error.eq(0)]
        with m.FSM():
            with m.State("Idle"), m.If(~level):
                m.d.sync += phase.eq(1 << (PHASE_BITS - 1))
                m.next = "Start"
            with m.State("Start"), m.If(middle):
                m.d.sync += count.eq(0)
                m.next = "Data"
                with m.If(level):  # a glitch
                    m.next = "Idle"
            with m.State("Data"), m.If(middle):
                m.d.sync += [self.data.eq(Cat(self.data[1:], level)), count.eq(count + 1)]
                with m.If(count == N_DATA - 1):
                    m.next = "Stop"
            with m.State("Stop"), m.If(middle):
                m.d.sync += [self.valid.eq(level), self.error.eq(~level)]
                m.next = "Break"
                with m.If(level):
                    m.next = "Idle"
            with m.State("Break"), m.If(level):
                m.next = "Idle"
        return m


class UartTransmitter(wiring.Component):
    """Put bytes on the line, one behind the other while there are any.

    Members
    -------
    i : :py:`In(stream.Signature(8))`
        Bytes.
    line : :py:`Out(1)`
        The wire.
    """

    i: stream.Interface
    line: Signal

    def __init__(self, *, clock_hz: float, baud: float) -> None:
        self._step = phase_step(clock_hz, baud)
        super().__init__({"i": In(stream.Signature(unsigned(8))), "line": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        # A one behind the stop bit marks the end: the last bit leaves when nothing but it is left.
        bits = Signal(N_DATA + 2)
        line = Signal(init=1)
        phase = Signal(PHASE_BITS)
        following = phase + self._step
        idle = Signal(init=1)
        m.d.comb += self.line.eq(line)
        over = ~idle & following[PHASE_BITS]
        m.d.comb += self.i.ready.eq(idle | (over & (bits == 1)))
        m.d.sync += phase.eq(Mux(idle, 0, following))
        with m.If(over):
            m.d.sync += [line.eq(bits[0]), bits.eq(bits >> 1), idle.eq(bits == 1)]
            with m.If(bits == 1):
                m.d.sync += line.eq(1)
        with m.If(self.i.ready & self.i.valid):
            m.d.sync += [
                line.eq(0),
                bits.eq(Cat(self.i.payload, Const(0b11, 2))),
                idle.eq(0),
            ]
        return m
