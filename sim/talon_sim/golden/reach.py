"""The proof that no sum of a network wraps, whatever its payloads and in whatever order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch import numerics
from talon.compiler.kernel import Kernel
from talon.compiler.network import InputPort, IntNetwork, Population
from talon.compiler.sparse import SparseMatrix
from talon.errors import ImageError

Sums = NDArray[np.int64]


class NetworkError(ImageError, ValueError):
    """An integer network breaks the contract: a forged image, or a caller's slip."""


def accumulator_span(network: IntNetwork) -> dict[str, tuple[Sums, Sums]]:
    """Return by population the least and the greatest sum that each neuron may see on the way.

    Every partial sum, in whatever order, adds some of the positive products and some of the
    negative ones. Where no payload is negative, positive products are those of positive weights.
    """
    span = {p.name: (np.zeros(p.n, np.int64), np.zeros(p.n, np.int64)) for p in network.populations}
    sources: dict[str, InputPort | Population] = {
        end.name: end for end in (*network.inputs, *network.populations)
    }
    for projection in network.projections:
        source = sources[projection.source]
        up, down = sums_by_sign(projection.weight)
        if source.signed:
            up = down = up + down
        low, high = span[projection.target]
        low -= down * source.payload_max
        high += up * source.payload_max
    return span


def accumulator_reach(network: IntNetwork) -> dict[str, Sums]:
    """Return for each neuron the largest magnitude that the sum of a timestep can have."""
    return {name: np.maximum(high, -low) for name, (low, high) in accumulator_span(network).items()}


def drive_reach(network: IntNetwork) -> dict[str, float]:
    """Return the largest magnitude of what drives a potential of each population."""
    sums = accumulator_reach(network)
    return {p.name: _drive_of(p, sums[p.name]) for p in network.populations}


def _drive_of(population: Population, sums: Sums) -> float:
    reach = int(sums.max(initial=0)) << population.frac
    if population.current is not None:
        reach = -numerics.V_MIN  # currents saturate
    return float(reach + np.abs(population.bias.astype(np.int64)).max(initial=0))


def prove_sums(network: IntNetwork) -> None:
    """Prove that no accumulator wraps, nor the sum of one and the offset of a graded neuron.

    Raises
    ------
    NetworkError
        A sum may wrap; the message names the neuron.
    """
    graded = {p.name: p.v_reset for p in network.populations if p.kind == "graded"}
    for name, (low, high) in accumulator_span(network).items():
        _require(name, low, high, "weight x payload")
        if name in graded:
            offset = graded[name].astype(np.int64)
            _require(name, low + offset, high + offset, "weight x payload, and offset,")


def _require(name: str, low: Sums, high: Sums, what: str) -> None:
    reach = np.maximum(high, -low)
    if reach.max(initial=0) > numerics.ACC_MAX:
        neuron = int(reach.argmax())
        raise NetworkError(
            f"Population {name!r} neuron {neuron}: the largest magnitude that a sum of {what} can "
            f"have must be at most {numerics.ACC_MAX}, not {reach[neuron]}"
        )


def sums_by_sign(weight: NDArray[Any] | Kernel | SparseMatrix) -> tuple[Sums, Sums]:
    """Return for each target the sum of its positive weights, and minus that of its negative."""
    if isinstance(weight, Kernel):
        taps = weight.taps.astype(np.int64)
        up, down = (weight.summed_over_sources(np.maximum(t, 0)) for t in (taps, -taps))
        return up.astype(np.int64), down.astype(np.int64)
    if isinstance(weight, SparseMatrix):
        values = weight.value.astype(np.int16)
        up, down = (
            np.bincount(weight.target, np.maximum(part, 0), minlength=weight.shape[0])
            for part in (values, -values)
        )
        return up.astype(np.int64), down.astype(np.int64)
    total = weight.sum(axis=1, dtype=np.int64)
    up = np.maximum(weight, 0).sum(axis=1, dtype=np.int64)
    return up, up - total
