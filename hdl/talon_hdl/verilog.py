"""Verilog text of one component, with port names that every tool likes.

Amaranth joins the members of an interface with two underscores; Verilator mangles those and Vivado
does not recognise a stream by them. Here they are joined by one.
"""

from amaranth.back import rtlil, verilog
from amaranth.hdl import Value
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
    return verilog.convert(component, name, platform, ports=flat_ports(component), emit_src=False)


def component_rtlil(
    component: wiring.Component, name: str, *, platform: object | None = None
) -> str:
    """Return the RTLIL of ``component``: what Yosys reads fastest."""
    return rtlil.convert(component, name, platform, ports=flat_ports(component), emit_src=False)
