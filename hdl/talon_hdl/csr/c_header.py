"""The registers as a C header, for drivers that are not written in Python."""

from collections.abc import Iterator, Sequence

from talon.arch.registers import ADDRESS_WIDTH, ID, REGISTERS, Register

PREFIX = "TALON"

_HEAD = f"""/* Registers of the array on AXI4-Lite. Generated from talon.arch.registers by
 * python -m talon_hdl.csr.document --format c; do not edit.
 *
 * Offsets count bytes. Of a field, the mask is that of the whole word:
 * columns = (word & {PREFIX}_MESH_COLUMNS_MASK) >> {PREFIX}_MESH_COLUMNS_SHIFT.
 */
#ifndef {PREFIX}_REGISTERS_H
#define {PREFIX}_REGISTERS_H

#define {PREFIX}_ID_VALUE {ID:#010x}u
#define {PREFIX}_ADDRESS_RANGE {1 << ADDRESS_WIDTH:#x}u
"""

_TAIL = f"""
#endif /* {PREFIX}_REGISTERS_H */
"""


def c_header(registers: Sequence[Register] = REGISTERS) -> str:
    """Return the text of the header: offsets, shifts and masks, as macros."""
    return _HEAD + "".join("".join(_register(register)) for register in registers) + _TAIL


def _register(register: Register) -> Iterator[str]:
    name = f"{PREFIX}_{register.name}"
    yield f"\n/* {register.name}, {register.access}: {register.doc} */\n"
    if register.count > 1:
        yield f"#define {name}_COUNT {register.count}u\n"
        yield f"#define {name}_OFFSET(i) ({register.offset:#05x}u + 4u * (i))\n"
    else:
        yield f"#define {name}_OFFSET {register.offset:#05x}u\n"
    for field, shift in register.layout.offsets():
        part = f"{name}_{field.name.upper()}"
        mask = ((1 << field.width) - 1) << shift
        comment = f" /* {field.doc} */" if field.doc else ""
        yield f"#define {part}_SHIFT {shift}\n"
        yield f"#define {part}_MASK {mask:#010x}u{comment}\n"
