"""Cocotb testbench of a whole array at its AXI boundary, with bus models of cocotbext-axi.

``run_cocotb(toplevel, verilog, "talon_sim.cosim.bench", parameters=...)`` runs it; parameters are

``registers``
    Name, index and value of the registers to write first.
``identity``
    Values that registers must have, by name.
``words``, ``output``
    Files (``.npy``) of the stream words to send and of those that came back.
``n_last``
    Words with TLAST to wait for.
``gap_in``, ``gap_out``
    Probabilities of a pause in a cycle, on the two streams.
``poll``
    Read STATUS over and over while the streams run.
"""

import logging
import random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamSink, AxiStreamSource

from talon.arch import registers
from talon_sim.cosim.monitor import PortMonitor
from talon_sim.cosim.testbench import parameters

_STATUS = registers.BY_NAME["STATUS"].layout


class ArrayBench:
    """An array under test with its bus models, and a monitor of the rules of AXI."""

    def __init__(self, dut):
        self.dut = dut
        # At INFO the bus models print whole frames.
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.WARNING)
        reset = {"reset": dut.aresetn, "reset_active_level": False}
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.aclk, **reset)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.aclk, **reset)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.aclk, **reset)

    async def start(self):
        """Start the clock and reset the array."""
        self.dut.aresetn.value = 0
        cocotb.start_soon(Clock(self.dut.aclk, 4, "ns").start())
        self.monitor = PortMonitor(self.dut, self.dut.aclk, self.dut.aresetn, active_low=True)
        await ClockCycles(self.dut.aclk, 8)
        self.dut.aresetn.value = 1
        await RisingEdge(self.dut.aclk)

    async def read(self, name, index=0):
        """Return the value of a register."""
        return await self.lite.read_dword(registers.address(name, index))

    async def write(self, name, value, index=0):
        """Write a register."""
        await self.lite.write_dword(registers.address(name, index), value)

    def pause(self, seed, gap_in, gap_out):
        """Put random pauses into both streams."""
        if gap_in:
            self.source.set_pause_generator(_pauses(random.Random(seed), gap_in))
        if gap_out:
            self.sink.set_pause_generator(_pauses(random.Random(seed + 1), gap_out))

    async def transfer(self, words, n_last):
        """Send ``words`` and return what comes back, up to the ``n_last``-th TLAST."""
        await self.source.send(words.astype("<u8").tobytes())
        frames = [bytes((await self.sink.recv()).tdata) for _ in range(n_last)]
        return np.frombuffer(b"".join(frames), "<u8")

    async def poll(self):
        """Read STATUS for ever: registers must answer whatever the streams do."""
        while True:
            status = _STATUS.unpack(await self.read("STATUS"))
            assert not status["error"], "a core reports an error"
            assert not status["bad_word"], "the bridge met a word of no known operation"


def _pauses(rng, chance):
    while True:
        yield rng.random() < chance


@cocotb.test()
async def transfers_run_at_the_axi_boundary(dut):
    """Send the given words, keep the answer, and leave an idle array without errors."""
    given = parameters()
    bench = ArrayBench(dut)
    await bench.start()
    for name, value in given["identity"].items():
        found = await bench.read(name)
        assert found == value, f"register {name} must be {value:#x}, not {found:#x}"
    for name, index, value in given["registers"]:
        await bench.write(name, value, index)
    for name, index, value in given["registers"]:
        found = await bench.read(name, index)
        assert found == value, f"register {name} must read back {value}, not {found}"
    bench.pause(cocotb.RANDOM_SEED, given["gap_in"], given["gap_out"])
    polling = cocotb.start_soon(bench.poll()) if given["poll"] else None
    words = np.load(given["words"])
    got = await bench.transfer(words, given["n_last"])
    np.save(given["output"], got)
    bench.source.clear_pause_generator()
    if polling is not None:
        polling.cancel()
    await ClockCycles(dut.aclk, 20)
    status = _STATUS.unpack(await bench.read("STATUS"))
    assert status["idle"] and not status["error"], f"STATUS after the run is {status}"
    assert await bench.read("IN_WORDS") == words.size
    assert await bench.read("OUT_WORDS") == got.size
    bench.monitor.finish()
