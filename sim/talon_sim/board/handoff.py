"""The hardware handoff (.hwh) of a block design, from the Tcl commands that make it.

Vivado writes this file beside a bitstream, and PYNQ finds IP, addresses, interrupts and clocks in
it. Where there is no Vivado, what the scripts say of cells, nets and addresses stands here in
Vivado's form, as far as PYNQ reads it; values that Vivado works out by itself are in
:data:`WORKED_OUT`. No release of Vivado has confirmed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from xml.etree import ElementTree

from talon.arch import registers

Element = ElementTree.Element
Record = Sequence[Sequence[str]]

WORKED_OUT: Mapping[str, Mapping[str, str]] = {
    "zynq_ultra_ps_e": {
        **{f"PSU__FPGA_PL{clock}_ENABLE": "0" for clock in range(4)},
        **{f"PSU__CRL_APB__PL{clock}_REF_CTRL__SRCSEL": "IOPLL" for clock in range(4)},
        **{f"PSU__CRL_APB__PL{clock}_REF_CTRL__DIVISOR0": "6" for clock in range(4)},
        **{f"PSU__CRL_APB__PL{clock}_REF_CTRL__DIVISOR1": "1" for clock in range(4)},
        "PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ": "249.997498",
        "C_MAXIGP0_DATA_WIDTH": "32",
        "C_SAXIGP2_DATA_WIDTH": "64",
    },
    "axi_dma": {"c_micro_dma": "0"},
}
"""Parameters by core that no script sets, or that Vivado derives from those that one does."""

_WORDS = {"aximm": ("AWADDR", "ARADDR"), "axis": ("TDATA", "TVALID")}
"""Signals that stand for those of a bus; the others say nothing more of what is connected."""
_CLASSES = {"axi_intc": "INTERRUPT_CNTLR", "smartconnect": "BUS"}


def handoff(record: Record) -> str:
    """Return the text of the .hwh.

    Parameters
    ----------
    record
        The commands on project and block design, in order: name and words of each.
    """
    design = _Design(record)
    system = ElementTree.Element("EDKSYSTEM", EDWVERSION="1.2", VIVADOVERSION="none")
    names = {"ARCH": "zynquplus", "DEVICE": design.device, "NAME": design.name}
    ElementTree.SubElement(system, "SYSTEMINFO", names)
    for name in ("EXTERNALPORTS", "EXTERNALINTERFACES"):
        ElementTree.SubElement(system, name)
    modules = ElementTree.SubElement(system, "MODULES")
    for cell, vlnv in design.cells.items():
        _add_module(modules, design, cell, vlnv)
    ElementTree.indent(system)
    return ElementTree.tostring(system, encoding="unicode", xml_declaration=True) + "\n"


class _Design:
    """Cells, nets and addresses of a block design."""

    def __init__(self, record: Record) -> None:
        def calls(name: str) -> list[Sequence[str]]:
            return [call[1:] for call in record if call[0] == name]

        ((self.name,),) = calls("create_bd_design")
        project = calls("create_project")[0]
        self.device = project[project.index("-part") + 1].split("-")[0]
        self.cells = {words[-1]: words[3] for words in calls("create_bd_cell")}
        self.nets = [tuple(words) for words in calls("connect_bd_net")]
        self.buses = [tuple(words) for words in calls("connect_bd_intf_net")]
        self._set: dict[str, dict[str, str]] = {cell: {} for cell in self.cells}
        for words in calls("set_property"):
            if words[0] == "-dict" and words[2] in self._set:
                pairs = words[1].split()
                names = [name.removeprefix("CONFIG.") for name in pairs[::2]]
                self._set[words[2]].update(zip(names, pairs[1::2], strict=True))
        # Space, segment, first and last address; a segment without an offset is all of a memory.
        self.addresses: list[tuple[str, str, int, int]] = []
        for words in calls("assign_bd_address"):
            space, segment = words[1], words[2]
            first, size = 0, 1 << 31
            if "-offset" in words:
                first = int(words[words.index("-offset") + 1], 0)
                size = int(words[words.index("-range") + 1].removesuffix("K")) << 10
            elif segment.endswith("_HIGH"):
                first = 0x8_0000_0000
            self.addresses.append((space, segment, first, first + size - 1))

    def core(self, cell: str) -> str:
        """Return the name of a cell's core."""
        return self.cells[cell].split(":")[2]

    def parameters(self, cell: str) -> dict[str, str]:
        """Return the parameters of a cell."""
        return {**WORKED_OUT.get(self.core(cell), {}), **self._set[cell]}

    def of(self, cell: str, nets: Iterable[tuple[str, ...]]) -> list[tuple[str, bool, list[str]]]:
        """Return name, whether it drives, and what it leads to, of each pin of a cell in nets."""
        found: list[tuple[str, bool, list[str]]] = []
        for net in nets:
            for i, pin in enumerate(net):
                if pin.startswith(f"{cell}/"):
                    others = list(net[1:]) if i == 0 else [net[0]]
                    found.append((pin.split("/")[1], i == 0, others))
        return found


