"""The lowered graph: populations and synapses, still in floats."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talon.compiler.kernel import Kernel
from talon.compiler.network import Pool

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """A function of one value, elementwise on float64; ``rises`` if it never falls."""

    value: Callable[[FloatArray], FloatArray]
    rises: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatInput:
    """An input of the network."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatPopulation:
    """Neurons with one update rule; arrays are (n,).

    ``V <- decay * V + synapses + bias``, or, with a synaptic current,
    ``I <- i_decay * I + synapses + i_bias; V <- decay * V + I + bias``. What is graded sends
    ``max(0, synapses + bias)``, or with a ``curve`` that function of the sum; with a pool a map
    sends the windows' values.

    What counts fires up to ``max_spikes`` times in a timestep, and sends how often.

    ``node`` is the node of the graph that it stands for, of shape ``within``: of which it may be
    the first rows and columns alone.
    """

    name: str
    shape: tuple[int, ...]
    kind: str  # "spike", "readout", "graded" or "count"
    decay: FloatArray
    bias: FloatArray
    threshold: FloatArray
    v_reset: FloatArray
    reset: str
    reset_next: bool
    strict: bool
    i_decay: FloatArray | None = None
    i_bias: FloatArray | None = None
    pool: Pool | None = None
    node: str | None = None
    pooled_as: str | None = None
    within: tuple[int, ...] | None = None
    max_spikes: int = 1
    curve: Curve | None = None

    @property
    def current(self) -> tuple[FloatArray, FloatArray] | None:
        """Decay and bias of the synaptic current, if the neurons have one."""
        if self.i_decay is None or self.i_bias is None:
            return None
        return self.i_decay, self.i_bias

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


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatSynapses:
    """Synapses from a source to a population, input gain included.

    ``weight`` is (n, n_source), or a kernel of float64 between two maps.
    """

    source: str
    target: str
    delay: int
    weight: FloatArray | Kernel
    bits: int


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatOutput:
    """A population that the host receives."""

    name: str
    population: str
    shape: tuple[int, ...]
    kind: str


@dataclass(frozen=True, kw_only=True)
class Placed:
    """What became of a node: ``where`` is ``"chip"``, ``"folded"`` or ``"host"``."""

    node: str
    type: str
    where: str
    detail: str


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatNetwork:
    """The lowered graph; populations stand in a valid order of zero-delay dependence."""

    inputs: tuple[FloatInput, ...]
    populations: tuple[FloatPopulation, ...]
    synapses: tuple[FloatSynapses, ...]
    outputs: tuple[FloatOutput, ...]
    placed: tuple[Placed, ...]
