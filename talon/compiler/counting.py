"""Neurons that count in integers: potentials in units of the threshold, and the gain of a sum.

Their threshold is the power of two ``COUNT_ONE``, so how often they fire is a field of the
potential. That costs the weights nothing: a unit of the accumulator is worth a whole number of
units of the potential, the gain, so scales are chosen among multiples of the threshold over
``COUNT_ONE``.
"""

from __future__ import annotations

import numpy as np

from talon.arch.numerics import ACC_MAX, COUNT_ONE, DECAY_ONE, GAIN_MAX, V_MAX
from talon.compiler import weights
from talon.compiler.float_network import FloatPopulation
from talon.compiler.network import Population
from talon.compiler.rectifiers import even
from talon.compiler.report import LayerReport, weights_dropped, weights_snr
from talon.compiler.weights import FloatArray, IntWeight, Scaled
from talon.errors import QuantizationError

_UP = 1e-9  # a quotient that is whole but for float rounding is whole


def quantize_counting(
    population: FloatPopulation, synapses: list[Scaled], *, most: int, channels: int | None
) -> tuple[Population, list[IntWeight], LayerReport]:
    """Return the integer population, its weights and a report.

    Parameters
    ----------
    population, synapses
        What to quantize.
    most
        How often a neuron may fire in a timestep.
    channels
        Number of channels that have one scale each; None if each neuron has its own.

    Raises
    ------
    QuantizationError
        A parameter or a weight is beyond what the array holds in units of the threshold.
    """
    unit = population.threshold / COUNT_ONE
    bias = _in_units(population, "bias", population.bias, unit)
    v_reset = _in_units(population, "v_reset", population.v_reset, unit)
    scale = _least_scales(population, synapses)
    if channels is not None:
        scale = even(scale, channels)
    gain = np.maximum(1, np.ceil(scale / unit - _UP))
    if (gain > GAIN_MAX).any():
        neuron = int(gain.argmax())
        raise QuantizationError(
            f"Neuron {neuron} of population {population.name!r} counts thresholds of "
            f"{population.threshold[neuron]:.3g}, so its weights and sums must need units smaller "
            f"than that, not {scale[neuron]:.3g}; scale weights down or the threshold up"
        )
    scale = gain * unit
    integers = [weights.rounded(s.weight, scale, s.limit) for s in synapses]
    up, down = weights.extremes(synapses, integers)
    bound = np.broadcast_to(np.maximum(up, down), (population.n,))
    if (bound > ACC_MAX).any():
        neuron = int(bound.argmax())
        raise QuantizationError(
            f"Neuron {neuron} of population {population.name!r} may sum up to {bound[neuron]:.0f}, "
            f"but an accumulator holds {ACC_MAX}; use fewer inputs or narrower payloads"
        )
    result = Population(
        name=population.name,
        shape=population.shape,
        kind="count",
        frac=0,
        threshold=np.full(population.n, most * COUNT_ONE, np.int32),
        bias=bias.astype(np.int32),
        v_reset=v_reset.astype(np.int32),
        decay=np.rint(population.decay * DECAY_ONE).astype(np.int32),
        reset=population.reset,
        reset_next=False,
        strict=population.strict,
        v_scale=unit,
        pool=population.pool,
        gain=gain.astype(np.int32),
    )
    report = LayerReport(
        population=population.name,
        kind="count",
        n=population.n,
        frac=0,
        scale_min=float(scale.min()),
        scale_max=float(scale.max()),
        weight_snr_db=weights_snr(synapses, integers, scale),
        acc_bound=int(bound.max(initial=0)),
        thresholds_clipped=0,
        weights_dropped=weights_dropped(synapses, integers),
        payload_unit=1.0,
        payload_max=most,
        may_clip=int(np.count_nonzero(up * gain + bias >= (most + 1) * COUNT_ONE)),
    )
    return result, integers, report


def _in_units(
    population: FloatPopulation, name: str, values: FloatArray, unit: FloatArray
) -> FloatArray:
    """Return a parameter as whole units of the potential."""
    found = np.rint(values / unit)
    if (np.abs(found) > V_MAX).any():
        neuron = int(np.abs(found).argmax())
        raise QuantizationError(
            f"Neuron {neuron} of population {population.name!r} counts thresholds of "
            f"{population.threshold[neuron]:.3g}, so its {name} must be within "
            f"{V_MAX // COUNT_ONE} of them, not {values[neuron]:.3g}"
        )
    return found


def _least_scales(population: FloatPopulation, synapses: list[Scaled]) -> FloatArray:
    """Return the smallest scale of each neuron that its weights and the accumulator allow."""
    scale = np.zeros(population.n)
    for s in synapses:
        scale = np.maximum(scale, weights.peaks(s.weight) / s.limit)
    slack = weights.slack(synapses)
    if np.max(slack, initial=0) >= ACC_MAX:
        raise QuantizationError(
            f"Population {population.name!r} must be provable not to wrap its accumulators, but "
            "with so many graded inputs it cannot be; use fewer inputs"
        )
    drive = weights.reach(synapses, [s.weight for s in synapses])
    return np.maximum(scale, drive / (ACC_MAX - slack))
