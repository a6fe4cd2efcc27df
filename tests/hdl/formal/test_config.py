"""Configuration, proved: no command makes the stream of packets stand, refused ones least."""

from dataclasses import replace

import pytest
from amaranth.hdl import Assert, Assume, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from talon.arch.packet import ConfigOp, PacketLayouts
from talon.arch.params import preset
from talon_hdl.core.config import ConfigUnit
from talon_hdl.properties import held
from talon_hdl.shapes import view
from talon_hdl.testing import prove

pytestmark = pytest.mark.cosim
PARAMS = replace(preset("tiny_1x1"), name="proof")
LAYOUTS = PacketLayouts(PARAMS)
PATIENCE = 9
"""Cycles within which a word is written, or read back."""


class ConfigProof(wiring.Component):
    """A command waits for one cycle; a word that is written or read back, for a few more.

    All contents are free, so COMMIT meets good and bad sums, and ARM what it likes.
    """

    def __init__(self, *, wait=1):
        self._wait = wait
        names = ("valid", "ready", "unarmed")
        super().__init__({"packet": In(LAYOUTS.config.width), **{n: In(1) for n in names}})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = ConfigUnit(PARAMS)
        command = view(LAYOUTS.config, self.packet)
        waits, op = Signal(), Signal(3)
        m.d.sync += [waits.eq(self.valid & ~dut.i.ready), op.eq(command.op)]
        m.d.comb += [
            dut.i.payload.eq(self.packet),
            dut.i.valid.eq(self.valid),
            dut.o.ready.eq(self.ready),
            dut.unarmed.eq(self.unarmed),
            Assume(~ResetSignal()),
            Assume(~waits | (self.valid & (command.op == op))),
        ]
        held(m, valid=dut.o.valid, ready=self.ready, payload=dut.o.payload[:8])

        reading, waited = Signal(), Signal(range(self._wait + 2))
        with m.If(self.valid & dut.i.ready):
            m.d.sync += reading.eq(command.op == ConfigOp.READ)
        with m.If(~self.valid | dut.i.ready | (reading & dut.busy)):
            m.d.sync += waited.eq(0)
        with m.Else():
            m.d.sync += waited.eq(waited + 1)
        patience = Signal(range(PATIENCE + 2))
        with m.If(dut.o.valid | ~dut.busy):
            m.d.sync += patience.eq(0)
        with m.Else():
            m.d.sync += patience.eq(patience + 1)
        m.d.comb += [Assert(waited <= self._wait), Assert(patience <= PATIENCE)]
        return m


def test_commands_are_taken_at_once_whatever_they_hold():
    prove(ConfigProof(), seconds=300)


def test_a_command_under_the_sum_is_not_taken_at_once():
    with pytest.raises(AssertionError, match="an assertion fails in cycle"):
        prove(ConfigProof(wait=0))
