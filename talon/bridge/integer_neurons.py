# pyright: reportMissingImports=false
"""The neuron updates of the numeric contract, ``talon.arch.numerics``, with gradients.

States are integers held in float64, as in the golden model. Every rounding, truncation and clamp
is straight-through; a spike has a surrogate gradient, in units of the float network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from talon.arch.numerics import COUNT_ONE, DECAY_ONE, V_MAX, V_MIN
from talon.bridge.integer_synapses import exact_tensor
from talon.bridge.straight_through import StraightThrough
from talon.bridge.surrogate import SpikeFunction, nearest_threshold
from talon.compiler.network import Population

through = StraightThrough.apply


@dataclass(frozen=True, kw_only=True, eq=False)
class Drive:
    """What reaches a population in one timestep.

    Parameters
    ----------
    sums
        The accumulators, exact, ``(n_samples, n)``.
    smooth
        The same in units of the float network with its gradient, gain and constant input included,
        and the leak potential too where there is no synaptic current.
    """

    sums: Any
    smooth: Any


@dataclass(frozen=True, kw_only=True, eq=False)
class Learned:
    """Parameters of neurons in units of the float network, ``(n,)``; None where none is trained.

    ``rest`` is what the leak potential adds to the potential of neurons with a synaptic current.
    """

    threshold: Any = None
    v_reset: Any = None
    decay: Any = None
    i_decay: Any = None
    rest: Any = None


class Neurons(Protocol):
    """One population of an integer network."""

    def advance(self, drive: Drive, states: Any, learned: Learned) -> tuple[Any, Any, Any]:
        """Advance by one timestep.

        Parameters
        ----------
        drive, states
            What reaches the neurons, and their states: nothing at the beginning.
        learned
            Parameters that take a gradient.

        Returns
        -------
        tuple
            Values in units of the float network with their gradient: events, or potentials of a
            read-out. Then the events as integers, before a pool, and the states.
        """
        ...


def neurons_of(population: Population, surrogate: tuple[str, float]) -> Neurons:
    """Return the neurons of a population, by its kind."""
    if population.kind == "graded":
        return GradedNeurons(population)
    if population.kind == "count":
        return CountingNeurons(population, surrogate)
    return SpikingNeurons(population, surrogate)


class _Membrane:
    """What neurons with a potential share."""

    def __init__(self, population: Population, surrogate: tuple[str, float]) -> None:
        self.population = population
        self.surrogate = surrogate
        self.unit = exact_tensor(population.v_scale)
        self._bias = exact_tensor(population.bias)
        self._decay = exact_tensor(population.decay) / DECAY_ONE
        self._v_reset = exact_tensor(population.v_reset)

    def _reset_to(self, learned: Learned, like: Any) -> Any:
        if learned.v_reset is None:
            return self._v_reset.expand_as(like)
        return through(self._v_reset, learned.v_reset / self.unit).expand_as(like)


class SpikingNeurons(_Membrane):
    """Neurons that fire once in a timestep, or integrate for a read-out."""

    def __init__(self, population: Population, surrogate: tuple[str, float]) -> None:
        super().__init__(population, surrogate)
        self._threshold = exact_tensor(population.threshold)
        current = population.current
        self._i_decay, self._i_bias = (
            (None, None) if current is None else (exact_tensor(c) for c in current)
        )
        self._i_decay = None if self._i_decay is None else self._i_decay / DECAY_ONE

    def advance(self, drive: Drive, states: Any, learned: Learned) -> tuple[Any, Any, Any]:
        """Advance by one timestep."""
        v = torch.zeros_like(drive.sums) if not states else states[0]
        scaled = drive.sums * 2**self.population.frac
        smooth = drive.smooth / self.unit
        currents: tuple[Any, ...] = ()
        if self._i_decay is None:
            x = through(scaled + self._bias, smooth)
        else:
            i = torch.zeros_like(v) if not states else states[1]
            left = _leak(i, self._i_decay, learned.i_decay)
            i = _clamp(left + through(scaled + self._i_bias, smooth))
            currents, x = (i,), i + self._rest(learned)
        v, spikes, fired = self._update(v, x, learned)
        out = v * self.unit if self.population.kind == "readout" else spikes
        return out, fired.double(), (v, *currents)

    def _rest(self, learned: Learned) -> Any:
        return self._bias if learned.rest is None else through(self._bias, learned.rest / self.unit)

    def _update(self, v: Any, x: Any, learned: Learned) -> tuple[Any, Any, Any]:
        rule, before = self.population, v
        left = _leak(v, self._decay, learned.decay)
        if rule.reset_next and rule.reset not in ("none", "double"):
            late = self._compare(v).detach()
            left = self._reset(left, late, learned)
            if rule.reset == "hold":  # to the value, and the drive of the timestep is lost
                x = torch.where(late, torch.zeros_like(x), x)
        v = _clamp(left + x)
        compared = v
        if rule.reset == "double" and not rule.reset_next:
            compared = v - self._compare(before).detach() * self._threshold
        fired = self._compare(compared).detach()
        gap = (compared - self._threshold) * self.unit
        if learned.threshold is not None:
            gap = through(gap.detach(), compared * self.unit - learned.threshold)
        spikes = SpikeFunction.apply(gap, fired, *self.surrogate)
        if not rule.reset_next and rule.reset != "none":
            v = _clamp(self._reset(v, fired, learned))
        return v, spikes, fired

    def _compare(self, v: Any) -> Any:
        return v > self._threshold if self.population.strict else v >= self._threshold

    def _reset(self, v: Any, fired: Any, learned: Learned) -> Any:
        if self.population.reset in ("subtract", "double"):
            return v - fired * self._threshold
        return torch.where(fired, self._reset_to(learned, v), v)


class CountingNeurons(_Membrane):
    """Neurons that may fire several times in a timestep; how often is their event.

    Where the next spike would come, or the last one would not have, is where the surrogate
    gradient is: at the nearest of the thresholds.
    """

    def __init__(self, population: Population, surrogate: tuple[str, float]) -> None:
        super().__init__(population, surrogate)
        assert population.gain is not None
        self._gain = exact_tensor(population.gain)

    def advance(self, drive: Drive, states: Any, learned: Learned) -> tuple[Any, Any, Any]:
        """Advance by one timestep."""
        rule, most = self.population, self.population.largest
        v = torch.zeros_like(drive.sums) if not states else states[0]
        x = through(drive.sums * self._gain + self._bias, drive.smooth / self.unit)
        v = _clamp(_leak(v, self._decay, learned.decay) + x)
        exact = v.detach()
        counts = ((exact - float(rule.strict)) / COUNT_ONE).floor().clamp(0, most)
        nearest = nearest_threshold(exact / COUNT_ONE, most)
        gap = (v - nearest * COUNT_ONE) * self.unit
        if learned.threshold is not None:
            gap = through(gap.detach(), v * self.unit - nearest * learned.threshold)
        spikes = SpikeFunction.apply(gap, counts, *self.surrogate)
        if rule.reset == "subtract":
            v = v - counts * COUNT_ONE
        elif rule.reset == "zero":
            v = torch.where(counts > 0, self._reset_to(learned, v), v)
        return spikes, counts, (v,)


class GradedNeurons:
    """Rectified and requantized sums, or what a table makes of them, which have no state.

    The gradient is that of the float rectifier, also beyond the largest payload; behind a table it
    is that of the sum, since only the node knows its function.
    """

    def __init__(self, population: Population) -> None:
        self._unit = exact_tensor(population.v_scale)
        self._offset = exact_tensor(population.v_reset)
        self._multiplier = exact_tensor(population.decay) / DECAY_ONE
        table = population.table
        self._most = population.largest if table is None else len(table) - 1
        self._table = None if table is None else exact_tensor(table)

    def advance(self, drive: Drive, states: Any, learned: Learned) -> tuple[Any, Any, Any]:
        """Advance by one timestep."""
        del states, learned
        total = drive.sums + self._offset
        payloads = (total * self._multiplier + 0.5).floor().clamp(0, self._most)
        if self._table is not None:
            payloads = self._table[payloads.long()]
            return through(payloads * self._unit, drive.smooth), payloads, ()
        return through(payloads * self._unit, drive.smooth * (total > 0)), payloads, ()


def _leak(v: Any, decay: Any, learned: Any) -> Any:
    """Return the product truncated toward zero; a product of 24 by 17 bits is exact."""
    product = v * decay
    return through(product.trunc().detach(), product if learned is None else v * learned)


def _clamp(v: Any) -> Any:
    return through(v.clamp(V_MIN, V_MAX).detach(), v)
