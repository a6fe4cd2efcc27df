"""What quantization asks of synapses, be they a matrix or a kernel; one value a target neuron."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from talon.arch.numerics import WEIGHT_MAX
from talon.compiler.float_network import FloatSynapses
from talon.compiler.kernel import Kernel

FloatArray = NDArray[np.float64]
Weight: TypeAlias = FloatArray | Kernel
IntWeight: TypeAlias = "NDArray[np.int8] | Kernel"


@dataclass(frozen=True, kw_only=True, eq=False)
class Scaled:
    """Synapses with the payloads of their source; ``weight`` is for one unit of payload.

    With ``exact`` the bound of a sum regards signs, see :func:`reach`. ``limit`` is the largest
    integer weight.
    """

    source: FloatSynapses
    weight: Weight
    payload_max: int
    limit: int
    signed: bool = False
    exact: bool = False


def values_of(weight: Weight | IntWeight) -> NDArray[Any]:
    """Return the numbers that are stored: the matrix, or the taps."""
    return weight.taps if isinstance(weight, Kernel) else weight


def with_values(weight: IntWeight, values: NDArray[Any]) -> IntWeight:
    """Return weights of the same places with other numbers."""
    return replace(weight, taps=values) if isinstance(weight, Kernel) else values


def times(weight: Weight, factor: float) -> Weight:
    """Return the weights times a factor."""
    if isinstance(weight, Kernel):
        return replace(weight, taps=weight.taps * factor)
    return weight * factor


def sums(weight: Weight | IntWeight, part: Callable[[NDArray[Any]], NDArray[Any]]) -> FloatArray:
    """Return for each target the sum of ``part`` of its weights."""
    if isinstance(weight, Kernel):
        return weight.summed_over_sources(part(weight.taps))
    return np.asarray(part(weight).sum(axis=1), np.float64)


def peaks(weight: Weight) -> FloatArray:
    """Return for each target the largest magnitude; for a kernel that of the whole channel."""
    if isinstance(weight, Kernel):
        channels = np.abs(weight.taps).max(axis=(0, 1, 2))
        return np.repeat(channels, weight.n_target // len(channels))
    return np.abs(weight).max(axis=1)


def fan_in(weight: Weight) -> FloatArray:
    """Return for each target how many weights may be off by rounding."""
    if isinstance(weight, Kernel):
        return sums(weight, lambda taps: taps != 0)
    return np.full(len(weight), float(weight.shape[1]))


def slack(synapses: list[Scaled]) -> FloatArray:
    """Return how much rounding may add to a sum: half a unit a weight, or a digit of wide ones."""
    total = np.zeros(1)
    for s in synapses:
        total = total + fan_in(s.weight) * s.payload_max / 2
        total = total + 2 * WEIGHT_MAX * (s.limit > WEIGHT_MAX)
    return total


def rounded(weight: Weight, scale: FloatArray, limit: int) -> IntWeight:
    """Return integer weights of at most ``limit``, by the scale of each target."""
    if isinstance(weight, Kernel):
        scales = _by_channel(weight, scale)
        taps = np.clip(np.rint(weight.taps / scales), -limit, limit)
        return replace(weight, taps=taps.astype(np.int8 if limit <= WEIGHT_MAX else np.int32))
    matrix: NDArray[Any] = np.clip(np.rint(weight / scale[:, None]), -limit, limit)
    kind: Any = np.int8 if limit <= WEIGHT_MAX else np.int32
    return matrix.astype(kind)


def errors(weight: Weight, integers: IntWeight, scale: FloatArray) -> FloatArray:
    """Return what rounding changed, for each number that is stored."""
    if isinstance(weight, Kernel) and isinstance(integers, Kernel):
        return weight.taps - integers.taps * _by_channel(weight, scale)
    return values_of(weight) - values_of(integers) * scale[:, None]


def _by_channel(kernel: Kernel, values: FloatArray) -> FloatArray:
    return values.reshape(kernel.target_shape[0], -1)[:, 0]


def extremes(
    synapses: list[Scaled], weights: Sequence[Weight] | Sequence[IntWeight]
) -> tuple[FloatArray, FloatArray]:
    """Return how far up, and how far down, a sum of payloads times ``weights`` can reach.

    Payloads that are not negative reach their positive or their negative weights, never both.
    """
    up, down = np.zeros(1), np.zeros(1)
    for s, weight in zip(synapses, weights, strict=True):
        if s.signed:
            both = sums(weight, _magnitudes) * s.payload_max
            up, down = up + both, down + both
        else:
            up = up + sums(weight, _positive) * s.payload_max
            down = down + sums(weight, _negative) * s.payload_max
    return up, down


def reach(synapses: list[Scaled], weights: Sequence[Weight] | Sequence[IntWeight]) -> FloatArray:
    """Return the largest magnitude that a sum of payloads times ``weights`` can have."""
    return np.maximum(*extremes(synapses, weights))


def total(synapses: list[Scaled], weights: Sequence[Weight] | Sequence[IntWeight]) -> FloatArray:
    """Return the sum of magnitudes of payloads times ``weights``."""
    found = np.zeros(1)
    for s, weight in zip(synapses, weights, strict=True):
        found = found + sums(weight, _magnitudes) * s.payload_max
    return found


def _magnitudes(values: NDArray[Any]) -> FloatArray:
    return np.abs(values.astype(np.float64))


def _positive(values: NDArray[Any]) -> FloatArray:
    return np.maximum(values.astype(np.float64), 0)


def _negative(values: NDArray[Any]) -> FloatArray:
    return np.maximum(-values.astype(np.float64), 0)
