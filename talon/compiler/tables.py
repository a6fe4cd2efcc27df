"""Graded populations that have a table, in integers: scales of the index, and the entries.

The index is quantized as the payload of a rectifier is, with a bias that makes room for what is
negative: entry *i* stands for (*i* - *z*) units of the index, *z* being a whole number, so zero is
met exactly.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from talon.arch.memories import TABLE_ENTRIES
from talon.arch.numerics import PAYLOAD_MAX
from talon.compiler.curves import Span
from talon.compiler.float_network import FloatPopulation
from talon.compiler.network import Population
from talon.compiler.rectifiers import quantize_graded
from talon.compiler.report import LayerReport
from talon.compiler.weights import IntWeight, Scaled
from talon.errors import QuantizationError

_PASSES = 8  # a unit that weights make larger moves the zero point, which moves the unit a little


def quantize_table(
    population: FloatPopulation,
    synapses: list[Scaled],
    *,
    span: Span,
    unit: float,
    payload_max: int,
    channels: int | None,
) -> tuple[Population, list[IntWeight], LayerReport]:
    """Return the integer population, its weights and a report.

    Parameters
    ----------
    population, synapses
        What to quantize; the population has a ``curve``.
    span
        Values that the table has to have entries for.
    unit, payload_max
        Value of a payload of 1, and the largest magnitude of one.
    channels
        Number of channels that have one scale each; None if each neuron has its own.

    Raises
    ------
    QuantizationError
        The sums of a neuron cannot be proved not to wrap.
    """
    assert population.curve is not None
    low, high = span
    step = (high - low) / (TABLE_ENTRIES - 2) or 1.0 / TABLE_ENTRIES
    for _ in range(_PASSES):
        zero = math.ceil(-low / step)
        shifted = replace(population, bias=population.bias + zero * step)
        index, integers, report = quantize_graded(
            shifted, synapses, unit=step, payload_max=PAYLOAD_MAX, channels=channels
        )
        found = float(index.v_scale[0])
        if found == step:
            break
        step = found
    else:
        raise QuantizationError(
            f"Population {population.name!r} finds no unit for the index of its table; scale its "
            "weights down"
        )
    sums = (np.arange(TABLE_ENTRIES, dtype=np.float64) - zero) * step
    table = np.clip(np.rint(population.curve.value(sums) / unit), -payload_max, payload_max)
    result = replace(index, table=table.astype(np.int16), v_scale=np.full(population.n, unit))
    return result, integers, replace(report, payload_unit=unit, payload_max=payload_max)
