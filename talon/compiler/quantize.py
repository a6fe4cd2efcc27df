"""The one door from float to integer: scales, rounding, and the proof that nothing wraps.

A neuron has one scale for all its synapses; a unit of its accumulator is worth that many float
units, and a unit of its potential 2^-frac of that. What the scale must satisfy, and what is chosen
beyond it, is told in ``docs/reference/quantization.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.numerics import ACC_MAX, DECAY_ONE, FRAC_MAX, V_MAX, V_MIN
from talon.compiler import weights
from talon.compiler.borders import CONSTANT, constants, digits_of
from talon.compiler.calibration import Calibration, InputRange, input_port
from talon.compiler.counting import quantize_counting
from talon.compiler.curves import Span
from talon.compiler.float_network import FloatNetwork, FloatPopulation, FloatSynapses
from talon.compiler.forms import choose_form, diagonal_of
from talon.compiler.kernel import Kernel
from talon.compiler.network import IntNetwork, OutputPort, Population, Projection
from talon.compiler.payload import (
    largest_count,
    limit_of,
    payload_limits,
    reach_of,
    summed_in_window,
)
from talon.compiler.rectifiers import even, quantize_graded
from talon.compiler.report import LayerReport, weights_dropped, weights_snr
from talon.compiler.sharing import map_shapes
from talon.compiler.tables import quantize_table
from talon.compiler.weights import IntWeight, Scaled, Weight
from talon.errors import QuantizationError

FloatArray = NDArray[np.float64]

HEADROOM = 4.0
"""A calibrated potential may grow by this factor before it saturates."""

_GAIN_BOUND = 16.0  # without calibration: how many full drives a potential is thought to gather
_EPSILON = 1e-6  # thresholds that are whole numbers but for float rounding stay whole
_SCALE_MIN = 2.0**-200  # below what any float32 weight needs; smaller ones round to zero
_SPREAD = 4.0  # scales of one population may be made one if they differ by no more


_PASSES = 20  # graded units on cycles settle in two, or never


def quantize(
    network: FloatNetwork,
    *,
    calibration: Calibration | None = None,
    input_range: Mapping[str, tuple[float, float]] | None = None,
    lanes: int = 16,
    weight_bits: int = 8,
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
    weight_bits
        Bits of a weight of the array; layers may ask for fewer.

    Raises
    ------
    QuantizationError
        A range is not one, or the sums of a neuron cannot be proved not to wrap.
    """
    stats = calibration or Calibration()
    narrow = [replace(s, bits=min(s.bits, weight_bits)) for s in network.synapses]
    network = replace(network, synapses=tuple(narrow))
    word = _Word(lanes=lanes, bits=weight_bits)
    limits = {
        source.name: _limits(source.name, stats, input_range or {}) for source in network.inputs
    }
    unknown = set(input_range or {}) - set(limits)
    if unknown:
        names = ", ".join(map(repr, limits))
        raise QuantizationError(f"Input range must be of an input ({names}), not {min(unknown)!r}")
    reach = reach_of(network, limits, stats)
    largest = reach.largest
    graded = [name for name, given in limits.items() if given is not None and _is_graded(given)]
    graded += [p.name for p in network.populations if p.kind == "graded" and p.name != CONSTANT]
    levels = payload_limits(network, largest, graded)
    ports = tuple(
        input_port(source, limits[source.name], payload_max=levels.get(source.name, 1))
        for source in network.inputs
    )
    signals = {port.name: _Signal(port.scale, port.payload_max, port.signed) for port in ports}
    for population in network.populations:
        name = population.name
        most, windows = levels.get(name, 1), summed_in_window(population)
        signals[name] = _Signal(
            largest[name] / most,
            most * windows,
            signed=name in reach.signed,
            exact=population.kind in ("graded", "count") or windows > 1,
        )
    done, changed = _quantize_all(network, signals, stats, reach.spans, word)
    for _ in range(_PASSES):
        if not changed:
            break
        signals |= changed
        done, changed = _quantize_all(network, signals, stats, reach.spans, word)
    if changed:
        raise QuantizationError(
            f"Population {min(changed)!r} is graded and on a cycle that makes its values larger "
            "and larger; scale the weights of the cycle down"
        )
    populations = tuple(population for population, _, _ in done)
    projections = tuple(projection for _, found, _ in done for projection in found)
    result = IntNetwork(
        inputs=ports,
        populations=populations,
        projections=projections,
        outputs=tuple(
            OutputPort(name=o.name, population=o.population, shape=o.shape, kind=o.kind)
            for o in network.outputs
        ),
    )
    return result, [report for _, _, report in done]


