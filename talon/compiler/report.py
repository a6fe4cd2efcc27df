"""What is told of a population's quantization."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talon.compiler import weights
from talon.compiler.weights import FloatArray, IntWeight, Scaled


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """How well a population took to integers.

    Of a graded population ``payload_unit`` is the value of a payload of 1, and ``may_clip`` counts
    the neurons whose sum can be beyond the largest payload.
    """

    population: str
    kind: str
    n: int
    frac: int
    scale_min: float
    scale_max: float
    weight_snr_db: float | None
    acc_bound: int
    thresholds_clipped: int
    weights_dropped: int
    payload_unit: float | None = None
    payload_max: int | None = None
    may_clip: int | None = None


def weights_snr(
    synapses: list[Scaled], integers: list[IntWeight], scale: FloatArray
) -> float | None:
    """Return the signal to noise ratio of the weights in decibels; None if nothing was lost."""
    signal = sum(float((weights.values_of(s.weight) ** 2).sum()) for s in synapses)
    noise = sum(
        float((weights.errors(s.weight, w, scale) ** 2).sum())
        for s, w in zip(synapses, integers, strict=True)
    )
    return 10.0 * float(np.log10(signal / noise)) if noise > 1e-12 * signal else None


def weights_dropped(synapses: list[Scaled], integers: list[IntWeight]) -> int:
    """Return how many weights became zero."""
    return sum(
        int(np.count_nonzero((weights.values_of(w) == 0) & (weights.values_of(s.weight) != 0)))
        for s, w in zip(synapses, integers, strict=True)
    )
