"""How finely a graded input is resolved, where its neurons also take spikes.

A spike has payload 1, a graded value up to 255, and all synapses of a neuron have one scale: next
to spikes, the weights of an input resolved in 255 levels may round to nothing. Fewer levels make
its weights larger. The number chosen is that of the least expected error.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talon.arch.numerics import PAYLOAD_MAX, WEIGHT_MAX
from talon.compiler.float_network import FloatNetwork

LEVELS = (PAYLOAD_MAX, 127, 63, 31, 15, 7, 3)
"""Largest payloads to choose from."""

_TYPICAL = 0.3  # root mean square of a graded input, as a share of its largest value


def payload_limit(network: FloatNetwork, source: str, largest: float) -> int:
    """Return the largest payload of a graded input whose largest value is ``largest``."""
    errors = [_expected_error(network, source, largest, levels) for levels in LEVELS]
    return LEVELS[int(np.argmin(errors))]


def _expected_error(network: FloatNetwork, source: str, largest: float, levels: int) -> float:
    """Return the mean square error of the sums that an input takes part in, summed over neurons.

    Rounding of values and rounding of weights are both uniform over a unit.
    """
    total = 0.0
    peaks: dict[str, NDArray[np.float64]] = {}
    for synapses in network.synapses:
        unit = largest / levels if synapses.source == source else 1.0
        peak = np.abs(synapses.weight).max(axis=1) * unit / WEIGHT_MAX
        known = peaks.get(synapses.target)
        peaks[synapses.target] = peak if known is None else np.maximum(known, peak)
    for synapses in network.synapses:
        if synapses.source != source:
            continue
        of_values = (synapses.weight**2).sum(axis=1) * (largest / levels) ** 2
        of_weights = synapses.weight.shape[1] * (peaks[synapses.target] * levels * _TYPICAL) ** 2
        total += float((of_values + of_weights).sum())
    return total
