"""The registers as a memory map in IP-XACT (IEEE 1685-2009, the version that Vivado reads)."""

from collections.abc import Sequence
from xml.etree import ElementTree

from talon.arch.registers import ADDRESS_WIDTH, REGISTERS, Register

SPIRIT = "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"
"""Namespace of the standard."""

VENDOR, LIBRARY, VERSION = "talon-snn.org", "talon", "1.0"

MEMORY_MAP, ADDRESS_BLOCK = "s_axil", "reg0"

_ACCESS = {"ro": "read-only", "rw": "read-write", "wo": "write-only"}

Element = ElementTree.Element
ElementTree.register_namespace("spirit", SPIRIT)


def tag(name: str) -> str:
    """Return the name of an element or attribute of the standard, with its namespace."""
    return f"{{{SPIRIT}}}{name}"


def add(parent: Element, name: str, text: object = None, /, **attributes: str) -> Element:
    """Append an element of the standard to ``parent`` and return it."""
    child = ElementTree.SubElement(
        parent, tag(name), {tag(key): value for key, value in attributes.items()}
    )
    if text is not None:
        child.text = str(text)
    return child


def add_identity(parent: Element, name: str) -> None:
    """Append vendor, library, name and version, which identify everything in IP-XACT."""
    for key, value in (
        ("vendor", VENDOR),
        ("library", LIBRARY),
        ("name", name),
        ("version", VERSION),
    ):
        add(parent, key, value)


def add_memory_maps(parent: Element, registers: Sequence[Register] = REGISTERS) -> None:
    """Append ``memoryMaps`` with one map of one block that holds the registers.

    Raises
    ------
    ValueError
        A register has an access that IP-XACT is not told of here.
    """
    memory_map = add(add(parent, "memoryMaps"), "memoryMap")
    add(memory_map, "name", MEMORY_MAP)
    block = add(memory_map, "addressBlock")
    add(block, "name", ADDRESS_BLOCK)
    add(block, "baseAddress", "0x0")
    add(block, "range", hex(1 << ADDRESS_WIDTH))
    add(block, "width", 32)
    add(block, "usage", "register")
    for register in registers:
        _add_register(block, register)
    add(memory_map, "addressUnitBits", 8)


def _add_register(block: Element, register: Register) -> None:
    if register.access not in _ACCESS:
        known = ", ".join(_ACCESS)
        raise ValueError(
            f"Access of register {register.name} must be one of {known}, not {register.access!r}"
        )
    element = add(block, "register")
    add(element, "name", register.name)
    add(element, "description", register.doc)
    if register.count > 1:
        add(element, "dim", register.count)
    add(element, "addressOffset", f"{register.offset:#05x}")
    add(element, "size", 32)
    add(element, "volatile", "true" if register.access == "ro" else "false")
    add(element, "access", _ACCESS[register.access])
    for field, offset in register.layout.offsets():
        part = add(element, "field")
        add(part, "name", field.name)
        if field.doc:
            add(part, "description", field.doc)
        add(part, "bitOffset", offset)
        add(part, "bitWidth", field.width)
        add(part, "access", _ACCESS[register.access])


def register_component(registers: Sequence[Register] = REGISTERS) -> str:
    """Return a component that has nothing but the memory map."""
    component = ElementTree.Element(tag("component"))
    add_identity(component, "talon_array_registers")
    add_memory_maps(component, registers)
    return to_text(component)


def to_text(element: Element) -> str:
    """Return an element as an indented document."""
    ElementTree.indent(element)
    text = ElementTree.tostring(element, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'
