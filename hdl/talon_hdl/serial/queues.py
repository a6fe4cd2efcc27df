"""Queues at the two ends of an unreliable line: one that can forget, one that can repeat."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.params import bits_for
from talon_hdl.axi.signatures import AxiStreamSignature

_BLOCK = {"ram_style": "block"}


class ForgettingQueue(wiring.Component):
    """Words for the array: those of a frame come out when it has proved good, or never.

    Parameters
    ----------
    depth
        Number of words, a power of two.

    Members
    -------
    w_data, w_last, w_en, w_rdy : :py:`In(64), In(1), In(1), Out(1)`
        Add a word; there is room for it.
    keep, forget : :py:`In(1)`
        The words since the last of either may go, or are taken away.
    free : :py:`Out(range(depth + 1))`
        Room, without the words that may still be forgotten.
    axis : :py:`Out(AxiStreamSignature(64))`
        Words to the array.
    """

    w_data: Signal
    w_last: Signal
    w_en: Signal
    w_rdy: Signal
    keep: Signal
    forget: Signal
    free: Signal
    axis: Any

    def __init__(self, depth: int) -> None:
        self._depth = depth
        super().__init__(
            {
                "w_data": In(64),
                "w_last": In(1),
                "w_en": In(1),
                "w_rdy": Out(1),
                "keep": In(1),
                "forget": In(1),
                "free": Out(range(depth + 1)),
                "axis": Out(AxiStreamSignature(64)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.memory = words = memory.Memory(
            shape=65, depth=self._depth, init=[], attrs=_BLOCK
        )
        write, read = words.write_port(), words.read_port()
        # One bit more than an address: equal pointers are empty, not full.
        bits = bits_for(self._depth)
        w_next, kept, first = (Signal(bits + 1, name=n) for n in ("w_next", "kept", "first"))
        moves = self.axis.tvalid & self.axis.tready
        following = (first + moves)[: bits + 1]
        m.d.sync += first.eq(following)
        m.d.comb += [
            self.w_rdy.eq((w_next - first)[: bits + 1] != self._depth),
            self.free.eq(self._depth - (kept - first)[: bits + 1]),
            write.addr.eq(w_next[:bits]),
            write.data.eq(Cat(self.w_data, self.w_last)),
            write.en.eq(self.w_en & self.w_rdy),
            read.addr.eq(following[:bits]),
            Cat(self.axis.tdata, self.axis.tlast).eq(read.data),
            self.axis.tvalid.eq(first != kept),
        ]
        with m.If(write.en):
            m.d.sync += w_next.eq(w_next + 1)
        with m.If(self.keep):
            m.d.sync += kept.eq(w_next)
        with m.Elif(self.forget):
            m.d.sync += w_next.eq(kept)
        return m


class RepeatingQueue(wiring.Component):
    """Words for the host: a run of them can be read as often as it takes until it has arrived.

    The word behind one with TLAST waits until that one has arrived, so TLAST is always at the end.

    Parameters
    ----------
    depth
        Number of words, a power of two.

    Members
    -------
    axis : :py:`In(AxiStreamSignature(64))`
        Words from the array.
    level, closed : :py:`Out(range(depth + 1)), Out(1)`
        Words inside; the last of them has TLAST.
    index, data : :py:`In(16), Out(64)`
        The word of this number, counted from the first; one cycle later.
    pop, pop_count : :py:`In(1), In(range(depth + 1))`
        So many words have arrived: forget them. Not more than ``level``.
    """

    axis: Any
    level: Signal
    closed: Signal
    index: Signal
    data: Signal
    pop: Signal
    pop_count: Signal

    def __init__(self, depth: int) -> None:
        self._depth = depth
        super().__init__(
            {
                "axis": In(AxiStreamSignature(64)),
                "level": Out(range(depth + 1)),
                "closed": Out(1),
                "index": In(16),
                "data": Out(64),
                "pop": In(1),
                "pop_count": In(range(depth + 1)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.memory = words = memory.Memory(
            shape=64, depth=self._depth, init=[], attrs=_BLOCK
        )
        write, read = words.write_port(), words.read_port()
        bits = bits_for(self._depth)
        first, w_next = Signal(bits, name="first"), Signal(bits, name="w_next")
        takes = self.axis.tvalid & self.axis.tready
        gone = Mux(self.pop, self.pop_count, 0)
        m.d.comb += [
            self.axis.tready.eq(~self.closed & (self.level != self._depth)),
            write.addr.eq(w_next),
            write.data.eq(self.axis.tdata),
            write.en.eq(takes),
            read.addr.eq((first + self.index)[:bits]),
            self.data.eq(read.data),
        ]
        m.d.sync += [
            w_next.eq(w_next + takes),
            first.eq(first + gone),
            self.level.eq(self.level + takes - gone),
        ]
        with m.If(takes & self.axis.tlast):
            m.d.sync += self.closed.eq(1)
        with m.Elif(self.pop & (self.pop_count == self.level)):
            m.d.sync += self.closed.eq(0)
        return m
