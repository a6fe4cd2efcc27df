"""Cocotb testbench for ``cosim_rate.py``: one coroutine that wakes at every edge of the clock."""

import json
import time
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from talon_sim.cosim.testbench import parameters


async def transfer(dut, words):
    """Send ``words``, a word a cycle where the array takes it; return the answer and the cycles."""
    values = [int(word) for word in words]
    got, sent, cycles, last = [], 0, 0, False
    dut.m_axis_tready.value = 1
    while not last:
        dut.s_axis_tvalid.value = sent < len(values)
        if sent < len(values):
            dut.s_axis_tdata.value = values[sent]
        await RisingEdge(dut.aclk)
        cycles += 1
        if sent < len(values) and dut.s_axis_tready.value == 1:
            sent += 1
        if dut.m_axis_tvalid.value == 1:
            got.append(int(dut.m_axis_tdata.value))
            last = dut.m_axis_tlast.value == 1
    dut.m_axis_tready.value = 0
    return np.array(got, dtype=np.uint64), cycles


async def write(dut, address, value):
    """Write a register."""
    dut.s_axil_awaddr.value, dut.s_axil_awvalid.value = address, 1
    dut.s_axil_wdata.value, dut.s_axil_wstrb.value, dut.s_axil_wvalid.value = value, 15, 1
    dut.s_axil_bready.value = 1
    answered = False
    while not answered:
        await RisingEdge(dut.aclk)
        if dut.s_axil_awready.value == 1:
            dut.s_axil_awvalid.value = 0
        if dut.s_axil_wready.value == 1:
            dut.s_axil_wvalid.value = 0
        answered = dut.s_axil_bvalid.value == 1
    dut.s_axil_bready.value = 0
    await RisingEdge(dut.aclk)


@cocotb.test()
async def transfers_a_coroutine_an_edge(dut):
    """Load, then time the transfers of the samples."""
    given = parameters()
    for name in ("s_axis_tvalid", "s_axis_tlast", "m_axis_tready", "s_axil_awvalid"):
        getattr(dut, name).value = 0
    for name in ("s_axil_wvalid", "s_axil_bready", "s_axil_arvalid", "s_axil_rready"):
        getattr(dut, name).value = 0
    dut.aresetn.value = 0
    cocotb.start_soon(Clock(dut.aclk, 4, "ns").start())
    await ClockCycles(dut.aclk, 8)
    dut.aresetn.value = 1
    for address, value in given["registers"]:
        await write(dut, address, value)
    data = np.load(given["words"])
    await transfer(dut, data["load"])
    began, total, parts = time.process_time(), 0, []
    for i in range(given["n_samples"]):
        got, cycles = await transfer(dut, data[f"sample{i}"])
        parts.append(got)
        total += cycles
    seconds = time.process_time() - began
    np.save(Path(given["output"]).with_suffix(".npy"), np.concatenate(parts))
    Path(given["output"]).write_text(json.dumps({"cycles": total, "seconds": seconds}))
