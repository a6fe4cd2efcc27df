"""Constants that differ between the pixels of a map, as synapses from a source that is constant.

A bias before a padded convolution is less at the edges, but pixels share their parameters. What is
missing comes from the population :data:`CONSTANT`, which sends the same in every timestep. In
integers it is several, of payload 255 and 1, or with weights of four bits of 127, 15 and 1, so that
every sum of up to :func:`limit_of_constant` units is exact.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from talon.arch.numerics import DECAY_ONE, PAYLOAD_MAX
from talon.compiler import kernels, weights
from talon.compiler.float_network import FloatArray, FloatPopulation, FloatSynapses
from talon.compiler.kernels import MapShape
from talon.compiler.network import Population, Projection
from talon.compiler.report import LayerReport

CONSTANT = "/constant"
"""Population of one graded neuron whose value is 1; names of nodes hold no slash."""

_DIGITS = {
    8: ((CONSTANT, PAYLOAD_MAX), ("/constant/rest", 1)),
    4: ((CONSTANT, 127), ("/constant/rest", 15), ("/constant/last", 1)),
}
"""Populations by the bits of a weight. What the later ones add up to fills half of a payload."""

_FINEST = 2.0**-40


def limit_of_constant(bits: int) -> int:
    """Return the largest number of units that a constant can add with weights of so many bits."""
    return _largest(bits) * sum(payload for _, payload in _DIGITS[bits])


def _largest(bits: int) -> int:
    return (1 << (bits - 1)) - 1


def constant_population() -> FloatPopulation:
    """Return the population of one neuron that sends 1."""
    return FloatPopulation(
        name=CONSTANT,
        shape=(1, 1, 1),
        kind="graded",
        decay=np.zeros(1),
        bias=np.ones(1),
        threshold=np.full(1, np.inf),
        v_reset=np.zeros(1),
        reset="none",
        reset_next=False,
        strict=True,
    )


def split_bias(
    population: FloatPopulation, shape: MapShape, parameter: str
) -> tuple[FloatPopulation, FloatSynapses]:
    """Return the population with one bias a channel, and synapses that give what is missing."""
    bias: FloatArray = getattr(population, parameter)
    unit = np.abs(bias).max() * _FINEST  # what differs by rounding is the same
    pixels = (np.rint(bias / unit) * unit).reshape(shape[0], -1)
    common = np.array([_most_frequent(channel) for channel in pixels])
    rest = kernels.constant((pixels - common[:, None]).reshape(-1), shape)
    evened = np.repeat(common, pixels.shape[1])
    synapses = FloatSynapses(source=CONSTANT, target=population.name, delay=0, weight=rest, bits=8)
    return replace(population, **{parameter: evened}), synapses  # pyright: ignore[reportArgumentType]


def _most_frequent(values: FloatArray) -> float:
    found, counts = np.unique(values, return_counts=True)
    return float(found[counts.argmax()])


def digits_of(projection: Projection, bits: int) -> list[Projection]:
    """Return the projections from all constants that are one of units, up to the limit."""
    rest, most = weights.values_of(projection.table).astype(np.int64), _largest(bits)
    found: list[Projection] = []
    for name, payload in _DIGITS[bits]:
        digit = np.clip(np.rint(rest / payload), -most, most).astype(np.int64)
        rest = rest - digit * payload
        if digit.any():
            table = weights.with_values(projection.table, digit.astype(np.int8))
            found.append(replace(projection, source=name, weight=table))
    return found


def constants(bits: int) -> list[tuple[Population, LayerReport]]:
    """Return the integer populations that send constants, and their reports."""
    return [(_constant(name, payload), _report(name, payload)) for name, payload in _DIGITS[bits]]


def _constant(name: str, payload: int) -> Population:
    zeros = np.zeros(1, np.int32)
    return Population(
        name=name,
        shape=(1, 1, 1),
        kind="graded",
        frac=0,
        threshold=zeros + payload,
        bias=zeros,
        v_reset=zeros + payload,
        decay=zeros + DECAY_ONE,
        reset="none",
        reset_next=False,
        strict=False,
        v_scale=np.full(1, 1 / payload),
    )


def _report(name: str, payload: int) -> LayerReport:
    return LayerReport(
        population=name,
        kind="graded",
        n=1,
        frac=0,
        scale_min=1.0,
        scale_max=1.0,
        weight_snr_db=None,
        acc_bound=payload,
        thresholds_clipped=0,
        weights_dropped=0,
        payload_unit=1 / payload,
        payload_max=payload,
        may_clip=0,
    )
