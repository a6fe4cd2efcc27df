"""Why a quantized network falls silent, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from talon.compiler.weights import values_of

if TYPE_CHECKING:
    from talon.backend.inputs import Inputs
    from talon.backend.programs import Program
    from talon.compiler.network import InputPort, Population
    from talon.sdk.side_by_side import Execution

SILENT = 0.1
"""A layer has fallen silent if it fires less than this share of what it does in floats."""
_MANY = 0.25  # share of weights or input values whose loss is worth telling


@dataclass(frozen=True, kw_only=True)
class Silence:
    """A layer that fires in floats and hardly in integers, with causes and ways out."""

    layer: str
    float_rate: float
    golden_rate: float
    causes: tuple[str, ...]
    advice: tuple[str, ...]

    def __str__(self) -> str:
        told = [*self.causes, *(f"way out: {text}" for text in self.advice)]
        return (
            f"{self.layer!r} fires {self.float_rate:.4f} times a timestep in floats and "
            f"{self.golden_rate:.4f} times in integers; " + "; ".join(told)
        )


def find_silent(
    program: Program, inputs: Inputs, floats: Execution, golden: Execution
) -> list[Silence]:
    """Return the layers that fall silent in integers, in the order of the network.

    A layer is told with its own causes; where all that is wrong is that a layer before it is
    silent, that is the cause.
    """
    found: list[Silence] = []
    for population in program.network.populations:
        name = population.name
        if population.kind != "spike" or name not in floats.spikes:
            continue
        expected, rate = floats.rate(name), golden.rate(name)
        if expected > 0 and rate < SILENT * expected:
            causes, advice = _causes(program, inputs, population, floats, golden)
            before = [
                p.source
                for p in program.network.projections
                if p.target == name and p.source in {silence.layer for silence in found}
            ]
            if before:
                causes.insert(0, f"{' and '.join(map(repr, before))} before it is silent")
            found.append(
                Silence(
                    layer=name,
                    float_rate=expected,
                    golden_rate=rate,
                    causes=tuple(causes),
                    advice=tuple(advice),
                )
            )
    return found


def _causes(
    program: Program,
    inputs: Inputs,
    population: Population,
    floats: Execution,
    golden: Execution,
) -> tuple[list[str], list[str]]:
    causes: list[str] = []
    advice: list[str] = []
    name = population.name
    report = next(layer for layer in program.report["layers"] if layer["population"] == name)
    projections = [p for p in program.network.projections if p.target == name]
    kept = sum(int(np.count_nonzero(values_of(p.table))) for p in projections)
    dropped = int(report["weights_dropped"])
    if dropped > _MANY * (kept + dropped):
        causes.append(
            f"{dropped:,} of its {kept + dropped:,} weights are less than half a step of their "
            "neuron's scale and became zero"
        )
        advice.append(
            "look for single large weights beside small ones, clip them in training, or fine-tune "
            "with talon.bridge.quantize_aware_training"
        )
    for port in program.network.inputs:
        is_given = port.name in inputs.values  # and not computed by the host
        if is_given and any(p.source == port.name for p in projections):
            lost = _lost_values(port, inputs.values[port.name])
            if lost > _MANY:
                causes.append(
                    f"{lost:.0%} of the values of input {port.name!r} that are not zero are less "
                    f"than half of its step of {port.scale:.3g} and became zero"
                )
                advice.append("calibrate with samples like those that you run (--calibrate)")
    if report["thresholds_clipped"]:
        causes.append(f"{report['thresholds_clipped']} of its thresholds do not fit 24 bits")
        advice.append("scale its weights and thresholds so that their ratio is smaller")
    peaks = {
        side.name: float(side.potentials[name].max())
        for side in (floats, golden)
        if name in side.potentials and side.potentials[name].size
    }
    if len(peaks) == 2:
        causes.append(
            f"its largest potential is {peaks['golden']:.4g}, {peaks['float']:.4g} in floats, and "
            f"its lowest threshold {_lowest_threshold(population):.4g}"
        )
    return causes, advice


def _lowest_threshold(population: Population) -> float:
    return float((population.threshold * population.v_scale).min())


def _lost_values(port: InputPort, values: np.ndarray) -> float:
    """Return the share of values that are not zero, but whose payload is."""
    given = values != 0
    n = int(np.count_nonzero(given))
    if not n:
        return 0.0
    return float(np.count_nonzero(given & (np.abs(values) < port.scale / 2))) / n
