"""Write the registers for people and tools: ``python -m talon_hdl.csr.document > registers.md``.

``--format c``, ``systemrdl`` or ``ipxact`` writes a C header, SystemRDL 2.0, or IP-XACT instead.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from talon.arch.registers import REGISTERS, Register
from talon_hdl.csr.c_header import c_header
from talon_hdl.csr.ip_xact import register_component
from talon_hdl.csr.system_rdl import system_rdl

_HEAD = """# Registers

Generated from `talon.arch.registers` by `python -m talon_hdl.csr.document`, which also writes a C
header (`--format c`), SystemRDL 2.0 (`systemrdl`) and IP-XACT (`ipxact`).

AXI4-Lite, 32-bit words, byte offsets. Every access is answered with OKAY; words that are not listed
read as zero and ignore writes. A `wo` register acts in the cycle of the write and reads as zero;
byte enables are respected. What the values mean is told in [the host bridge](host_bridge.md).

| Offset | Name | Access | Meaning |
|---|---|---|---|
"""


def registers_page(registers: Sequence[Register] = REGISTERS) -> str:
    """Return the page in Markdown."""
    rows = "".join(f"| {_row(register)} |\n" for register in registers)
    return _HEAD + rows + "".join("".join(_fields(register)) for register in registers)


def _row(register: Register) -> str:
    last = register.offset + 4 * (register.count - 1)
    offset = f"`0x{register.offset:03X}`"
    name = f"`{register.name}`"
    if register.count > 1:
        offset += f" to `0x{last:03X}`"
        name += f" ({register.count} words)"
    return " | ".join((offset, name, register.access, register.doc))


def _fields(register: Register) -> Iterator[str]:
    """Yield the section of a register that has more than one field, or one that is described."""
    layout = register.layout
    if len(layout.fields) == 1 and not layout.fields[0].doc:
        return
    yield f"\n## {register.name}\n\n| Bits | Field | Meaning |\n|---|---|---|\n"
    for field, offset in layout.offsets():
        bits = f"{offset + field.width - 1}:{offset}" if field.width > 1 else f"{offset}"
        yield f"| {bits} | `{field.name}` | {field.doc} |\n"


FORMATS: Mapping[str, Callable[[], str]] = {
    "markdown": registers_page,
    "c": c_header,
    "systemrdl": system_rdl,
    "ipxact": register_component,
}
"""What writes the registers in each format."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m talon_hdl.csr.document", description="Write the table of the registers."
    )
    parser.add_argument("--format", choices=list(FORMATS), default="markdown")
    sys.stdout.write(FORMATS[parser.parse_args(arguments).format]())


if __name__ == "__main__":
    main()
