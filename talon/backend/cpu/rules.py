"""The dynamics of populations in floats: what all samples of a run share.

The equations are those at the heads of :mod:`talon.ir.neurons`, :mod:`talon.ir.synaptic` and
:mod:`talon.ir.integrators`. A population is a chain of linear stages
``y = decay*y + (gain*x + offset)``, the last of which is the membrane; a neuron compares it and is
reset. The coefficients are worked out in float64 and rounded once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, singledispatch
from typing import Any

import numpy as np

from talon.ir import IF, LI, LIF, CubaLI, CubaLIF, I, Integrator, Neuron
from talon.ir.types import Array, Dims, FloatArray

Coefficients = tuple[Array, Array, Array]
"""Decay, gain and offset of a stage in float64."""


def leak(tau: Array, r: Array, v_leak: Array | None = None) -> Coefficients:
    """Return the coefficients of ``y = beta*y + (1-beta)*(v_leak + r*x)``."""
    time = np.asarray(tau, np.float64)
    offset = np.zeros_like(time) if v_leak is None else np.asarray(v_leak, np.float64) / time
    return 1 - 1 / time, np.asarray(r, np.float64) / time, offset


def _no_leak(r: Array) -> Coefficients:
    gain = np.asarray(r, np.float64)
    return np.ones_like(gain), gain, np.zeros_like(gain)


@singledispatch
def chain(node: Neuron | Integrator) -> tuple[Coefficients, ...]:
    """Return the stages of a population, the membrane last."""
    raise TypeError(f"{type(node).__name__} has no dynamics")


@chain.register
def _chain_of_lif(node: LIF) -> tuple[Coefficients, ...]:
    return (leak(node.tau, node.r, node.v_leak),)


@chain.register(IF)
@chain.register(I)
def _chain_of_if(node: IF | I) -> tuple[Coefficients, ...]:
    return (_no_leak(node.r),)


@chain.register
def _chain_of_li(node: LI) -> tuple[Coefficients, ...]:
    return (leak(node.tau, node.r, node.v_leak),)


@chain.register(CubaLIF)
@chain.register(CubaLI)
def _chain_of_cuba(node: CubaLIF | CubaLI) -> tuple[Coefficients, ...]:
    return leak(node.tau_syn, node.w_in), leak(node.tau_mem, node.r, node.v_leak)


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """A linear stage.

    Parameters
    ----------
    decay, gain, offset
        Coefficients of a timestep; arrays ``(n_neurons,)``, or 0-d where all are equal.
    """

    decay: FloatArray
    gain: FloatArray
    offset: FloatArray

    @cached_property
    def leaks(self) -> bool:
        """Whether the state decays."""
        return bool(np.any(self.decay != 1))

    @cached_property
    def needs_drive(self) -> bool:
        """Whether ``gain*x + offset`` is another value than ``x``."""
        return bool(np.any(self.gain != 1) or np.any(self.offset != 0))

    def drive(self, x: FloatArray) -> FloatArray:
        """Return ``gain*x + offset``, or the input itself where that is the same.

        ``x`` is ``(..., n_neurons)`` as :func:`flat_view` gives it.
        """
        if not self.needs_drive:
            return x
        y = x * self.gain
        y += self.offset
        return y


@dataclass(frozen=True, kw_only=True, eq=False)
class Firing:
    """When neurons fire and what it does to their potential.

    Parameters
    ----------
    limit
        The largest potential at which a neuron does not fire.
    taken
        What a reset by subtraction takes.
    v_reset
        Where a reset to a value leads.
    reset, reset_delay, reset_drops_drive, double_threshold, strict, max_spikes
        As in the node.
    """

    limit: FloatArray
    taken: FloatArray
    v_reset: FloatArray
    reset: str
    reset_delay: bool
    reset_drops_drive: bool
    double_threshold: bool
    strict: bool
    max_spikes: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Rule:
    """The dynamics of one node.

    Parameters
    ----------
    stages
        The linear stages, the membrane last.
    firing
        How neurons fire; None for integrators.
    axes
        Order of the feature dimensions in memory, which is that of the arrays above.
    shape
        Feature shape of the node.
    """

    stages: tuple[Stage, ...]
    firing: Firing | None
    axes: tuple[int, ...]
    shape: Dims

    @property
    def dtype(self) -> np.dtype[Any]:
        """Floating point type of the simulation."""
        return self.stages[0].decay.dtype

    @cached_property
    def is_uniform(self) -> bool:
        """Whether all neurons are alike."""
        used = [stage.decay for stage in self.stages]
        used += [array for stage in self.stages[1:] for array in (stage.gain, stage.offset)]
        if self.firing is not None:
            used += [self.firing.limit, self.firing.taken, self.firing.v_reset]
        return all(parameter.ndim == 0 for parameter in used)

    def size(self, n_samples: int) -> Dims:
        """Return the shape of a state, flat where the samples need not be told apart."""
        n = math.prod(self.shape)
        return (n_samples * n,) if self.is_uniform or n_samples == 1 else (n_samples, n)

    def drives(self, parts: Sequence[FloatArray]) -> Sequence[FloatArray]:
        """Return what is added to the first stage, one after another, for the inputs of a node.

        Where the gain is 1 they are added one by one, as snnTorch does with what comes back from a
        recurrent layer; else they are summed first.
        """
        if not self.stages[0].needs_drive:
            return parts
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return [self.stages[0].drive(total)]


def build_rule(
    node: Neuron | Integrator, shape: Dims, axes: tuple[int, ...], dtype: np.dtype[Any]
) -> Rule:
    """Return the dynamics of a node for neurons that lie in memory in the order ``axes``."""

    def spread(parameter: Array) -> FloatArray:
        full = node.broadcast(parameter, shape)
        if (full == full.flat[0]).all():
            return np.asarray(full.flat[0], dtype)
        return np.ascontiguousarray(full.transpose(axes), dtype=dtype).reshape(-1)

    stages: list[Stage] = []
    for coefficients in chain(node):
        decay, gain, offset = map(spread, coefficients)
        stages.append(Stage(decay=decay, gain=gain, offset=offset))
    firing = None
    if isinstance(node, Neuron):
        threshold = spread(node.v_threshold)
        limit = threshold if node.strict else np.nextafter(threshold, np.asarray(-np.inf, dtype))
        firing = Firing(
            limit=np.asarray(limit, dtype),
            taken=threshold,
            v_reset=spread(node.v_reset),
            reset=node.reset,
            reset_delay=node.reset_delay,
            reset_drops_drive=node.reset_drops_drive,
            double_threshold=node.double_threshold,
            strict=node.strict,
            max_spikes=node.max_spikes,
        )
    return Rule(stages=tuple(stages), firing=firing, axes=axes, shape=shape)


def memory_axes(x: FloatArray) -> tuple[int, ...]:
    """Return the order in which the feature dimensions of ``(n_steps, n_samples, *shape)`` lie."""
    strides = x.strides[2:]
    return tuple(sorted(range(len(strides)), key=lambda axis: -strides[axis]))


def flat_view(x: FloatArray, axes: tuple[int, ...]) -> FloatArray:
    """Return ``(n_steps, n_samples, *shape)`` as ``(n_steps, n_samples, n_neurons)``."""
    return x.transpose(0, 1, *(axis + 2 for axis in axes)).reshape(*x.shape[:2], -1)


def full_view(x: FloatArray, shape: Dims, axes: tuple[int, ...]) -> FloatArray:
    """Undo :func:`flat_view`, without a copy."""
    back = [axes.index(axis) + 2 for axis in range(len(axes))]
    return x.reshape(*x.shape[:2], *(shape[axis] for axis in axes)).transpose(0, 1, *back)
