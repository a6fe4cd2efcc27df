# pyright: reportMissingImports=false
"""Modules of neurons; their dynamics are those of :mod:`talon.ir`, operation for operation.

Coefficients are worked out in float64 and rounded once, as in the float simulation, so that spikes
are the same. A reset carries no gradient, as in snnTorch; potentials carry it through time.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from talon import ir
from talon.bridge.node_module import NodeModule, spread
from talon.bridge.surrogate import SpikeFunction, check_surrogate, nearest_threshold

LEAST_TAU = 1.0
"""Time constants that training takes below it act as one timestep."""


class Membrane(NodeModule):
    """Neurons with states, each of the shape of the input; a state that is not given is zero."""

    trained: ClassVar[bool] = False
    keeps_dtype: ClassVar[bool] = True
    n_states: ClassVar[int] = 1

    def initial_state(self, x: Any) -> tuple[Any, ...]:
        """Return states of zero for an input of the shape of ``x``."""
        return tuple(torch.zeros_like(x) for _ in range(self.n_states))

    def to_node(self) -> ir.Node:
        """Return the node with the parameters as they are now, time constants as they act."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                # A write is a new version of a parameter, even where it changes nothing.
                if name.startswith("tau") and bool((parameter < LEAST_TAU).any()):
                    parameter.clamp_(min=LEAST_TAU)
        return super().to_node()

    def _decay(self, name: str) -> Any:
        return 1 - 1 / self._tau(name)

    def _tau(self, name: str) -> Any:
        return getattr(self, name).double().clamp(min=LEAST_TAU)

    def _fit(self, x: Any, *parameters: Any) -> list[Any]:
        return [spread(p.to(x.dtype), x.shape[1:]) for p in parameters]


class SpikingModule(Membrane):
    """Neurons that spike: ``forward(x, *states)`` returns spikes and the new states.

    Attributes
    ----------
    surrogate, surrogate_slope
        The gradient of a spike, see :class:`~talon.bridge.surrogate.SpikeFunction`.
    """

    def _take(self, node: Any) -> None:
        super()._take(node)
        self.set_surrogate("fast_sigmoid")

    def set_surrogate(self, name: str, slope: float | None = None) -> None:
        """Choose the gradient of a spike."""
        self.surrogate, self.surrogate_slope = check_surrogate(name, slope)

    def _compare(self, v: Any, threshold: Any) -> Any:
        return v > threshold if self.node.strict else v >= threshold

    def _fire(self, v: Any, threshold: Any) -> tuple[Any, Any]:
        if self.node.max_spikes > 1:
            return self._count(v, threshold)
        fired = self._compare(v, threshold)
        spikes = SpikeFunction.apply(v - threshold, fired, self.surrogate, self.surrogate_slope)
        return spikes, fired.detach()

    def _count(self, v: Any, threshold: Any) -> tuple[Any, Any]:
        """Return how many whole thresholds are in a potential; the gradient is at the nearest."""
        most, whole = self.node.max_spikes, v.detach() / threshold
        gap = v - nearest_threshold(whole, most) * threshold
        counts = (whole.ceil() - 1 if self.node.strict else whole.floor()).clamp(0, most).detach()
        return SpikeFunction.apply(gap, counts, self.surrogate, self.surrogate_slope), counts

    def _reset(self, v: Any, fired: Any, threshold: Any, v_reset: Any) -> Any:
        if self.node.reset == "subtract":
            return v - (fired.to(v.dtype) * threshold).detach()
        if self.node.reset == "zero":
            return torch.where(fired > 0, v_reset.expand_as(v), v)
        return v

    def _step(self, v: Any, drive: Any, decay: Any) -> tuple[Any, Any]:
        """Return spikes and the new potential."""
        threshold, v_reset = self._fit(drive, self.v_threshold, self.v_reset)
        left = v if decay is None else v * decay
        if self.node.reset_delay:
            late = self._compare(v, threshold).detach()
            if self.node.reset == "zero" and not self.node.reset_drops_drive:
                base = self._reset(left, late, threshold, v_reset) + drive
            else:
                base = self._reset(left + drive, late, threshold, v_reset)
            return self._fire(base, threshold)[0], base
        base = left + drive
        if self.node.double_threshold:
            return self._step_doubled(v, base, threshold)
        spikes, fired = self._fire(base, threshold)
        return spikes, self._reset(base, fired, threshold, v_reset)

    def _step_doubled(self, v: Any, base: Any, threshold: Any) -> tuple[Any, Any]:
        """Take one threshold before the comparison, and give it back after it without a spike."""
        zero = torch.zeros_like(threshold)
        taken = torch.where(self._compare(v, threshold), threshold, zero).detach()
        base = base - taken
        spikes, fired = self._fire(base, threshold)
        return spikes, base - (torch.where(fired, threshold, zero).detach() - taken)


