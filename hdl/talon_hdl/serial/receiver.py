"""Requests of the host: frames that are whole, and nothing of those that are not."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from talon.arch.serial import CRC_BYTES, HEADER, WORD_BYTES
from talon_hdl.core.crc import CRC32
from talon_hdl.serial.unstuffer import Unstuffer
from talon_hdl.shapes import struct, view

RESIDUE = 0x2144_DF1C
"""CRC-32 of anything that ends with its own CRC-32."""

WORD_BITS = 8 * WORD_BYTES


class FrameReceiver(wiring.Component):
    """Gather the words of a frame and judge it at its end.

    Words are shown as they come, before the CRC has been seen: whoever keeps them must forget them
    at ``drop``. While a request is held, further frames are lost, and counted as such.

    Members
    -------
    i_data, i_valid, i_error : :py:`In`
        What a :class:`talon_hdl.serial.uart.UartReceiver` gives.
    header : :py:`Out(HEADER)`
        Header of the frame.
    word, word_valid, word_last, word_ready : :py:`Out(64), Out(1), Out(1), In(1)`
        A word behind the header has come; with TLAST; there is room for it, else the frame is lost.
        The last one stays.
    valid, ready : :py:`Out(1), In(1)`
        A request is held; it has been carried out.
    drop : :py:`Out(1)`
        Forget the words since the last request.
    bad : :py:`Out(1)`
        A frame is thrown away in this cycle.
    """

    i_data: Signal
    i_valid: Signal
    i_error: Signal
    header: Any
    word: Signal
    word_valid: Signal
    word_last: Signal
    word_ready: Signal
    valid: Signal
    ready: Signal
    drop: Signal
    bad: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "i_data": In(8),
                "i_valid": In(1),
                "i_error": In(1),
                "header": Out(struct(HEADER)),
                "word": Out(WORD_BITS),
                "word_valid": Out(1),
                "word_last": Out(1),
                "word_ready": In(1),
                "valid": Out(1),
                "ready": In(1),
                "drop": Out(1),
                "bad": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.unstuffer = bytes_ = Unstuffer()
        m.submodules.crc = crc = CRC32(8)
        m.d.comb += [
            bytes_.i_data.eq(self.i_data),
            bytes_.i_valid.eq(self.i_valid),
            bytes_.i_error.eq(self.i_error),
            crc.data.eq(bytes_.data),
            crc.valid.eq(bytes_.valid),
            crc.start.eq(bytes_.end),
        ]
        # Bytes of the word under way, and words that are still to come behind the header.
        place, left = Signal(range(WORD_BYTES)), Signal(16)
        begun, spoiled, full = Signal(), Signal(), Signal()
        shifted = Cat(self.word[8:], bytes_.data)
        in_header, in_crc = Signal(init=1), Signal()
        whole = bytes_.valid & (place == WORD_BYTES - 1) & ~in_crc
        new = Signal(struct(HEADER))
        m.d.comb += new.eq(view(HEADER, shifted))
        takes = bytes_.valid & ~self.valid & ~spoiled
        with m.If(bytes_.valid):
            m.d.sync += begun.eq(1)
            with m.If(self.valid):
                m.d.sync += spoiled.eq(1)
        m.d.sync += self.word_valid.eq(0)
        with m.If(self.word_valid & ~self.word_ready):
            m.d.sync += spoiled.eq(1)
        with m.If(takes):
            m.d.sync += place.eq(place + 1)
            with m.If(~in_crc):
                m.d.sync += self.word.eq(shifted)
            with m.Elif(place == CRC_BYTES - 1):
                m.d.sync += full.eq(1)
            with m.If(full):  # longer than its header says
                m.d.sync += spoiled.eq(1)
            with m.If(whole & in_header):
                m.d.sync += [
                    self.header.eq(new),
                    in_header.eq(0),
                    left.eq(new.count),
                    in_crc.eq(new.count == 0),
                ]
            with m.If(whole & ~in_header):
                m.d.sync += [
                    left.eq(left - 1),
                    in_crc.eq(left == 1),
                    self.word_valid.eq(1),
                    self.word_last.eq(self.header.last & (left == 1)),
                ]
        good = full & ~spoiled & ~bytes_.bad & (crc.crc == RESIDUE)
        with m.If(self.ready):
            m.d.sync += self.valid.eq(0)
        with m.If(bytes_.end):
            m.d.comb += [
                self.bad.eq((begun | bytes_.bad) & ~(good & ~self.valid)),
                self.drop.eq(self.bad & ~self.valid),
            ]
            m.d.sync += [
                *(each.eq(0) for each in (place, begun, spoiled, full, in_crc)),
                in_header.eq(1),
            ]
            with m.If(good & ~self.valid):
                m.d.sync += self.valid.eq(1)
        return m
