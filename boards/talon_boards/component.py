"""The array as an IP-XACT component (IEEE 1685-2009) that Vivado's catalog takes up.

Ports come from the Verilog that is packaged, registers from the table of ``talon.arch.registers``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree

from talon.arch.params import ArrayParams
from talon.arch.registers import ADDRESS_WIDTH
from talon_hdl.csr.ip_xact import (
    LIBRARY,
    MEMORY_MAP,
    VENDOR,
    VERSION,
    Element,
    add,
    add_identity,
    add_memory_maps,
    tag,
    to_text,
)
from talon_hdl.top import TOP

VLNV = f"{VENDOR}:{LIBRARY}:{TOP}:{VERSION}"
"""What identifies the array in the catalog, and in the hardware handoff that a driver reads."""

XILINX = "http://www.xilinx.com"
"""Namespace of Vivado's extensions."""

FAMILIES = ("zynquplus", "zynquplusRFSOC")

VERILOG = f"src/{TOP}.v"
XGUI = f"xgui/{TOP}_v{VERSION.replace('.', '_')}.tcl"
"""Files of the package, seen from its folder."""

_SYNTHESIS, _SIMULATION = "xilinx_anylanguagesynthesis", "xilinx_anylanguagebehavioralsimulation"
_GUI = "xilinx_xpgui"
_BUSES = (
    # Interface, bus, whether the array answers (slave), parameters.
    (
        "s_axil",
        "aximm",
        True,
        {"PROTOCOL": "AXI4LITE", "DATA_WIDTH": "32", "ADDR_WIDTH": str(ADDRESS_WIDTH)},
    ),
    ("s_axis", "axis", True, {"TDATA_NUM_BYTES": "8", "HAS_TREADY": "1", "HAS_TLAST": "1"}),
    ("m_axis", "axis", False, {"TDATA_NUM_BYTES": "8", "HAS_TREADY": "1", "HAS_TLAST": "1"}),
)
_SIGNALS = (
    # Port, kind, logical name, whether the array receives it, parameters.
    (
        "aclk",
        "clock",
        "CLK",
        True,
        {"ASSOCIATED_BUSIF": "s_axil:s_axis:m_axis", "ASSOCIATED_RESET": "aresetn"},
    ),
    ("aresetn", "reset", "RST", True, {"POLARITY": "ACTIVE_LOW"}),
    ("irq", "interrupt", "INTERRUPT", False, {"SENSITIVITY": "LEVEL_HIGH"}),
)

ElementTree.register_namespace("xilinx", XILINX)


def top_ports(verilog: str) -> dict[str, tuple[str, int]]:
    """Return the ports of the top module: direction (``in`` or ``out``) and width in bits.

    Raises
    ------
    ValueError
        The Verilog has no such module, or declares other ports than it lists.
    """
    found = re.search(
        rf"^module {TOP}\(([^)]*)\);(.*?)^endmodule", verilog, re.DOTALL | re.MULTILINE
    )
    if found is None:
        raise ValueError(f"The Verilog must have a module {TOP}")
    listed, body = re.split(r"[\s,]+", found[1].strip()), found[2]
    declared = {
        name: ("in" if direction == "input" else "out", int(high or 0) + 1)
        for direction, high, name in re.findall(
            r"^  (input|output) (?:\[(\d+):0\] )?(\w+);$", body, re.MULTILINE
        )
    }
    if set(listed) != set(declared):
        raise ValueError(f"Ports of {TOP} must be declared as they are listed, not {declared}")
    return {name: declared[name] for name in listed}


def component_xml(params: ArrayParams, verilog: str) -> str:
    """Return the text of ``component.xml`` for the Verilog of an array."""
    ports = top_ports(verilog)
    component = ElementTree.Element(tag("component"))
    add_identity(component, TOP)
    interfaces = add(component, "busInterfaces")
    for name, bus, is_slave, parameters in _BUSES:
        _add_bus(interfaces, name, bus, is_slave, parameters, ports)
    for port, kind, logical, is_slave, parameters in _SIGNALS:
        library, maps = "signal", [(logical, port)]
        _add_interface(interfaces, port, (library, kind), is_slave, maps, parameters)
    add_memory_maps(component)
    _add_model(component, ports)
    _add_files(component)
    add(component, "description", f"TALON core array {params.name}, {params.n_cores} cores")
    parameter = add(add(component, "parameters"), "parameter")
    add(parameter, "name", "Component_Name")
    identity = {"resolve": "user", "id": "PARAM_VALUE.Component_Name", "order": "1"}
    add(parameter, "value", f"{TOP}_v{VERSION.replace('.', '_')}", **identity)
    _add_extensions(component, params)
    return to_text(component)


