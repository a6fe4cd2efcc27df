# pyright: reportMissingImports=false
"""The neuron update of the numeric contract, ``talon.arch.numerics``, with gradients.

States are integers held in float64, as in the golden model. Every rounding, truncation and clamp
is straight-through; a spike has a surrogate gradient, in units of the float network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from talon.arch.numerics import DECAY_ONE, V_MAX, V_MIN
from talon.bridge.straight_through import StraightThrough
from talon.bridge.surrogate import SpikeFunction
from talon.compiler.network import Population

through = StraightThrough.apply


def exact_tensor(values: Any) -> Any:
    """Return integers, or other numbers, as float64."""
    return torch.from_numpy(np.asarray(values, np.float64))


@dataclass(frozen=True, kw_only=True, eq=False)
class Drive:
    """What reaches a population in one timestep.

    Parameters
    ----------
    sums
        The accumulators, exact, ``(n_samples, n)``.
    smooth
        The same in units of the float network with its gradient, gain included, constant input and
        leak potential too.
    """

    sums: Any
    smooth: Any


class IntegerNeurons:
    """One population of an integer network, with the surrogate gradient of its spikes."""

    def __init__(self, population: Population, surrogate: tuple[str, float]) -> None:
        self.population = population
        self.surrogate = surrogate
        self.unit = exact_tensor(population.v_scale)
        self._bias = exact_tensor(population.bias)
        self._decay = exact_tensor(population.decay) / DECAY_ONE
        self._threshold = exact_tensor(population.threshold)
        self._v_reset = exact_tensor(population.v_reset)
        current = population.current
        self._i_decay, self._i_bias = (
            (None, None) if current is None else (exact_tensor(c) for c in current)
        )
        self._i_decay = None if self._i_decay is None else self._i_decay / DECAY_ONE

    def advance(self, drive: Drive, states: Any, threshold: Any) -> tuple[Any, Any, Any]:
        """Advance by one timestep.

        Parameters
        ----------
        drive, states
            What reaches the neurons, and their states: nothing at the beginning.
        threshold
            Float thresholds that take a gradient; None where they take none.

        Returns
        -------
        tuple
            Spikes with their gradient (of a read-out, the potential), who fired, and the states.
        """
        v = torch.zeros_like(drive.sums) if not states else states[0]
        scaled = drive.sums * 2**self.population.frac
        smooth = drive.smooth / self.unit
        currents: tuple[Any, ...] = ()
        if self._i_decay is None:
            x = through(scaled + self._bias, smooth)
        else:
            i = torch.zeros_like(v) if not states else states[1]
            i = _clamp(_leak(i, self._i_decay) + through(scaled + self._i_bias, smooth))
            currents, x = (i,), i + self._bias
        v, spikes, fired = self._update(v, x, threshold)
        out = v * self.unit if self.population.kind == "readout" else spikes
        return out, fired, (v, *currents)

    def _update(self, v: Any, x: Any, threshold: Any) -> tuple[Any, Any, Any]:
        rule, before = self.population, v
        left = _leak(v, self._decay)
        if rule.reset_next and rule.reset != "none":
            late = self._compare(v).detach()
            left = self._reset(left, late)
            if rule.reset == "hold":  # to the value, and the drive of the timestep is lost
                x = torch.where(late, torch.zeros_like(x), x)
        v = _clamp(left + x)
        compared = v
        if rule.reset == "double" and not rule.reset_next:
            compared = v - self._compare(before).detach() * self._threshold
        fired = self._compare(compared).detach()
        gap = (compared - self._threshold) * self.unit
        if threshold is not None:
            gap = through(gap.detach(), compared * self.unit - threshold)
        spikes = SpikeFunction.apply(gap, fired, *self.surrogate)
        if not rule.reset_next and rule.reset != "none":
            v = _clamp(self._reset(v, fired))
        return v, spikes, fired

    def _compare(self, v: Any) -> Any:
        return v > self._threshold if self.population.strict else v >= self._threshold

    def _reset(self, v: Any, fired: Any) -> Any:
        if self.population.reset in ("subtract", "double"):
            return v - fired * self._threshold
        return torch.where(fired, self._v_reset.expand_as(v), v)


def _leak(v: Any, decay: Any) -> Any:
    """Return the product truncated toward zero; a product of 24 by 17 bits is exact."""
    product = v * decay
    return through(product.trunc().detach(), product)


def _clamp(v: Any) -> Any:
    return through(v.clamp(V_MIN, V_MAX).detach(), v)
