"""The pages for people in the folder of a build: README and Makefile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from talon_boards.vivado.run import LOG, command_line

if TYPE_CHECKING:
    from talon_boards.build import Build

_README = """# {title}: {array}, {cores} cores

Written by `talon build --board {board}`. From here Vivado makes a bitstream for the {title}
({part}): a TALON core array of {columns} x {rows} cores behind a DMA engine of the processing
system, all at one clock of {clock:g} MHz.

## Make

    make                        # or: {command}

takes Vivado 2020.2 or newer with the board files of `{board_part}`; these come from
{board_files}. If they are in a folder that Vivado does not search, set `TALON_BOARD_FILES` to it.
The end is two files of one name: `{basename}.bit` and `{basename}.hwh`. If timing is not met,
neither is written, and the message says so; build again with a lower `--clock`.

## Use

`talon board bundle PROGRAM -o DIR --board {board} --overlay {basename}.bit` packs both with a
program and all that the board needs. Or copy them into one folder of the board, which runs PYNQ:

    scp {basename}.bit {basename}.hwh xilinx@BOARD:

`Overlay("{basename}.bit")` finds the cells `talon_array_0` (registers at 0xA0000000),
`axi_dma_0` (0xA0010000) and `axi_intc_0` (0xA0020000). Programs must be compiled for this array:
`talon compile --hw {array}`; its hardware hash is {hash}.

## What was estimated

Area was counted by Yosys, which packs nothing, for the array alone. Neither timing nor the DMA and
the interconnect are in it. Nothing was measured on a board.

| Resource | Array | Allowed | Device |
|---|---|---|---|
{resources}

## Files

| | |
|---|---|
| `ip/` | the array as IP-XACT component: Verilog, ports, registers |
| `registers/` | the register table as C header, SystemRDL and page |
| `settings.tcl` | board, part, clock |
| `build.tcl`, `common.tcl`, `block_design.tcl`, `package_ip.tcl` | the flow |
| `constraints.xdc` | options of the bitstream |
| `reports/` | utilization, timing, power, rules (Vivado writes them) |
| `talon_build.json` | what was built, with the SHA-256 of each file |
"""

_MAKEFILE = """# Written by talon build.
VIVADO ?= vivado
JOBS ?= 2

.PHONY: all clean
all: {basename}.bit

{basename}.bit: settings.tcl build.tcl common.tcl block_design.tcl package_ip.tcl constraints.xdc \\
    ip/component.xml ip/src/talon_array.v
	{command}

clean:
	rm -rf project reports .Xil {log} {basename}.bit {basename}.hwh
"""


def readme(build: Build) -> str:
    """Return the text of ``README.md``."""
    rows = [
        f"| {use.resource} | {use.used:,g} | {use.allowed:,g} | {use.available:,g} |"
        for use in build.uses
    ]
    profile, params = build.profile, build.params
    return _README.format(
        title=profile.title,
        board=profile.name,
        part=profile.part,
        board_part=profile.board_part,
        board_files=profile.board_files,
        basename=profile.basename,
        array=params.name,
        cores=params.n_cores,
        columns=params.columns,
        rows=params.rows,
        clock=build.clock_mhz,
        hash=f"{params.hardware_hash:08x}",
        command=" ".join(command_line("vivado", 2)),
        resources="\n".join(rows),
    )


def makefile(build: Build) -> str:
    """Return the text of ``Makefile``."""
    command = " ".join(command_line("$(VIVADO)", 2)).rsplit(" ", 1)[0] + " $(JOBS)"
    return _MAKEFILE.format(basename=build.profile.basename, command=command, log=LOG)
