"""What sources send: how much their values can be, and in how many levels.

A spike has payload 1, a graded value up to 255, and all synapses of a neuron have one scale: next
to spikes, the weights of a source resolved in 255 levels may round to nothing. Fewer levels make
its weights larger. So do they where an accumulator must hold very many graded values. The number
chosen is that of the least expected error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.numerics import ACC_MAX, PAYLOAD_MAX
from talon.compiler import weights
from talon.compiler.borders import CONSTANT, limit_of_constant
from talon.compiler.calibration import Calibration, InputRange
from talon.compiler.curves import Span, extremes, worth_entries
from talon.compiler.float_network import Curve, FloatNetwork, FloatPopulation, FloatSynapses
from talon.errors import QuantizationError

LEVELS = (PAYLOAD_MAX, 127, 63, 31, 15, 7, 3)
"""Largest payloads to choose from: each one less than a power of two."""

MOST_SUMMED = 4
"""Largest number of graded values whose sum a pool sends; each has at most 63 levels then."""

_TYPICAL = 0.3  # root mean square of a graded value, as a share of its largest


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What is known of values before they are quantized.

    Attributes
    ----------
    largest
        The largest magnitude of a value of each source.
    signed
        Sources whose values may be negative.
    spans
        What a table has to have entries for, of each population that has one.
    """

    largest: dict[str, float]
    signed: set[str]
    spans: dict[str, Span]


def reach_of(
    network: FloatNetwork, inputs: Mapping[str, InputRange | None], stats: Calibration
) -> Reach:
    """Return how large the values of sources are, and what reaches tables.

    For a graded population that is calibrated, or else the bound of its sum.

    Raises
    ------
    QuantizationError
        A graded population on a cycle has no bound, and there are no samples.
    """
    found: dict[str, float] = {}
    spans: dict[str, Span] = {}
    for source in network.inputs:
        limits = inputs[source.name]
        found[source.name] = 1.0 if limits is None else max(-limits.low, limits.high) or 1.0
    signed = {n for n, limits in inputs.items() if limits is not None and limits.low < 0}
    pending: list[FloatPopulation] = []
    for population in network.populations:
        name = population.name
        seen = stats.v_max.get(name, stats.v_max.get(population.node or name))
        span = stats.spans.get(population.node or name)
        if population.curve is not None and span is not None:
            _take_span(population, population.curve, span, found, spans, signed)
        elif population.curve is not None:
            pending.append(population)
        elif population.kind == "count":
            found[name] = float(largest_count(population, stats))
        elif population.kind != "graded":
            found[name] = 1.0
        elif seen is not None and seen.any():
            found[name] = float(seen.max())
        else:
            pending.append(population)
    while pending:
        ready = [p for p in pending if _sources_of(network, p.name) <= found.keys()]
        if not ready:
            raise QuantizationError(
                f"Population {pending[0].name!r} is graded and on a cycle, or behind one, so its "
                "values have no bound; give samples (calibration)"
            )
        for population in ready:
            low, high = _bounds(network, population, found, signed)
            if population.curve is not None:
                _take_span(population, population.curve, (low, high), found, spans, signed)
            else:
                found[population.name] = max(0.0, high) or 1.0
        pending = [p for p in pending if p.name not in found]
    return Reach(largest=found, signed=signed, spans=spans)


def _take_span(
    population: FloatPopulation,
    curve: Curve,
    span: Span,
    found: dict[str, float],
    spans: dict[str, Span],
    signed: set[str],
) -> None:
    """Note what a population with a table takes, and what it makes of it."""
    name = population.name
    spans[name] = worth_entries(curve, span)
    low, high = extremes(curve, spans[name])
    found[name] = max(-low, high) or 1.0
    if low < 0:
        signed.add(name)


def _sources_of(network: FloatNetwork, target: str) -> set[str]:
    return {s.source for s in network.synapses if s.target == target}


