"""The configuration memories of a core, and the layout of their entries.

A configuration section fills one memory from entry 0 on. An entry travels as ``Layout.n_words``
32-bit words, least significant first; a weight word as ``word_bytes / 4`` of them. The CRC-32 of a
section (ISO-HDLC, that of ``zlib.crc32``) runs over its words in little-endian byte order.
"""

from __future__ import annotations

from enum import IntEnum

from talon.arch.layout import Field, Layout
from talon.arch.numerics import TABLE_ENTRIES, Reset
from talon.arch.params import ArrayParams, bits_for


class Memory(IntEnum):
    """Memories that a SELECT command names. All but STATUS and COUNTER must be committed."""

    WEIGHT = 0
    RECORD = 1
    EDGE = 2
    GROUP = 3
    ROUTE = 4
    TOKEN = 5
    INIT = 6
    AXIS = 7  # where the array has feature maps
    TABLE = 8  # where graded groups have tables
    STATUS = 14  # read only
    COUNTER = 15  # read only


LOADED = (
    Memory.WEIGHT,
    Memory.RECORD,
    Memory.EDGE,
    Memory.GROUP,
    Memory.ROUTE,
    Memory.TOKEN,
    Memory.INIT,
)
"""Memories that an image fills, in the order in which it does so, in every array."""


def loaded(params: ArrayParams) -> tuple[Memory, ...]:
    """Return the memories that an image for this array fills, in the order in which it does so."""
    has = {Memory.AXIS: params.has_maps, Memory.TABLE: params.table_activation}
    return (*LOADED, *(memory for memory, is_there in has.items() if is_there))


class EdgeKind(IntEnum):
    """How an event becomes rows of synaptic operations."""

    DENSE = 0  # `rows` weight words from base + index * rows, to rows row_start...
    SPARSE = 1  # a pointer entry gives the address and number of packed words
    IDENTITY = 2  # one constant weight, to accumulator index + offset
    MAP = 3  # three axis tables give weight words and rows: convolutions and their like


class Emit(IntEnum):
    """What the neurons of a group send."""

    SPIKE = 0  # a SPIKE packet a route (or HOST_SPIKE) for each neuron that fires
    READOUT = 1  # a HOST_VALUE for every neuron, every timestep
    PSUM = 2  # a PSUM packet a route for each value that is not zero
    GRADED = 3  # a SPIKE packet a route with a payload (or HOST_VALUE) for each value above zero
    COUNT = 4  # the same for each neuron that fires; the payload tells how often it does

    @property
    def sends_events(self) -> bool:
        """Whether neurons send events to neurons."""
        return self in (Emit.SPIKE, Emit.GRADED, Emit.COUNT)

    @property
    def has_state(self) -> bool:
        """Whether neurons have a membrane potential."""
        return self in (Emit.SPIKE, Emit.READOUT, Emit.COUNT)


def emits(params: ArrayParams) -> tuple[Emit, ...]:
    """Return what the groups of an array may send."""
    has = {Emit.GRADED: params.has_maps, Emit.COUNT: params.multi_spike}
    return tuple(emit for emit in Emit if has.get(emit, True))


def resets(params: ArrayParams) -> tuple[Reset, ...]:
    """Return the resets that the neurons of an array may have."""
    return tuple(r for r in Reset if r is not Reset.DOUBLE or params.double_threshold)


class Counter(IntEnum):
    """Entries of the COUNTER memory, 32 bits each, wrapping."""

    EVENTS = 0  # SPIKE and PSUM packets taken
    ROWS = 1  # rows retired by the synapse engine: weight words, identity and partial-sum rows
    SOPS = 2  # synaptic operations: lanes of those rows that stand for a synapse
    BUSY = 3  # cycles in which the synapse engine had work
    SPIKES = 4  # neurons that fired
    UPDATES = 5  # neurons updated
    SATURATIONS = 6  # updates in which a membrane potential was clamped
    BLOCKED = 7  # cycles in which an output packet waited for the NoC


_SYNAPSE_BITS = 16


