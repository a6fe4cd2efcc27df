"""NoC packets and host stream words.

A packet is one flit. The lowest three bits are its kind; kinds 4 to 7 go to the host and carry the
sender's core number, the others carry a *product multicast*: a mask of columns and a mask of rows,
delivered to every core whose column and row bits are both set.

A host stream word has 64 bits: a packet in bits 0 to 59 and an operation in bits 60 to 63.
"""

from __future__ import annotations

from enum import IntEnum

from talon.arch.layout import Field, Layout
from talon.arch.params import ArrayParams, bits_for

OP_OFFSET = 60
"""Position of the operation in a 64-bit host stream word."""


class Kind(IntEnum):
    """Kinds of packet."""

    SPIKE = 0  # an event on an edge: payload x weights
    PSUM = 1  # an exact partial sum for one accumulator
    TOKEN = 2  # END_OF_STEP or CREDIT
    CONFIG = 3  # configuration command
    HOST_SPIKE = 4  # a neuron routed to the host has fired
    HOST_VALUE = 5  # a read-out value, or a probed membrane potential
    HOST_TOKEN = 6  # END_OF_STEP or CREDIT to the host
    HOST_CONFIG = 7  # one word of configuration read back


class ConfigOp(IntEnum):
    """Commands of a CONFIG packet; ``data`` is its 32-bit operand."""

    SELECT = 0  # data = memory << 28 | entry; starts a section
    WRITE = 1  # data = next 32-bit word of the section
    COMMIT = 2  # data = CRC-32 of SELECT's data and the words since; a match marks it as good
    READ = 3  # data = number of words to read back from the selected entry on
    ARM = 4  # data = hardware hash; the core runs only if it matches and all memories are good
    DISARM = 5  # stop and forget which memories are good; clears errors
    CONTROL = 6  # data bit 0: probe all neurons; 1: clear counters; 31:16: rows to reset, 0: all


class InOp(IntEnum):
    """Operations of a word that the host sends."""

    PACKET = 0  # send as it is
    EVENT = 1  # once the step is permitted, send with `slot` increased by the step
    EVENT_LAST = 2  # the same, then go to the next step
    SYNC = 3  # wait until the array is idle, reset the state if asked (SYNC_RESET), answer DONE


SYNC_RESET = 1
"""Bit of a SYNC: reset the state of the array."""
SYNC_MORE = 2
"""Bit of a SYNC: answer DONE without TLAST, since more answers of the same transfer follow."""


class OutOp(IntEnum):
    """Operations of a word that the host receives."""

    PACKET = 0  # a packet of a host kind
    DONE = 1  # answer to SYNC; bits 0-31: cycles from first input to last output


class PacketLayouts:
    """Layouts of every packet kind for one array.

    All start with ``kind``. Core-bound kinds follow with ``xmask``, ``ymask`` and, but for CONFIG,
    ``slot`` at one and the same place, so that the host bridge can add the step to it.
    """

    def __init__(self, params: ArrayParams) -> None:
        slot = Field("slot", bits_for(params.n_slots))
        head = (
            Field("kind", 3),
            Field("xmask", params.columns, doc="columns that the packet goes to"),
            Field("ymask", params.rows, doc="rows that the packet goes to"),
        )
        neuron = Field("neuron", bits_for(params.n_accumulators))
        group = Field("group", bits_for(params.n_groups))
        core = Field("core", bits_for(params.n_cores), doc="sender")
        value = Field("value", params.v_width, signed=True)
        credit = Field("credit", 1, doc="0: END_OF_STEP, 1: CREDIT")
        self.spike = Layout(
            "spike",
            (
                *head,
                slot,
                Field("edge", bits_for(params.n_edges)),
                Field("index", params.index_width, doc="source neuron, as the edge counts it"),
                Field("payload", params.payload_width, signed=True, doc="1 for a spike"),
            ),
        )
        self.psum = Layout("psum", (*head, slot, neuron, value))
        self.token = Layout("token", (*head, slot, group, credit))
        self.config = Layout("config", (*head, Field("op", 3), Field("data", 32)))
        kind = Field("kind", 3)
        self.host_spike = Layout("host_spike", (kind, core, slot, neuron))
        self.host_value = Layout(
            "host_value",
            (
                kind,
                core,
                slot,
                neuron,
                value,
                Field("spike", 1, doc="the neuron fired"),
                Field("probe", 1, doc="0: read-out value, 1: probed membrane potential"),
            ),
        )
        self.host_token = Layout("host_token", (kind, core, slot, group, credit))
        self.host_config = Layout("host_config", (kind, core, Field("data", 32)))
        self.width = max(layout.width for layout in self.of_kind.values())
        if self.width > OP_OFFSET:
            raise ValueError(
                f"A packet must fit {OP_OFFSET} bits, not {self.width}; use fewer columns or rows"
            )

    @property
    def of_kind(self) -> dict[Kind, Layout]:
        """Layout of each kind."""
        return {
            Kind.SPIKE: self.spike,
            Kind.PSUM: self.psum,
            Kind.TOKEN: self.token,
            Kind.CONFIG: self.config,
            Kind.HOST_SPIKE: self.host_spike,
            Kind.HOST_VALUE: self.host_value,
            Kind.HOST_TOKEN: self.host_token,
            Kind.HOST_CONFIG: self.host_config,
        }

    def pack(self, kind: Kind, **values: int) -> int:
        """Return the packet of ``kind`` with the given fields (others zero)."""
        return self.of_kind[kind].pack({"kind": int(kind), **values})

    def unpack(self, packet: int) -> tuple[Kind, dict[str, int]]:
        """Return the kind and the fields of a packet."""
        kind = Kind(packet & 7)
        return kind, self.of_kind[kind].unpack(packet)
