"""An AXI4-Lite subordinate that turns transactions into single-cycle register accesses."""

from typing import Any

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from talon_hdl.axi.signatures import AxiLiteSignature


class AxiLiteSubordinate(wiring.Component):
    """Answer reads and writes of 32-bit words, one of each a cycle, always with OKAY.

    An error response becomes a bus error on the processor, which takes the whole system down for
    a mistyped address; so there is none.

    Members
    -------
    bus : :py:`In(AxiLiteSignature(address_width))`
        The bus.
    write_address, write_data, write_strobe : :py:`Out`
        Word address, data and byte enables of a write, valid while ``write`` is.
    write : :py:`Out(1)`
        A write happens in this cycle.
    read_address : :py:`Out`
        Word address of a read.
    read_data : :py:`In(32)`
        The value of that word, in the same cycle.
    """

    bus: Any
    write: Signal
    write_address: Signal
    write_data: Signal
    write_strobe: Signal
    read_address: Signal
    read_data: Signal

    def __init__(self, address_width: int) -> None:
        super().__init__(
            {
                "bus": In(AxiLiteSignature(address_width)),
                "write": Out(1),
                "write_address": Out(unsigned(address_width - 2)),
                "write_data": Out(32),
                "write_strobe": Out(4),
                "read_address": Out(unsigned(address_width - 2)),
                "read_data": In(32),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        bus = self.bus
        m.d.comb += [
            self.write.eq(bus.awvalid & bus.wvalid & (~bus.bvalid | bus.bready)),
            bus.awready.eq(self.write),
            bus.wready.eq(self.write),
            self.write_address.eq(bus.awaddr[2:]),
            self.write_data.eq(bus.wdata),
            self.write_strobe.eq(bus.wstrb),
            bus.arready.eq(~bus.rvalid | bus.rready),
            self.read_address.eq(bus.araddr[2:]),
        ]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(self.write):
            m.d.sync += bus.bvalid.eq(1)
        with m.If(bus.arready):
            m.d.sync += [bus.rvalid.eq(bus.arvalid), bus.rdata.eq(self.read_data)]
        return m