@dataclass(frozen=True)
class _Word:
    """A weight word: how many weights, of how many bits."""

    lanes: int
    bits: int


@dataclass(frozen=True)
class _Signal:
    """What a source sends: the value of a payload of 1, the largest payload, and signs.

    Of graded populations the bound of sums is exact.
    """

    unit: float
    payload_max: int
    signed: bool = False
    exact: bool = False


_Done = tuple[Population, list[Projection], LayerReport]


def _quantize_all(
    network: FloatNetwork,
    signals: Mapping[str, _Signal],
    stats: Calibration,
    spans: Mapping[str, Span],
    word: _Word,
) -> tuple[list[_Done], dict[str, _Signal]]:
    """Return all populations, and signals that were too fine where something else has seen them."""
    signals = dict(signals)
    maps = map_shapes(network.populations, network.synapses)
    seen_as = {o.population: o.name for o in network.outputs}  # by the samples
    done: list[_Done] = []
    used: set[str] = set()
    changed: dict[str, _Signal] = {}
    for population in network.populations:
        name = population.name
        if name == CONSTANT:
            done += [(constant, [], report) for constant, report in constants(word.bits)]
            continue
        mine = [s for s in network.synapses if s.target == name]
        synapses = [_scaled_by(s, signals[s.source]) for s in mine]
        used |= {s.source for s in mine}
        channels = maps[name][0] if name in maps else None
        if population.curve is not None:
            result, integers, report = quantize_table(
                population,
                synapses,
                span=spans[name],
                unit=signals[name].unit,
                payload_max=signals[name].payload_max,
                channels=channels,
            )
        elif population.kind == "graded":
            signal = signals[name]
            result, integers, report = quantize_graded(
                population,
                synapses,
                unit=signal.unit,
                payload_max=signal.payload_max // summed_in_window(population),
                channels=channels,
            )
            signals[name] = replace(signal, unit=float(result.v_scale[0]))
            if name in used and signals[name] != signal:
                changed[name] = signals[name]
        elif population.kind == "count":
            result, integers, report = quantize_counting(
                population, synapses, most=largest_count(population, stats), channels=channels
            )
        else:
            v_max = stats.v_max.get(name, stats.v_max.get(seen_as.get(name, name)))
            v_max = _part_of(population, stats.v_max.get(population.node or name, v_max))
            result, integers, report = _quantize_population(
                population, synapses, v_max, channels=channels
            )
        projections = [
            Projection(
                source=s.source.source,
                target=name,
                delay=s.source.delay,
                weight=weight,
                form=_form(weight, word, vectors=not maps.keys() & {s.source.source, name}),
            )
            for s, weight in zip(synapses, integers, strict=True)
            if weights.values_of(weight).any()
        ]
        projections = [
            part
            for projection in projections
            for part in (
                digits_of(projection, word.bits) if projection.source == CONSTANT else [projection]
            )
        ]
        done.append((result, projections, report))
    return done, changed


def _form(weight: IntWeight, word: _Word, *, vectors: bool) -> str:
    if isinstance(weight, Kernel):
        return "map"
    n_bytes = word.lanes * word.bits // 8
    return choose_form(weight, lanes=word.lanes, word_bytes=n_bytes, vectors=vectors)


def _part_of(population: FloatPopulation, v_max: FloatArray | None) -> FloatArray | None:
    """Return the statistics of the rows and columns of a node that a population is."""
    if v_max is None or v_max.size == population.n or population.within is None:
        return v_max
    _, height, width = population.shape
    return v_max.reshape(population.within)[:, :height, :width].reshape(-1)


def _is_graded(limits: InputRange) -> bool:
    return limits.level is None and not limits.low == limits.high == 0


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


def _scaled_by(synapses: FloatSynapses, signal: _Signal) -> Scaled:
    return Scaled(
        source=synapses,
        weight=weights.times(synapses.weight, signal.unit),
        payload_max=signal.payload_max,
        limit=limit_of(synapses),
        signed=signal.signed,
        exact=signal.exact,
    )


