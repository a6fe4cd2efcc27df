"""Functions of one value that a table may hold: what they are, and where they are worth entries.

They are written out here once more, in float64, since the compiler knows no backend; the tests
compare them with the float simulation.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from talon.arch.numerics import PAYLOAD_MAX
from talon.compiler.float_network import Curve, FloatArray
from talon.ir import ELU, GELU, HardSwish, Node, PReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh

Span = tuple[float, float]
"""The least and the greatest value that reaches a function."""

_GRID = 1 << 12  # places at which a function is looked at
_erf = np.vectorize(math.erf, otypes=[np.float64])


def curve_of(node: Node) -> Curve | None:
    """Return the function of a node, or None where it is a plain rectifier or no function."""
    match node:
        case Sigmoid():
            return Curve(value=_sigmoid, rises=True)
        case Tanh():
            return Curve(value=np.tanh, rises=True)
        case GELU():
            return Curve(value=_gelu_by_tanh if node.approximate else _gelu, rises=False)
        case SiLU():
            return Curve(value=lambda x: x * _sigmoid(x), rises=False)
        case HardSwish():
            return Curve(value=lambda x: x * np.clip(x + 3, 0, 6) / 6, rises=False)
        case Softplus():
            return Curve(value=_softplus(node.beta), rises=True)
        case ELU():
            return Curve(value=_elu(node.alpha), rises=node.alpha >= 0)
        case PReLU() if node.weight.size == 1:
            return _leaky(float(node.weight[0]))
        case ReLU() if node.negative_slope:
            return _leaky(node.negative_slope)
    return None


def worth_entries(curve: Curve, span: Span) -> Span:
    """Return the part of a span beyond whose ends the function stays within half a payload.

    Beyond the ends of a table its first and its last entry go on.
    """
    low, high = span
    if not low < high:
        return span
    places = np.linspace(low, high, _GRID)
    values = curve.value(places)
    least = np.abs(values).max() / PAYLOAD_MAX / 2
    first = int(np.argmax(np.abs(values - values[0]) > least))
    last = int(np.argmax(np.abs(values[::-1] - values[-1]) > least))
    if first + last == 0 and np.ptp(values) <= least:  # the same everywhere
        return span
    return float(places[max(0, first - 1)]), float(places[_GRID - 1 - max(0, last - 1)])


def extremes(curve: Curve, span: Span) -> Span:
    """Return the least and the greatest value of a function on a span."""
    values = curve.value(np.linspace(*span, _GRID))
    return float(values.min()), float(values.max())


def _sigmoid(x: FloatArray) -> FloatArray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _gelu(x: FloatArray) -> FloatArray:
    return 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0)))


def _gelu_by_tanh(x: FloatArray) -> FloatArray:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def _elu(alpha: float) -> Callable[[FloatArray], FloatArray]:
    return lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _softplus(beta: float) -> Callable[[FloatArray], FloatArray]:
    return lambda x: np.logaddexp(0.0, beta * x) / beta


def _leaky(slope: float) -> Curve:
    return Curve(value=lambda x: np.where(x > 0, x, slope * x), rises=slope >= 0)