def _add_module(modules: Element, design: _Design, cell: str, vlnv: str) -> None:
    core = design.core(cell)
    module = ElementTree.SubElement(
        modules,
        "MODULE",
        FULLNAME=f"/{cell}",
        HWVERSION=vlnv.split(":")[3],
        INSTANCE=cell,
        IPTYPE="BUS" if core == "smartconnect" else "PERIPHERAL",
        IS_ENABLE="1",
        MODCLASS=_CLASSES.get(core, "PERIPHERAL"),
        MODTYPE=core,
        VLNV=vlnv,
    )
    if core == "talon_array":
        _add_registers(ElementTree.SubElement(module, "ADDRESSBLOCKS"))
    parameters = ElementTree.SubElement(module, "PARAMETERS")
    for name, value in design.parameters(cell).items():
        ElementTree.SubElement(parameters, "PARAMETER", NAME=name, VALUE=value)
    ports = ElementTree.SubElement(module, "PORTS")
    for name, drives, others in design.of(cell, design.nets):
        _add_port(ports, name, "O" if drives else "I", others)
    interfaces = ElementTree.SubElement(module, "BUSINTERFACES")
    for name, masters, others in design.of(cell, design.buses):
        _add_bus(ports, interfaces, name, masters, others)
    _add_memory_map(module, design, cell)


def _add_port(ports: Element, name: str, direction: str, others: Iterable[str]) -> None:
    kind = "clk" if "clk" in name else "rst" if "reset" in name else "undef"
    port = ElementTree.SubElement(ports, "PORT", DIR=direction, NAME=name, SIGIS=kind)
    connections = ElementTree.SubElement(port, "CONNECTIONS")
    for other in others:
        cell, pin = other.split("/")
        ElementTree.SubElement(connections, "CONNECTION", INSTANCE=cell, PORT=pin)


def _add_bus(
    ports: Element, interfaces: Element, name: str, masters: bool, others: Sequence[str]
) -> None:
    kind = "axis" if "axis" in name.lower() else "aximm"
    stream = kind == "axis"
    types = ("INITIATOR", "TARGET") if stream else ("MASTER", "SLAVE")
    interface = ElementTree.SubElement(
        interfaces,
        "BUSINTERFACE",
        NAME=name,
        TYPE=types[0 if masters else 1],
        VLNV=f"xilinx.com:interface:{kind}:1.0",
    )
    maps = ElementTree.SubElement(interface, "PORTMAPS")
    for word in _WORDS[kind]:
        pin = f"{name}_{word.lower()}"
        ElementTree.SubElement(maps, "PORTMAP", LOGICAL=word, PHYSICAL=pin)
        leads_to = [f"{other}_{word.lower()}" for other in others]
        _add_port(ports, pin, "O" if masters else "I", leads_to)


def _add_memory_map(module: Element, design: _Design, cell: str) -> None:
    ranges = ElementTree.SubElement(module, "MEMORYMAP")
    for space, segment, first, last in design.addresses:
        owner, data = space.split("/")
        if owner != cell:
            continue
        target, slave, block = segment.split("/")
        is_memory = "DDR" in block
        names = [name for name, _, _ in design.of(target, design.buses)]
        if is_memory:  # the segment has the name that the hard block has for this interface
            slave = "S_AXI_HP0_FPD"
        else:
            (slave,) = [name for name in names if name.upper() == slave.upper()]
        ElementTree.SubElement(
            ranges,
            "MEMRANGE",
            ADDRESSBLOCK=block,
            BASENAME="C_BASEADDR",
            BASEVALUE=f"0x{first:08X}",
            HIGHNAME="C_HIGHADDR",
            HIGHVALUE=f"0x{last:08X}",
            INSTANCE=target,
            MASTERBUSINTERFACE="M_AXI_HPM0_FPD" if data == "Data" else f"M_AXI_{data[5:]}",
            MEMTYPE="MEMORY" if is_memory else "REGISTER",
            SLAVEBUSINTERFACE=slave,
        )


def _add_registers(blocks: Element) -> None:
    """Add the registers of the array, which Vivado takes from its IP-XACT component."""
    block = ElementTree.SubElement(
        blocks, "ADDRESSBLOCK", INTERFACE="s_axil", NAME="reg0", USAGE="register"
    )
    listed = ElementTree.SubElement(block, "REGISTERS")
    for register in registers.REGISTERS:
        for index in range(register.count):
            name = register.name if register.count == 1 else f"{register.name}_{index}"
            entry = ElementTree.SubElement(listed, "REGISTER", NAME=name)
            facts = {
                "ADDRESS_OFFSET": f"0x{registers.address(register.name, index):X}",
                "SIZE": "32",
                "IS_ENABLED": "true",
                "ACCESS": {"ro": "read-only", "wo": "write-only"}.get(
                    register.access, "read-write"
                ),
            }
            for key, value in facts.items():
                ElementTree.SubElement(entry, "PROPERTY", NAME=key, VALUE=value)
