"""The integer network: what a graph means after quantization, before it is mapped.

The golden model executes this, and nothing else; the image is another expression of it. All arrays
are NumPy; ``n`` counts neurons, index order is C order of the node's shape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from talon.arch.numerics import COUNT_ONE, PAYLOAD_MAX
from talon.compiler.kernel import Kernel
from talon.compiler.sparse import SparseMatrix

RESETS = ("none", "zero", "subtract", "hold", "double")
"""What a spike may do, in the order of :class:`talon.arch.numerics.Reset`."""

IntArray = NDArray[np.integer]
FloatArray = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class InputPort:
    """A source of events from the host.

    An input value is ``payload * scale``; ``payload_max`` is 1 for spikes (then ``scale`` is 1) and
    at most 255 for graded values, which may be negative if ``signed``.
    """

    name: str
    shape: tuple[int, ...]
    scale: float
    payload_max: int
    signed: bool = False

    @property
    def n(self) -> int:
        """Number of input lines."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Windows over a map (C, H, W), side by side: ``size`` = (rows, columns) divides (H, W).

    ``kind`` is ``"max"`` (of spikes: OR) or ``"sum"`` (at most 255).
    """

    kind: str
    size: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Population:
    """Neurons with one update rule; parameters are int32 arrays of shape (n,).

    ``decay`` is 0 to 65536 (65536: no leak). ``kind`` is ``"spike"``, ``"readout"`` (raw V to the
    host), ``"graded"`` or ``"count"``. ``v_scale`` (float64, (n,)) is the float value of one unit
    of V. Neurons with a synaptic current have its decay and bias, in units of V; for others both
    are None.

    A graded population has payloads for events, ``talon.arch.numerics.graded`` with ``decay`` as
    multiplier, ``v_reset`` as offset and ``threshold`` as largest payload (one number); ``v_scale``
    is the value of a payload of 1. Other parameters are zero or ``"none"``. Its V, where one is
    recorded, is its payload before the pool, and a payload that is not zero is its spike.
    With a ``table``, int16 of shape (256,) from -255 to 255, that payload is the number of the
    entry that is the payload; the largest one is 255 then, and a pool is ``"max"``.

    The neurons of one that counts may fire several times in a timestep, and how often is the
    payload of their events: ``talon.arch.numerics.update_counting`` with ``gain``, which others
    have not, and with ``threshold`` as many times ``COUNT_ONE`` as they may fire at most (one
    number).

    With a ``pool`` the population, a map (C, H, W), sends the windows' values (C, H / rows,
    W / columns). With ``once`` it updates in timestep 0 alone; later timesteps record V of that one
    and no spike, and it sends nothing.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    frac: int
    threshold: IntArray
    bias: IntArray
    v_reset: IntArray
    decay: IntArray
    reset: str  # one of RESETS
    reset_next: bool
    strict: bool
    v_scale: FloatArray
    i_decay: IntArray | None = None
    i_bias: IntArray | None = None
    pool: Pool | None = None
    once: bool = False
    gain: IntArray | None = None
    table: IntArray | None = None

    @property
    def n(self) -> int:
        """Number of neurons."""
        return math.prod(self.shape)

    @property
    def sent_shape(self) -> tuple[int, ...]:
        """Shape of what it sends: that of its windows, if it has a pool."""
        if self.pool is None:
            return self.shape
        channels, height, width = self.shape
        return channels, height // self.pool.size[0], width // self.pool.size[1]

    @property
    def n_sent(self) -> int:
        """Number of values that it sends."""
        return math.prod(self.sent_shape)

    @property
    def largest(self) -> int:
        """Largest magnitude of a payload of a neuron: 1 for spikes."""
        if self.kind not in ("graded", "count"):
            return 1
        if self.table is not None:
            return max(1, int(np.abs(self.table).max(initial=0)))
        most = int(self.threshold.max(initial=1))
        return most // COUNT_ONE if self.kind == "count" else most

    @property
    def payload_max(self) -> int:
        """Largest magnitude of a payload of its events."""
        largest = self.largest
        if self.pool is not None and self.pool.kind == "sum":
            largest = min(PAYLOAD_MAX, largest * self.pool.size[0] * self.pool.size[1])
        return largest

    @property
    def signed(self) -> bool:
        """Whether payloads may be negative."""
        return self.table is not None and int(self.table.min(initial=0)) < 0

    @property
    def current(self) -> tuple[IntArray, IntArray] | None:
        """Decay and bias of the synaptic current, if the neurons have one."""
        if self.i_decay is None or self.i_bias is None:
            return None
        return self.i_decay, self.i_bias


@dataclass(frozen=True, kw_only=True)
class Projection:
    """Synapses from an input or population to a population.

    ``weight`` is int8 of shape (n_target, n_source), or a :class:`~talon.compiler.kernel.Kernel`
    of int8 between two maps, or the lists of a :class:`~talon.compiler.sparse.SparseMatrix`;
    ``n_source`` counts what the source sends. ``delay`` counts timesteps.
    ``form`` is how the array stores it: ``"dense"``, ``"sparse"``, ``"identity"`` (one constant on
    a diagonal or shifted diagonal), ``"rows"`` (dense, on an array with feature maps)
    or, of a kernel, ``"map"``. With ``hold`` what arrives in
    timestep 0 counts in every timestep: the source is ``once``, or an input whose events of
    timestep 0 alone are sent.
    """

    source: str
    target: str
    delay: int
    weight: NDArray[np.int8] | Kernel | SparseMatrix
    form: str = "dense"
    hold: bool = False

    @property
    def table(self) -> NDArray[np.int8] | Kernel:
        """The weights, sparse ones as the matrix that they list."""
        return self.weight.dense() if isinstance(self.weight, SparseMatrix) else self.weight

    @property
    def values(self) -> NDArray[np.int8]:
        """The weights that are kept, wherever they act: of the matrix, the taps or the lists."""
        if isinstance(self.weight, Kernel):
            return self.weight.taps
        return self.weight.value if isinstance(self.weight, SparseMatrix) else self.weight

    @property
    def matrix(self) -> NDArray[np.int8]:
        """The weights as a matrix (n_target, n_source)."""
        return self.weight if isinstance(self.weight, np.ndarray) else self.weight.dense()


@dataclass(frozen=True, kw_only=True)
class OutputPort:
    """A population that the host receives, as spikes, raw values or payloads."""

    name: str
    population: str
    shape: tuple[int, ...]
    kind: str  # "spike", "readout" or "graded"


@dataclass(frozen=True, kw_only=True)
class IntNetwork:
    """Inputs, populations in a valid order of zero-delay dependence, projections and outputs."""

    inputs: tuple[InputPort, ...]
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    outputs: tuple[OutputPort, ...]
    metadata: dict[str, object] = field(default_factory=dict)


def with_tables(network: IntNetwork) -> IntNetwork:
    """Return the network with matrices for sparse weights, as the mapper looks at them."""
    if not any(isinstance(p.weight, SparseMatrix) for p in network.projections):
        return network
    projections = tuple(replace(p, weight=p.table) for p in network.projections)
    return replace(network, projections=projections)
