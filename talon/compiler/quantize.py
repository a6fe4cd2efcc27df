"""The one door from float to integer: scales, rounding, and the proof that nothing wraps.

A neuron has one scale for all its synapses; a unit of its accumulator is worth that many float
units, and a unit of its potential 2^-frac of that. What the scale must satisfy, and what is chosen
beyond it, is told in ``docs/reference/quantization.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from talon.arch.numerics import ACC_MAX, DECAY_ONE, FRAC_MAX, V_MAX, V_MIN
from talon.compiler.calibration import Calibration, InputRange, input_port
from talon.compiler.float_network import FloatInput, FloatNetwork, FloatPopulation, FloatSynapses
from talon.compiler.forms import choose_form, diagonal_of
from talon.compiler.network import InputPort, IntNetwork, OutputPort, Population, Projection
from talon.compiler.payload import payload_limit
from talon.errors import QuantizationError

FloatArray = NDArray[np.float64]

HEADROOM = 4.0
"""A calibrated potential may grow by this factor before it saturates."""

_GAIN_BOUND = 16.0  # without calibration: how many full drives a potential is thought to gather
_EPSILON = 1e-6  # thresholds that are whole numbers but for float rounding stay whole
_SCALE_MIN = 2.0**-200  # below what any float32 weight needs; smaller ones round to zero
_SPREAD = 4.0  # scales of one population may be made one if they differ by no more


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """How well a population took to integers."""

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


@dataclass(frozen=True, kw_only=True, eq=False)
class _Synapses:
    """Synapses with the payload range of their source; ``weight`` is for one unit of payload."""

    source: FloatSynapses
    weight: FloatArray
    payload_max: int

    @property
    def limit(self) -> int:
        """Largest integer weight."""
        return max(1, (1 << (self.source.bits - 1)) - 1)


def quantize(
    network: FloatNetwork,
    *,
    calibration: Calibration | None = None,
    input_range: Mapping[str, tuple[float, float]] | None = None,
    lanes: int = 16,
) -> tuple[IntNetwork, list[LayerReport]]:
    """Return the integer network and a report a population.

    Parameters
    ----------
    network
        The lowered graph.
    calibration
        Statistics of samples. Without them every input takes spikes, 0 or 1.
    input_range
        Ranges (low, high) of inputs by name; they go before those of the calibration.
    lanes
        Weights in a weight word, which decides what is stored as sparse.

    Raises
    ------
    QuantizationError
        A range is not one, or the sums of a neuron cannot be proved not to wrap.
    """
    stats = calibration or Calibration()
    ports = {
        source.name: _port(network, source, _limits(source.name, stats, input_range or {}))
        for source in network.inputs
    }
    unknown = set(input_range or {}) - set(ports)
    if unknown:
        raise QuantizationError(
            f"Input range must be of an input ({', '.join(map(repr, ports))}), not {min(unknown)!r}"
        )
    seen_as = {o.population: o.name for o in network.outputs}  # by the samples
    populations: list[Population] = []
    projections: list[Projection] = []
    reports: list[LayerReport] = []
    for population in network.populations:
        synapses = [
            _with_payload(s, ports) for s in network.synapses if s.target == population.name
        ]
        name = population.name
        v_max = stats.v_max.get(name, stats.v_max.get(seen_as.get(name, name)))
        done, weights, report = _quantize_population(population, synapses, v_max)
        populations.append(done)
        reports.append(report)
        projections += [
            Projection(
                source=s.source.source,
                target=population.name,
                delay=s.source.delay,
                weight=weight,
                form=choose_form(weight, lanes=lanes),
            )
            for s, weight in zip(synapses, weights, strict=True)
            if weight.any()
        ]
    result = IntNetwork(
        inputs=tuple(ports.values()),
        populations=tuple(populations),
        projections=tuple(projections),
        outputs=tuple(
            OutputPort(name=o.name, population=o.population, shape=o.shape, kind=o.kind)
            for o in network.outputs
        ),
    )
    return result, reports


def _port(network: FloatNetwork, source: FloatInput, limits: InputRange | None) -> InputPort:
    if limits is None or limits.level is not None:
        return input_port(source, limits)
    largest = max(-limits.low, limits.high)
    return input_port(source, limits, payload_max=payload_limit(network, source.name, largest))


def _limits(
    name: str, stats: Calibration, declared: Mapping[str, tuple[float, float]]
) -> InputRange | None:
    if name not in declared:
        return stats.inputs.get(name)
    low, high = (float(value) for value in declared[name])
    most = float(np.finfo(np.float32).max)
    if not (-most <= low <= 0 <= high <= most and low < high):
        raise QuantizationError(
            f"Range of input {name!r} must be finite in float32 and hold zero and more, "
            f"not {low!r} to {high!r}"
        )
    return InputRange(low=low, high=high)


def _with_payload(synapses: FloatSynapses, ports: Mapping[str, InputPort]) -> _Synapses:
    port = ports.get(synapses.source)
    if port is None:
        return _Synapses(source=synapses, weight=synapses.weight, payload_max=1)
    return _Synapses(
        source=synapses, weight=synapses.weight * port.scale, payload_max=port.payload_max
    )


def _quantize_population(
    population: FloatPopulation, synapses: list[_Synapses], v_max: FloatArray | None
) -> tuple[Population, list[NDArray[np.int8]], LayerReport]:
    drive = sum((np.abs(s.weight).sum(axis=1) * s.payload_max for s in synapses), np.zeros(1))
    drive = np.broadcast_to(drive, (population.n,))
    span = _span(population, drive, v_max)
    scale = _scales(population, synapses, drive, span)
    weights, scale, bound = _round_weights(population, synapses, scale)
    frac = _fraction(population, scale, span, bound)
    unit = scale / (1 << frac)
    threshold, clipped = _threshold(population, unit)
    result = Population(
        name=population.name,
        shape=population.shape,
        kind=population.kind,
        frac=frac,
        threshold=threshold,
        bias=_to_int(np.rint(population.bias / unit)),
        v_reset=_to_int(np.rint(population.v_reset / unit)),
        decay=np.rint(population.decay * DECAY_ONE).astype(np.int32),
        reset=population.reset,
        reset_next=population.reset_next,
        strict=population.strict,
        v_scale=unit,
        **_current(population, unit),
    )
    report = LayerReport(
        population=population.name,
        kind=population.kind,
        n=population.n,
        frac=frac,
        scale_min=float(scale.min()),
        scale_max=float(scale.max()),
        weight_snr_db=_snr(synapses, weights, scale),
        acc_bound=int(bound.max()),
        thresholds_clipped=clipped,
        weights_dropped=sum(
            int(np.count_nonzero((w == 0) & (s.weight != 0)))
            for s, w in zip(synapses, weights, strict=True)
        ),
    )
    return result, weights, report


def _current(population: FloatPopulation, unit: FloatArray) -> dict[str, NDArray[np.int32]]:
    if population.current is None:
        return {}
    decay, bias = population.current
    return {
        "i_decay": np.rint(decay * DECAY_ONE).astype(np.int32),
        "i_bias": _to_int(np.rint(bias / unit)),
    }


def _span(population: FloatPopulation, drive: FloatArray, v_max: FloatArray | None) -> FloatArray:
    """Return the magnitude that potentials should have room for, in float units.

    A current is the difference of two potentials, so what has room for those has room for it.
    """
    if population.current is not None:
        decay, bias = population.current
        drive = (drive + np.abs(bias)) * _gathered(decay)
    step = drive + np.abs(population.bias)
    if population.kind == "readout":
        gathered = step * _gathered(population.decay)
        return gathered if v_max is None or _is_stateless(population) else HEADROOM * v_max
    threshold, reset = np.abs(population.threshold), np.abs(population.v_reset)
    if v_max is not None:
        fired = np.minimum(threshold, HEADROOM * v_max)
        return HEADROOM * np.maximum(np.maximum(v_max, fired), reset)
    gathered = _gathered(population.decay)
    return np.minimum(threshold, HEADROOM * step * gathered) + reset + step * gathered


def _gathered(decay: FloatArray) -> FloatArray:
    """Return how many timesteps of full drive a leaky state is thought to gather."""
    with np.errstate(divide="ignore"):
        return np.minimum(1.0 / (1.0 - decay), _GAIN_BOUND)


def _is_stateless(population: FloatPopulation) -> bool:
    """Tell whether nothing of a timestep is left in the next, so that the proven sum is a bound."""
    return not population.decay.any() and population.current is None


def _scales(
    population: FloatPopulation, synapses: list[_Synapses], drive: FloatArray, span: FloatArray
) -> FloatArray:
    """Return the smallest scale of each neuron that its weights and parameters allow."""
    peaks = [np.abs(s.weight).max(axis=1) / s.limit for s in synapses]
    scale = np.max(peaks, axis=0) if peaks else np.zeros(population.n)
    needs = np.maximum(np.abs(population.bias), np.minimum(np.abs(population.threshold), span))
    if population.reset in ("zero", "hold"):
        needs = np.maximum(needs, np.abs(population.v_reset))
    if population.i_bias is not None:
        needs = np.maximum(needs, np.abs(population.i_bias))
    scale = np.maximum(scale, needs / (V_MAX // 2))
    # Each weight is rounded by half a unit at most.
    slack = 0.5 * sum(s.weight.shape[1] * s.payload_max for s in synapses)
    if slack >= ACC_MAX:
        raise QuantizationError(
            f"Population {population.name!r} must be provable not to wrap its accumulators, but "
            f"its {sum(s.weight.shape[1] for s in synapses)} graded inputs cannot be; use spikes "
            "or fewer inputs"
        )
    scale = np.maximum(scale, drive / (ACC_MAX - slack))
    # Neurons without synapses: a scale that leaves their parameters room for all fractional bits.
    idle = np.maximum(np.maximum(needs, span) * (1 << (FRAC_MAX + 1)) / V_MAX, 2.0**-30)
    scale = np.maximum(np.where(drive > 0, scale, idle), _SCALE_MIN)
    uniform = any(diagonal_of(s.weight) is not None for s in synapses)
    if uniform and scale.max() <= _SPREAD * scale.min():
        scale = np.full_like(scale, scale.max())
    return scale


def _round_weights(
    population: FloatPopulation, synapses: list[_Synapses], scale: FloatArray
) -> tuple[list[NDArray[np.int8]], FloatArray, NDArray[np.int64]]:
    """Return integer weights, their scales, and the proven bound of each accumulator."""
    weights: list[NDArray[np.int8]] = []
    bound = np.zeros(population.n, np.int64)
    for s in synapses:
        rounded = np.clip(np.rint(s.weight / scale[:, None]), -s.limit, s.limit).astype(np.int8)
        weights.append(rounded)
        bound += np.abs(rounded.astype(np.int64)).sum(axis=1) * s.payload_max
    if (bound > ACC_MAX).any():
        neuron = int(bound.argmax())
        raise QuantizationError(
            f"Neuron {neuron} of population {population.name!r} may sum up to {bound[neuron]}, "
            f"but an accumulator holds {ACC_MAX}; use fewer inputs or narrower payloads"
        )
    return weights, scale, bound


def _fraction(
    population: FloatPopulation, scale: FloatArray, span: FloatArray, bound: NDArray[np.int64]
) -> int:
    """Return the largest number of fractional bits for which every potential has room."""
    room = np.maximum(span, np.abs(population.bias)) / scale
    if population.i_bias is not None:
        room = np.maximum(room, np.abs(population.i_bias) / scale)
    if population.kind == "readout" and _is_stateless(population):
        room = bound + np.abs(population.bias) / scale + 1
    if population.reset in ("zero", "hold"):
        room = np.maximum(room, np.abs(population.v_reset) / scale)
    for frac in range(FRAC_MAX, 0, -1):
        if (room * (1 << frac) <= V_MAX).all():
            return frac
    return 0


def _threshold(population: FloatPopulation, unit: FloatArray) -> tuple[NDArray[np.int32], int]:
    """Return integer thresholds and how many of them had to be clipped.

    Where the threshold is only compared with, the comparison of integers is that of the floats:
    ``v > thr`` is ``v > floor(thr)`` and ``v >= thr`` is ``v >= ceil(thr)``. Where it is
    subtracted as well, the nearest integer loses least.
    """
    if population.kind == "readout":
        return np.full(population.n, V_MAX, np.int32), 0
    exact = population.threshold / unit
    if population.reset == "subtract":
        rounded = np.rint(exact)
    elif population.strict:
        rounded = np.floor(exact + _EPSILON)
    else:
        rounded = np.ceil(exact - _EPSILON)
    clipped = int(np.count_nonzero((rounded > V_MAX) | (rounded < V_MIN)))
    return _to_int(rounded), clipped


def _to_int(values: FloatArray) -> NDArray[np.int32]:
    return np.clip(values, V_MIN, V_MAX).astype(np.int32)


def _snr(
    synapses: list[_Synapses], weights: list[NDArray[np.int8]], scale: FloatArray
) -> float | None:
    """Return the signal to noise ratio of the weights in decibels; None if nothing was lost."""
    signal = sum(float((s.weight**2).sum()) for s in synapses)
    noise = sum(
        float(((s.weight - w * scale[:, None]) ** 2).sum())
        for s, w in zip(synapses, weights, strict=True)
    )
    return 10.0 * float(np.log10(signal / noise)) if noise > 1e-12 * signal else None


def with_metadata(network: IntNetwork, **metadata: object) -> IntNetwork:
    """Return the network with notes added."""
    return replace(network, metadata={**network.metadata, **metadata})