class MemoryLayouts:
    """Layouts of the entries of every memory for one array.

    A ``record`` is a ``neuron`` and, where the array has synaptic currents, a ``current`` above it.
    An array with feature maps has an ``axis`` layout, more fields in edges, and groups that are
    scanned in five loops, see ``docs/hardware/maps.md``.
    """

    def __init__(self, params: ArrayParams) -> None:
        address = bits_for(params.weight_words)
        row = bits_for(params.acc_rows)
        neuron = bits_for(params.n_accumulators)
        slot = bits_for(params.n_slots)
        index = params.index_width
        # With feature maps it is the position in the scan of the group, not the neuron.
        position = index if params.has_maps else neuron
        part = bits_for(params.lanes // params.synapses_per_word)
        mask = (Field("xmask", params.columns), Field("ymask", params.rows))
        self.edge = Layout(
            "edge",
            (
                Field("kind", 2, doc="EdgeKind"),
                Field("base", address, doc="weight address of index 0; sums wrap modulo 2^width"),
                Field("rows", row + 1, doc="DENSE: weight words an event"),
                Field("row_start", row, doc="DENSE: accumulator row of the first word"),
                Field(
                    "last_lanes", bits_for(params.lanes) + 1, doc="DENSE: synapses in the last word"
                ),
                Field(
                    "weight", params.weight_width, signed=True, doc="IDENTITY: the constant weight"
                ),
                Field(
                    "offset", index, doc="SPARSE, IDENTITY, MAP: added to the index, modulo 2^16"
                ),
                *(_edge_of_map(params) if params.has_maps else ()),
            ),
        )
        self.pointer = Layout(
            "pointer",
            (
                Field("address", 16, doc="weight address of the first word of a SPARSE source"),
                Field("count", 16, doc="number of words; zero is allowed"),
            ),
        )
        self.synapse = Layout(
            "synapse",
            (
                Field("weight", params.weight_width, signed=True, doc="zero: no synapse"),
                Field("row", _SYNAPSE_BITS - params.weight_width - part, doc="accumulator row"),
                Field("part", part, doc="entry k of n is for lane k + part * n"),
            ),
        )
        self.neuron = Layout(
            "neuron",
            (
                Field(
                    "threshold",
                    params.v_width,
                    signed=True,
                    doc="of COUNT groups: largest number of spikes x 32768 + gain",
                ),
                Field("bias", params.v_width, signed=True),
                Field("v_reset", params.v_width, signed=True),
                Field("decay", params.decay_width, doc="factor x 65536"),
                Field("no_leak", 1, doc="the factor is 1; decay is ignored"),
                Field("reset", bits_for(len(resets(params))), doc="Reset"),
                Field("reset_next", 1, doc="reset at the next timestep instead of at once"),
                Field("strict", 1, doc="fire on V > threshold instead of V >= threshold"),
            ),
        )
        self.current = Layout(
            "current",
            (
                Field("i_bias", params.v_width, signed=True),
                Field("i_decay", params.decay_width, doc="factor x 65536"),
                Field("i_no_leak", 1, doc="the factor is 1; i_decay is ignored"),
                Field("has_current", 1, doc="0: the sum acts on V, and the others are ignored"),
            ),
        )
        parts = (self.neuron, self.current) if params.synaptic_current else (self.neuron,)
        self.record = Layout("record", tuple(field for part in parts for field in part.fields))
        extent = (
            _scan(params)
            if params.has_maps
            else (Field("n_neurons", neuron + 1), Field("frac", params.frac_width))
        )
        self.group = Layout(
            "group",
            (
                Field("row_start", row, doc="accumulator row of the first neuron"),
                *extent,
                Field("emit", 3 if params.multi_spike else 2, doc="Emit"),
                Field("route_start", bits_for(params.n_routes)),
                Field("n_routes", bits_for(params.n_routes) + 1),
                Field("token_start", bits_for(params.n_tokens)),
                Field("n_tokens", bits_for(params.n_tokens) + 1),
                Field("n_sources", params.count_width, doc="END_OF_STEP tokens a timestep"),
                Field("n_dests", params.count_width, doc="CREDIT tokens a timestep"),
            ),
        )
        self.route = Layout(
            "route",
            (
                Field("host", 1, doc="to the host instead of to the masks"),
                *mask,
                Field("edge", bits_for(params.n_edges)),
                Field("delay", slot),
                Field("offset", index, doc="added to the neuron to give the index, modulo 2^16"),
                Field("first", position, doc="first neuron of the core that takes this route"),
                Field("last", position, doc="last neuron that takes it"),
            ),
        )
        self.token = Layout(
            "token",
            (
                Field("host", 1),
                *mask,
                Field("group", bits_for(params.n_groups), doc="receiving group"),
                Field("delta", slot, doc="added to the slot of the timestep, modulo n_slots"),
                Field("credit", 1),
            ),
        )
        self.init = Layout(
            "init",
            (
                Field("sources", params.count_width, doc="END_OF_STEP granted at start"),
                Field("dests", params.count_width, doc="CREDIT granted at start"),
            ),
        )
        self.status = Layout(
            "status",
            (
                Field("armed", 1),
                Field("crc_error", 1, doc="a COMMIT did not match"),
                Field("hash_error", 1, doc="an ARM named other hardware"),
                Field("incomplete", 1, doc="an ARM came before every memory was good"),
                Field(
                    "unarmed_event", 1, doc="an event or token reached a core that was not armed"
                ),
                Field(
                    "good", len(loaded(params)), doc="memories committed, one bit each, by number"
                ),
            ),
        )
        self.axis = Layout(
            "axis",
            (
                Field("weight", address, doc="added to the weight address"),
                Field("row", row, doc="added to the accumulator row"),
                Field("count", 6, doc="taps, or rows of channels; zero: no target"),
            ),
        )
        self.table = Layout(
            "table",
            (
                Field(
                    "payload",
                    params.payload_width,
                    signed=True,
                    doc="entry 256 g + i: what group g sends for index i; not -256",
                ),
            ),
        )
        self._has_maps, self._has_tables = params.has_maps, params.table_activation

    @property
    def of_memory(self) -> dict[Memory, Layout]:
        """Layout of the entries of each memory but WEIGHT."""
        return {
            Memory.RECORD: self.record,
            Memory.EDGE: self.edge,
            Memory.GROUP: self.group,
            Memory.ROUTE: self.route,
            Memory.TOKEN: self.token,
            Memory.INIT: self.init,
            **({Memory.AXIS: self.axis} if self._has_maps else {}),
            **({Memory.TABLE: self.table} if self._has_tables else {}),
        }


def _edge_of_map(params: ArrayParams) -> tuple[Field, ...]:
    """Return the fields of a MAP edge, and how many slots the target of any edge keeps."""
    row, address = bits_for(params.acc_rows), bits_for(params.weight_words)
    axis = bits_for(params.n_axis)
    return (
        Field("slots", 3, doc="log2 of the slots that the target group keeps; not for PSUM"),
        Field("y_shift", 5, doc="MAP: y is the index without its low y_shift bits"),
        Field("x_shift", 5, doc="MAP: x is what is below y, without its low x_shift bits"),
        Field("y_axis", axis, doc="MAP: axis entry of y = 0"),
        Field("x_axis", axis, doc="MAP: axis entry of x = 0"),
        Field("c_axis", axis, doc="MAP: axis entry of c = 0"),
        Field("y_weight", address, doc="MAP: weight address from one tap of y to the next"),
        Field("x_weight", address, doc="MAP: the same of x"),
        Field("y_row", row, doc="MAP: accumulator row from one tap of y to the next"),
        Field("x_row", row, doc="MAP: the same of x"),
    )


def _scan(params: ArrayParams) -> tuple[Field, ...]:
    """Return the fields of a group that say in which order its rows are updated."""
    row, index = bits_for(params.acc_rows), params.index_width
    return (
        Field("frac", params.frac_width, doc="fractional bits of V"),
        Field("slots", 3, doc="log2 of the slots that the group keeps"),
        Field("once", 1, doc="updates in the first timestep alone; later ones send tokens"),
        Field("hold", 1, doc="sums of slot 0 stay, and count in every timestep"),
        Field("n_y", row + 1, doc="outer loop; zero: the group is unused"),
        Field("n_x", row + 1, doc="second loop"),
        Field("n_c", row + 1, doc="third loop: rows of channels of one pixel"),
        Field("pool_y", 4, doc="fourth loop: rows of a pool window, 1 without a pool"),
        Field("pool_x", 4, doc="inner loop: columns of a pool window"),
        Field("pool_sum", 1, doc="a window gives the sum of its values, not the largest"),
        Field("last_lanes", bits_for(params.lanes) + 1, doc="neurons in the last row of channels"),
        Field("y_step", row, doc="added to the row when y advances, modulo 2^width"),
        Field("x_step", row, doc="the same for x"),
        Field("c_step", row, doc="the same for c"),
        Field("pool_y_step", row, doc="the same for the rows of a window"),
        Field("pool_x_step", row, doc="the same for its columns"),
        Field("y_index", index, doc="added to the position when y advances, modulo 2^16"),
        Field("x_index", index, doc="the same for x; when c advances it is the lanes"),
        Field("record_start", bits_for(params.n_rows), doc="row of records of c = 0"),
        *(
            (Field("table", 1, doc="GRADED: payloads are entries of the table of the group"),)
            if params.table_activation
            else ()
        ),
    )


def depth_of(memory: Memory, params: ArrayParams) -> int:
    """Return the number of entries of ``memory``.

    INIT has one entry a (group, slot): entry ``group * n_slots + slot``.
    """
    return {
        Memory.WEIGHT: params.weight_words,
        Memory.RECORD: params.n_neurons,
        Memory.EDGE: params.n_edges,
        Memory.GROUP: params.n_groups,
        Memory.ROUTE: params.n_routes,
        Memory.TOKEN: params.n_tokens,
        Memory.INIT: params.n_groups * params.n_slots,
        Memory.AXIS: params.n_axis,
        Memory.TABLE: params.n_groups * TABLE_ENTRIES,
        Memory.STATUS: 1,
        Memory.COUNTER: len(Counter),
    }[memory]


def words_per_entry(memory: Memory, params: ArrayParams) -> int:
    """Return the number of 32-bit configuration words of one entry of ``memory``."""
    if memory is Memory.WEIGHT:
        return params.word_bytes // 4
    if memory in (Memory.STATUS, Memory.COUNTER):
        return 1
    return MemoryLayouts(params).of_memory[memory].n_words
