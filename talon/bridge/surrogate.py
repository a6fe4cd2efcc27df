# pyright: reportMissingImports=false
"""Gradients of spikes: the forward pass is the exact step, the backward pass a smooth slope."""

from __future__ import annotations

import math
from typing import Any

import torch

SURROGATES = {"fast_sigmoid": 25.0, "arctan": 2.0}
"""Surrogate gradients by name, each with the slope that it has if none is given."""


class SpikeFunction(torch.autograd.Function):
    """Spikes: 1 where neurons fired, with the gradient of a smooth step.

    ``apply(gap, fired, surrogate, slope)`` takes the distance of the potential to its threshold,
    which alone carries the gradient, and where it was crossed. With slope ``k`` the gradient is

    ================  ================================
    ``fast_sigmoid``  ``1 / (1 + k*|gap|)**2``
    ``arctan``        ``k/2 / (1 + (pi/2*k*gap)**2)``
    ================  ================================

    as in snnTorch.
    """

    @staticmethod
    def forward(gap: Any, fired: Any, surrogate: str, slope: float) -> Any:
        """Return the spikes in the type of ``gap``."""
        del surrogate, slope
        return fired.to(gap.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep what the gradient needs."""
        del output
        gap, _, ctx.surrogate, ctx.slope = inputs
        ctx.save_for_backward(gap)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Return the gradient of the gap."""
        (gap,) = ctx.saved_tensors
        k = ctx.slope
        if ctx.surrogate == "arctan":
            slope = k / 2 / (1 + (math.pi / 2 * k * gap) ** 2)
        else:
            slope = 1 / (1 + k * gap.abs()) ** 2
        return grads[0] * slope, None, None, None


def nearest_threshold(thresholds: Any, most: int) -> Any:
    """Return which of a neuron's thresholds is nearest to its potential, from the first on.

    Neurons that fire several times in a timestep have one at each multiple, up to ``most``.

    Parameters
    ----------
    thresholds
        Potentials, in thresholds.
    most
        How often neurons may fire.
    """
    return thresholds.detach().round().clamp(1, most)


def check_surrogate(name: str, slope: float | None) -> tuple[str, float]:
    """Return a surrogate gradient and its slope, that of the name if none is given."""
    if name not in SURROGATES:
        raise ValueError(f"surrogate must be one of {list(SURROGATES)}, got {name!r}")
    found = SURROGATES[name] if slope is None else float(slope)
    if not 0 < found < math.inf:
        raise ValueError(f"surrogate_slope must be positive and finite, got {slope!r}")
    return name, found