class LIFModule(SpikingModule):
    """Leaky integrate-and-fire neurons, :class:`talon.ir.LIF`.

    ``forward(x, mem=None)`` returns ``(spikes, mem)``.
    """

    kind: ClassVar[type[ir.Node]] = ir.LIF

    @property
    def beta(self) -> Any:
        """Decay of the potential in a timestep, ``1 - 1/tau``."""
        return self._decay("tau").to(torch.get_default_dtype())

    def forward(self, x: Any, mem: Any = None) -> tuple[Any, Any]:
        """Advance by one timestep."""
        mem = torch.zeros_like(x) if mem is None else mem
        tau = self._tau("tau")
        terms = 1 - 1 / tau, self.r.double() / tau, self.v_leak.double() / tau
        decay, gain, offset = self._fit(x, *terms)
        return self._step(mem, x * gain + offset, decay)


class IFModule(SpikingModule):
    """Integrate-and-fire neurons, :class:`talon.ir.IF`.

    ``forward(x, mem=None)`` returns ``(spikes, mem)``.
    """

    kind: ClassVar[type[ir.Node]] = ir.IF

    def forward(self, x: Any, mem: Any = None) -> tuple[Any, Any]:
        """Advance by one timestep."""
        mem = torch.zeros_like(x) if mem is None else mem
        (gain,) = self._fit(x, self.r)
        return self._step(mem, x * gain, None)


class CubaLIFModule(SpikingModule):
    """Neurons with a synaptic current, :class:`talon.ir.CubaLIF`.

    ``forward(x, syn=None, mem=None)`` returns ``(spikes, syn, mem)``.
    """

    kind: ClassVar[type[ir.Node]] = ir.CubaLIF
    n_states: ClassVar[int] = 2

    def forward(self, x: Any, syn: Any = None, mem: Any = None) -> tuple[Any, Any, Any]:
        """Advance by one timestep."""
        mem = torch.zeros_like(x) if mem is None else mem
        syn = advance_current(self, x, syn)
        tau = self._tau("tau_mem")
        terms = 1 - 1 / tau, self.r.double() / tau, self.v_leak.double() / tau
        decay, gain, offset = self._fit(x, *terms)
        spikes, mem = self._step(mem, syn * gain + offset, decay)
        return spikes, syn, mem


def advance_current(module: Any, x: Any, syn: Any) -> Any:
    """Return the synaptic current after a timestep."""
    syn = torch.zeros_like(x) if syn is None else syn
    tau = module._tau("tau_syn")
    decay, gain = module._fit(x, 1 - 1 / tau, module.w_in.double() / tau)
    return syn * decay + x * gain


class IModule(Membrane):
    """Integrators, :class:`talon.ir.I`; ``forward(x, mem=None)`` returns ``(mem, mem)``."""

    kind: ClassVar[type[ir.Node]] = ir.I

    def forward(self, x: Any, mem: Any = None) -> tuple[Any, Any]:
        """Advance by one timestep."""
        mem = torch.zeros_like(x) if mem is None else mem
        (gain,) = self._fit(x, self.r)
        mem = mem + x * gain
        return mem, mem


class LIModule(Membrane):
    """Leaky integrators, :class:`talon.ir.LI`; ``forward(x, mem=None)`` returns ``(mem, mem)``."""

    kind: ClassVar[type[ir.Node]] = ir.LI

    def forward(self, x: Any, mem: Any = None) -> tuple[Any, Any]:
        """Advance by one timestep."""
        mem = torch.zeros_like(x) if mem is None else mem
        tau = self._tau("tau")
        terms = 1 - 1 / tau, self.r.double() / tau, self.v_leak.double() / tau
        decay, gain, offset = self._fit(x, *terms)
        mem = mem * decay + (x * gain + offset)
        return mem, mem


class CubaLIModule(Membrane):
    """Leaky integrators of a synaptic current, :class:`talon.ir.CubaLI`.

    ``forward(x, syn=None, mem=None)`` returns ``(mem, syn, mem)``.
    """

    kind: ClassVar[type[ir.Node]] = ir.CubaLI
    n_states: ClassVar[int] = 2

    def forward(self, x: Any, syn: Any = None, mem: Any = None) -> tuple[Any, Any, Any]:
        """Advance by one timestep."""
        mem = torch.zeros_like(x) if mem is None else mem
        syn = advance_current(self, x, syn)
        tau = self._tau("tau_mem")
        terms = 1 - 1 / tau, self.r.double() / tau, self.v_leak.double() / tau
        decay, gain, offset = self._fit(x, *terms)
        mem = mem * decay + (syn * gain + offset)
        return mem, syn, mem