def xgui_tcl() -> str:
    """Return the script of the core's dialog in Vivado, which has nothing to choose but a name."""
    return (
        "proc init_gui { IPINST } {\n"
        '  ipgui::add_param $IPINST -name "Component_Name"\n'
        '  ipgui::add_page $IPINST -name "Page 0"\n'
        "}\n"
    )


def _add_bus(
    interfaces: Element,
    name: str,
    bus: str,
    is_slave: bool,
    parameters: dict[str, str],
    ports: Iterable[str],
) -> None:
    prefix = f"{name}_"
    maps = [(port.removeprefix(prefix).upper(), port) for port in ports if port.startswith(prefix)]
    _add_interface(interfaces, name, ("interface", bus), is_slave, maps, parameters)


def _add_interface(
    interfaces: Element,
    name: str,
    bus: tuple[str, str],
    is_slave: bool,
    maps: Iterable[tuple[str, str]],
    parameters: dict[str, str],
) -> None:
    library, kind = bus
    # Signals of one wire stand in the library "signal", which holds their data types as well.
    interface = add(interfaces, "busInterface")
    add(interface, "name", name)
    for element, bus_name in (("busType", kind), ("abstractionType", f"{kind}_rtl")):
        identity = {"vendor": "xilinx.com", "library": library, "name": bus_name, "version": "1.0"}
        add(interface, element, **identity)
    mode = add(interface, "slave" if is_slave else "master")
    if name == MEMORY_MAP:
        add(mode, "memoryMapRef", memoryMapRef=MEMORY_MAP)
    port_maps = add(interface, "portMaps")
    for logical, physical in maps:
        port_map = add(port_maps, "portMap")
        add(add(port_map, "logicalPort"), "name", logical)
        add(add(port_map, "physicalPort"), "name", physical)
    wanted = add(interface, "parameters")
    for key, value in parameters.items():
        parameter = add(wanted, "parameter")
        add(parameter, "name", key)
        add(parameter, "value", value, id=f"BUSIFPARAM_VALUE.{name.upper()}.{key}")


def _add_model(component: Element, ports: dict[str, tuple[str, int]]) -> None:
    model = add(component, "model")
    views = add(model, "views")
    for name, environment in (
        (_SYNTHESIS, ":vivado.xilinx.com:synthesis"),
        (_SIMULATION, ":vivado.xilinx.com:simulation"),
    ):
        view = add(views, "view")
        add(view, "name", name)
        add(view, "envIdentifier", environment)
        add(view, "language", "Verilog")
        add(view, "modelName", TOP)
        add(add(view, "fileSetRef"), "localName", f"{name}_view_fileset")
    view = add(views, "view")
    add(view, "name", _GUI)
    add(view, "envIdentifier", ":vivado.xilinx.com:xgui.ui")
    add(add(view, "fileSetRef"), "localName", f"{_GUI}_view_fileset")
    listed = add(model, "ports")
    for name, (direction, width) in ports.items():
        port = add(listed, "port")
        add(port, "name", name)
        wire = add(port, "wire")
        add(wire, "direction", direction)
        if width > 1:
            vector = add(wire, "vector")
            add(vector, "left", width - 1)
            add(vector, "right", 0)
        kind = add(add(wire, "wireTypeDefs"), "wireTypeDef")
        add(kind, "typeName", "wire")
        for view_name in (_SYNTHESIS, _SIMULATION):
            add(kind, "viewNameRef", view_name)


def _add_files(component: Element) -> None:
    sets = add(component, "fileSets")
    for name, path, kind in (
        (_SYNTHESIS, VERILOG, "verilogSource"),
        (_SIMULATION, VERILOG, "verilogSource"),
        (_GUI, XGUI, "tclSource"),
    ):
        files = add(sets, "fileSet")
        add(files, "name", f"{name}_view_fileset")
        file = add(files, "file")
        add(file, "name", path)
        add(file, "fileType", kind)


def _add_extensions(component: Element, params: ArrayParams) -> None:
    def extension(parent: Element, name: str, text: str | None = None) -> Element:
        child = ElementTree.SubElement(parent, f"{{{XILINX}}}{name}")
        child.text = text
        return child

    core = extension(add(component, "vendorExtensions"), "coreExtensions")
    families = extension(core, "supportedFamilies")
    for name in FAMILIES:
        extension(families, "family", name).set(f"{{{XILINX}}}lifeCycle", "Production")
    extension(extension(core, "taxonomies"), "taxonomy", "/UserIP")
    extension(core, "displayName", f"TALON core array {params.columns} x {params.rows}")
    extension(core, "coreRevision", "1")
