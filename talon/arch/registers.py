"""The control and status registers of the host bridge, on AXI4-Lite: one table for everyone."""

from __future__ import annotations

from dataclasses import dataclass

from talon.arch.layout import Field, Layout

ID = 0x4E4C4154
"""Value of the ID register: the letters TALN, first letter in the lowest byte."""

ADDRESS_WIDTH = 12

ARRAY_RESET_CYCLES = 16
"""Cycles for which CONTROL.array_reset holds the array: more than any register stage on its way."""


@dataclass(frozen=True, kw_only=True)
class Register:
    """One 32-bit register at a byte offset; an array of ``count`` stands at consecutive words."""

    name: str
    offset: int
    access: str  # "ro", "rw" or "wo"
    layout: Layout
    doc: str
    count: int = 1


def _register(
    name: str, offset: int, access: str, doc: str, *fields: Field, count: int = 1
) -> Register:
    layout = Layout(name.lower(), fields or (Field("value", 32),))
    return Register(name=name, offset=offset, access=access, layout=layout, doc=doc, count=count)


REGISTERS: tuple[Register, ...] = (
    _register("ID", 0x000, "ro", "Reads 0x4E4C4154."),
    _register("VERSION", 0x004, "ro", "Version of the contract (FORMAT_VERSION)."),
    _register("HARDWARE_HASH", 0x008, "ro", "ArrayParams.hardware_hash of this array."),
    _register(
        "MESH",
        0x00C,
        "ro",
        "Shape of the mesh.",
        Field("columns", 8),
        Field("rows", 8),
        Field("n_slots", 8),
        Field("lanes", 8),
    ),
    _register(
        "CORE", 0x010, "ro", "Size of a core.", Field("n_neurons", 16), Field("weight_words", 16)
    ),
    _register(
        "STATUS",
        0x014,
        "ro",
        "State of the array.",
        Field("idle", 1, doc="no packet and no work anywhere"),
        Field("error", 1, doc="some core reports an error; read its STATUS memory"),
        Field(
            "bad_word",
            1,
            doc="an input word had an unknown operation; write 1 to clear through CONTROL",
        ),
        Field("in_valid", 1, doc="an input word waits"),
        Field("out_valid", 1, doc="an output word waits"),
        Field("waiting", 1, doc="an EVENT waits for its step to be permitted"),
    ),
    _register(
        "CONTROL",
        0x018,
        "wo",
        "Strobes.",
        Field(
            "reset",
            1,
            doc="reset the state of the array (potentials, accumulators, "
            "tokens), the step of the host and clear bad_word",
        ),
        Field(
            "array_reset",
            1,
            doc="reset the array and all that is in flight, as `aresetn` does, but not these "
            "registers: it forgets its image; stop the transfers of both streams first",
        ),
    ),
    _register(
        "N_DESTS", 0x01C, "rw", "CREDIT tokens that permit one step of the host.", Field("value", 8)
    ),
    _register("CYCLES", 0x020, "ro", "Free-running cycle counter, low 32 bits."),
    _register("IN_WORDS", 0x024, "ro", "Stream words taken."),
    _register("OUT_WORDS", 0x028, "ro", "Stream words sent."),
    _register(
        "LATENCY",
        0x02C,
        "ro",
        "Cycles from the first EVENT to the last output word before the last DONE.",
    ),
    _register("STEP", 0x030, "ro", "Timesteps that the host has ended since the last reset."),
    _register(
        "CAPABILITIES",
        0x034,
        "ro",
        "What the cores can do beside the basis; see ArrayParams.",
        Field("synaptic_current", 1),
        Field("double_threshold", 1),
        Field("maps", 1, doc="convolutions, graded values, pools"),
        Field("multi_spike", 1),
        Field("int4", 1),
        Field("table_activation", 1),
    ),
    _register(
        "BUILD",
        0x038,
        "ro",
        "First 32 bits of the git hash of the sources; 0 where it is not known.",
    ),
    _register(
        "FIFO",
        0x03C,
        "ro",
        "Words that wait in the queues of the bridge.",
        Field("in_words", 8),
        Field("out_words", 8),
    ),
    _register(
        "PERMIT_INIT",
        0x040,
        "rw",
        "CREDIT tokens granted at start for each slot.",
        Field("value", 8),
        count=16,
    ),
)

BY_NAME: dict[str, Register] = {register.name: register for register in REGISTERS}


def address(name: str, index: int = 0) -> int:
    """Return the byte address of register ``name``, or of element ``index`` of an array."""
    register = BY_NAME[name]
    if not 0 <= index < register.count:
        raise ValueError(
            f"Register {name} index must be between 0 and {register.count - 1}, not {index}"
        )
    return register.offset + 4 * index
