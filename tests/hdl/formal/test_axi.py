"""The AXI4-Lite subordinate, proved: it keeps the protocol and carries out each access once."""

import pytest
from amaranth.hdl import Assert, Assume, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from talon_hdl.axi.lite import AxiLiteSubordinate
from talon_hdl.axi.signatures import AxiLiteSignature
from talon_hdl.testing import prove

pytestmark = pytest.mark.cosim
ADDRESS_WIDTH = 4


class LiteProof(wiring.Component):
    """Valid and data stay until ready; one write and one answer for each address and datum."""

    def __init__(self, *, open_writes=1):
        self._open_writes = open_writes
        super().__init__({"bus": In(AxiLiteSignature(ADDRESS_WIDTH)), "data": In(2)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = AxiLiteSubordinate(ADDRESS_WIDTH)
        wiring.connect(m, wiring.flipped(self.bus), dut.bus)
        bus = dut.bus
        m.d.comb += [dut.read_data.eq(self.data), Assume(~ResetSignal())]

        address, data = bus.awvalid & bus.awready, bus.wvalid & bus.wready
        answer = bus.bvalid & bus.bready
        m.d.comb += [Assert(address == data), Assert(dut.write == address)]
        owed = Signal(2)  # writes without an answer
        m.d.sync += owed.eq(owed + dut.write - answer)
        m.d.comb += [
            Assert(owed == bus.bvalid),
            Assert(owed <= self._open_writes),
            Assert(~dut.write | (dut.write_address == bus.awaddr[2:])),
            Assert(~dut.write | (dut.write_data[0] == bus.wdata[0])),
        ]

        asked = bus.arvalid & bus.arready
        due = Signal()  # a read without its data
        value = Signal(2)
        with m.If(asked):
            m.d.sync += [due.eq(1), value.eq(self.data)]
        with m.Elif(bus.rready):
            m.d.sync += due.eq(0)
        m.d.comb += [
            Assert(bus.rvalid == due),
            Assert(~due | (bus.rdata[:2] == value)),
            Assert(~due | bus.rready | ~asked),
            Assert((bus.bresp == 0) & (bus.rresp == 0)),
        ]
        return m


def test_each_access_is_carried_out_and_answered_once():
    prove(LiteProof())


def test_a_write_is_open_for_a_cycle():
    with pytest.raises(AssertionError, match=r"an assertion fails in cycle 1$"):
        prove(LiteProof(open_writes=0))
