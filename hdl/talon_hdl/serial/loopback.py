"""A serial link to try: before a bank of registers, and a stream that comes back inverted."""

from typing import Any

from amaranth.hdl import Cat, ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal, Signal
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.registers import ID
from talon_hdl.csr.bank import RegisterBank
from talon_hdl.serial.link import SerialLink
from talon_hdl.verilog import component_verilog

TOP = "serial_loopback"
_TAPS = (15, 13, 12, 10)


class Loopback(wiring.Component):
    """Every word of the stream comes back with all bits inverted and TLAST as it was, after gaps.

    Register STEP counts the writes to CONTROL, and IN_WORDS the words of the stream.

    Members
    -------
    clock : :py:`In(1)`
        Clock.
    rx, tx : :py:`In(1), Out(1)`
        Wires from and to the host.
    """

    clock: Signal
    rx: Signal
    tx: Signal

    def __init__(self, *, clock_hz: float, baud: float, depth: int) -> None:
        self._options: dict[str, Any] = {"clock_hz": clock_hz, "baud": baud, "depth": depth}
        super().__init__({"clock": In(1), "rx": In(1), "tx": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.domains.sync = ClockDomain()
        m.domains.serial = ClockDomain(reset_less=True)
        link = SerialLink(**self._options)
        m.submodules.link = DomainRenamer("serial")(link)
        bank: Any = RegisterBank()
        m.submodules.bank = bank
        wiring.connect(m, link.axil, bank.bus)
        m.submodules.queue = queue = fifo.SyncFIFO(width=65, depth=16)
        dice = Signal(16, init=1)
        m.d.sync += dice.eq(Cat(Cat(dice[tap] for tap in _TAPS).xor(), dice[:-1]))
        goes, comes = dice[0] | dice[5], dice[3] | dice[9]
        n_words, n_writes = Signal(32), Signal(32)
        m.d.comb += [
            ClockSignal("serial").eq(self.clock),
            ClockSignal().eq(self.clock),
            ResetSignal().eq(link.array_reset),
            link.rx.eq(self.rx),
            self.tx.eq(link.tx),
            queue.w_data[:64].eq(~link.o.tdata),
            queue.w_data[64].eq(link.o.tlast),
            queue.w_en.eq(link.o.tvalid & goes),
            link.o.tready.eq(queue.w_rdy & goes),
            link.i.tdata.eq(queue.r_data[:64]),
            link.i.tlast.eq(queue.r_data[64]),
            link.i.tvalid.eq(queue.r_rdy & comes),
            queue.r_en.eq(link.i.tready & comes),
            bank.id.eq(ID),
            bank.step.eq(n_writes),
            bank.in_words.eq(n_words),
        ]
        m.d.sync += n_writes.eq(n_writes + bank.control)
        with m.If(link.o.tvalid & link.o.tready):
            m.d.sync += n_words.eq(n_words + 1)
        return m


def loopback_verilog(*, clock_hz: float, baud: float, depth: int) -> str:
    """Return the Verilog of a :class:`Loopback`: module :data:`TOP`."""
    return component_verilog(Loopback(clock_hz=clock_hz, baud=baud, depth=depth), TOP)
