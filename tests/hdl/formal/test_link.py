"""The serial link as manager of AXI4-Lite, proved: whatever the line says, the bus is in order."""

import pytest
from amaranth.hdl import Assert, Assume, Cat, Module, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from talon.arch.serial import HEADER
from talon_hdl.properties import held
from talon_hdl.serial import link
from talon_hdl.serial.link import SerialLink
from talon_hdl.serial.receiver import WORD_BITS, FrameReceiver
from talon_hdl.serial.sender import FrameSender
from talon_hdl.testing import prove

pytestmark = pytest.mark.cosim


class FrameProof(wiring.Component):
    """A request stays as it is, header and word, until it has been carried out."""

    data: In(8)
    valid: In(1)
    error: In(1)
    word_ready: In(1)
    ready: In(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = FrameReceiver()
        m.d.comb += [
            dut.i_data.eq(self.data),
            dut.i_valid.eq(self.valid),
            dut.i_error.eq(self.error),
            dut.word_ready.eq(self.word_ready),
            dut.ready.eq(self.ready),
            Assume(~ResetSignal()),
            Assert(~dut.drop | ~dut.valid),
        ]
        payload = Cat(Value.cast(dut.header), dut.word[:16])
        held(m, valid=dut.valid, ready=self.ready, payload=payload)
        return m


class AnyFrames(FrameReceiver):
    """In place of a receiver: any requests, which stay until they are carried out."""

    def __init__(self, proof):
        self._proof = proof
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        proof = self._proof
        request = Cat(Value.cast(self.header), self.word[:16])
        waits, before = Signal(), Signal(len(request))
        m.d.sync += [waits.eq(self.valid & ~self.ready), before.eq(request)]
        m.d.comb += [
            Value.cast(self.header).eq(proof.header),
            self.word.eq(proof.word),
            self.valid.eq(proof.valid),
            self.word_valid.eq(proof.word_valid & ~self.valid),
            self.drop.eq(proof.drop & ~self.valid),
            Assume(~waits | (self.valid & (request == before))),
        ]
        return m


class AnySender(FrameSender):
    """In place of a sender: an answer takes as long as it likes."""

    def __init__(self, proof):
        self._proof = proof
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.busy.eq(self._proof.sending)
        return m


class LinkProof(wiring.Component):
    """Addresses and data stay until they are taken, and one access is open at a time.

    ``trusting`` leaves out that the subordinate answers only what it was asked.
    """

    def __init__(self, *, trusting=False):
        self._trusting = trusting
        names = (*_FROM_SUBORDINATE, "valid", "word_valid", "drop", "sending")
        frame = {"header": In(HEADER.width), "word": In(WORD_BITS)}
        super().__init__({**frame, **{name: In(1) for name in names}})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = SerialLink(clock_hz=16, baud=1, depth=2)
        bus = dut.axil
        m.d.comb += [getattr(bus, name).eq(getattr(self, name)) for name in _FROM_SUBORDINATE]
        m.d.comb += Assume(~ResetSignal())
        held(m, valid=bus.awvalid, ready=bus.awready, payload=bus.awaddr)
        held(m, valid=bus.wvalid, ready=bus.wready, payload=Cat(bus.wdata[:16], bus.wstrb))
        held(m, valid=bus.arvalid, ready=bus.arready, payload=bus.araddr)

        asked = [Signal(2, name=name) for name in ("addresses", "data", "reads")]
        begins = (bus.awvalid & bus.awready, bus.wvalid & bus.wready, bus.arvalid & bus.arready)
        ends = (bus.bvalid & bus.bready, bus.bvalid & bus.bready, bus.rvalid & bus.rready)
        for count, begin, end in zip(asked, begins, ends, strict=True):
            m.d.sync += count.eq(count + begin - end)
            m.d.comb += Assert(count <= 1)
        address, datum, read = (count.any() for count in asked)
        m.d.comb += Assert(~((address | datum) & read))
        if not self._trusting:
            m.d.comb += [Assume(~bus.bvalid | (address & datum)), Assume(~bus.rvalid | read)]
        return m


_FROM_SUBORDINATE = ("awready", "wready", "bvalid", "arready", "rvalid")


@pytest.fixture
def any_frames(monkeypatch):
    """Put what the proof chooses in place of the frames that come and go over the line."""

    def replace(proof):
        monkeypatch.setattr(link, "FrameReceiver", lambda: AnyFrames(proof))
        monkeypatch.setattr(link, "FrameSender", lambda: AnySender(proof))
        return proof

    return replace


def test_a_request_stays_until_it_is_carried_out():
    prove(FrameProof())


def test_the_link_keeps_the_protocol(any_frames):
    prove(any_frames(LinkProof()))


def test_it_needs_a_subordinate_that_does_so_too(any_frames):
    with pytest.raises(AssertionError, match="an assertion fails in cycle"):
        prove(any_frames(LinkProof(trusting=True)))
