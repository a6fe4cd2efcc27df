"""What the silicon is: the parameters of the core array, checked at birth, with named presets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

FORMAT_VERSION = 1
"""Version of the contract between compiler, golden model, gateware and driver."""

OPTIONS = frozenset(
    {
        *("synaptic_current", "double_threshold", "n_axis", "multi_spike"),
        *("int4", "table_activation"),
    }
)
"""Fields that :meth:`ArrayParams.facts` leaves out while they are off."""


def bits_for(count: int) -> int:
    """Return how many bits number ``count`` things, at least one."""
    return max(1, (count - 1).bit_length())


@dataclass(frozen=True, kw_only=True)
class ArrayParams:
    """Parameters of a core array: one generator makes every size from them.

    ``columns`` x ``rows`` cores form the mesh. A core has ``n_neurons`` membrane potentials,
    ``n_slots`` rings of accumulators, ``lanes`` weights in a weight word, ``update_lanes``
    neurons updated in a cycle and ``weight_words`` words of weight memory. Widths are in bits,
    depths in entries. With ``synaptic_current`` neurons may have a second state variable; with
    ``double_threshold`` their threshold may be twice as high in a timestep that begins above it;
    with ``n_axis`` entries of axis tables, cores hold feature maps: convolutions, graded values,
    pools; with ``multi_spike`` beside it neurons may fire several times in a timestep; with
    ``table_activation`` beside it a group of graded neurons may have a table of 256 payloads. With
    ``int4`` weights have four bits instead of eight, so a word of the same width has twice the
    lanes.
    """

    name: str = "custom"
    columns: int = 8
    rows: int = 4
    n_neurons: int = 512
    lanes: int = 16
    update_lanes: int = 4
    weight_words: int = 6144
    n_slots: int = 8
    max_delay: int = 4
    n_edges: int = 16
    n_groups: int = 8
    n_routes: int = 64
    n_tokens: int = 64
    fifo_depth: int = 32
    weight_memory: str = "uram"
    synaptic_current: bool = False
    double_threshold: bool = False
    n_axis: int = 0
    multi_spike: bool = False
    int4: bool = False
    table_activation: bool = False

    # Fixed by the numeric contract; not parameters, but every layout needs them.
    payload_width = 9
    acc_width = 24
    v_width = 24
    decay_width = 16
    frac_width = 3
    index_width = 16
    count_width = 8

    def __post_init__(self) -> None:
        def check(name: str, ok: bool, rule: str) -> None:
            if not ok:
                raise ValueError(
                    f"Array parameter {name} must be {rule}, not {getattr(self, name)!r}"
                )

        check("columns", 1 <= self.columns <= 16, "between 1 and 16")
        check("rows", 1 <= self.rows <= 16, "between 1 and 16")
        check("int4", type(self.int4) is bool, "True or False")
        if self.int4:
            check("lanes", self.lanes in (8, 16, 32), "8, 16 or 32 with weights of four bits")
        else:
            check("lanes", self.lanes in (4, 8, 16), "4, 8 or 16")
        check(
            "update_lanes",
            self.update_lanes in (1, 2, 4) and self.update_lanes <= self.lanes,
            "1, 2 or 4",
        )
        check(
            "n_neurons",
            self.n_neurons >= self.lanes
            and self.n_neurons % self.lanes == 0
            and self.n_neurons // self.lanes <= 128,
            "a multiple of the lanes, 1 to 128 rows",
        )
        check("n_slots", self.n_slots in (2, 4, 8, 16), "2, 4, 8 or 16")
        check(
            "max_delay",
            0 <= self.max_delay <= self.n_slots - 2,
            f"between 0 and n_slots-2={self.n_slots - 2}",
        )
        check("weight_words", 1 <= self.weight_words < 1 << 16, "between 1 and 65535")
        check("n_edges", 1 <= self.n_edges <= 64, "between 1 and 64")
        check("n_groups", 1 <= self.n_groups <= 16, "between 1 and 16")
        check("n_routes", 1 <= self.n_routes <= 256, "between 1 and 256")
        check("n_tokens", 1 <= self.n_tokens <= 256, "between 1 and 256")
        check("fifo_depth", self.fifo_depth >= 2, "at least 2")
        check(
            "weight_memory",
            self.weight_memory in ("uram", "bram", "generic"),
            "'uram', 'bram' or 'generic'",
        )
        for name in ("synaptic_current", "double_threshold", "multi_spike", "table_activation"):
            check(name, type(getattr(self, name)) is bool, "True or False")
        check("n_axis", 0 <= self.n_axis <= 4096, "between 0 (no feature maps) and 4096")
        for name in ("multi_spike", "table_activation"):
            check(name, self.has_maps or not getattr(self, name), "False without feature maps")
        if self.n_axis:
            check("n_neurons", self.n_rows.bit_count() == 1, "a power of two with feature maps")
            check("synaptic_current", not self.synaptic_current, "False with feature maps")

    def facts(self) -> dict[str, Any]:
        """Return the parameters by name.

        An option that is off is left out, so an array without it is described as it was before
        there was the option: images and hashes stay as they are.
        """
        return {name: value for name, value in asdict(self).items() if value or name not in OPTIONS}

    @property
    def weight_width(self) -> int:
        """Bits of a weight."""
        return 4 if self.int4 else 8

    @property
    def weight_max(self) -> int:
        """Largest magnitude of a weight; the range is symmetric."""
        return (1 << (self.weight_width - 1)) - 1

    @property
    def word_bytes(self) -> int:
        """Bytes of a weight word."""
        return self.lanes * self.weight_width // 8

    @property
    def synapses_per_word(self) -> int:
        """Packed synapses, of 16 bits each, in a weight word."""
        return self.word_bytes // 2

    @property
    def pointers_per_word(self) -> int:
        """Pointers, of 32 bits each, in a weight word."""
        return self.word_bytes // 4

    @property
    def n_cores(self) -> int:
        """Number of cores in the mesh."""
        return self.columns * self.rows

    @property
    def n_rows(self) -> int:
        """Accumulator rows (words of ``lanes`` neurons) of one slot of a core."""
        return self.n_neurons // self.lanes

    @property
    def has_maps(self) -> bool:
        """Whether cores hold feature maps."""
        return self.n_axis > 0

    @property
    def acc_rows(self) -> int:
        """Largest number of accumulator rows of one slot.

        With feature maps a group may keep fewer slots than ``n_slots``, for more rows in each.
        """
        return self.n_rows * self.n_slots if self.has_maps else self.n_rows

    @property
    def n_accumulators(self) -> int:
        """Largest number of accumulators of one slot of a core."""
        return self.acc_rows * self.lanes

    @property
    def weight_bytes(self) -> int:
        """Bytes of weight memory of a core."""
        return self.weight_words * self.word_bytes

    @property
    def hardware_hash(self) -> int:
        """32 bits that differ between arrays whose images are not interchangeable."""
        import hashlib  # here: whoever simulates has no use for either
        import json

        facts = self.facts()
        for name in ("name", "fifo_depth", "weight_memory"):  # change speed or area, not images
            del facts[name]
        facts["format"] = FORMAT_VERSION
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")

    def core_id(self, x: int, y: int) -> int:
        """Return the number of the core in column ``x`` and row ``y``."""
        return y * self.columns + x

    def position(self, core_id: int) -> tuple[int, int]:
        """Return ``(x, y)``, the column and row of a core."""
        return core_id % self.columns, core_id // self.columns


ZYNQ_US_PLUS = ArrayParams(name="zynq_us_plus")
"""32 cores: the floor plan of a ZU7EV (ZCU104), three URAM a core."""

ZYNQ_US_PLUS_SYN = ArrayParams(name="zynq_us_plus_syn", columns=9, rows=3, synaptic_current=True)
"""27 cores with synaptic currents: as many as the area budget of the same device has room for."""

ZYNQ_US_PLUS_TABLE = ArrayParams(
    name="zynq_us_plus_table", columns=5, rows=5, n_axis=1024, table_activation=True
)
"""25 cores with feature maps and tables: as many as the area budget has room for in a square."""

TINY = ArrayParams(
    name="tiny_1x1",
    columns=1,
    rows=1,
    n_neurons=64,
    lanes=4,
    update_lanes=2,
    weight_words=1024,
    n_edges=8,
    n_groups=4,
    n_routes=16,
    n_tokens=32,
    fifo_depth=16,
    weight_memory="bram",
)
"""One small core in block RAM, for tests and small devices."""

TINY_2X2 = replace(TINY, name="tiny_2x2", columns=2, rows=2)

ECP5_2X2 = ArrayParams(
    name="ecp5_2x2",
    columns=2,
    rows=2,
    n_neurons=256,
    lanes=8,
    update_lanes=2,
    weight_words=8192,
    n_routes=32,
    n_tokens=32,
    fifo_depth=16,
    weight_memory="bram",
)
"""Four cores of 64 KiB in the block RAM of an LFE5U-85F (ULX3S): 46 of 208 DP16KD each."""

ZYNQ_US_PLUS_INT4 = ArrayParams(
    name="zynq_us_plus_int4",
    columns=4,
    rows=4,
    n_neurons=1024,
    lanes=32,
    weight_words=12288,
    n_axis=1024,
    int4=True,
)
"""16 cores of 32 lanes with feature maps: weights of four bits, six URAM a core."""

_MULTI: dict[str, Any] = {"multi_spike": True, "double_threshold": True}

PRESETS: dict[str, ArrayParams] = {
    preset.name: preset
    for preset in (
        ZYNQ_US_PLUS,
        replace(ZYNQ_US_PLUS, name="zynq_2x2", columns=2, rows=2),
        replace(ZYNQ_US_PLUS, name="zynq_1x1", columns=1, rows=1),
        ZYNQ_US_PLUS_SYN,
        replace(ZYNQ_US_PLUS, name="zynq_us_plus_double", double_threshold=True),
        TINY,
        TINY_2X2,
        ECP5_2X2,
        replace(TINY_2X2, name="tiny_2x2_syn", synaptic_current=True),
        replace(TINY_2X2, name="tiny_2x2_double", double_threshold=True),
        replace(ZYNQ_US_PLUS, name="zynq_us_plus_map", n_axis=1024),
        replace(ZYNQ_US_PLUS, name="zynq_2x2_map", columns=2, rows=2, n_axis=1024),
        replace(TINY_2X2, name="tiny_2x2_map", n_axis=256),
        replace(ZYNQ_US_PLUS, name="zynq_us_plus_multi", n_axis=1024, **_MULTI),
        replace(ZYNQ_US_PLUS, name="zynq_2x2_multi", columns=2, rows=2, n_axis=1024, **_MULTI),
        replace(TINY_2X2, name="tiny_2x2_multi", n_axis=256, **_MULTI),
        ZYNQ_US_PLUS_INT4,
        replace(ZYNQ_US_PLUS_INT4, name="zynq_2x2_int4", columns=2, rows=2),
        replace(TINY_2X2, name="tiny_2x2_int4", lanes=8, int4=True),
        replace(TINY_2X2, name="tiny_2x2_int4_map", lanes=8, int4=True, n_axis=256),
        ZYNQ_US_PLUS_TABLE,
        replace(ZYNQ_US_PLUS_TABLE, name="zynq_2x2_table", columns=2, rows=2),
        replace(TINY_2X2, name="tiny_2x2_table", n_axis=256, table_activation=True),
        replace(ZYNQ_US_PLUS, name="zynq_k26", columns=4, rows=4),  # see talon_boards.profiles
        replace(ZYNQ_US_PLUS, name="zynq_zu3eg", columns=3, rows=2, weight_memory="bram"),
        replace(ZYNQ_US_PLUS, name="zynq_zu48dr", columns=5, rows=5),
    )
}


def preset(name: str) -> ArrayParams:
    """Return the preset called ``name``.

    Raises
    ------
    ValueError
        There is no preset of that name; the message lists those there are.
    """
    try:
        return PRESETS[name]
    except KeyError:
        known = ", ".join(sorted(PRESETS))
        raise ValueError(f"Array preset must be one of {known}, not {name!r}") from None
