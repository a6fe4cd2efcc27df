"""Answers to the host: words become a frame on the line."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.serial import CRC_BYTES, ESCAPE, FLAG, HEADER, STUFFING, WORD_BYTES
from talon_hdl.core.crc import CRC32
from talon_hdl.shapes import struct

WORD_BITS = 8 * WORD_BYTES


class FrameSender(wiring.Component):
    """Send a header, the words that it counts, and their CRC.

    Members
    -------
    start : :py:`In(1)`
        Send a frame; while not ``busy``.
    header : :py:`In(HEADER)`
        Its header, in the cycle of ``start``.
    index, word : :py:`Out(16), In(64)`
        The word of this number (the first behind the header is 0), at the latest four cycles after
        it was asked for.
    busy : :py:`Out(1)`
        A frame is under way.
    o : :py:`Out(stream.Signature(8))`
        Bytes for the line.
    """

    start: Signal
    header: Any
    index: Signal
    word: Signal
    busy: Signal
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "header": In(struct(HEADER)),
                "index": Out(16),
                "word": In(WORD_BITS),
                "busy": Out(1),
                "o": Out(stream.Signature(unsigned(8))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC32(8)
        bits = Signal(WORD_BITS)  # what is left of the word, or of the CRC
        place, left = Signal(range(WORD_BYTES)), Signal(16)
        escaped = Signal()
        byte = bits[:8]
        stuffs = ((byte == FLAG) | (byte == ESCAPE)) & ~escaped
        stuffed = Mux(escaped, byte ^ STUFFING, byte)
        done = Signal()  # the byte of `bits` leaves in this cycle
        m.d.comb += [self.busy.eq(1), crc.data.eq(byte), self.o.payload.eq(FLAG)]
        with m.If(done):
            m.d.sync += [bits.eq(bits >> 8), place.eq(place + 1)]

        def send() -> None:
            m.d.comb += [
                self.o.valid.eq(1),
                self.o.payload.eq(Mux(stuffs, ESCAPE, stuffed)),
                done.eq(self.o.ready & ~stuffs),
            ]
            with m.If(self.o.ready):
                m.d.sync += escaped.eq(stuffs)

        with m.FSM():
            with m.State("Idle"):
                m.d.comb += self.busy.eq(0)
                m.d.sync += [bits.eq(Value.cast(self.header)), left.eq(self.header.count)]
                m.d.sync += [place.eq(0), self.index.eq(0)]
                with m.If(self.start):
                    m.next = "Open"
            with m.State("Open"):
                m.d.comb += [self.o.valid.eq(1), crc.start.eq(1)]
                with m.If(self.o.ready):
                    m.next = "Words"
            with m.State("Words"):
                send()
                m.d.comb += crc.valid.eq(done)
                with m.If(done & (place == WORD_BYTES - 1)):
                    m.d.sync += [left.eq(left - 1), self.index.eq(self.index + 1)]
                    m.d.sync += bits.eq(self.word)
                    with m.If(left == 0):
                        m.next = "Sum"
            with m.State("Sum"):
                m.d.sync += [bits.eq(Cat(crc.crc)), place.eq(0)]
                m.next = "CRC"
            with m.State("CRC"):
                send()
                with m.If(done & (place == CRC_BYTES - 1)):
                    m.next = "Close"
            with m.State("Close"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "Idle"
        return m
