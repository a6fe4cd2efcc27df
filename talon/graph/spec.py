"""What a graph is mapped onto: cores, what each holds, and their mesh."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from talon.arch.packet import OP_OFFSET, Kind, PacketLayouts
from talon.arch.params import ZYNQ_US_PLUS, ArrayParams, preset

_GIB = 1 << 30
_LIMITS = {
    "max_neurons_per_core": 1_000_000,
    "max_synapses_per_core": None,
    "sram_bytes_per_core": _GIB,
    "max_fan_in": None,
    "max_fan_out": None,
    "num_cores": 65_536,
    "max_groups_per_core": 16,
    "max_edges_per_core": 64,
    "max_routes_per_core": 256,
    "max_tokens_per_core": 256,
}
_MODEL = "zynq_us_plus"  # what a spec does not say of an array is as in this preset


@dataclass
class HardwareSpec:
    """An array of cores, by what its cores hold.

    Parameters
    ----------
    max_neurons_per_core
        Neurons with a membrane potential.
    max_synapses_per_core
        Weights of 8 bits.
    sram_bytes_per_core
        Weight memory.
    max_fan_in
        Inputs of a neuron on one core; with more, other cores send it partial sums.
    max_fan_out
        Neurons that one neuron can reach: no table bounds it, so all of the array.
    max_feedback_delay
        Longest delay of an edge, in timesteps.
    supported_precisions
        Number formats of weights.
    core_mesh_topology
        Columns and rows of the mesh; a position is counted in this order. Without it the cores are
        all one step apart.
    num_cores
        Number of cores.
    max_groups_per_core, max_edges_per_core, max_routes_per_core, max_tokens_per_core
        Entries of the tables of a core: pieces that it holds, sources that these take events from,
        multicasts of events and multicasts of tokens that they send.
    """

    max_neurons_per_core: int = 256
    max_synapses_per_core: int = 65_536
    sram_bytes_per_core: int = 65_536
    max_fan_in: int = 256
    max_fan_out: int = 256
    max_feedback_delay: int = 1
    supported_precisions: tuple[str, ...] = ("fp32", "int16", "int8", "int4")
    core_mesh_topology: tuple[int, int] | None = None
    num_cores: int = 64
    max_groups_per_core: int = ZYNQ_US_PLUS.n_groups
    max_edges_per_core: int = ZYNQ_US_PLUS.n_edges
    max_routes_per_core: int = ZYNQ_US_PLUS.n_routes
    max_tokens_per_core: int = ZYNQ_US_PLUS.n_tokens

    def validate(self) -> None:
        """Raise a ValueError that names the field, unless the spec makes sense."""
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be an int, got {value!r}")
            if value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")
            if limit is not None and value > limit:
                raise ValueError(f"{name}={value} exceeds safety limit {limit}")
        if not 0 <= self.max_feedback_delay <= 128:
            raise ValueError(
                f"max_feedback_delay must be from 0 to 128, got {self.max_feedback_delay}"
            )
        if self.core_mesh_topology is not None:
            columns, rows = self.core_mesh_topology
            if columns < 1 or rows < 1:
                raise ValueError(f"core_mesh_topology must be positive, got {columns}x{rows}")
            if columns * rows > self.num_cores:
                raise ValueError(
                    f"Mesh topology {columns}x{rows} = {columns * rows} exceeds "
                    f"num_cores={self.num_cores}"
                )

    @classmethod
    def from_array(cls, params: ArrayParams) -> HardwareSpec:
        """Return what an array bears: the limits are those of its memories."""
        return cls(
            max_neurons_per_core=params.n_neurons,
            max_synapses_per_core=params.weight_words * params.lanes,
            sram_bytes_per_core=params.weight_bytes,
            max_fan_in=params.weight_words,
            max_fan_out=params.n_cores * params.n_neurons,
            max_feedback_delay=params.max_delay,
            supported_precisions=(f"int{params.weight_width}",),
            core_mesh_topology=(params.columns, params.rows),
            num_cores=params.n_cores,
            max_groups_per_core=params.n_groups,
            max_edges_per_core=params.n_edges,
            max_routes_per_core=params.n_routes,
            max_tokens_per_core=params.n_tokens,
        )

    def to_array(self) -> ArrayParams:
        """Return the array that the generator would make of the spec.

        Raises
        ------
        ValueError
            The generator has no such array; the message names the parameter and its limits.
        """
        columns, rows = self.core_mesh_topology or (self.num_cores, 1)
        self._check_packets()
        model = preset(_MODEL)
        n_slots = model.n_slots if self.max_feedback_delay + 2 <= model.n_slots else 16
        params = replace(
            model,
            columns=columns,
            rows=rows,
            n_neurons=self.max_neurons_per_core,
            weight_words=self.sram_bytes_per_core // model.word_bytes,
            max_delay=self.max_feedback_delay,
            n_slots=n_slots,
            n_groups=self.max_groups_per_core,
            n_edges=self.max_edges_per_core,
            n_routes=self.max_routes_per_core,
            n_tokens=self.max_tokens_per_core,
        )
        return params if params == model else replace(params, name="custom")

    def _check_packets(self) -> None:
        """Require that a packet can name any set of columns and rows."""
        columns, rows = self.core_mesh_topology or (self.num_cores, 1)
        if columns == rows == 1:
            return
        alone = replace(self, core_mesh_topology=(1, 1)).to_array()
        kinds = PacketLayouts(alone).of_kind
        room = OP_OFFSET + 2 - max(kinds[kind].width for kind in Kind if kind < Kind.HOST_SPIKE)
        if columns + rows > room:
            raise ValueError(
                f"A mesh of {columns} x {rows} cores takes {columns + rows} bits of a packet, one "
                f"a column and one a row, but of {OP_OFFSET} bits {room} are free; use fewer "
                "columns or rows"
            )

    @classmethod
    def zynq_us_plus(cls) -> HardwareSpec:
        """Return the 32 cores of Talon's array on a Zynq UltraScale+ ZU7EV."""
        return cls.from_array(preset("zynq_us_plus"))

    @classmethod
    def zcu102(cls) -> HardwareSpec:
        """Return :meth:`zynq_us_plus`."""
        return cls.zynq_us_plus()

    @classmethod
    def zynq_7020(cls) -> HardwareSpec:
        """Return 16 cores of a quarter of the neurons, a size written by hand to plan with.

        The generator makes this array, but no bitstream exists, and the device is too small for it:
        16 cores and routers of the size in ``docs/hardware`` take 77,000 LUTs of its 53,200.
        """
        return cls(
            max_neurons_per_core=128,
            max_synapses_per_core=32_768,
            sram_bytes_per_core=32_768,
            max_fan_in=2048,
            max_fan_out=16 * 128,
            max_feedback_delay=2,
            supported_precisions=("int8",),
            core_mesh_topology=(4, 4),
            num_cores=16,
        )

    @classmethod
    def t1c_asic_target(cls) -> HardwareSpec:
        """Return 256 large cores, a size written by hand to plan with.

        No chip and no layout stand behind it, and the generator does not make it: the masks of
        16 columns and 16 rows do not fit a packet. So it has plans, and no images.
        """
        return cls(
            max_neurons_per_core=1024,
            max_synapses_per_core=262_144,
            sram_bytes_per_core=262_144,
            max_fan_in=16_384,
            max_fan_out=256 * 1024,
            max_feedback_delay=8,
            supported_precisions=("int8",),
            core_mesh_topology=(16, 16),
            num_cores=256,
        )

    def with_cores(self, num_cores: int) -> HardwareSpec:
        """Return the same cores, ``num_cores`` of them, in a mesh that is as square as can be."""
        rows = max(n for n in range(1, math.isqrt(num_cores) + 1) if num_cores % n == 0)
        return replace(self, num_cores=num_cores, core_mesh_topology=(num_cores // rows, rows))

    @property
    def accumulators_per_core(self) -> int:
        """Words of accumulators: one slot a timestep that may be under way, for every neuron."""
        return self.max_neurons_per_core * self.n_slots

    @property
    def n_slots(self) -> int:
        """Timesteps for which a core keeps sums: 8, or 16 where delays need more."""
        return 8 if self.max_feedback_delay + 2 <= 8 else 16

    def position(self, core: int) -> tuple[int, int]:
        """Return the place of a core in the mesh, counted along the rows of the array."""
        columns, _ = self.core_mesh_topology or (self.num_cores, 1)
        return core % columns, core // columns

    def core_at(self, position: tuple[int, int]) -> int:
        """Return the core at a place."""
        columns, _ = self.core_mesh_topology or (self.num_cores, 1)
        return position[1] * columns + position[0]

    def hops(self, a: tuple[int, int], b: tuple[int, int]) -> int:
        """Return how many links lie between two places; 1 between any two without a mesh."""
        if self.core_mesh_topology is None:
            return int(a != b)
        return abs(a[0] - b[0]) + abs(a[1] - b[1])

    @property
    def n_places(self) -> int:
        """Cores that have a place: those of the mesh."""
        if self.core_mesh_topology is None:
            return self.num_cores
        return self.core_mesh_topology[0] * self.core_mesh_topology[1]
