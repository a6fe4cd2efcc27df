"""Queues on :mod:`amaranth.lib.stream`."""

from amaranth.hdl import Module, Signal, Value, ValueCastable
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out


class Queue(wiring.Component):
    """First in, first out, through distributed RAM; an entry is visible one cycle after it came.

    Parameters
    ----------
    shape
        Shape of an entry.
    depth
        Number of entries.

    Members
    -------
    i, o : :py:`stream.Signature(shape)`
        Entrance and exit.
    level : :py:`Out(range(depth + 1))`
        Entries inside. An entry that is taken in this cycle is counted from the next one on.
    """

    i: stream.Interface
    o: stream.Interface
    level: Signal

    def __init__(self, shape, *, depth: int) -> None:
        self._depth = depth
        self._shape = shape
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "level": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        width = len(_value(self.i.payload))
        queue = fifo.SyncFIFO(width=width, depth=self._depth)
        m.submodules.fifo = queue
        m.d.comb += [
            queue.w_data.eq(self.i.payload),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            _value(self.o.payload).eq(queue.r_data),
            self.o.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.o.ready),
            self.level.eq(queue.r_level),
        ]
        return m


def _value(payload: ValueCastable | Value) -> Value:
    return Value.cast(payload)
