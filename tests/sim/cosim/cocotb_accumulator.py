"""Testbench of the trivial component: random values, random gaps on both sides."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from talon_sim.cosim.coverage import Coverage
from talon_sim.cosim.testbench import parameters, record_coverage


@cocotb.test()
async def sums_are_right(dut):
    rng = random.Random(cocotb.RANDOM_SEED)
    n_values = parameters()["n_values"]
    coverage = Coverage(["stalled", "flowed", "wrapped"])
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    dut.rst.value = 1
    dut.i__valid.value = 0
    dut.o__ready.value = 0
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    total, expected, got = 0, [], []
    while len(got) < n_values:
        await FallingEdge(dut.clk)
        dut.i__valid.value = valid = rng.random() < 0.7
        dut.i__payload.value = value = rng.randrange(256)
        dut.o__ready.value = rng.random() < 0.7
        await RisingEdge(dut.clk)
        if valid and dut.i__ready.value == 1:
            coverage.hit("wrapped", total + value > 0xFFFF)
            total = (total + value) & 0xFFFF
            expected.append(total)
        if dut.o__valid.value == 1 and dut.o__ready.value == 1:
            got.append(int(dut.o__payload.value))
            coverage.hit("flowed")
        elif dut.o__valid.value == 1:
            coverage.hit("stalled")
    record_coverage(coverage)
    for i, (have, want) in enumerate(zip(got, expected, strict=False)):
        assert have == want, f"sum {i} must be {want}, not {have}"


@cocotb.test(skip=True)
async def never_runs(dut):
    raise NotImplementedError
