import sys
from pathlib import Path

import pytest
from amaranth import Module, Signal
from amaranth.back import verilog
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from talon.errors import BackendError
from talon_sim.cosim.cache import cache_dir
from talon_sim.cosim.coverage import assert_covered
from talon_sim.cosim.runner import run_cocotb
from talon_sim.cosim.simulator import build_cocotb

pytestmark = pytest.mark.cosim
BENCH = Path(__file__).with_name("cocotb_accumulator.py")


class Accumulator(wiring.Component):
    """A running sum, wrong for one value on request: what the tests of the runner run."""

    i: In(stream.Signature(8))
    o: Out(stream.Signature(16))

    def __init__(self, fault=False):
        self.fault = fault
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        total = Signal(16)
        added = total + self.i.payload + (self.i.payload == 77 if self.fault else 0)
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [total.eq(added), self.o.payload.eq(added), self.o.valid.eq(1)]
        return m


def run(*, fault=False, n_values=800, **options):
    text = verilog.convert(Accumulator(fault), name="accumulator")
    return run_cocotb("accumulator", text, BENCH, parameters={"n_values": n_values}, **options)


def test_a_run_returns_its_tests_and_coverage():
    result = run(seed=5)
    assert result.tests == ("sums_are_right",)
    assert result.seed == 5
    assert result.coverage["flowed"] == 800
    assert_covered(result.coverage)
    assert result.waves is None
    assert str(BENCH.parent) not in sys.path


def test_the_seed_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("TALON_SEED", "41")
    assert run().seed == 41
    monkeypatch.setenv("TALON_SEED", "random")
    assert run().seed != run().seed


def test_a_fault_in_the_design_fails_the_run():
    with pytest.raises(AssertionError, match=r"(?s)TALON_SEED=3\) failed.*sum \d+ must be"):
        run(fault=True, seed=3)


def test_a_bench_that_fails_to_import_fails_the_run(tmp_path):
    bench = tmp_path / "cocotb_broken.py"
    bench.write_text("import no_such_module_at_all\n")
    with pytest.raises(AssertionError, match=r"(?s)cocotb_broken on top.*no_such_module_at_all"):
        run_cocotb("top", "module top(input clk); endmodule", bench)


def test_a_bench_without_tests_fails_the_run(tmp_path):
    bench = tmp_path / "cocotb_empty.py"
    bench.write_text("")
    with pytest.raises(AssertionError, match="cocotb_empty on top"):
        run_cocotb("top", "module top(input clk); endmodule", bench)


def test_a_test_that_is_filtered_away_fails_the_run():
    with pytest.raises(AssertionError, match="cocotb_accumulator on accumulator"):
        run(testcase="no_such_test")


def test_verilog_that_does_not_build_names_the_module_and_the_reason():
    with pytest.raises(
        BackendError, match=r"(?s)verilator failed .* building broken.*syntax error"
    ):
        build_cocotb("broken", "module broken(; endmodule")


def test_a_missing_bench_is_refused():
    with pytest.raises(ValueError, match=r"^Test module .*nowhere.py must be an existing file$"):
        run_cocotb("top", "module top(input clk); endmodule", BENCH.with_name("nowhere.py"))


def test_the_same_design_is_built_once():
    text = verilog.convert(Accumulator(), name="accumulator")
    first = build_cocotb("accumulator", text)
    stamp = (first / "accumulator").stat().st_mtime_ns
    assert build_cocotb("accumulator", text) == first
    assert (first / "accumulator").stat().st_mtime_ns == stamp
    assert first.is_relative_to(cache_dir())
    assert build_cocotb("accumulator", text, build_args=["-O1"]) != first
    assert build_cocotb("accumulator", text, internals=True) != first


def test_signals_inside_are_shown_on_request(tmp_path):
    bench = tmp_path / "cocotb_inside.py"
    bench.write_text(
        "import cocotb\n\n\n@cocotb.test()\nasync def total_is_there(dut):\n"
        "    assert len(dut.total.value) == 16\n"
    )
    text = verilog.convert(Accumulator(), name="accumulator")
    assert run_cocotb("accumulator", text, bench, internals=True).tests == ("total_is_there",)
    with pytest.raises(AssertionError, match=r"(?s)total_is_there .*no child object named total"):
        run_cocotb("accumulator", text, bench)


def test_a_port_with_the_name_of_a_keyword_is_shown(tmp_path):
    bench = tmp_path / "cocotb_keyword.py"
    bench.write_text(
        "import cocotb\nfrom cocotb.triggers import Timer\n\n\n@cocotb.test()\n"
        "async def event_follows(dut):\n    for value in (5, 9):\n        dut.i.value = value\n"
        "        await Timer(1, 'ns')\n        assert int(dut.event.value) == value\n"
    )
    text = (
        "module top(i, \\event );\n  input [3:0] i;\n  output [3:0] \\event ;\n"
        "  assign \\event  = i;\nendmodule\n"
    )
    assert run_cocotb("top", text, bench).tests == ("event_follows",)


def test_waves_are_recorded_on_request(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALON_WAVES", "1")
    result = run(n_values=20)
    assert result.waves is not None
    assert result.waves.is_relative_to(tmp_path / "build" / "waves")
    assert b"$enddefinitions" in result.waves.read_bytes() or result.waves.suffix == ".fst"