def _bounds(
    network: FloatNetwork,
    population: FloatPopulation,
    largest: Mapping[str, float],
    signed: set[str],
) -> Span:
    """Return the least and the greatest sum of any neuron."""
    low = high = population.bias
    for s in network.synapses:
        if s.target == population.name:
            is_signed = s.source in signed
            up, down = (np.abs, np.abs) if is_signed else (_positive, _negative)
            high = high + weights.sums(s.weight, up) * largest[s.source]
            low = low - weights.sums(s.weight, down) * largest[s.source]
    return float(low.min()), float(high.max())


def _positive(values: NDArray[Any]) -> NDArray[Any]:
    return np.maximum(values, 0)


def _negative(values: NDArray[Any]) -> NDArray[Any]:
    return np.maximum(-values, 0)


def largest_count(population: FloatPopulation, stats: Calibration) -> int:
    """Return how often neurons that count may fire in a timestep.

    What samples show, twice over and rounded up to one less than a power of two, is enough: so
    accumulators need less room.
    """
    most = min(population.max_spikes, PAYLOAD_MAX)
    seen = stats.v_max.get(population.node or population.name)
    if seen is None:
        return most
    return min(most, (1 << (2 * int(max(1.0, seen.max()))).bit_length()) - 1)


def summed_in_window(population: FloatPopulation) -> int:
    """Return how many events a payload adds up: 1, or those of a window of a sum pool."""
    pool = population.pool
    return math.prod(pool.size) if pool is not None and pool.kind == "sum" else 1


def payload_limits(
    network: FloatNetwork, largest: Mapping[str, float], graded: list[str]
) -> dict[str, int]:
    """Return the largest payload of each graded source, and of each that counts.

    Parameters
    ----------
    network
        The lowered graph.
    largest
        Largest value of every source; of one that is not graded the value of its events.
    graded
        Names of the graded sources, in the order in which they are decided.
    """
    counts = [p.name for p in network.populations if p.kind == "count"]
    n_summed = {p.name: summed_in_window(p) for p in network.populations}
    limits = dict.fromkeys(graded, PAYLOAD_MAX) | {name: int(largest[name]) for name in counts}
    for source in graded:
        possible = [levels for levels in LEVELS if levels * n_summed.get(source, 1) <= PAYLOAD_MAX]
        units = {name: value / limits.get(name, 1) for name, value in largest.items()}
        errors = [
            _expected_error(network, source, largest, {**units, source: largest[source] / levels})
            for levels in possible
        ]
        limits[source] = possible[int(np.argmin(errors))]
    return limits


def limit_of(synapses: FloatSynapses) -> int:
    """Return the largest integer weight of synapses."""
    if synapses.source == CONSTANT:
        return limit_of_constant(synapses.bits)
    return max(1, (1 << (synapses.bits - 1)) - 1)


def _expected_error(
    network: FloatNetwork,
    source: str,
    largest: Mapping[str, float],
    units: Mapping[str, float],
) -> float:
    """Return the mean square error of the sums that a source takes part in, summed over neurons.

    Rounding of values and rounding of weights are both uniform over a unit.
    """
    error = 0.0
    targets = {s.target for s in network.synapses if s.source == source}
    scales: dict[str, NDArray[np.float64]] = {}
    for s in network.synapses:
        if s.target in targets:
            scale = weights.peaks(s.weight) * units[s.source] / limit_of(s)
            scales[s.target] = np.maximum(scales.get(s.target, 0.0), scale)
    graded = {p.name for p in network.populations if p.kind == "graded"}
    for target in targets if source in graded else ():
        reach = sum(
            weights.sums(s.weight, np.abs) * largest[s.source] / 2
            for s in network.synapses
            if s.target == target
        )
        scales[target] = np.maximum(scales[target], reach / ACC_MAX)
    for s in network.synapses:
        if s.source != source:
            continue
        typical = _TYPICAL * largest[source] / units[source]
        of_values = weights.sums(s.weight, np.square) * units[source] ** 2
        of_weights = weights.fan_in(s.weight) * (scales[s.target] * typical) ** 2
        error += float((of_values + of_weights).sum())
    return error
