"""What samples tell the compiler: ranges of inputs, potentials and rates of activity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talon.arch.numerics import PAYLOAD_MAX
from talon.compiler.float_network import FloatInput
from talon.compiler.network import InputPort
from talon.errors import QuantizationError


@dataclass(frozen=True, kw_only=True)
class InputRange:
    """Range of an input; ``level`` holds the one magnitude of its nonzero values, if it is one."""

    low: float
    high: float
    level: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Statistics of a float simulation over samples.

    ``v_max`` is the largest potential by population, one a neuron, of graded neurons and of those
    that count the largest value; ``spans`` the least and the greatest value that reached a node
    whose function becomes a table; ``rates`` the mean number of events of a node's value or input
    line in a timestep.
    """

    inputs: Mapping[str, InputRange] = field(default_factory=dict)
    v_max: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    spans: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)


def calibrate(
    *,
    inputs: Mapping[str, NDArray[Any]],
    potentials: Mapping[str, NDArray[Any]],
    spikes: Mapping[str, NDArray[Any]],
    peaks: Mapping[str, tuple[NDArray[Any], float]] | None = None,
    shares: Mapping[str, float] | None = None,
    spans: Mapping[str, tuple[float, float]] | None = None,
) -> Calibration:
    """Return the statistics of a float run.

    Parameters
    ----------
    inputs, potentials, spikes
        Arrays of shape (T, B, *shape) by node name; potentials of read-outs are their values.
    peaks
        Of graded nodes and of those that count the largest values, as (*shape), and the share that
        is not zero.
    shares
        Of nodes that send without a state, pools among them, the share of values that is sent.
    spans
        The least and the greatest input of nodes whose function becomes a table.
    """
    peaks = peaks or {}
    return Calibration(
        inputs={name: range_of(name, values) for name, values in inputs.items()},
        v_max={
            name: np.abs(v.astype(np.float64)).reshape(-1, int(np.prod(v.shape[2:]))).max(axis=0)
            for name, v in potentials.items()
        }
        | {name: v.astype(np.float64).reshape(-1) for name, (v, _) in peaks.items()},
        spans=dict(spans or {}),
        rates={
            **{name: float(np.count_nonzero(x) / x.size) for name, x in inputs.items()},
            **{name: float(np.count_nonzero(s) / s.size) for name, s in spikes.items()},
            **{name: rate for name, (_, rate) in peaks.items()},
            **(shares or {}),
        },
    )


def range_of(name: str, values: NDArray[Any]) -> InputRange:
    """Return the range of an input's samples.

    Raises
    ------
    QuantizationError
        There are no samples, or a value is not finite.
    """
    if not values.size:
        raise QuantizationError(f"Calibration of input {name!r} must have at least one value")
    x = np.asarray(values, np.float64)
    if not np.isfinite(x).all():
        raise QuantizationError(f"Calibration of input {name!r} has values that are not finite")
    low, high = float(x.min()), float(x.max())
    level = max(-low, high)
    binary = level > 0 and bool(np.isin(np.abs(x), (0.0, level)).all())
    return InputRange(low=low, high=high, level=level if binary else None)


def input_port(
    source: FloatInput, limits: InputRange | None, *, payload_max: int = PAYLOAD_MAX
) -> InputPort:
    """Return how an input is quantized: as spikes, unless its range needs graded payloads.

    ``payload_max`` is the largest payload of a graded input.
    """
    if limits is None or limits.low == limits.high == 0:
        return InputPort(name=source.name, shape=source.shape, scale=1.0, payload_max=1)
    signed = limits.low < 0
    if limits.level is not None:
        return InputPort(
            name=source.name, shape=source.shape, scale=limits.level, payload_max=1, signed=signed
        )
    scale = max(-limits.low, limits.high) / payload_max
    if not (np.isfinite(scale) and scale > 0):
        raise QuantizationError(
            f"Input {source.name!r} must have a finite range that is not empty, not "
            f"{limits.low!r} to {limits.high!r}"
        )
    return InputPort(
        name=source.name,
        shape=source.shape,
        scale=scale,
        payload_max=payload_max,
        signed=signed,
    )
