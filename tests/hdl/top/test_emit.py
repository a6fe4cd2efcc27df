import hashlib
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from talon.arch.params import PRESETS, preset
from talon_hdl.emit import array_verilog, main
from talon_hdl.verilog import flat_ports, fold_memories
from talon_sim.cosim.verilator import environment, launcher_dir, overlaid

WAIVERS = Path(__file__).parents[3] / "hdl" / "lint.vlt"

# One of each kind of core and of each kind of mesh; the others are long.
LINTED = (
    *("tiny_1x1", "tiny_2x2", "tiny_2x2_map", "tiny_2x2_syn", "tiny_2x2_double"),
    *("zynq_1x1", "zynq_2x2_map"),
)
PORTS = {
    "aclk": ("input", 1),
    "aresetn": ("input", 1),
    "s_axil_awaddr": ("input", 12),
    "s_axil_awvalid": ("input", 1),
    "s_axil_awready": ("output", 1),
    "s_axil_wdata": ("input", 32),
    "s_axil_wstrb": ("input", 4),
    "s_axil_wvalid": ("input", 1),
    "s_axil_wready": ("output", 1),
    "s_axil_bresp": ("output", 2),
    "s_axil_bvalid": ("output", 1),
    "s_axil_bready": ("input", 1),
    "s_axil_araddr": ("input", 12),
    "s_axil_arvalid": ("input", 1),
    "s_axil_arready": ("output", 1),
    "s_axil_rdata": ("output", 32),
    "s_axil_rresp": ("output", 2),
    "s_axil_rvalid": ("output", 1),
    "s_axil_rready": ("input", 1),
    "s_axis_tdata": ("input", 64),
    "s_axis_tvalid": ("input", 1),
    "s_axis_tready": ("output", 1),
    "s_axis_tlast": ("input", 1),
    "m_axis_tdata": ("output", 64),
    "m_axis_tvalid": ("output", 1),
    "m_axis_tready": ("input", 1),
    "m_axis_tlast": ("output", 1),
    "irq": ("output", 1),
}

emitted = cache(array_verilog)


def ports_of(text, module):
    body = text[text.index(f"module {module}(") :]
    body = body[: body.index("endmodule")]
    found = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\S+);$", body, re.MULTILINE)
    return {name: (direction, int(high or 0) + 1) for direction, high, name in found}


def test_ports_have_the_names_that_axi_tools_know():
    assert ports_of(emitted(preset("tiny_1x1")), "talon_array") == PORTS


def test_text_is_deterministic_and_names_no_place():
    # Another process, because order of sets and hashes of strings differ between processes.
    code = (
        "import sys; from talon.arch.params import preset;"
        "from talon_hdl.emit import array_verilog;"
        "sys.stdout.write(array_verilog(preset('tiny_1x1')))"
    )
    again = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert again.stdout == emitted(preset("tiny_1x1"))
    assert str(WAIVERS.parents[1]) not in again.stdout


def test_one_tile_module_serves_all_places():
    text = emitted(preset("tiny_2x2"))
    assert len(re.findall(r"^module talon_tile\(", text, re.MULTILINE)) == 1
    assert len(re.findall(r"^  talon_tile \\?tile_\d_\d ", text, re.MULTILINE)) == 4


def test_command_writes_text_and_facts(tmp_path, capsys):
    main(["--params", "tiny_1x1", "-o", str(tmp_path / "out")])
    path = tmp_path / "out" / "talon_array.v"
    assert capsys.readouterr().out.strip() == str(path)
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts["hardware_hash"] == f"{preset('tiny_1x1').hardware_hash:08x}"
    assert facts["params"]["n_neurons"] == 64
    assert facts["top"] == "talon_array"


def test_command_refuses_an_unknown_preset(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--params", "huge"])
    assert "invalid choice: 'huge'" in capsys.readouterr().err


def test_zeros_of_a_memory_become_a_loop():
    rows = "".join(f"    \\bank$1 [{i}] = 8'h00;\n" for i in range(3))
    text = f"  initial begin\n{rows}  end\n"
    folded = fold_memories(text + text)
    for number in range(2):
        row = f"clear_memory_{number}_row"
        assert f"for ({row} = 0; {row} < 3; {row} = {row} + 1)" in folded
        assert f"\\bank$1 [{row}] = 8'h0;" in folded


@pytest.mark.parametrize("row", ["    m[1] = 8'h01;\n", "    other[1] = 8'h00;\n"])
def test_other_contents_of_a_memory_stay(row):
    text = f"  initial begin\n    m[0] = 8'h00;\n{row}  end\n"
    assert fold_memories(text) == text


def test_ports_that_would_share_a_name_are_refused():
    clash = wiring.Component({"a": Out(wiring.Signature({"b": Out(1)})), "a_b": In(1)})
    clash._MustUse__silence = True  # it is refused, so never used: no warning for that
    with pytest.raises(ValueError, match=r"^Port names .* must be distinct, not twice 'a_b'$"):
        flat_ports(clash)


def lint(text, folder, *options):
    path = folder / "talon_array.v"
    path.write_text(text)
    command = [str(launcher_dir() / "verilator"), "--lint-only", "-Wall", *options, str(path)]
    with overlaid(environment()):
        return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.cosim
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in LINTED else pytest.mark.slow)
        for name in sorted(PRESETS)
    ],
)
def test_lint_has_nothing_to_say(name, tmp_path):
    result = lint(emitted(preset(name)), tmp_path, str(WAIVERS), "--top-module", "talon_array")
    complaints = [line for line in result.stderr.splitlines() if line.startswith("%")]
    assert result.returncode == 0 and not complaints, "\n".join(complaints[:20])


@pytest.mark.cosim
def test_lint_with_the_waivers_still_finds_faults(tmp_path):
    text = emitted(preset("tiny_1x1"))
    faulty = text.replace(
        "module talon_array(",
        "module loop(output a); assign a = ~a; endmodule\nmodule talon_array(",
    )
    result = lint(faulty, tmp_path, str(WAIVERS), "--top-module", "loop")
    assert "UNOPTFLAT" in result.stderr


@pytest.mark.cosim
def test_every_waiver_is_needed(tmp_path):
    """A rule that waives nothing hides nothing now and a fault later."""
    text = emitted(preset("zynq_1x1"))
    rules = re.findall(r"^lint_off -rule (\w+)", WAIVERS.read_text(), re.MULTILINE)
    raised = lint(text, tmp_path, "--top-module", "talon_array").stderr
    assert set(rules) <= set(re.findall(r"^%Warning-(\w+)", raised, re.MULTILINE))
