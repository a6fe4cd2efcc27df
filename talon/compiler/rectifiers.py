"""Graded populations in integers: the unit of their payloads, multipliers and offsets.

A payload is the sum times its scale over the payload's unit, rounded. Scales are chosen among
multiples of 1/65536 of the unit, so the multiplier is exact and nothing but that rounding is lost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talon.arch.numerics import ACC_MAX, DECAY_ONE, V_MAX
from talon.compiler import weights
from talon.compiler.float_network import FloatPopulation
from talon.compiler.network import Population
from talon.compiler.report import LayerReport, weights_dropped, weights_snr
from talon.compiler.weights import FloatArray, IntWeight, Scaled
from talon.errors import QuantizationError

_UP = 1e-9  # a quotient that is whole but for float rounding is whole
_IDLE = 256  # multiplier of neurons without synapses


def quantize_graded(
    population: FloatPopulation,
    synapses: list[Scaled],
    *,
    unit: float,
    payload_max: int,
    channels: int | None,
) -> tuple[Population, list[IntWeight], LayerReport]:
    """Return the integer population, its weights and a report.

    Parameters
    ----------
    population, synapses
        What to quantize.
    unit
        Value that a payload of 1 should have; it becomes larger where weights need it.
    payload_max
        Largest payload.
    channels
        Number of channels that have one scale each; None if each neuron has its own.
    """
    scale = _least_scales(population, synapses, unit)
    if channels is not None:
        scale = even(scale, channels)
    unit = max(unit, float(scale.max()))
    multiplier = np.clip(np.ceil(scale / unit * DECAY_ONE - _UP), 1, DECAY_ONE)
    scale = multiplier * (unit / DECAY_ONE)
    integers = [weights.rounded(s.weight, scale, s.limit) for s in synapses]
    offset = np.rint(population.bias / scale)
    up, down = weights.extremes(synapses, integers)
    bound = np.maximum(up, down) + np.abs(offset)
    if (bound > ACC_MAX).any():
        neuron = int(bound.argmax())
        raise QuantizationError(
            f"Neuron {neuron} of population {population.name!r} may sum up to {bound[neuron]:.0f}, "
            f"but an accumulator holds {ACC_MAX}; use fewer inputs or narrower payloads"
        )
    zeros = np.zeros(population.n, np.int32)
    result = Population(
        name=population.name,
        shape=population.shape,
        kind="graded",
        frac=0,
        threshold=zeros + payload_max,
        bias=zeros,
        v_reset=offset.astype(np.int32),
        decay=multiplier.astype(np.int32),
        reset="none",
        reset_next=False,
        strict=False,
        v_scale=np.full(population.n, unit),
        pool=population.pool,
    )
    report = LayerReport(
        population=population.name,
        kind="graded",
        n=population.n,
        frac=0,
        scale_min=float(scale.min()),
        scale_max=float(scale.max()),
        weight_snr_db=weights_snr(synapses, integers, scale),
        acc_bound=int(bound.max()),
        thresholds_clipped=0,
        weights_dropped=weights_dropped(synapses, integers),
        payload_unit=unit,
        payload_max=payload_max,
        may_clip=int(
            np.count_nonzero((up + offset) * multiplier >= (payload_max + 0.5) * DECAY_ONE)
        ),
    )
    return result, integers, report


def even(values: FloatArray, channels: int) -> FloatArray:
    """Return the largest value of each channel, for all of its neurons."""
    values = values.reshape(channels, -1)
    return np.repeat(values.max(axis=1), values.shape[1])


def _least_scales(
    population: FloatPopulation, synapses: list[Scaled], unit: float
) -> NDArray[np.float64]:
    """Return the smallest scale of each neuron that its weights and the accumulator allow."""
    scale = np.zeros(population.n)
    for s in synapses:
        scale = np.maximum(scale, weights.peaks(s.weight) / s.limit)
    slack = weights.slack(synapses) + 1
    if slack.max() >= ACC_MAX:
        raise QuantizationError(
            f"Population {population.name!r} must be provable not to wrap its accumulators, but "
            "with so many graded inputs it cannot be; use fewer inputs"
        )
    magnitude = np.abs(population.bias)
    drive = weights.reach(synapses, [s.weight for s in synapses]) + magnitude
    scale = np.maximum(scale, drive / (ACC_MAX - slack))
    scale = np.maximum(scale, magnitude / (V_MAX // 2))
    return np.where(drive > magnitude, scale, np.maximum(scale, unit * _IDLE / DECAY_ONE))
