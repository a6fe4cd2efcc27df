"""The scripts build the block design that they should, on a stand-in that refuses a wrong one.

No Vivado was at hand. The stand-in (``vivado_stub.tcl``) knows the ports and properties of the IP
cores from their product guides and the array's from the packaged component; it is no proof that a
release of Vivado agrees.
"""

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from talon.arch.params import preset
from talon_boards.build import build_files, plan_build
from talon_boards.folder import write_folder
from talon_boards.profiles import PROFILES
from talon_boards.vivado.run import command_line
from talon_hdl.emit import array_verilog

STUB = Path(__file__).with_name("vivado_stub.tcl")
SCRIPTS = Path(__file__).parents[2] / "boards" / "talon_boards" / "vivado"

pytestmark = pytest.mark.skipif(
    shutil.which("tclsh") is None, reason="tclsh is not installed: apt-get install tcl"
)


def run(folder, **environment):
    """Run the scripts of a build; return the process and the commands recorded."""
    record = folder.parent / "record.jsonl"
    command = ["tclsh", str(STUB), *command_line("vivado", 3)[1:]]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "TALON_RECORD": str(record), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done, [json.loads(line) for line in record.read_text().splitlines()]


@pytest.fixture(scope="module")
def files():
    """Files of builds with a small array, whose Verilog is generated once for all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("talon_hdl.emit.array_verilog", cache(array_verilog))

        def of(board, clock=None):
            return build_files(plan_build(board, params=preset("tiny_1x1"), clock_mhz=clock))

        yield of


@pytest.fixture
def folder(files, tmp_path):
    def of(*arguments, **options):
        write_folder(tmp_path / "out", files(*arguments, **options), force=True)
        return tmp_path / "out"

    return of


def calls(record, name):
    return [call[1:] for call in record if call[0] == name]


@pytest.mark.parametrize("board", PROFILES)
def test_every_board_comes_to_a_bitstream(board, folder):
    profile = PROFILES[board]
    out = folder(board)
    done, record = run(out)
    assert done.returncode == 0, done.stderr
    assert (out / f"talon_{board}.bit").read_text() == f"bitstream of talon_{board}_wrapper\n"
    assert (out / f"talon_{board}.hwh").read_text() == f"<!-- handoff of talon_{board} -->\n"
    (project,) = calls(record, "create_project")
    assert project[-2:] == ["-part", profile.part]
    (board_part,) = [a[1] for a in calls(record, "set_property") if a[0] == "board_part"]
    assert board_part.startswith(profile.board_part + ":")
    summary = json.loads((out / "reports" / "summary.json").read_text())
    assert summary == {
        "timing_met": True,
        "wns_ns": 0.125,
        "whs_ns": 0.011,
        "clock_hz": 249997498,
    }
    reports = {path.name for path in (out / "reports").iterdir()}
    assert {"utilization.txt", "timing.txt", "power.txt", "drc.txt"} <= reports


CELLS = {
    "zynq_ultra_ps_e_0": "xilinx.com:ip:zynq_ultra_ps_e:3.5",
    "axi_dma_0": "xilinx.com:ip:axi_dma:7.1",
    "talon_array_0": "talon-snn.org:talon:talon_array:1.0",
    "reset": "xilinx.com:ip:proc_sys_reset:5.0",
    "control": "xilinx.com:ip:smartconnect:1.0",
    "memory": "xilinx.com:ip:smartconnect:1.0",
    "axi_intc_0": "xilinx.com:ip:axi_intc:4.1",
    "interrupts": "xilinx.com:ip:xlconcat:2.1",
}
BUSES = [
    ["zynq_ultra_ps_e_0/M_AXI_HPM0_FPD", "control/S00_AXI"],
    ["control/M00_AXI", "talon_array_0/s_axil"],
    ["control/M01_AXI", "axi_dma_0/S_AXI_LITE"],
    ["control/M02_AXI", "axi_intc_0/s_axi"],
    ["axi_dma_0/M_AXI_MM2S", "memory/S00_AXI"],
    ["axi_dma_0/M_AXI_S2MM", "memory/S01_AXI"],
    ["memory/M00_AXI", "zynq_ultra_ps_e_0/S_AXI_HP0_FPD"],
    ["axi_dma_0/M_AXIS_MM2S", "talon_array_0/s_axis"],
    ["talon_array_0/m_axis", "axi_dma_0/S_AXIS_S2MM"],
]
INTERRUPTS = [
    ["axi_dma_0/mm2s_introut", "interrupts/In0"],
    ["axi_dma_0/s2mm_introut", "interrupts/In1"],
    ["talon_array_0/irq", "interrupts/In2"],
    ["interrupts/dout", "axi_intc_0/intr"],
    ["axi_intc_0/irq", "zynq_ultra_ps_e_0/pl_ps_irq0"],
]


def properties(record, cell):
    """Return the last value of each property that was set on a cell."""
    found = {}
    for arguments in calls(record, "set_property"):
        if arguments[0] == "-dict" and arguments[2] == cell:
            words = arguments[1].split()
            found |= dict(zip(words[::2], words[1::2], strict=True))
    return found


@pytest.mark.parametrize(("board", "clock"), [("zcu104", 200.0), ("ultra96v2", None)])
def test_cells_connections_properties_and_addresses(board, clock, folder):
    done, record = run(folder(board, clock=clock))
    assert done.returncode == 0, done.stderr
    cells = {arguments[-1]: arguments[3] for arguments in calls(record, "create_bd_cell")}
    assert cells == CELLS
    assert calls(record, "connect_bd_intf_net") == BUSES
    nets = calls(record, "connect_bd_net")
    assert [net for net in nets if "intr" in net[0] or "irq" in net[0] or "dout" in net[0]] == (
        INTERRUPTS
    )
    clocks = next(net for net in nets if net[0] == "zynq_ultra_ps_e_0/pl_clk0")
    assert len(clocks) == 11 and {"talon_array_0/aclk", "axi_dma_0/m_axi_s2mm_aclk"} < set(clocks)
    resets = next(net for net in nets if net[0] == "reset/peripheral_aresetn")
    assert resets[1:] == [
        "talon_array_0/aresetn",
        "axi_dma_0/axi_resetn",
        "axi_intc_0/s_axi_aresetn",
    ]

    ps = properties(record, "zynq_ultra_ps_e_0")
    wanted = clock or PROFILES[board].clock_mhz
    assert float(ps["CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ"]) == wanted
    assert ps["CONFIG.PSU__USE__S_AXI_GP2"] == ps["CONFIG.PSU__USE__IRQ0"] == "1"
    dma = properties(record, "axi_dma_0")
    assert dma["CONFIG.c_include_sg"] == "0"
    assert dma["CONFIG.c_sg_length_width"] == "26"
    widths = ("m_axi_mm2s_data", "m_axis_mm2s_tdata", "m_axi_s2mm_data", "s_axis_s2mm_tdata")
    assert {dma[f"CONFIG.c_{name}_width"] for name in widths} == {"64"}

    assigned = calls(record, "assign_bd_address")
    registers = {
        arguments[2]: (int(arguments[4], 16), arguments[6])
        for arguments in assigned
        if "-offset" in arguments
    }
    assert registers == {
        "talon_array_0/s_axil/reg0": (0xA000_0000, "4K"),
        "axi_dma_0/S_AXI_LITE/Reg": (0xA001_0000, "64K"),
        "axi_intc_0/S_AXI/Reg": (0xA002_0000, "64K"),
    }
    memory = [(a[1], a[2]) for a in assigned if "-offset" not in a]
    assert memory == [
        (f"axi_dma_0/{space}", f"zynq_ultra_ps_e_0/SAXIGP2/HP0_DDR_{part}")
        for space in ("Data_MM2S", "Data_S2MM")
        for part in ("HIGH", "LOW")
    ]
    assert len(calls(record, "exclude_bd_addr_seg")) == 4
    names = [call[0] for call in record]
    assert names.index("validate_bd_design") < names.index("launch_runs")
    assert calls(record, "launch_runs")[0][-2:] == ["-jobs", "3"]
    added = [Path(arguments[-1]).name for arguments in calls(record, "add_files")]
    assert added == [f"talon_{board}_wrapper.v", "constraints.xdc"]


def test_the_newest_board_files_and_cores_are_taken(folder):
    _, record = run(folder("kv260"))
    (board_part,) = [a[1] for a in calls(record, "set_property") if a[0] == "board_part"]
    assert board_part == "xilinx.com:kv260_som:part0:1.4"
    cells = {arguments[-1]: arguments[3] for arguments in calls(record, "create_bd_cell")}
    assert cells["zynq_ultra_ps_e_0"].endswith(":3.5")


def test_a_vivado_without_the_concatenation_core_gets_the_inline_one(folder):
    done, record = run(folder("zcu104"), STUB_WITHOUT="*:xlconcat:*")
    assert done.returncode == 0, done.stderr
    cell = next(a for a in calls(record, "create_bd_cell") if a[-1] == "interrupts")
    assert cell[1] == "inline_hdl" and cell[3] == "xilinx.com:inline_hdl:ilconcat:1.0"


def test_a_component_that_is_not_taken_up_is_packaged_anew_under_the_same_name(folder):
    done, record = run(folder("zcu104"), STUB_WITHOUT="ip")
    assert done.returncode == 0, done.stderr
    assert "not taken up" in done.stdout
    (package,) = calls(record, "ipx::package_project")
    assert package[2:6] == ["-vendor", "talon-snn.org", "-library", "talon"]
    assert [a[-4:] for a in calls(record, "ipx::associate_bus_interfaces")] == [
        [name, "-clock", "aclk", "core"] for name in ("s_axil", "s_axis", "m_axis")
    ]


def test_the_handoff_of_older_releases_is_found(folder):
    out = folder("zcu104")
    done, _ = run(out, STUB_HANDOFF="srcs")
    assert done.returncode == 0 and (out / "talon_zcu104.hwh").is_file()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"STUB_WNS": "-0.25"}, r"TALON: timing is not met at 250 MHz \(WNS -0\.25 ns, WHS 0\.011"),
        ({"STUB_NO_BOARDS": "1"}, r"TALON: no board files for zcu104 .* set TALON_BOARD_FILES to"),
        ({"STUB_PROGRESS": "40%"}, r"TALON: implementation ended with 'write_bitstream 40%'"),
        ({"STUB_HANDOFF": "other"}, r"TALON: Vivado wrote no talon_zcu104\.hwh under"),
        ({"STUB_WITHOUT": "*:axi_dma:*"}, r"TALON: the IP catalog has none of: xilinx.com:ip:axi_"),
    ],
)
def test_what_goes_wrong_is_told_and_nothing_is_handed_over(environment, message, folder):
    out = folder("zcu104")
    (out / "talon_zcu104.bit").write_text("of an earlier run")
    done, _ = run(out, **environment)
    assert done.returncode == 1
    assert re.search(message, " ".join(done.stderr.split()))
    assert not (out / "talon_zcu104.bit").exists()


def test_board_files_of_ones_own_are_searched(folder):
    done, record = run(folder("zcu104"), TALON_BOARD_FILES="/a:/b")
    assert done.returncode == 0
    assert calls(record, "set_param") == [["board.repoPaths", "/a /b"]]


def test_a_device_that_differs_from_its_profile_is_told(folder):
    done, _ = run(folder("zcu104"))
    assert "LUT_ELEMENTS 1000, the profile of the board says 230400" in done.stdout


# --- That the stand-in refuses: each of these scripts has one fault.


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("$control/M02_AXI $intc/s_axi", "$control/M03_AXI $intc/s_axi", "no slave/master pin M03"),
        ("    connect $array/irq $concat/In2\n", "", "interrupts/In2 is not connected"),
        ("$array/s_axis", "$array/s_axil", "a stream does not fit a memory-mapped bus"),
        ("CONFIG.c_sg_length_width", "CONFIG.c_sg_lenght_width", "no property c_sg_lenght_width"),
        ("0xA0010000 64K", "0xA0000000 64K", "overlap"),
        ("0xA0010000 64K", "0xA0011000 64K", "is not aligned to 64K"),
        ("$ps/saxihp0_fpd_aclk", "$ps/saxihp1_fpd_aclk", "no in/out pin saxihp1_fpd_aclk"),
        ("PSU__USE__S_AXI_GP2 {1}", "PSU__USE__S_AXI_GP2 {0}", "no slave/master pin S_AXI_HP0_FPD"),
        ("connect $ps/pl_resetn0 $reset/ext_reset_in", "connect $ps/pl_resetn0", "not connected"),
        ("connect $intc/irq", "connect $concat/dout", "interrupts/dout is connected already"),
    ],
)
def test_the_stand_in_refuses_a_wrong_design(old, new, message, folder):
    out = folder("zcu104")
    text = (out / "block_design.tcl").read_text()
    assert text.count(old) >= 1
    (out / "block_design.tcl").write_text(text.replace(old, new))
    done, _ = run(out)
    assert done.returncode == 1
    assert message in done.stderr


def test_scripts_name_no_version_of_a_core():
    for path in SCRIPTS.glob("*.tcl"):
        assert not re.search(r"xilinx\.com:\w+:\w+:\d", path.read_text()), path.name