def _quantize_population(
    population: FloatPopulation,
    synapses: list[Scaled],
    v_max: FloatArray | None,
    *,
    channels: int | None,
) -> tuple[Population, list[IntWeight], LayerReport]:
    drive = np.broadcast_to(_reach_of(synapses, [s.weight for s in synapses]), (population.n,))
    span = _span(population, drive, v_max)
    scale = _scales(population, synapses, drive, span)
    if channels is not None:
        scale, span = even(scale, channels), even(span, channels)
    integers, bound = _round_weights(population, synapses, scale)
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
        pool=population.pool,
        **_current(population, unit),
    )
    report = LayerReport(
        population=population.name,
        kind=population.kind,
        n=population.n,
        frac=frac,
        scale_min=float(scale.min()),
        scale_max=float(scale.max()),
        weight_snr_db=weights_snr(synapses, integers, scale),
        acc_bound=int(bound.max()),
        thresholds_clipped=clipped,
        weights_dropped=weights_dropped(synapses, integers),
    )
    return result, integers, report


def _reach_of(synapses: list[Scaled], given: Sequence[Weight] | Sequence[IntWeight]) -> FloatArray:
    """Return the proven bound of a sum, exact where maps or graded values need all the room.

    Elsewhere magnitudes are added up: networks of vectors stay as they were.
    """
    is_new = any(s.exact or isinstance(s.weight, Kernel) for s in synapses)
    return weights.reach(synapses, given) if is_new else weights.total(synapses, given)


def _current(population: FloatPopulation, unit: FloatArray) -> dict[str, Any]:
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
    population: FloatPopulation, synapses: list[Scaled], drive: FloatArray, span: FloatArray
) -> FloatArray:
    """Return the smallest scale of each neuron that its weights and parameters allow."""
    peaks = [weights.peaks(s.weight) / s.limit for s in synapses]
    scale = np.max(peaks, axis=0) if peaks else np.zeros(population.n)
    needs = np.maximum(np.abs(population.bias), np.minimum(np.abs(population.threshold), span))
    if population.reset in ("zero", "hold"):
        needs = np.maximum(needs, np.abs(population.v_reset))
    if population.i_bias is not None:
        needs = np.maximum(needs, np.abs(population.i_bias))
    scale = np.maximum(scale, needs / (V_MAX // 2))
    # Each weight is rounded by half a unit at most.
    slack = weights.slack(synapses)
    if slack.max() >= ACC_MAX:
        n_inputs = int(sum(weights.fan_in(s.weight).max() for s in synapses))
        raise QuantizationError(
            f"Population {population.name!r} must be provable not to wrap its accumulators, but "
            f"its {n_inputs} graded inputs cannot be; use spikes or fewer inputs"
        )
    scale = np.maximum(scale, drive / (ACC_MAX - slack))
    # Neurons without synapses: a scale that leaves their parameters room for all fractional bits.
    idle = np.maximum(np.maximum(needs, span) * (1 << (FRAC_MAX + 1)) / V_MAX, 2.0**-30)
    scale = np.maximum(np.where(drive > 0, scale, idle), _SCALE_MIN)
    matrices = [s.weight for s in synapses if not isinstance(s.weight, Kernel)]
    uniform = any(diagonal_of(matrix) is not None for matrix in matrices)
    if uniform and scale.max() <= _SPREAD * scale.min():
        scale = np.full_like(scale, scale.max())
    return scale


def _round_weights(
    population: FloatPopulation, synapses: list[Scaled], scale: FloatArray
) -> tuple[list[IntWeight], NDArray[np.int64]]:
    """Return integer weights, and the proven bound of each accumulator."""
    integers = [weights.rounded(s.weight, scale, s.limit) for s in synapses]
    bound = np.broadcast_to(_reach_of(synapses, integers), (population.n,)).astype(np.int64)
    if (bound > ACC_MAX).any():
        neuron = int(bound.argmax())
        raise QuantizationError(
            f"Neuron {neuron} of population {population.name!r} may sum up to {bound[neuron]}, "
            f"but an accumulator holds {ACC_MAX}; use fewer inputs or narrower payloads"
        )
    return integers, bound


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
    if population.reset in ("subtract", "double"):
        rounded = np.rint(exact)
    elif population.strict:
        rounded = np.floor(exact + _EPSILON)
    else:
        rounded = np.ceil(exact - _EPSILON)
    clipped = int(np.count_nonzero((rounded > V_MAX) | (rounded < V_MIN)))
    return _to_int(rounded), clipped


def _to_int(values: FloatArray) -> NDArray[np.int32]:
    return np.clip(values, V_MIN, V_MAX).astype(np.int32)


def with_metadata(network: IntNetwork, **metadata: object) -> IntNetwork:
    """Return the network with notes added."""
    return replace(network, metadata={**network.metadata, **metadata})
