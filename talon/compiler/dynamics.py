"""From the parameters of a node to the update rule of its population.

What the equations multiply goes into the synapses: a population adds what reaches it without a
gain, and a synaptic current is in units of the potential.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.compiler.float_network import FloatArray, FloatPopulation
from talon.ir import IF, LI, LIF, CubaLI, CubaLIF, Threshold
from talon.ir import I as PureIntegrator
from talon.ir.neurons import Neuron
from talon.ir.population import Population

Values = Callable[[NDArray[Any]], FloatArray]


def population_of(
    name: str, node: Population, shape: tuple[int, ...], constant: FloatArray
) -> tuple[FloatPopulation, FloatArray]:
    """Return the population of a node, and the gain that its synapses take in.

    Parameters
    ----------
    name, node, shape
        The node, and the shape of its features.
    constant
        What reaches each neuron in every timestep.
    """

    def values(array: NDArray[Any]) -> FloatArray:
        return np.asarray(node.broadcast(array, shape), np.float64).reshape(-1)

    rule, gain = _rule(node, constant, values)
    population = FloatPopulation(name=name, shape=shape, **rule, **_reset(node, values))
    return population, gain


def _rule(
    node: Population, constant: FloatArray, values: Values
) -> tuple[dict[str, FloatArray], FloatArray]:
    """Return decays and biases, and the gain of the synapses."""
    zeros = np.zeros_like(constant)
    match node:
        case Threshold():  # what a timestep leaves behind has no effect on the next
            return {"decay": zeros, "bias": constant}, zeros + 1.0
        case IF() | PureIntegrator():
            gain = values(node.r)
            return {"decay": zeros + 1.0, "bias": gain * constant}, gain
        case LIF() | LI():
            decay = 1.0 - 1.0 / values(node.tau)
            gain = (1.0 - decay) * values(node.r)
            at_rest = (1.0 - decay) * values(node.v_leak)
            return {"decay": decay, "bias": gain * constant + at_rest}, gain
        case CubaLIF() | CubaLI():
            decay = 1.0 - 1.0 / values(node.tau_mem)
            i_decay = 1.0 - 1.0 / values(node.tau_syn)
            gain = (1.0 - decay) * values(node.r) * (1.0 - i_decay) * values(node.w_in)
            at_rest = (1.0 - decay) * values(node.v_leak)
            if not i_decay.any():  # a current that is gone after its timestep is none
                return {"decay": decay, "bias": gain * constant + at_rest}, gain
            currents = {"i_decay": i_decay, "i_bias": gain * constant}
            return {"decay": decay, "bias": at_rest, **currents}, gain
    raise TypeError(f"{type(node).__name__} is no population")


def _reset_of(node: Neuron) -> str:
    if node.reset_drops_drive:
        return "hold"
    return "double" if node.double_threshold else node.reset


def _reset(node: Population, values: Values) -> dict[str, Any]:
    """Return what a population does at its threshold."""
    nothing = {"reset": "none", "reset_next": False, "strict": True}
    if isinstance(node, Neuron):
        return {
            "kind": "count" if node.max_spikes > 1 else "spike",
            "max_spikes": node.max_spikes,
            "threshold": values(node.v_threshold),
            "v_reset": values(node.v_reset),
            "reset": _reset_of(node),
            "reset_next": node.reset_delay,
            "strict": node.strict,
        }
    if isinstance(node, Threshold):
        threshold = values(node.threshold)
        return {"kind": "spike", "threshold": threshold, "v_reset": 0 * threshold, **nothing}
    some = values(getattr(node, node.parameter_names[0]))
    return {
        "kind": "readout",
        "threshold": np.full(some.shape, np.inf),
        "v_reset": np.zeros(some.shape),
        **nothing,
    }
