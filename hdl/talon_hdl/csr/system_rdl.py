"""The registers in SystemRDL 2.0, for generators of documents, drivers and register models."""

from collections.abc import Iterator, Sequence

from talon.arch.layout import Field
from talon.arch.registers import REGISTERS, Register

_WORDS = """
abstract accesswidth activehigh activelow addrmap alias all anded bit boolean bothedge compact
component componentwidth constraint counter default desc encode enum errextbus external false
field fullalign halt haltenable hw hwclr hwset incr incrvalue inside internal intr level
littleendian longint mem mementries memwidth mask name na negedge next nonsticky number ored
overflow posedge property r rclr ref reg regalign regfile regwidth reset resetsignal rset ruser
rw rw1 saturate shared sharedextbus signal signalwidth singlepulse sticky stickybit string
struct sw swacc swmod swwe swwel this threshold true type underflow unsigned w w1 wclr we wel
woclr woset wot wr wset wuser wzc wzs wzt xored
"""
_KEYWORDS = frozenset(_WORDS.split())
"""Words that must be escaped where they are names."""

_ACCESS = {
    "ro": "sw = r; hw = w;",
    "rw": "sw = rw; hw = r; reset = 0;",
    "wo": "sw = w; hw = r; reset = 0;",
}


def system_rdl(registers: Sequence[Register] = REGISTERS, *, name: str = "talon_array") -> str:
    """Return the text of an ``addrmap``.

    Raises
    ------
    ValueError
        A register has an access that SystemRDL is not told of here.
    """
    body = "".join("".join(_register(register)) for register in registers)
    return (
        "// Generated from talon.arch.registers by\n"
        "// python -m talon_hdl.csr.document --format systemrdl; do not edit.\n"
        f"addrmap {name} {{\n"
        '    name = "TALON core array";\n'
        "    default regwidth = 32;\n"
        "    default accesswidth = 32;\n"
        f"{body}}};\n"
    )


def _register(register: Register) -> Iterator[str]:
    yield f"\n    reg {{\n        desc = {_text(register.doc)};\n"
    for field, offset in register.layout.offsets():
        yield _field(register, field, offset)
    array = f"[{register.count}]" if register.count > 1 else ""
    stride = " += 0x4" if register.count > 1 else ""
    yield f"    }} {_name(register.name)}{array} @ {register.offset:#05x}{stride};\n"


def _field(register: Register, field: Field, offset: int) -> str:
    if register.access not in _ACCESS:
        known = ", ".join(_ACCESS)
        raise ValueError(
            f"Access of register {register.name} must be one of {known}, not {register.access!r}"
        )
    properties = _ACCESS[register.access]
    if register.access == "wo" and field.width == 1:
        properties += " singlepulse;"  # it acts in the cycle of the write
    if field.doc:
        properties += f" desc = {_text(field.doc)};"
    bits = f"[{offset + field.width - 1}:{offset}]"
    return f"        field {{ {properties} }} {_name(field.name)}{bits};\n"


def _name(name: str) -> str:
    return f"\\{name}" if name in _KEYWORDS else name


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
