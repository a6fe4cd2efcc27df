"""Neurons in floats, vectorised over samples and neurons.

The equations are those at the head of :mod:`talon.ir.neurons`. Their coefficients are worked out
in float64 and rounded once; a timestep then is ``base = decay*v + (gain*x + offset)``.
"""

import numpy as np

from talon.ir import LIF, Neuron
from talon.ir.types import Array, BoolArray, Dims, FloatArray


def _coefficients(node: Neuron) -> tuple[Array, Array, Array]:
    """Return decay, gain and offset in float64."""
    r = np.asarray(node.r, np.float64)
    if not isinstance(node, LIF):
        return np.ones_like(r), r, np.zeros_like(r)
    tau = np.asarray(node.tau, np.float64)
    v_leak = np.asarray(node.v_leak, np.float64)
    return 1 - 1 / tau, r / tau, v_leak / tau


class NeuronState:
    """The membrane potentials of one node for all samples.

    Parameters
    ----------
    node
        The neurons.
    shape
        Their feature shape.
    n_samples
        Number of samples.
    dtype
        The floating point type of the simulation.
    """

    def __init__(self, node: Neuron, shape: Dims, n_samples: int, dtype: np.dtype) -> None:
        def spread(parameter: Array) -> FloatArray:
            return np.ascontiguousarray(node.broadcast(parameter, shape), dtype=dtype)

        self._node = node
        self._decay, self._gain, self._offset = map(spread, _coefficients(node))
        self._v_threshold = spread(node.v_threshold)
        self._v_reset = spread(node.v_reset)
        self._is_unit_gain = bool(np.all(self._gain == 1) and not np.any(self._offset))
        self._v: FloatArray = np.zeros((n_samples, *shape), dtype)
        self._fires = self._compare(self._v)

    def drive(self, current: FloatArray) -> FloatArray:
        """Return ``gain*x + offset`` for any number of timesteps."""
        if self._is_unit_gain:
            return current
        return current * self._gain + self._offset

    def step(self, drive: FloatArray, v: FloatArray) -> BoolArray:
        """Advance by one timestep, write the potentials to ``v`` and return the spikes."""
        np.multiply(self._v, self._decay, out=v)
        if self._node.reset_delay:
            if self._node.reset == "zero":
                self._reset(v, self._fires)
                v += drive
            else:  # in snnTorch's order: float rounding depends on it
                v += drive
                self._reset(v, self._fires)
            self._fires = self._compare(v)
        else:
            v += drive
            self._fires = self._compare(v)
            self._reset(v, self._fires)
        self._v = v
        return self._fires

    def _compare(self, v: FloatArray) -> BoolArray:
        return v > self._v_threshold if self._node.strict else v >= self._v_threshold

    def _reset(self, v: FloatArray, fires: BoolArray) -> None:
        if self._node.reset == "zero":
            np.copyto(v, self._v_reset, where=fires)
        elif self._node.reset == "subtract":
            np.subtract(v, self._v_threshold, out=v, where=fires)
