"""Bytes of the line become bytes of frames."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from talon.arch.serial import ESCAPE, FLAG, STUFFING


class Unstuffer(wiring.Component):
    """Take out FLAG and ESCAPE, in the cycle in which a byte comes.

    Members
    -------
    i_data, i_valid, i_error : :py:`In`
        What a :class:`talon_hdl.serial.uart.UartReceiver` gives.
    data, valid : :py:`Out(8), Out(1)`
        A byte of a frame.
    end : :py:`Out(1)`
        FLAG has come: here a frame ends, and the next may begin.
    bad : :py:`Out(1)`
        Something since the last ``end`` was no byte, or no byte of a frame.
    """

    i_data: Signal
    i_valid: Signal
    i_error: Signal
    data: Signal
    valid: Signal
    end: Signal
    bad: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "i_data": In(8),
                "i_valid": In(1),
                "i_error": In(1),
                "data": Out(8),
                "valid": Out(1),
                "end": Out(1),
                "bad": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        escaped, broken = Signal(), Signal()
        is_escape = self.i_data == ESCAPE
        plain = Mux(escaped, self.i_data ^ STUFFING, self.i_data)
        m.d.comb += [
            self.data.eq(plain),
            self.end.eq(self.i_valid & (self.i_data == FLAG)),
            self.valid.eq(self.i_valid & ~self.end & (escaped | ~is_escape)),
            self.bad.eq(broken | escaped),
        ]
        with m.If(self.i_valid):
            m.d.sync += escaped.eq(is_escape & ~escaped)
            # Only FLAG and ESCAPE are ever stuffed.
            with m.If(self.valid & escaped & (plain != FLAG) & (plain != ESCAPE)):
                m.d.sync += broken.eq(1)
        with m.If(self.i_error):
            m.d.sync += broken.eq(1)
        with m.If(self.end):
            m.d.sync += [escaped.eq(0), broken.eq(0)]
        return m
