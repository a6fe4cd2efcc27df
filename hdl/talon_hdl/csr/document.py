"""Write the page of the registers: ``python -m talon_hdl.csr.document > registers.md``."""

import sys
from collections.abc import Iterator, Sequence

from talon.arch.registers import REGISTERS, Register

_HEAD = """# Registers

Generated from `talon.arch.registers` by `python -m talon_hdl.csr.document`.

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


if __name__ == "__main__":
    sys.stdout.write(registers_page())
