"""Verilog text of one component, with port names that every tool likes.

Amaranth joins the members of an interface with two underscores; Verilator mangles those and Vivado
does not recognise a stream by them. Here they are joined by one.
"""

import itertools
import re

from amaranth.back import rtlil, verilog  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Const, Value
from amaranth.hdl._ir import PortDirection  # the dict form of ports= keeps constant outputs
from amaranth.lib import wiring

Ports = dict[str, tuple[Value, PortDirection]]


def flat_ports(component: wiring.Component) -> Ports:
    """Return the ports of ``component``: name (path joined by ``_``), value and direction.

    Raises
    ------
    ValueError
        Two members would share a name.
    """
    ports: Ports = {}
    for path, member, value in component.signature.flatten(component):
        if isinstance(value, Const):  # the ready of a stream that is always ready
            continue
        name = "_".join(map(str, path))
        if name in ports:
            raise ValueError(f"Port names of a component must be distinct, not twice {name!r}")
        is_input = member.flow == wiring.In
        ports[name] = (Value.cast(value), PortDirection.Input if is_input else PortDirection.Output)
    return ports


def component_verilog(
    component: wiring.Component, name: str, *, platform: object | None = None
) -> str:
    """Return the Verilog of ``component`` as module ``name``; the same text for the same input.

    Ports are ``clk``, ``rst`` and those of :func:`flat_ports`. Source locations are left out: they
    would make the text, and so every cached build, depend on where the checkout lies.
    """
    text = verilog.convert(component, name, platform, ports=flat_ports(component), emit_src=False)
    return fold_memories(text)


_ROWS = re.compile(
    r"^  initial begin\n"
    r"(?P<rows>    (?P<name>\\?\S+ ?)\[0\] = (?P<width>\d+)'h0+;\n"
    r"(?:    (?P=name)\[\d+\] = (?P=width)'h0+;\n)+)"
    r"  end\n",
    re.MULTILINE,
)


def fold_memories(text: str) -> str:
    """Replace the initial zeros of each memory, written row by row, by a loop.

    A weight memory has thousands of rows: their lines would be most of the text of an array, and
    of the program that Verilator makes of it. Memories with other initial contents stay.
    """
    numbers = itertools.count()

    def loop(match: re.Match[str]) -> str:
        name, width = match["name"], match["width"]
        depth = match["rows"].count("\n")
        block = f"clear_memory_{next(numbers)}"
        return (
            f"  initial begin : {block}\n"
            f"    integer {block}_row;\n"
            f"    for ({block}_row = 0; {block}_row < {depth}; {block}_row = {block}_row + 1)\n"
            f"      {name}[{block}_row] = {width}'h0;\n"
            "  end\n"
        )

    return _ROWS.sub(loop, text)


def component_rtlil(
    component: wiring.Component, name: str, *, platform: object | None = None
) -> str:
    """Return the RTLIL of ``component``: what Yosys reads fastest."""
    return rtlil.convert(component, name, platform, ports=flat_ports(component), emit_src=False)
