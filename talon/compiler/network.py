"""The integer network: what a graph means after quantization, before it is mapped.

The golden model executes this, and nothing else; the image is another expression of it. All arrays
are NumPy; ``n`` counts neurons, index order is C order of the node's shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

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
        return int(np.prod(self.shape))


@dataclass(frozen=True, kw_only=True)
class Population:
    """Neurons with one update rule; parameters are int32 arrays of shape (n,).

    ``decay`` is 0 to 65536 (65536: no leak). ``kind`` is ``"spike"`` or ``"readout"`` (raw V to the
    host). ``v_scale`` (float64, (n,)) is the float value of one unit of V. Neurons with a synaptic
    current have its decay and bias, in units of V; for others both are None.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    frac: int
    threshold: IntArray
    bias: IntArray
    v_reset: IntArray
    decay: IntArray
    reset: str  # "none", "zero", "subtract" or "hold"
    reset_next: bool
    strict: bool
    v_scale: FloatArray
    i_decay: IntArray | None = None
    i_bias: IntArray | None = None

    @property
    def n(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape))

    @property
    def current(self) -> tuple[IntArray, IntArray] | None:
        """Decay and bias of the synaptic current, if the neurons have one."""
        if self.i_decay is None or self.i_bias is None:
            return None
        return self.i_decay, self.i_bias


@dataclass(frozen=True, kw_only=True)
class Projection:
    """Synapses from an input or population to a population.

    ``weight`` is int8 of shape (n_target, n_source); ``delay`` counts timesteps. ``form`` is how
    the array stores it: ``"dense"``, ``"sparse"`` or ``"identity"`` (one constant on a diagonal or
    shifted diagonal).
    """

    source: str
    target: str
    delay: int
    weight: NDArray[np.int8]
    form: str = "dense"


@dataclass(frozen=True, kw_only=True)
class OutputPort:
    """A population that the host receives, as spikes or as raw values."""

    name: str
    population: str
    shape: tuple[int, ...]
    kind: str  # "spike" or "readout"


@dataclass(frozen=True, kw_only=True)
class IntNetwork:
    """Inputs, populations in a valid order of zero-delay dependence, projections and outputs."""

    inputs: tuple[InputPort, ...]
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    outputs: tuple[OutputPort, ...]
    metadata: dict[str, object] = field(default_factory=dict)
