"""The serial link: requests of the host are carried out once, and answered as often as asked."""

from typing import Any

from amaranth.hdl import Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from talon.arch.registers import ADDRESS_WIDTH
from talon.arch.serial import DEPTH, HEADER, LIMITS, PROTOCOL_VERSION, Request
from talon_hdl.axi.signatures import AxiLiteSignature, AxiStreamSignature
from talon_hdl.serial.queues import ForgettingQueue, RepeatingQueue
from talon_hdl.serial.receiver import FrameReceiver
from talon_hdl.serial.sender import FrameSender
from talon_hdl.serial.uart import UartReceiver, UartTransmitter
from talon_hdl.shapes import packed, view

RESET_CYCLES = 16


class SerialLink(wiring.Component):
    """Join a UART to the AXI ports of the array; see `docs/hardware/serial_link.md`.

    Parameters
    ----------
    clock_hz, baud
        Frequency of the clock, bits a second.
    depth
        Words in each queue.

    Members
    -------
    rx, tx : :py:`In(1), Out(1)`
        Wires from and to the host.
    axil : :py:`Out(AxiLiteSignature)`
        Registers of the array.
    o, i : :py:`Out(AxiStreamSignature(64)), In(...)`
        Words to and from the array.
    array_reset : :py:`Out(1)`
        The array is held in reset.
    """

    rx: Signal
    tx: Signal
    axil: Any
    o: Any
    i: Any
    array_reset: Signal

    def __init__(self, *, clock_hz: float, baud: float, depth: int = DEPTH) -> None:
        self._rates = {"clock_hz": clock_hz, "baud": baud}
        self._depth = depth
        super().__init__(
            {
                "rx": In(1),
                "tx": Out(1),
                "axil": Out(AxiLiteSignature(ADDRESS_WIDTH)),
                "o": Out(AxiStreamSignature(64)),
                "i": In(AxiStreamSignature(64)),
                "array_reset": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.uart_in = uart_in = UartReceiver(**self._rates)
        m.submodules.uart_out = uart_out = UartTransmitter(**self._rates)
        m.submodules.receiver = receiver = FrameReceiver()
        m.submodules.sender = sender = FrameSender()
        emptied = ResetInserter(self.array_reset)
        m.submodules.to_array = to_array = emptied(ForgettingQueue(self._depth))
        m.submodules.to_host = to_host = emptied(RepeatingQueue(self._depth))
        wiring.connect(m, sender.o, uart_out.i)
        wiring.connect(m, to_array.axis, wiring.flipped(self.o))
        wiring.connect(m, wiring.flipped(self.i), to_host.axis)
        m.d.comb += [
            uart_in.line.eq(self.rx),
            self.tx.eq(uart_out.line),
            receiver.i_data.eq(uart_in.data),
            receiver.i_valid.eq(uart_in.valid),
            receiver.i_error.eq(uart_in.error),
            to_array.w_data.eq(receiver.word),
            to_array.w_last.eq(receiver.word_last),
            to_host.index.eq(sender.index),
        ]
        bad = Signal(16)
        m.d.sync += bad.eq(bad + receiver.bad)
        self._requests(m, receiver, sender, to_array, to_host, bad)
        return m

    def _requests(self, m: Module, receiver, sender, to_array, to_host, bad: Signal) -> None:
        request = receiver.header
        known = Signal()  # there was a RESET
        seq, next_seq = Signal(8), Signal(8)
        # The answer, kept until the next request shows that it has arrived.
        op, count = Signal(HEADER.fields[0].width), Signal(16)
        last, refused, from_queue = Signal(), Signal(), Signal()
        value = Signal(64)
        wanted = Mux(request.arg < to_host.level, request.arg, to_host.level)
        answer = {
            "op": op,
            "last": last,
            "refused": refused,
            "answer": 1,
            "seq": seq,
            "count": count,
            "arg": to_array.free,
            "bad": bad,
        }
        stranger = Signal()  # the request is not the next one, nor the last one again
        is_next = known & (request.seq == next_seq)
        # A repeated request must not wait for room: the words that it once brought may take it up
        # until the host has the answer.
        takes_words = is_next & (request.op == Request.MOVE)
        m.d.comb += [
            next_seq.eq(seq + 1),
            to_array.w_en.eq(receiver.word_valid & takes_words),
            receiver.word_ready.eq(to_array.w_rdy | ~takes_words),
            sender.word.eq(Mux(from_queue, to_host.data, value)),
            sender.header.eq(view(HEADER, packed(HEADER, answer))),
            to_array.forget.eq(receiver.drop),
            to_host.pop_count.eq(Mux(from_queue, count, 0)[: len(to_host.pop_count)]),
        ]
        cycles = Signal(range(RESET_CYCLES))
        address = Signal(ADDRESS_WIDTH)
        m.d.comb += [
            self.axil.awaddr.eq(address),
            self.axil.araddr.eq(address),
            self.axil.wdata.eq(receiver.word[:32]),
            self.axil.wstrb.eq(0b1111),
        ]

        def finish(*, keep: bool = False) -> None:
            """Let go of the request; its words go to the array, or nowhere."""
            m.d.comb += [receiver.ready.eq(1), to_array.keep.eq(int(keep))]
            if not keep:
                m.d.comb += to_array.forget.eq(1)
            m.next = "Answer"

        with m.FSM():
            with m.State("Idle"), m.If(receiver.valid & ~sender.busy):
                m.d.sync += [address.eq(request.arg), stranger.eq(0)]
                with m.If(request.answer):
                    m.d.comb += [receiver.ready.eq(1), to_array.forget.eq(1)]
                with m.Elif(request.op == Request.RESET):
                    m.d.sync += [known.eq(1), seq.eq(request.seq), cycles.eq(0)]
                    m.next = "Reset"
                with m.Elif(known & (request.seq == seq)):
                    finish()
                with m.Elif(~is_next):
                    m.d.sync += stranger.eq(1)
                    finish()
                with m.Else():
                    m.d.comb += to_host.pop.eq(1)
                    m.d.sync += [seq.eq(request.seq), op.eq(request.op)]
                    m.d.sync += [last.eq(0), refused.eq(0), from_queue.eq(0), count.eq(0)]
                    m.next = "Carry out"
            with m.State("Carry out"), m.Switch(request.op):
                with m.Case(Request.READ):
                    m.next = "Read address"
                with m.Case(Request.WRITE):
                    m.next = "Write"
                    with m.If(request.count != 1):
                        m.d.sync += refused.eq(1)
                        finish()
                with m.Case(Request.MOVE):
                    m.d.sync += [
                        from_queue.eq(1),
                        count.eq(wanted),
                        last.eq(to_host.closed & (wanted == to_host.level) & (wanted != 0)),
                    ]
                    finish(keep=True)
                with m.Default():
                    m.d.sync += refused.eq(1)
                    finish()
            with m.State("Reset"):
                limits = {
                    "version": PROTOCOL_VERSION,
                    "depth_in": self._depth,
                    "depth_out": self._depth,
                }
                m.d.comb += self.array_reset.eq(1)
                m.d.sync += [cycles.eq(cycles + 1), bad.eq(0)]
                m.d.sync += [op.eq(Request.RESET), count.eq(1), value.eq(LIMITS.pack(limits))]
                m.d.sync += [last.eq(0), refused.eq(0), from_queue.eq(0)]
                with m.If(cycles == RESET_CYCLES - 1):
                    finish()
            with m.State("Read address"):
                m.d.comb += self.axil.arvalid.eq(1)
                with m.If(self.axil.arready):
                    m.next = "Read data"
            with m.State("Read data"):
                m.d.comb += self.axil.rready.eq(1)
                with m.If(self.axil.rvalid):
                    m.d.sync += [value.eq(self.axil.rdata), count.eq(1)]
                    m.d.sync += refused.eq(self.axil.rresp != 0)
                    finish()
            with m.State("Write"):
                taken = Signal(2)
                m.d.comb += [
                    self.axil.awvalid.eq(~taken[0]),
                    self.axil.wvalid.eq(~taken[1]),
                    self.axil.bready.eq(1),
                ]
                with m.If(self.axil.awready):
                    m.d.sync += taken[0].eq(1)
                with m.If(self.axil.wready):
                    m.d.sync += taken[1].eq(1)
                with m.If(self.axil.bvalid):
                    m.d.sync += [taken.eq(0), refused.eq(self.axil.bresp != 0)]
                    finish()
            with m.State("Answer"):
                m.d.comb += sender.start.eq(1)
                with m.If(stranger):
                    refusal = {"refused": 1, "answer": 1, "seq": request.seq, "bad": bad}
                    m.d.comb += sender.header.eq(view(HEADER, packed(HEADER, refusal)))
                m.next = "Idle"
